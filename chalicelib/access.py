"""Who is asking, and what they may do: organisations, users, API tokens, roles.

In: a raw bearer token. Out: a `Caller`, the only source of the organisation in all of the API. Refused: tokens that
are malformed, unknown, expired or revoked, all with the same answer. Tokens are kept as SHA-256 and shown once.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from chalicelib import dynamo, keys
from chalicelib.errors import Unauthorized

Permission = Literal["system.import", "system.configure", "pages.import.manage", "import.global"]
Role = Literal["SUPER_ADMIN", "ADMIN", "PRO", "USER"]

ROLE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    "SUPER_ADMIN": frozenset({"system.import", "system.configure", "pages.import.manage", "import.global"}),
    "ADMIN": frozenset({"system.import", "pages.import.manage"}),
    "PRO": frozenset(),
    "USER": frozenset(),
}
"""What each role may do. A user may hold more by name; a token may be narrowed to fewer."""

_TOKEN = re.compile(r"whf_[A-Za-z0-9_-]{43}\Z")
_UNAUTHENTICATED = "Unauthenticated."


@dataclass(frozen=True)
class Caller:
    """The user behind a request.

    org: the tenant; every key is built from it. permissions: the role's and the user's own, within the token's scopes.
    session, csrf: SHA-256 and CSRF token of the web session, when the request came with one (see logins.py).
    token: SHA-256 of the token. Requests are counted by user, so that more tokens are no more requests.
    """

    org: str
    user_id: str
    name: str
    role: str
    permissions: frozenset[str]
    token: str
    session: str | None = None
    csrf: str | None = None

    def who(self) -> dict[str, str]:
        """The `created_by` of what the caller makes."""
        return {"id": self.user_id, "name": self.name}


def authenticate(raw_token: str, *, now: datetime) -> Caller:
    """The caller a token stands for. Raises Unauthorized, in one sentence for every reason.

    Two consistent reads, no cache: a revoked token stops at the next request.
    """
    if not _TOKEN.match(raw_token):
        raise Unauthorized(_UNAUTHENTICATED)
    return holder(_sha256(raw_token), now=now)


def holder(sha256_hex: str, *, now: datetime) -> Caller:
    """The caller of the token that has this SHA-256. Raises as `authenticate`."""
    token = dynamo.get("state", keys.token(sha256_hex))
    if token is None or token["revoked_at"] or _has_passed(token["expires_at"], now):
        raise Unauthorized(_UNAUTHENTICATED)
    user = dynamo.get("state", keys.user(token["org"], token["user_id"]))
    if user is None:
        raise Unauthorized(_UNAUTHENTICATED)
    return Caller(
        org=token["org"],
        user_id=user["id"],
        name=user["name"],
        role=user["role"],
        permissions=_granted(user, token["scopes"]),
        token=sha256_hex,
    )


def _granted(user: dict[str, Any], scopes: list[str] | None) -> frozenset[str]:
    held = ROLE_PERMISSIONS.get(user["role"], frozenset()) | set(user["permissions"])
    return held if scopes is None else held & set(scopes)


def _has_passed(expires_at: str | None, now: datetime) -> bool:
    return expires_at is not None and datetime.fromisoformat(expires_at) <= now


def bootstrap(org_name: str, admin_name: str, email: str) -> dict[str, str]:
    """A new organisation with its first user and token: {"org", "user", "token"}. The token is never shown again.

    Reached only by invoking the `bootstrap` function with AWS credentials. Every call makes another organisation.
    """
    org = str(uuid.uuid4())
    organisation = {"org": org, "name": org_name, "created_at": _stamp()}
    dynamo.put("state", keys.organisation(org), organisation)
    user = create_user(org, admin_name, email, "SUPER_ADMIN")
    return {"org": org, "user": user["id"], "token": issue_token(org, user["id"], "bootstrap")}


def create_user(org: str, name: str, email: str, role: Role, permissions: tuple[str, ...] = ()) -> dict[str, Any]:
    """A new user. `number` counts from 1 within the organisation, for the documents that show integer user ids."""
    counter = dynamo.update("state", keys.sequence(org, "user"), "ADD #value :one", {"one": 1})
    user = {
        "id": str(uuid.uuid4()),
        "number": counter["value"],
        "email": email,
        "name": name,
        "role": role,
        "permissions": list(permissions),
        "created_at": _stamp(),
    }
    dynamo.put("state", keys.user(org, user["id"]), user)
    return user


def issue_token(
    org: str, user_id: str, name: str, *, scopes: list[str] | None = None, expires_at: datetime | None = None
) -> str:
    """A new raw token (`whf_` and 256 random bits). `scopes` narrows it to these permissions, None to all held."""
    raw = "whf_" + secrets.token_urlsafe(32)
    item = {
        "org": org,
        "user_id": user_id,
        "name": name,
        "scopes": scopes,
        "last_four": raw[-4:],
        "expires_at": expires_at.isoformat() if expires_at else None,
        "revoked_at": None,
        "created_at": _stamp(),
    }
    dynamo.put("state", keys.token(_sha256(raw)), item)
    return raw


def revoke_token(raw_token: str) -> None:
    """Ends a token at once; one that is unknown or ended already stays as it is."""
    try:
        dynamo.update(
            "state",
            keys.token(_sha256(raw_token)),
            "SET #revoked_at = :now",
            {"now": _stamp(), "null": "NULL"},
            condition="attribute_exists(#pk) AND attribute_type(#revoked_at, :null)",
        )
    except dynamo.Refused:
        return


def _sha256(raw_token: str) -> str:
    return hashlib.sha256(raw_token.encode()).hexdigest()


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
