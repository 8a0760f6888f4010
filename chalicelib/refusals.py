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
    found = _fatal(state, _pointed_at(error.diag.statement_position or "", text))
    found.state, found.position = state, _position(error.diag.statement_position or "")
    if parameter := _PARAMETER.match(error.diag.context or ""):
        found.parameter = int(parameter[1])
    return found


def _fatal(state: str, name: str) -> Fatal:
    if state in _MISSING:
        what = f"{_MISSING[state]} {name}" if name else "table or column that the query names"
        return Fatal(f"the source has no {what}", code="source_changed")
    if state == "42883":
        what = name or "a function or operator"
        return Fatal(f"the source cannot apply {what} to values of these types", code="source_query_failed")
    if state == "42501":
        return Fatal("the user may not read a table of the query", code="source_permission_denied")
    return Fatal(f"the source cannot run the query (SQLSTATE {state})", code="source_query_failed")


def reason(error: Fatal | Retryable) -> str:
    """Why a statement was refused, for the person who wrote it: more than `message` says, where the SQLSTATE does."""
    known = _REASONS.get(error.state) if isinstance(error, Fatal) else None
    return f"{known} (SQLSTATE {error.state})" if known and isinstance(error, Fatal) else error.message


def sent(text: str) -> str:
    """A statement as the server saw it, its placeholders numbered: what its positions count in."""
    numbers = count(1)
    return _PLACEHOLDER.sub(lambda found: "%" if found.group() == "%%" else f"${next(numbers)}", text)


def _position(said: str) -> int | None:
    return max(int(said) - 1, 0) if _PLACE.fullmatch(said) else None


def _pointed_at(position: str, text: str) -> str:
    """The name or operator that stands at a place of the statement as it was sent; empty when none does.

    position: where the server says the fault is, counted from 1; only our own text is read there.
    """
    place = _position(position)
    found = None if place is None else _NAME.match(sent(text), place)
    return found.group().replace('"', "") if found else ""


_PLACE = re.compile("[0-9]{1,9}")
_PLACEHOLDER = re.compile("%[s%]")
_PARAMETER = re.compile(r"[^$]{0,100}\$([0-9]{1,5})")
"""Where a value was unfit, the context says which; only its number is read."""

_NAME = re.compile(r'(?:"(?:[^"]|"")+"|[^\W\d]\w*)(?:\.(?:"(?:[^"]|"")+"|\w+))*|[-+*/<>=~!@#%^&|`?]+')

_MISSING = {"42P01": "table", "42703": "column", "3F000": "schema"}

_REASONS = {
    "0A000": "PostgreSQL does not support this here",
    "22003": "a number is out of the range of its type",
    "22007": "a value is no date or time of the type it is compared with",
    "22008": "a date or time is out of range",
    "22012": "it divides by zero in a row",
    "22023": "an argument is not one the function takes",
    "22P02": "a value is not of the type it is compared with or turned into",
    "2201B": "a regular expression is not valid",
    "42702": "a column is ambiguous",
    "42725": "a function or operator is ambiguous for these types",
    "42803": "a column stands outside the aggregate",
    "42804": "the types do not fit together",
    "42846": "one type cannot be turned into the other",
    "42P18": "the type of a value cannot be told",
    "42P22": "the collation is not clear",
}
"""What a person who wrote an expression can do something about, by SQLSTATE."""

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
