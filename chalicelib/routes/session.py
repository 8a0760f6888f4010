"""/api/session: who is asking, and the web's sign-in.

A session is begun with a token in the Authorization header and with nothing else: another site can make a browser send
a form and cookies, but not that header, so nobody can be signed in as somebody else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chalicelib import logins
from chalicelib.access import Caller
from chalicelib.errors import BadRequest, NotFound
from chalicelib.requests import Headed, Routes
from chalicelib.routes.answers import Message
from chalicelib.routes.answers import session as shapes

routes = Routes()


@routes.on("GET", "/api/session", permission="authenticated", limit="monitoring", answer=shapes.Who)
def show_session(caller: Caller) -> dict[str, Any]:
    """Who the token or session stands for, and what they may do."""
    return {
        "user": caller.who(),
        "organisation": caller.org,
        "role": caller.role,
        "permissions": sorted(caller.permissions),
        "csrf_token": caller.csrf,
    }


@routes.on(
    "POST",
    "/api/session",
    permission="authenticated",
    limit="monitoring",
    status=201,
    answer=shapes.SignedIn,
    refuses=("bad_request",),
)
def start_session(caller: Caller) -> Headed:
    """Begins a web session of the token, in a cookie."""
    if caller.session:
        raise BadRequest("A session is begun with a token, not with another session.")
    value, end = logins.start(caller, now=datetime.now(UTC))
    expires_at = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"message": "Signed in successfully", "csrf_token": logins.csrf(value), "expires_at": expires_at}
    return Headed(body, {"Set-Cookie": [*logins.cookies(value)]})


@routes.on(
    "DELETE",
    "/api/session",
    permission="authenticated",
    limit="monitoring",
    answer=Message,
    refuses=("not_found",),
)
def end_session(caller: Caller) -> Headed:
    """Ends the web session the request came with; its token and other sessions stay."""
    if caller.session is None:
        raise NotFound("Session not found")
    logins.end(caller)
    return Headed({"message": "Signed out successfully"}, {"Set-Cookie": [*logins.cookies("")]})
