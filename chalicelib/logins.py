"""The web's sessions: a cookie that stands for a token, so that no page has to keep one.

In: a caller who has shown a token; later the cookie. Out: the cookies to set; the caller. Refused: sessions that are
unknown, ended, too old or idle for too long, and all whose token or user is gone, with the one sentence of access.py;
and changes that do not prove that a page of ours asked for them. Values are kept as SHA-256, as tokens are.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib import access, audit, dynamo, keys, settings
from chalicelib.access import Caller
from chalicelib.errors import Forbidden, Unauthorized

SESSION_SECONDS = 43_200
"""A session ends after 12 hours whatever happens: a working day."""

IDLE_SECONDS = 7_200
"""And after 2 hours in which nobody used it, as Laravel's do."""

NOTED_EVERY_SECONDS = 300
"""How often a session notes that it is used; each time is a write."""

XSRF_COOKIE = "XSRF-TOKEN"
"""What axios and Laravel's pages look for, to send it back as X-XSRF-TOKEN."""

_VALUE = re.compile(r"whs_[A-Za-z0-9_-]{43}\Z")
_UNAUTHENTICATED = "Unauthenticated."


def start(caller: Caller, *, now: datetime) -> tuple[str, datetime]:
    """(value, end) of a new session of the caller's token: 256 random bits each time, so none can be planted before."""
    value = "whs_" + secrets.token_urlsafe(32)
    seconds = int(now.timestamp())
    item = {
        "org": caller.org,
        "user_id": caller.user_id,
        "token": caller.token,
        "begun": seconds,
        "seen": seconds,
        "ttl": seconds + SESSION_SECONDS,
    }
    put = dynamo.put_operation("state", keys.login(_sha256(value)), item)
    dynamo.transact([("Put", put), audit.line(caller.org, caller.who(), "session.started", f"user/{caller.user_id}")])
    return value, now + timedelta(seconds=SESSION_SECONDS)


def authenticate(value: str, *, now: datetime) -> Caller:
    """The caller a session stands for. Raises Unauthorized. The token and the user are looked at every time."""
    if not _VALUE.match(value):
        raise Unauthorized(_UNAUTHENTICATED)
    sha256_hex, seconds = _sha256(value), int(now.timestamp())
    login = dynamo.get("state", keys.login(sha256_hex))
    if login is None or seconds >= login["ttl"] or seconds >= login["seen"] + IDLE_SECONDS:
        raise Unauthorized(_UNAUTHENTICATED)
    caller = access.holder(login["token"], now=now)
    if seconds >= login["seen"] + NOTED_EVERY_SECONDS:
        with suppress(dynamo.Refused):  # it has just been ended
            dynamo.update(
                "state",
                keys.login(sha256_hex),
                "SET #seen = :now",
                {"now": seconds},
                condition="attribute_exists(#pk)",
            )
    return replace(caller, session=sha256_hex, csrf=csrf(value))


def end(caller: Caller) -> None:
    """End the caller's session; its token and other sessions stay. Nothing when it has ended already."""
    gone = dynamo.delete_operation("state", keys.login(caller.session or ""), condition="attribute_exists(#pk)")
    line = audit.line(caller.org, caller.who(), "session.ended", f"user/{caller.user_id}")
    with suppress(dynamo.Refused):
        dynamo.transact([("Delete", gone), line])


def sent(cookies: str | None) -> str | None:
    """The session's value in a Cookie header. Two of its name are none: a neighbouring host may have set one."""
    pairs = [pair.strip().partition("=") for pair in (cookies or "").split(";")]
    found = [value for name, _, value in pairs if name == settings.get().session_cookie]
    return found[0] if len(found) == 1 else None


def prove(caller: Caller, headers: Mapping[str, str]) -> None:
    """That a page of ours asked for a change: it knows the session's CSRF token, and the browser names no other site.

    Raises Forbidden. headers: of the request, found in any case.
    """
    given = headers.get("x-csrf-token") or headers.get("x-xsrf-token") or ""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    ours = settings.get().web_origin
    foreign = site not in (None, "same-origin", "same-site", "none") or origin == "null"
    if ours and origin not in (None, ours):
        foreign = True
    if foreign or not hmac.compare_digest(given.encode(), (caller.csrf or "").encode()) or not caller.csrf:
        raise Forbidden("CSRF token mismatch.", code="csrf_mismatch")


def cookies(value: str) -> list[str]:
    """Set-Cookie: the session, out of scripts' reach, and the CSRF token for them to read."""
    shared = f"; Path=/; Max-Age={SESSION_SECONDS if value else 0}; SameSite=Lax{_secure()}"
    token = csrf(value) if value else ""
    return [f"{settings.get().session_cookie}={value}; HttpOnly{shared}", f"{XSRF_COOKIE}={token}{shared}"]


def _secure() -> str:
    return "; Secure" if settings.get().cookie_secure else ""


def csrf(value: str) -> str:
    """The CSRF token of a session: belongs to it alone and tells nothing of its value."""
    return hmac.new(value.encode(), b"csrf", hashlib.sha256).hexdigest()


def _sha256(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
