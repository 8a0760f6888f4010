"""A PostgreSQL database as a source: look at it, cut it into ranges, read a range.

In: an open `Session` (see sessions.py). Out: rows of plain values (str, int, float, bool, None, lists of these),
whatever the database holds: infinity, the year 20000 and NaN stay text.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from chalicelib import catalogue, privileges, sql
from chalicelib.errors import Fatal, SourceUnreachable, WharfError
from chalicelib.handshakes import Told
from chalicelib.network import Address
from chalicelib.privileges import Privileges
from chalicelib.ranges import count as count  # what a kind of source offers, in its own file
from chalicelib.ranges import plan as plan
from chalicelib.ranges import read as read
from chalicelib.sessions import Connection, Session, connect, counted, fetch, understood

TITLE = "PostgreSQL"
DATABASE_TYPE = "postgresql"

FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "host", "label": "Host", "type": "text", "required": True, "secret": False, "default": None},
    {"name": "port", "label": "Port", "type": "integer", "required": True, "secret": False, "default": 5432},
    {"name": "database", "label": "Database", "type": "text", "required": True, "secret": False, "default": None},
    {"name": "username", "label": "User", "type": "text", "required": True, "secret": False, "default": None},
    {"name": "password", "label": "Password", "type": "text", "required": False, "secret": True, "default": None},
    {"name": "ssl_mode", "label": "TLS", "type": "choice", "required": False, "secret": False, "default": "prefer",
     "choices": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")},
)  # fmt: skip

CHECK_TIMEOUT_SECONDS = 10
MAX_NAME = 255
"""Most characters shown of what a server says of itself; PostgreSQL's own names have 63."""


def check(
    connection: Connection, address: Address, *, told: Told = lambda *_: None
) -> tuple[dict[str, Any], Privileges]:
    """{version, database, table_count, size} of a database that can be reached, and what its user may do.

    Raises SourceUnreachable. told: called with each stage as it begins.
    """
    with connect(connection, address, statement_timeout_seconds=CHECK_TIMEOUT_SECONDS, told=told) as session:
        try:
            with understood():
                found = information(session)
                told("privileges", session.pgconn.ssl_in_use)
                return found, privileges.read(partial(fetch, session), _said)
        except WharfError as error:
            message = "Connection failed: the server did not answer a query"
            raise SourceUnreachable(message, error.message, code=error.code) from None


def information(session: Session) -> dict[str, Any]:
    """{version, database, table_count, size} as the server tells them. Raises Retryable, Fatal."""
    with understood():
        ((version, name, tables, size),) = fetch(session, catalogue.CHECK)
        found: dict[str, Any] = {"version": _version(version), "database": _said(name)}
        return found | {"table_count": counted(tables), "size": _said(size)}


def describe(session: Session) -> dict[str, Any]:
    """{tables, relationships, server_info}, see catalogue.py. Row counts come from statistics; only small tables
    without are counted. Raises Retryable, Fatal.
    """
    with understood():
        return _described(session)


def _described(session: Session) -> dict[str, Any]:
    found = catalogue.Described(partial(fetch, session), session.info.server_version)
    for oid, rows in _counted(session, {oid: found.tables[oid] for oid in found.uncounted}):
        found.tables[oid]["row_count"] = counted(rows)
    ((version, encoding, collation),) = catalogue.rows(fetch(session, catalogue.SERVER), str, str, str)
    server = {"version": _version(version), "encoding": encoding, "collation": collation}
    return {"tables": list(found.tables.values()), "relationships": found.relationships(), "server_info": server}


def fingerprint(session: Session) -> str:
    """Which database this is, 32 hex digits: the cluster's identifier and the name, so that a new host name or a
    replica is the same source. Where a role may not see the identifier, host and port stand for it.
    """
    info = session.info
    try:
        cluster = fetch(session, catalogue.CLUSTER)[0][0]
    except (Fatal, IndexError):
        cluster = f"{info.host}:{info.port}"
    return hashlib.sha256(f"{cluster}\0{info.dbname}".encode()).hexdigest()[:32]


def _counted(session: Session, tables: dict[int, catalogue.Table]) -> list[tuple[Any, ...]]:
    """(oid, rows) of tables, counted in one statement."""
    parts = [
        f"SELECT {oid:d}::int8, count(*) FROM {sql.quoted(table['namespace'])}.{sql.quoted(table['name'])}"  # noqa: S608 -- names quoted
        for oid, table in tables.items()
    ]
    return fetch(session, "\nUNION ALL ".join(parts).replace("%", "%%")) if parts else []


def _version(setting: str) -> str:
    """`PostgreSQL 16.3` of `16.3 (Debian 16.3-1)`."""
    return f"PostgreSQL {_said(setting).split(' ', 1)[0][:20]}"


def _said(text: str) -> str:
    """What a server says of itself, short and on one line: it is stored and shown."""
    return "".join(letter for letter in text[:MAX_NAME] if letter.isprintable())
