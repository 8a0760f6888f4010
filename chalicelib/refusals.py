"""What a PostgreSQL's refusals mean: its errors as fixed sentences, sorted by what happens next.

In: the driver's errors. Out: our own, with a code. The server's words are looked at, never repeated: they echo hosts,
users and values, and a hostile server chooses them. What is missing is named in the words of our own query.
"""

from __future__ import annotations

import re
from itertools import count

import psycopg

from chalicelib.errors import Fatal, Retryable, SourceUnreachable


def unreachable(error: psycopg.Error) -> SourceUnreachable:
    """Why no connection came about."""
    words = re.sub(r'"[^"]*"', '""', str(error)).lower()
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        words = "timed out"
    kind = next((kind for kind, signs in _SIGNS if any(sign in words for sign in signs)), "other")
    message, cause = UNREACHABLE[kind]
    return SourceUnreachable(f"Connection failed: {message}", cause, code=f"source_{kind}")


def failed(error: psycopg.Error, text: str = "") -> Retryable | Fatal:
    """A statement's failure, sorted by whether it can pass the next time.

    text: the statement, its placeholders not yet numbered.
    """
    state = error.sqlstate or ""
    if not state:
        return Retryable("the connection to the source was lost", code="source_lost")
    if state == "57014":
        return Retryable("the source took too long for a query", code="source_timeout")
    if state[:2] in ("08", "40", "53", "57") or state in ("55P03", "25P03", "25P04"):
        return Retryable(f"the source could not answer now (SQLSTATE {state})", code="source_busy")
    name = _pointed_at(error.diag.statement_position or "", text)
    if state in _MISSING:
        what = f"{_MISSING[state]} {name}" if name else "table or column that the query names"
        return Fatal(f"the source has no {what}", code="source_changed")
    if state == "42883":
        what = name or "a function or operator"
        return Fatal(f"the source cannot apply {what} to values of these types", code="source_query_failed")
    if state == "42501":
        return Fatal("the user may not read a table of the query", code="source_permission_denied")
    return Fatal(f"the source cannot run the query (SQLSTATE {state})", code="source_query_failed")


def _pointed_at(position: str, text: str) -> str:
    """The name or operator that stands at a place of the statement as it was sent; empty when none does.

    position: where the server says the fault is, counted from 1; only our own text is read there.
    """
    numbers = count(1)
    sent = _PLACEHOLDER.sub(lambda found: "%" if found.group() == "%%" else f"${next(numbers)}", text)
    if not _PLACE.fullmatch(position):
        return ""
    found = _NAME.match(sent, max(int(position) - 1, 0))
    return found.group().replace('"', "") if found else ""


_PLACE = re.compile("[0-9]{1,9}")
_PLACEHOLDER = re.compile("%[s%]")
_NAME = re.compile(r'(?:"(?:[^"]|"")+"|[^\W\d]\w*)(?:\.(?:"(?:[^"]|"")+"|\w+))*|[-+*/<>=~!@#%^&|`?]+')

_MISSING = {"42P01": "table", "42703": "column", "3F000": "schema"}

_SIGNS = (
    ("timeout", ("timeout expired", "timed out")),
    ("refused", ("connection refused",)),
    ("no_route", ("no route to host", "network is unreachable")),
    ("permission_denied", ('permission denied for database ""',)),
    ("certificate", ("certificate verify failed", "server certificate")),
    ("protocol", ("received invalid", "invalid response", "expected authentication request", "scram message")),
    ("authentication", ("authentication", "no password supplied", "pg_hba.conf", 'role "" does not exist')),
    ("database", ('database "" does not exist',)),
    ("full", ("too many", "remaining connection slots")),
    ("closed", ("closed the connection unexpectedly",)),
    ("tls", ("ssl", "tls", "certificate")),
)

UNREACHABLE = {
    "timeout": ("could not connect to server", "Connection timed out"),
    "refused": ("could not connect to server", "Connection refused"),
    "no_route": ("could not connect to server", "No route to host"),
    "authentication": ("the server refused the login", "Authentication failed"),
    "database": ("the server has no such database", "Database does not exist"),
    "permission_denied": ("the user may not connect to the database", "Permission denied"),
    "full": ("the server takes no more connections", "Too many connections"),
    "certificate": ("the server's certificate is not trusted, or is another host's", "Certificate not accepted"),
    "tls": ("no encrypted connection could be made", "TLS failed"),
    "closed": ("the server closed the connection", "Connection closed"),
    "protocol": ("the server did not answer like PostgreSQL", "Unexpected answer"),
    "other": ("could not connect to server", "Connection could not be established"),
}
