"""Copies of profiles: another one like it, with a past of its own.

In: a profile. Out: a new one, as stored; `show` makes the public one. It reaches the same database with the same
password, imports the same by the same queries, template and mode, and its rows meet the records the original's made.
What was done with the original stays the original's: its tests, its jobs, its syncs, and that it syncs by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from chalicelib import audit, configured, encryption, profiles
from chalicelib.errors import Fatal, Invalid
from chalicelib.preconditions import UNSAID, IfMatch
from chalicelib.profiles import Profile

SUFFIX = " - Copy"
"""What a copy's name ends with when it is given none."""

MAX_NAME = 255
"""Of a profile's name, in characters."""

_SHOWN = ("id", "name", "description", "created_at", "configuration", *profiles.SYNC)


def make(
    org: str,
    profile_id: str,
    user: dict[str, str],
    values: Mapping[str, Any],
    if_match: IfMatch = UNSAID,
    *,
    copy_id: str | None = None,
) -> tuple[Profile, Profile]:
    """The original, as it was read in one piece, and its copy. `values` may hold `name` and `description`.

    copy_id: when it was minted before; an earlier attempt may have made the copy, and then it is as that has made it.

    Raises NotFound, PreconditionFailed, and Invalid when the password cannot be read any more. The password is sealed
    anew: its ciphertext is bound to the profile it belongs to (see encryption.py).
    """
    original = profiles.get(org, profile_id)
    if_match.check(original["version"], "profile")
    copy_id, now = copy_id or str(uuid.uuid4()), profiles.stamp()
    kept = {field: value for field, value in original.items() if field not in ("pk", "sk")}
    copy = kept | {
        **profiles.UNTRIED,
        "id": copy_id,
        "name": values.get("name") or f"{original['name'][: MAX_NAME - len(SUFFIX)]}{SUFFIX}",
        "description": values.get("description", original["description"]),
        "password": _resealed(original, copy_id),
        "created_by": user,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    return original, profiles.insert(copy, audit.line(org, user, "profile.duplicated", f"profile/{profile_id}"))


def show(copy: Profile) -> dict[str, Any]:
    """A new copy as the one who made it is answered."""
    shown = profiles.show(copy) | {"configuration": configured.shown(copy)}
    return {field: shown[field] for field in _SHOWN}


def _resealed(original: Profile, owner: str) -> str | None:
    """The password for another owner. Nobody sees it on the way."""
    sealed, org = original["password"], original["org"]
    if not sealed:
        return None
    try:
        return encryption.encrypt(encryption.decrypt(sealed, org=org, owner=original["id"]), org=org, owner=owner)
    except Fatal as lost:
        said = "The stored password can no longer be read: enter it again, then duplicate the profile"
        raise Invalid(said, code=lost.code, errors={"password": [f"{said}."]}) from None
