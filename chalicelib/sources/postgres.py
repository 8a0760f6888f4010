"""A PostgreSQL database as a source: reach it, look at it, cut it into ranges, read a range.

In: a `Connection` as a person typed it and the one address that was checked for it. Out: rows of plain values (str,
int, float, bool, None, lists of these), whatever the database holds: infinity, the year 20000 and NaN stay text. The
session can only read, has time-outs on both sides, and is given no setting of the person's. Driver errors leave this
file as fixed sentences: the driver's own text echoes hosts, users and values.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from chalicelib import catalogue, refusals, sql, values, watch
from chalicelib.errors import Fatal, Retryable, SourceUnreachable, WharfError
from chalicelib.network import Address
from chalicelib.sql import Query

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

CONNECT_TIMEOUT_SECONDS = 10
"""A connection test has to answer well within the gateway's 29 s, resolving and reading included."""

CHECK_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT_SECONDS = 10
IDLE_TIMEOUT_SECONDS = 120
"""A session whose Lambda died is ended by the server after this; longer than any pause between two batches."""

GRACE_SECONDS = 5
"""Beyond the server's own statement time-out, before the socket is cut: a server can also lie about the time."""

CHUNK_BYTES = 8_000_000
"""Most bytes of wide columns in a chunk: text, its JSON and both compressions of it then stay below 60 MB."""

MAX_CATALOGUE_ROWS = 200_000
"""Most rows of a catalogue or plan query: 200,000 chunks are 200 million rows. A hostile server's answer ends here."""

MAX_CATALOGUE_BYTES = 64_000_000
"""Most bytes of one: 200,000 columns take 20 MB."""

MAX_RANGE_BYTES = 400_000_000
"""Most bytes of a range of rows: fifty times what a chunk's wide columns may have."""

MAX_NAME = 255
"""Most characters shown of what a server says of itself; PostgreSQL's own names have 63."""


@dataclass(frozen=True)
class Connection:
    """How to reach a database, password in clear, which `repr` leaves out."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    ssl_mode: str = "prefer"


class Session(psycopg.Connection[tuple[Any, ...]]):
    """An open connection and how long one of its statements may take."""

    timeout_seconds: float = 60

    def __exit__(self, *_: object) -> None:
        """Close at once: nothing was written, and a COMMIT would wait for whatever the server does next."""
        self.close()


class Range(NamedTuple):
    """A chunk of the source: the rows whose key lies in low..high, both included."""

    low: int
    high: int
    rows: int


def connect(connection: Connection, address: Address, *, statement_timeout_seconds: float = 60) -> Session:
    """An open, read-only session at exactly that address. Raises SourceUnreachable. Close it after use."""
    try:
        session = Session.connect(
            host=address.host,
            hostaddr=address.ip,
            port=address.port,
            dbname=connection.database,
            user=connection.username,
            password=connection.password,
            sslmode=connection.ssl_mode,
            **_identity(connection.ssl_mode),
            gssencmode="disable",
            passfile=f"{os.devnull}/none",  # none of the environment
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="wharf",
            client_encoding="utf8",
            context=values.plain(),
        )
    except psycopg.Error as error:
        raise refusals.unreachable(error) from None
    except UnicodeError:
        raise SourceUnreachable(*refusals.UNREACHABLE["other"]) from None
    try:
        session.timeout_seconds = statement_timeout_seconds
        _settle(session)
    except WharfError as error:
        session.close()
        raise SourceUnreachable("Connection failed: the server broke off", error.message) from None
    return session


def _identity(ssl_mode: str) -> dict[str, Any]:
    """How sure to be of the server, and what it is told then.

    The password goes out in clear only to a server whose certificate and name were verified; an empty `require_auth`
    is no way to say "any method": libpq takes it for a list without entries and refuses every login. A certificate is
    verified against Mozilla's authorities, since a Lambda has no `~/.postgresql/root.crt`.
    """
    asked: dict[str, Any] = {} if ssl_mode == "verify-full" else {"require_auth": "!password"}
    if ssl_mode in ("verify-ca", "verify-full"):
        import certifi

        asked["sslrootcert"] = certifi.where()
    return asked


def check(connection: Connection, address: Address) -> dict[str, Any]:
    """{version, database, table_count, size} of a database that can be reached. Raises SourceUnreachable."""
    with connect(connection, address, statement_timeout_seconds=CHECK_TIMEOUT_SECONDS) as session:
        try:
            with _understood():
                ((version, name, tables, size),) = _all(session, catalogue.CHECK, seconds=CHECK_TIMEOUT_SECONDS)
                found = {"version": _version(version), "database": _said(name)}
                return found | {"table_count": int(tables), "size": _said(size)}
        except WharfError as error:
            message = "Connection failed: the server did not answer a query"
            raise SourceUnreachable(message, error.message, code=error.code) from None


def describe(session: Session) -> dict[str, Any]:
    """{tables, relationships, server_info}. Row counts come from statistics; only small tables without are counted.

    A table that is not found by its bare name also has `schema`. Raises Retryable, Fatal.
    """
    with _understood():
        return _described(session)


def _described(session: Session) -> dict[str, Any]:
    names: dict[int, tuple[str, str]] = {}
    tables: dict[int, dict[str, Any]] = {}
    uncounted: list[int] = []
    for oid, schema, name, rows, visible in _all(session, catalogue.TABLES):
        names[oid] = (schema, name)
        tables[oid] = {"name": name} | ({} if visible else {"schema": schema}) | {"row_count": max(rows, 0)}
        tables[oid]["columns"] = []
        if rows == -1:
            uncounted.append(oid)
    for oid, name, kind, nullable, primary in _all(session, catalogue.COLUMNS):
        if oid in tables:
            column = {"name": name, "type": kind, "nullable": nullable}
            tables[oid]["columns"].append(column | ({"primary_key": True} if primary else {}))
    for oid, rows in _counted(session, {oid: names[oid] for oid in uncounted}):
        tables[oid]["row_count"] = rows
    relationships = [
        {"table": table, "column": column, "referenced_table": other, "referenced_column": key}
        for table, column, other, key in _all(session, catalogue.RELATIONSHIPS)
    ]
    version, encoding, collation = _all(session, catalogue.SERVER)[0]
    server = {"version": _version(version), "encoding": encoding, "collation": collation}
    return {"tables": list(tables.values()), "relationships": relationships, "server_info": server}


def fingerprint(session: Session) -> str:
    """Which database this is, 32 hex digits: the cluster's identifier and the name, so that a new host name or a
    replica is the same source. Where a role may not see the identifier, host and port stand for it.
    """
    info = session.info
    try:
        cluster = _all(session, catalogue.CLUSTER)[0][0]
    except (Fatal, IndexError):
        cluster = f"{info.host}:{info.port}"
    return hashlib.sha256(f"{cluster}\0{info.dbname}".encode()).hexdigest()[:32]


def plan(session: Session, query: Query, *, chunk_rows: int = 1000, limit: int | None = None) -> list[Range]:
    """The ranges that hold all rows of the query once, ascending, found in one scan.

    Raises Retryable, and Fatal also where the key is no integer or is null in a row: no range would hold such rows.
    """
    text, bound = sql.boundaries(query, chunk_rows, chunk_bytes=CHUNK_BYTES, limit=limit)
    with _understood():
        _check_key(session, query)
        found = _all(session, text, bound)
        if without := sum(int(rows) for low, _, rows in found if low is None):
            raise Fatal(
                f"rows of {query.target_type} whose key {_key(query)} is null: {without}; "
                "choose a key that is never null, or leave these rows out by a filter",
                code="key_missing",
            )
        return [Range(int(low), int(high), int(rows)) for low, high, rows in found]


def _check_key(session: Session, query: Query) -> None:
    """Raises Fatal for a key whose type, as the server gives it, is not one of integers: bounds would be rounded."""
    text, bound = sql.key(query)
    with _bounded(session, text, max_bytes=MAX_CATALOGUE_BYTES), session.cursor() as cursor:
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
    return query.key.replace('"', "")


def count(session: Session, query: Query) -> int:
    """How many rows the query has. Raises Retryable, Fatal."""
    with _understood():
        return int(_all(session, *sql.total(query))[0][0])


def read(
    session: Session, query: Query, low: int, high: int, *, batch_rows: int = 100
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a range in the order of the key, values in the order of the query's fields. Raises Retryable, Fatal.

    Only one batch is held at a time: the server sends on as rows are taken (libpq's chunked mode).
    """
    text, bound = sql.select(query, low, high)
    with _bounded(session, text, max_bytes=MAX_RANGE_BYTES), session.cursor() as cursor:
        batch: list[tuple[Any, ...]] = []
        for row in cursor.stream(text, bound, size=batch_rows):
            batch.append(row)
            if len(batch) == batch_rows:
                yield batch
                batch = []
        if batch:
            yield batch


def _settle(session: Session) -> None:
    """Make the session read-only, in UTC and bounded: as it is the first time, and for every transaction of it.

    By set_config, since poolers refuse start-up options, and for the transaction only: behind a pooler the next
    transaction may be someone else's. So no transaction begins but here.
    """
    session.read_only = True  # of every BEGIN
    if session.info.parameter_status("server_encoding") == "SQL_ASCII":
        values.read_without_encoding(session.adapters)
    with _watched(session, CONNECT_TIMEOUT_SECONDS, MAX_CATALOGUE_BYTES):
        _begin(session)


def _begin(session: Session) -> None:
    """A transaction that can be used, with our settings; one that failed, or whose reading was broken off, ends."""
    if session.info.transaction_status == TransactionStatus.INERROR:
        session.rollback()
    if session.info.transaction_status != TransactionStatus.IDLE:
        return
    settings = {
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "bytea_output": "hex",
        "standard_conforming_strings": "on",
        "statement_timeout": f"{int(session.timeout_seconds * 1000)}",
        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS * 1000}",
        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_SECONDS * 1000}",
    }
    if session.info.parameter_status("server_encoding") == "SQL_ASCII":
        settings["client_encoding"] = "SQL_ASCII"  # as UTF-8 the server would refuse to send what is none
    if session.info.server_version >= 110000:
        settings["jit"] = "off"  # compiling costs more than a chunk's query
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    session.execute(f"SELECT {calls}".encode(), [part for pair in settings.items() for part in pair])


def _all(
    session: Session, text: str, bound: Sequence[Any] = (), *, seconds: float | None = None
) -> list[tuple[Any, ...]]:
    """All rows of a small result; a server that sends more than that is not listened to."""
    with _bounded(session, text, seconds, max_bytes=MAX_CATALOGUE_BYTES), session.cursor() as cursor:
        found = list(islice(cursor.stream(text, list(bound), size=1000), MAX_CATALOGUE_ROWS + 1))
    if len(found) > MAX_CATALOGUE_ROWS:
        raise _too_large()
    return found


def _too_large() -> Fatal:
    return Fatal("the source sends more than can be handled", code="source_too_large")


@contextmanager
def _bounded(session: Session, text: str, seconds: float | None = None, *, max_bytes: int) -> Iterator[None]:
    """A statement in a transaction of ours, watched; errors are translated."""
    with _watched(session, session.timeout_seconds if seconds is None else seconds, max_bytes, text):
        _begin(session)
        yield


@contextmanager
def _watched(session: Session, seconds: float, max_bytes: int, text: str = "") -> Iterator[None]:
    """Cut the connection when the server answers later than it was told to, or more; translate errors."""
    try:
        with watch.watched(partial(_number, session), seconds=seconds + GRACE_SECONDS, max_bytes=max_bytes) as seen:
            yield
    except psycopg.Error as error:
        if seen.passed == "bytes":
            raise _too_large() from None
        if seen.passed == "seconds":
            raise Retryable("the source did not answer in time", code="source_timeout") from None
        raise refusals.failed(error, text) from None
    except UnicodeError:
        raise Fatal("the source holds text that is not valid in its encoding", code="source_encoding") from None


def _number(session: Session) -> int:
    """The socket's number. Raises OSError when there is none any more."""
    try:
        return session.fileno()
    except psycopg.Error:
        raise OSError("closed") from None


@contextmanager
def _understood() -> Iterator[None]:
    """What no PostgreSQL answers (columns that are missing, words where numbers are due) is a failure of the source."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError):
        raise Fatal("the server did not answer like PostgreSQL", code="source_protocol") from None


def _counted(session: Session, tables: dict[int, tuple[str, str]]) -> list[tuple[Any, ...]]:
    """(oid, rows) of tables, counted."""
    parts = [
        f"SELECT {oid}::int8, count(*) FROM {sql.quoted(schema)}.{sql.quoted(name)}"  # noqa: S608 -- names quoted
        for oid, (schema, name) in tables.items()
    ]
    return _all(session, "\nUNION ALL ".join(parts).replace("%", "%%")) if parts else []


def _version(setting: str) -> str:
    """`PostgreSQL 16.3` of `16.3 (Debian 16.3-1)`."""
    return f"PostgreSQL {_said(setting).split(' ', 1)[0][:20]}"


def _said(text: str) -> str:
    """What a server says of itself, short and on one line: it is stored and shown."""
    return "".join(letter for letter in text[:MAX_NAME] if letter.isprintable())
