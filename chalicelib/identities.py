"""Which database a profile imports from: the identity its records have, and the database that has to be there.

A profile that has imported keeps three things. `source_id`: what the ids of its records derive from, for good.
`fingerprint`: the database it has to find. `source`: how it was reached when last it was found to be that one, and
when. While the connection is the same, nobody is asked; when it is another and leads to another database, only a
person knows whether that holds the same data (docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

from chalicelib import audit, connections, dynamo, keys, profiles
from chalicelib.errors import BadRequest, Conflict, Retryable
from chalicelib.profiles import Profile

Decision = Literal["same_data", "new_source"]

_REACHED_BY = ("host", "port", "database", "username")
"""What may lead to another database; the user too, because a pooler may go by it, and not every one sees the cluster's
identifier."""

_SHOWN = ("host", "port", "database", "fingerprint", "confirmed_at")


def check(profile: Profile) -> None:
    """Before a job starts: the profile leads to the database it imported before, as far as can be told without asking.

    Connects only when the connection has changed since, or when a job found another database. Raises Conflict
    (`source_changed`) with what is known of both, SourceUnreachable, after 15 seconds at most.
    """
    if not profile["source_id"] or _settled(profile):
        return
    found = connections.fingerprint(profile)
    if confirm(profile, found) is None:
        raise _changed(profile, found)


def confirm(profile: Profile, found: str, *beside: dynamo.Operation) -> str | None:
    """The identity of the profile's records, if the database found is the one it has to be; else None, and the next
    start asks. A first import makes it the one.

    beside: what has to hold for anything to be written: a job that has ended says nothing of its profile any more.
    Raises NotFound when the profile is gone, Retryable.
    """
    if not profile["source_id"]:
        changes = {"source_id": found, "fingerprint": found, "source": _seen_now(profile)}
        if _write(profile, changes, "#source_id = :none", {"none": None}, beside):
            return found
        profile = profiles.get(profile["org"], profile["id"])  # a plan made at the same moment may have been first
        if not profile["source_id"]:
            return None
    if found != _fingerprint(profile):
        if _settled(profile):
            _write(profile, {"source": profile["source"] | {"in_doubt": True}}, *_unchanged(profile), beside)
        return None
    if not _settled(profile):
        _write(profile, {"fingerprint": found, "source": _seen_now(profile)}, *_unchanged(profile), beside)
    return str(profile["source_id"])


def decide(org: str, profile_id: str, user: dict[str, str], decision: Decision, seen: str | None = None) -> Profile:
    """What a person says of the database that the profile leads to now; returns the profile as it is then.

    same_data: its rows are those that were imported before, so they meet the same records. new_source: they are
    others, so they make records of their own. seen: the fingerprint the person was shown. Raises BadRequest when
    nothing has been imported, Conflict when another database is there than was shown, SourceUnreachable, and Retryable
    when the profile is changed at the same moment.
    """
    profile = profiles.get(org, profile_id)
    if not profile["source_id"]:
        raise BadRequest("The profile has not imported anything yet: any database will do", code="no_source")
    found = connections.fingerprint(profile)
    if seen not in (None, found):
        raise _changed(profile, found)
    changes = {"fingerprint": found, "source": _seen_now(profile), "updated_at": profiles.stamp()}
    changes |= {"source_id": found} if decision == "new_source" else {}
    condition, values = _unchanged(profile)
    values |= {f"at_{field}": profile[field] for field in _REACHED_BY}
    condition += "".join(f" AND #{field} = :at_{field}" for field in _REACHED_BY)
    fields = [field for field in ("fingerprint", "source_id") if changes.get(field) not in (None, profile.get(field))]
    line = audit.line(org, user, f"profile.source_{decision}", f"profile/{profile_id}", fields=fields)
    try:
        dynamo.transact([_operation(profile, changes, condition, values, new_version=True), line])
    except dynamo.Refused:
        profiles.get(org, profile_id)
        raise Retryable("the profile was changed at the same moment", code="busy") from None
    return profiles.get(org, profile_id)


def show(profile: Profile) -> dict[str, Any] | None:
    """The database a profile imports from as people see it, None before its first import."""
    if not profile["source_id"]:
        return None
    known = (profile.get("source") or {}) | {"fingerprint": _fingerprint(profile)}
    return {field: known.get(field) for field in _SHOWN}


def _changed(profile: Profile, found: str) -> Conflict:
    there = {**_reached(profile), "fingerprint": found}
    return Conflict(
        "The profile leads to another database than the one it imported before. Say whether that holds the same data "
        "(same_data) or is a new source (new_source).",
        code="source_changed",
        extra={
            "known_source": show(profile),
            "found_source": {field: there[field] for field in _SHOWN if field in there},
            "decide": {
                "method": "POST",
                "path": f"/api/import/profiles/{profile['id']}/source",
                "decisions": ["same_data", "new_source"],
            },
        },
    )


def _fingerprint(profile: Profile) -> str:
    """The database that has to be there: the one the identity was taken from, unless a person has said otherwise."""
    return str(profile.get("fingerprint") or profile["source_id"])


def _settled(profile: Profile) -> bool:
    """Whether the connection is the one by which the database was found, and no job found another one by it since."""
    source = profile.get("source") or {}
    return _reached(profile) == _reached(source) and not source.get("in_doubt")


def _reached(values: dict[str, Any]) -> dict[str, Any]:
    return {field: values.get(field) for field in _REACHED_BY}


def _seen_now(profile: Profile) -> dict[str, Any]:
    return _reached(profile) | {"confirmed_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _unchanged(profile: Profile) -> tuple[str, dict[str, Any]]:
    """The condition that nobody has decided otherwise since the profile was read."""
    known = profile.get("fingerprint")
    same = "#fingerprint = :known" if known else "attribute_not_exists(#fingerprint)"
    return f"#source_id = :identity AND {same}", {"identity": profile["source_id"]} | (
        {"known": known} if known else {}
    )


def _write(
    profile: Profile,
    changes: dict[str, Any],
    condition: str,
    values: dict[str, Any],
    beside: Iterable[dynamo.Operation],
) -> bool:
    """Whether the changes were made. They are nobody's, so the version stays."""
    with suppress(dynamo.Refused):
        dynamo.transact([_operation(profile, changes, condition, values), *beside])
        return True
    return False


def _operation(
    profile: Profile, changes: dict[str, Any], condition: str, values: dict[str, Any], *, new_version: bool = False
) -> dynamo.Operation:
    expression = "SET " + ", ".join(f"#{field} = :{field}" for field in changes)
    expression += " ADD #version :one" if new_version else ""
    there = f"attribute_exists(#pk) AND {condition}"
    key = keys.profile(profile["org"], profile["id"])
    values = changes | values | ({"one": 1} if new_version else {})
    return "Update", dynamo.update_operation("state", key, expression, values, condition=there)
