"""What /api/session answers."""

from __future__ import annotations

from typing_extensions import TypedDict

from chalicelib.routes.answers import Person


class Who(TypedDict):
    """The user behind a token or session. permissions: the role's and the user's own, within the token's scopes.
    csrf_token: to be sent as X-CSRF-Token with changes; null for a token, which needs none.
    """

    user: Person
    organisation: str
    role: str
    permissions: list[str]
    csrf_token: str | None


class SignedIn(TypedDict):
    """A session has begun; it is in the cookie. csrf_token: to be sent as X-CSRF-Token with changes. expires_at: when
    it ends at the latest.
    """

    message: str
    csrf_token: str
    expires_at: str
