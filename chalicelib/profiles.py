"""Import profiles: what a tenant wants moved, and how to reach it.

In: checked values from the API. Out: profile dicts, as stored; `show` makes the public ones. The password is kept as
ciphertext bound to organisation and profile and leaves only through `connection`. Changes are single conditional
updates, so concurrent edits of different fields both stand and no edit revives a deleted profile.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from chalicelib import audit, configured, dynamo, encryption, jobs, keys, progress
from chalicelib.errors import BadRequest, Invalid, NotFound, Retryable
from chalicelib.messages import sentence
from chalicelib.preconditions import UNSAID, IfMatch

Profile = dict[str, Any]

SHOWN = (
    *("id", "name", "database_type", "host", "port", "database", "username", "ssl_mode", "description", "notes"),
    "mode_config",
)
"""What a caller writes and reads back; all else is made here. The password is not among them."""

SYNC = {"sync_enabled": False, "last_sync_at": None, "sync_stats": None}
"""A profile that does not import by itself, which none does yet, and never did."""

UNTRIED = {"last_tested_at": None, "last_test_result": None, **SYNC}
"""What a profile remembers of what was done with it, before anything was."""

CONNECTION_STATUSES = ("success", "failed", "untested")

MAX_QUERY_BYTES = 25_000
"""Of one saved query as JSON: one for each of seven types and a template's copy stay below an item's 400 KB."""

LATEST_JOBS = 10
"""Jobs a profile shows of its own."""

_REACHED_BY = ("host", "port", "username", "ssl_mode")
"""Where a password goes, and how safely."""

_TESTED = (*_REACHED_BY, "database", "password")
"""What a connection test is of."""

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""From the weakest to the strongest."""

_SEARCHED_JOBS = 300
"""How far back in the organisation's jobs those are looked for: three pages of the table."""


def create(org: str, user: dict[str, str], values: Mapping[str, Any], *, profile_id: str | None = None) -> Profile:
    """A new profile. `values` holds the fields of SHOWN but the id, and `password`. profile_id: when it was minted
    before; an earlier attempt may have made the profile, and then it is as that has made it.

    source_id, fingerprint, source: which database it imports from, once it has; see identities.py.
    """
    profile_id = profile_id or str(uuid.uuid4())
    now = stamp()
    profile = {
        "org": org,
        "id": profile_id,
        **{field: values.get(field) for field in SHOWN if field != "id"},
        "password": _sealed(org, profile_id, values.get("password")),
        "created_by": user,
        **UNTRIED,
        "template_id": None,
        "template_options": {},
        "template_copy": None,
        "queries": {},
        "has_custom_queries": False,
        "source_id": None,
        "fingerprint": None,
        "source": None,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    return insert(profile, audit.line(org, user, "profile.created", f"profile/{profile_id}"))


def insert(profile: Profile, line: dynamo.Operation) -> Profile:
    """Store a new profile with its audit line, or find it as an earlier attempt has made it."""
    org, profile_id = profile["org"], profile["id"]
    put = dynamo.put_operation("state", keys.profile(org, profile_id), profile, condition="attribute_not_exists(#pk)")
    try:
        dynamo.transact([("Put", put), line])
    except dynamo.Refused:
        return get(org, profile_id)
    return profile


def get(org: str, profile_id: str) -> Profile:
    """A profile of the organisation. Raises NotFound for absent ids and other tenants' alike."""
    profile = dynamo.get("state", keys.profile(org, profile_id))
    if profile is None:
        raise _not_found()
    return profile


def listing(org: str) -> list[Profile]:
    """All profiles of the organisation, newest first. A tenant has tens of them, so they are read whole."""
    partition, prefix = keys.profile(org, "")
    return sorted(dynamo.query("state", partition, prefix=prefix, consistent=True), key=place, reverse=True)


def place(profile: Profile) -> str:
    """Where a profile stands in a listing: by age, ties by id. Pages are cut by it."""
    return f"{profile['created_at']}#{profile['id']}"


def update(
    org: str, profile_id: str, user: dict[str, str], values: Mapping[str, Any], if_match: IfMatch = UNSAID
) -> Profile:
    """Set the given fields, leave the others; an absent or empty `password` is kept, and another connection is not yet
    tested. Raises NotFound, Invalid, and PreconditionFailed for who saw another version than stands.

    A stored password never follows the profile to another server, user or weaker `ssl_mode`: who may change profiles
    could else have it sent to a server of his own (docs/decisions/0011). On condition that nobody moves it meanwhile.
    """
    known = get(org, profile_id)
    seen = _seen(known, if_match)
    changes = {field: values[field] for field in SHOWN if field in values and field != "id"}
    if values.get("password"):
        changes["password"] = _sealed(org, profile_id, values["password"])
    else:
        if known["password"] and _moves(known, changes):
            raise Invalid("Validation failed", errors={"password": [sentence("missing", "password")]})
        seen |= {field: known[field] for field in (*_REACHED_BY, "password") if {*_REACHED_BY} & changes.keys()}
    line = audit.line(org, user, "profile.updated", f"profile/{profile_id}", fields=sorted(changes))
    if any(changes.get(field, known[field]) != known[field] for field in _TESTED):
        changes |= {"last_tested_at": None, "last_test_result": None}
    return _set(org, profile_id, changes | {"updated_at": stamp()}, line, seen=seen)


def apply_template(
    org: str,
    profile_id: str,
    user: dict[str, str],
    template_id: str,
    options: dict[str, Any],
    copy: dict[str, str] | None = None,
    if_match: IfMatch = UNSAID,
) -> Profile:
    """Take the template, and its checked options, as the profile's configuration. Raises NotFound, PreconditionFailed.

    copy: what is kept of a template of the organisation's own (see own_templates); the system's stay as they are.
    """
    seen = _seen(get(org, profile_id), if_match) if if_match.exact else {}
    changes = {
        "template_id": template_id,
        "template_options": options,
        "template_copy": copy,
        "updated_at": stamp(),
    }
    line = audit.line(org, user, "profile.template_applied", f"profile/{profile_id}", fields=["template_id"])
    return _set(org, profile_id, changes, line, seen=seen)


def note_test(tested: Profile, result: dict[str, Any]) -> None:
    """Keep how the latest connection test ended, unless the profile has another connection by now. Raises NotFound when
    it was deleted meanwhile.

    The version stays: who tries the connection between looking and saving has seen what they change.
    """
    changes = {"last_tested_at": stamp(), "last_test_result": result}
    with suppress(Retryable):
        _set(tested["org"], tested["id"], changes, None, seen={field: tested[field] for field in _TESTED})


def _seen(known: Profile, if_match: IfMatch) -> dict[str, Any]:
    """What the change has to find as it was, when it names the version it is for. Raises PreconditionFailed."""
    if_match.check(known["version"], "profile")
    return {"version": known["version"]} if if_match.exact else {}


def connection_status(profile: Profile) -> str:
    """How the latest connection test ended, one of CONNECTION_STATUSES."""
    result = profile["last_test_result"]
    return "untested" if not result else "success" if result["success"] else "failed"


def _moves(known: Profile, changes: dict[str, Any]) -> bool:
    """Whether the password would go elsewhere, or less safely, than it was given for."""
    wanted = known | changes
    weaker = _SSL_MODES.index(wanted["ssl_mode"]) < _SSL_MODES.index(known["ssl_mode"])
    return weaker or any(wanted[field] != known[field] for field in ("host", "port", "username"))


def _set(
    org: str,
    profile_id: str,
    changes: dict[str, Any],
    line: dynamo.Operation | None,
    *,
    seen: Mapping[str, Any] | None = None,
) -> Profile:
    """The profile with the changes, on condition that the fields of `seen` still have those values.

    line: what the trail says of a person's change, written with it; such a change makes a new version.
    """
    key, expression = keys.profile(org, profile_id), "SET " + ", ".join(f"#{field} = :{field}" for field in changes)
    held = {f"seen_{field}": value for field, value in (seen or {}).items()}
    condition = "attribute_exists(#pk)" + "".join(f" AND #{field[5:]} = :{field}" for field in held)
    try:
        if line is None:
            return dynamo.update("state", key, expression, changes | held, condition=condition)
        values = changes | held | {"one": 1}
        change = dynamo.update_operation("state", key, f"{expression} ADD #version :one", values, condition=condition)
        dynamo.transact([("Update", change), line])
    except dynamo.Refused:
        get(org, profile_id)
        raise Retryable("the profile was changed at the same moment", code="busy") from None
    return get(org, profile_id)


def delete(org: str, profile_id: str, user: dict[str, str], if_match: IfMatch = UNSAID) -> None:
    """Remove the profile unless a job runs on it. Raises NotFound, PreconditionFailed, BadRequest with `running_jobs`.

    Profile and lock go in one transaction, on condition that the lock is free: a start, which takes the lock on
    condition that the profile exists, either comes first and forbids this, or finds no profile.
    """
    lock = keys.profile_lock(org, profile_id)
    for _ in range(3):
        seen = _seen(get(org, profile_id), if_match)
        held = dynamo.get("state", lock)
        job = dynamo.get("state", keys.job(org, held["job"])) if held else None
        if job and not jobs.ended(job):
            break
        # A lock left behind is free, but only as long as it is the ended job's that was just looked at.
        free = "attribute_not_exists(#pk)" + (" OR #job = :ended" if held else "")
        there = "attribute_exists(#pk)" + (" AND #version = :version" if seen else "")
        try:
            dynamo.transact(
                [
                    (
                        "Delete",
                        dynamo.delete_operation("state", keys.profile(org, profile_id), condition=there, values=seen),
                    ),
                    (
                        "Delete",
                        dynamo.delete_operation(
                            "state", lock, condition=free, values={"ended": held["job"]} if held else None
                        ),
                    ),
                    audit.line(org, user, "profile.deleted", f"profile/{profile_id}"),
                ]
            )
        except dynamo.Refused:
            continue  # gone or changed, which the next look tells, or the lock was taken or freed
        return
    raise BadRequest("Cannot delete profile with running import jobs", code="profile_in_use", extra={"running_jobs": 1})


def written(query: dict[str, Any]) -> str:
    """A query as it is kept. Raises Invalid for one too large, which need not be tried: reading it takes its time."""
    text = json.dumps(query, ensure_ascii=False)
    if len(text.encode()) > MAX_QUERY_BYTES:
        said = sentence("too_long_query", "fields", limit=MAX_QUERY_BYTES)
        raise Invalid("Validation failed", errors={"fields": [said]})
    return text


def save_query(
    org: str,
    profile_id: str,
    user: dict[str, str],
    record_type: str,
    query: dict[str, Any] | None,
    if_match: IfMatch = UNSAID,
) -> Profile:
    """Keep a type's query as it was written, in the place of the one it had; None: have none any more.

    Raises NotFound (also for a query to remove that is not there), PreconditionFailed, Invalid for one too large, and
    Retryable when somebody changed the profile at the same moment.
    """
    text = None if query is None else written(query)
    known = get(org, profile_id)
    if_match.check(known["version"], "profile")
    if text is None and record_type not in known["queries"]:
        raise NotFound("Saved query not found")
    kept = {name: one for name, one in known["queries"].items() if name != record_type}
    kept |= {record_type: text} if text else {}
    changes = {"queries": kept, "has_custom_queries": bool(kept), "updated_at": stamp()}
    action = "profile.query_saved" if text else "profile.query_deleted"
    line = audit.line(org, user, action, f"profile/{profile_id}", fields=[f"queries.{record_type}"])
    return _set(org, profile_id, changes, line, seen={"version": known["version"]})


def show(profile: Profile) -> dict[str, Any]:
    """A profile as lists show it."""
    return {
        **{field: profile.get(field) for field in SHOWN},
        **{field: profile.get(field, unset) for field, unset in SYNC.items()},
        "created_by": profile["created_by"],
        "last_tested_at": _seconds(profile["last_tested_at"]),
        "template_id": profile["template_id"],
        "template": _template(profile),
        "has_custom_queries": profile["has_custom_queries"],
        "last_test_result": profile["last_test_result"],
        "version": profile["version"],
        "created_at": _seconds(profile["created_at"]),
        "updated_at": _seconds(profile["updated_at"]),
    }


def show_whole(profile: Profile) -> dict[str, Any]:
    """A profile as it is shown alone: with its configuration and latest jobs."""
    return show(profile) | {
        "template_options": profile["template_options"],
        "configuration": configured.shown(profile),
        "import_jobs": _latest_jobs(profile),
    }


def _template(profile: Profile) -> dict[str, str] | None:
    from chalicelib import templates

    template_id, copy = profile["template_id"], profile.get("template_copy")
    if template_id is None:
        return None
    if copy:
        return {"id": template_id, "name": copy["name"], "platform": copy["platform"]}
    template = templates.get(template_id)
    return {"id": template.ID, "name": template.NAME, "platform": template.PLATFORM}


def _latest_jobs(profile: Profile) -> list[dict[str, Any]]:
    recent = islice(jobs.listing(profile["org"]), _SEARCHED_JOBS)
    own = (job for job in recent if job["profile"]["id"] == profile["id"])
    shown = map(progress.show, islice(own, LATEST_JOBS))
    return [{field: job[field] for field in ("id", "status", "records_imported", "started_at")} for job in shown]


def _sealed(org: str, profile_id: str, password: str | None) -> str | None:
    return encryption.encrypt(password, org=org, owner=profile_id) if password else None


def _not_found() -> NotFound:
    return NotFound("Import profile not found")


def stamp() -> str:
    """Now, as it is stored."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _seconds(stamp: str | None) -> str | None:
    """A stored time as shown: "2026-01-01T10:00:00Z". Stored to the microsecond, so that listings keep their order."""
    return f"{stamp[:19]}Z" if stamp else None
