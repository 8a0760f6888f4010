"""A PostgreSQL database as a source: look at it, cut it into ranges, read a range.

In: an open `Session` (see sessions.py). Out: rows of plain values (str, int, float, bool, None, lists of these),
whatever the database holds: infinity, the year 20000 and NaN stay text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import psycopg

from chalicelib import catalogue, privileges, sql
from chalicelib.errors import Fatal, SourceUnreachable, WharfError
from chalicelib.handshakes import Told
from chalicelib.network import Address
from chalicelib.privileges import Privileges
from chalicelib.sessions import MAX_CATALOGUE_BYTES, Connection, Session, bounded, connect, fetch, understood
from chalicelib.sql import Bounds, Query

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
CHUNK_BYTES = 8_000_000
"""Most bytes of wide columns in a chunk: text, its JSON and both compressions of it then stay below 60 MB."""

MAX_RANGE_BYTES = 400_000_000
"""Most bytes of a range of rows: fifty times what a chunk's wide columns may have."""

MAX_NAME = 255
"""Most characters shown of what a server says of itself; PostgreSQL's own names have 63."""


class Range(NamedTuple):
    """A chunk of the source: where its rows' keys lie, and how many there are."""

    bounds: Bounds
    rows: int


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
        return found | {"table_count": int(tables), "size": _said(size)}


def describe(session: Session) -> dict[str, Any]:
    """{tables, relationships, server_info}, see catalogue.py. Row counts come from statistics; only small tables
    without are counted. Raises Retryable, Fatal.
    """
    with understood():
        return _described(session)


def _described(session: Session) -> dict[str, Any]:
    found = catalogue.Described(partial(fetch, session), session.info.server_version)
    for oid, rows in _counted(session, {oid: found.tables[oid] for oid in found.uncounted}):
        found.tables[oid]["row_count"] = int(rows)
    version, encoding, collation = fetch(session, catalogue.SERVER)[0]
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


def plan(session: Session, query: Query, *, chunk_rows: int = 1000, limit: int | None = None) -> list[Range]:
    """The ranges that hold all rows of the query once, ascending, found in one scan.

    Raises Retryable, and Fatal also where the key is no integer or is null in a row: no range would hold such rows.
    """
    text, bound = sql.boundaries(query, chunk_rows, chunk_bytes=CHUNK_BYTES, limit=limit)
    with understood():
        _check_key(session, query)
        ranges, without = _ranges(fetch(session, text, bound))
        if without:
            raise Fatal(
                f"rows of {query.target_type} whose key {_key(query)} is null: {without}; "
                "choose a key that is never null, or leave these rows out by a filter",
                code="key_missing",
            )
        return ranges


def _ranges(edges: list[tuple[Any, ...]]) -> tuple[list[Range], int]:
    """The ranges between the first and the last rows of `sql.boundaries`, and how many rows have no key."""
    ranges: list[Range] = []
    low: tuple[str, ...] = ()
    before = without = 0
    for upto, unkeyed, begins, ends, *key in edges:
        if begins:
            low = tuple(key)
        if not ends:
            continue
        if unkeyed:
            without += int(upto) - before
        else:
            ranges.append(Range(Bounds(low, tuple(key)), int(upto) - before))
        before = int(upto)
    return ranges, without


def _check_key(session: Session, query: Query) -> None:
    """Raises Fatal for a key whose type, as the server gives it, is not one of integers: bounds would be rounded."""
    text, bound = sql.key(query)
    with bounded(session, text, max_bytes=MAX_CATALOGUE_BYTES), session.cursor() as cursor:
        cursor.execute(text, bound)
        column = (cursor.description or [])[0]
    known = psycopg.postgres.types.get(column.type_code)
    if known and (known.name in ("int2", "int4", "int8") or (known.name == "numeric" and column.scale == 0)):
        return
    raise Fatal(
        f"the key {_key(query)} of {query.target_type} is of {f'type {known.regtype}' if known else 'another type'}: "
        "it has to be smallint, integer, bigint, or numeric declared without decimals",
        code="key_not_integer",
    )


def _key(query: Query) -> str:
    """The key as people write it."""
    return ", ".join(query.key).replace('"', "")


def count(session: Session, query: Query) -> int:
    """How many rows the query has. Raises Retryable, Fatal."""
    with understood():
        return int(fetch(session, *sql.total(query))[0][0])


def read(
    session: Session, query: Query, bounds: Bounds | None = None, *, batch_rows: int = 100
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a range in the order of the key, values in the order of the query's fields. Raises Retryable, Fatal.

    Only one batch is held at a time: the server sends on as rows are taken (libpq's chunked mode).
    """
    text, bound = sql.select(query, bounds)
    with bounded(session, text, max_bytes=MAX_RANGE_BYTES), session.cursor() as cursor:
        batch: list[tuple[Any, ...]] = []
        for row in cursor.stream(text, bound, size=batch_rows):
            batch.append(row)
            if len(batch) == batch_rows:
                yield batch
                batch = []
        if batch:
            yield batch


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
