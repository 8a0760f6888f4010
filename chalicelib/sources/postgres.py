"""A PostgreSQL database as a source: reach it, look at it, cut it into ranges, read a range.

In: a `Connection` as a person typed it and the one address that was checked for it. Out: rows of plain values (str,
int, float, bool, None, lists of these), whatever the database holds: infinity, the year 20000 and NaN stay text. The
session can only read, has time-outs on both sides, and is given no setting of the person's. Driver errors leave this
file as fixed sentences: the driver's own text echoes hosts, users and values.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import AdaptersMap, Loader
from psycopg.types.string import TextLoader

from chalicelib import catalogue, sql
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
            # Whoever can pretend to be the server must not be handed the password in clear.
            require_auth="" if connection.ssl_mode in ("require", "verify-ca", "verify-full") else "!password",
            gssencmode="disable",
            passfile=f"{os.devnull}/none",  # none of the environment
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="wharf",
            client_encoding="utf8",
            context=_Values(_adapters()),
        )
    except psycopg.Error as error:
        raise _unreachable(error) from None
    except UnicodeError:
        raise SourceUnreachable(*_UNREACHABLE["other"]) from None
    try:
        session.timeout_seconds = statement_timeout_seconds
        _settle(session)
    except WharfError as error:
        session.close()
        raise SourceUnreachable("Connection failed: the server broke off", error.message) from None
    return session


def check(connection: Connection, address: Address) -> dict[str, Any]:
    """{version, database, table_count, size} of a database that can be reached. Raises SourceUnreachable."""
    with connect(connection, address, statement_timeout_seconds=CHECK_TIMEOUT_SECONDS) as session:
        try:
            row = _all(session, catalogue.CHECK, seconds=CHECK_TIMEOUT_SECONDS)[0]
        except WharfError as error:
            raise SourceUnreachable("Connection failed: the server did not answer a query", error.message) from None
    return {"version": _version(row[0]), "database": row[1], "table_count": row[2], "size": row[3]}


def describe(session: Session) -> dict[str, Any]:
    """{tables, relationships, server_info}. Row counts come from statistics; only small tables without are counted.

    A table outside the schema `public` also has `schema`.
    """
    names: dict[int, tuple[str, str]] = {}
    tables: dict[int, dict[str, Any]] = {}
    uncounted: list[int] = []
    for oid, schema, name, rows in _all(session, catalogue.TABLES):
        names[oid] = (schema, name)
        tables[oid] = {"name": name} | ({} if schema == "public" else {"schema": schema}) | {"row_count": max(rows, 0)}
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
        session.rollback()
        cluster = f"{info.host}:{info.port}"
    return hashlib.sha256(f"{cluster}\0{info.dbname}".encode()).hexdigest()[:32]


def plan(session: Session, query: Query, *, chunk_rows: int = 1000, limit: int | None = None) -> list[Range]:
    """The ranges that hold all rows of the query once, ascending, found in one scan. Raises Retryable, Fatal."""
    text, values = sql.boundaries(query, chunk_rows, chunk_bytes=CHUNK_BYTES, limit=limit)
    return [Range(int(low), int(high), int(rows)) for low, high, rows in _all(session, text, values)]


def count(session: Session, query: Query) -> int:
    """How many rows the query has. Raises Retryable, Fatal."""
    return int(_all(session, *sql.total(query))[0][0])


def read(
    session: Session, query: Query, low: int, high: int, *, batch_rows: int = 500
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a range in the order of the key, values in the order of the query's fields. Raises Retryable, Fatal.

    Only one batch is held at a time: the server sends on as rows are taken (libpq's chunked mode).
    """
    text, values = sql.select(query, low, high)
    with _bounded(session), session.cursor() as cursor:
        batch: list[tuple[Any, ...]] = []
        for row in cursor.stream(text, values, size=batch_rows):
            batch.append(row)
            if len(batch) == batch_rows:
                yield batch
                batch = []
        if batch:
            yield batch


class _Values(NamedTuple):
    """What psycopg calls an adapt context: how values become Python's."""

    adapters: AdaptersMap
    connection: None = None


class _FloatLoader(Loader):
    """Floats as floats; NaN and infinity, which JSON and DynamoDB cannot hold, as text."""

    def load(self, data: Any) -> Any:
        number = float(bytes(data))
        return number if number - number == 0 else bytes(data).decode()


class _LossyTextLoader(Loader):
    """Text of a database without an encoding (SQL_ASCII): bytes that are no UTF-8 become U+FFFD."""

    def load(self, data: Any) -> str:
        return bytes(data).decode("utf-8", "replace")


@cache
def _adapters() -> AdaptersMap:
    """psycopg's adapters with only integers and booleans parsed; every other type stays the text the server sent."""
    found = AdaptersMap(psycopg.adapters)
    for info in psycopg.postgres.types:
        if info.name not in ("bool", "int2", "int4", "int8", "oid"):
            found.register_loader(info.oid, _FloatLoader if info.name in ("float4", "float8") else TextLoader)
    return found


def _settle(session: Session) -> None:
    """Make the session read-only and bounded. By set_config, since poolers refuse start-up options."""
    session.read_only = True
    settings = {
        "default_transaction_read_only": "on",
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
        for info in psycopg.postgres.types:
            if info.name in _TEXTS:
                session.adapters.register_loader(info.oid, _LossyTextLoader)
        session.adapters.register_loader(0, _LossyTextLoader)
    if session.info.server_version >= 110000:
        settings["jit"] = "off"  # compiling costs more than a chunk's query
    calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
    _all(
        session,
        f"SELECT {calls}",
        [part for pair in settings.items() for part in pair],
        seconds=CONNECT_TIMEOUT_SECONDS,
    )
    session.commit()


def _all(
    session: Session, text: str, values: Sequence[Any] = (), *, seconds: float | None = None
) -> list[tuple[Any, ...]]:
    """All rows of a small result; a server that sends more than that is not listened to."""
    with _bounded(session, seconds), session.cursor() as cursor:
        found = list(islice(cursor.stream(text, list(values), size=1000), MAX_CATALOGUE_ROWS + 1))
    if len(found) > MAX_CATALOGUE_ROWS:
        raise Fatal("the source has more tables, columns or chunks than can be handled", code="source_too_large")
    return found


@contextmanager
def _bounded(session: Session, seconds: float | None = None) -> Iterator[None]:
    """Run statements, cut the socket when the server lets them run longer than it was told to, translate errors."""
    cut = threading.Event()
    allowed = (session.timeout_seconds if seconds is None else seconds) + GRACE_SECONDS
    timer = threading.Timer(allowed, _cut, (session, cut))
    timer.daemon = True
    timer.start()
    try:
        yield
    except psycopg.Error as error:
        if cut.is_set():
            raise Retryable("the source did not answer in time", code="source_timeout") from None
        raise _failed(error) from None
    except UnicodeError:
        raise Fatal("the source holds text that is not valid in its encoding", code="source_encoding") from None
    finally:
        timer.cancel()


def _cut(session: Session, cut: threading.Event) -> None:
    cut.set()
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(session.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)


def _counted(session: Session, tables: dict[int, tuple[str, str]]) -> list[tuple[Any, ...]]:
    """(oid, rows) of tables, counted."""
    parts = [
        f"SELECT {oid}::int8, count(*) FROM {sql.quoted(schema)}.{sql.quoted(name)}"  # noqa: S608 -- names quoted
        for oid, (schema, name) in tables.items()
    ]
    return _all(session, "\nUNION ALL ".join(parts).replace("%", "%%")) if parts else []


def _version(setting: str) -> str:
    """`PostgreSQL 16.3` of `16.3 (Debian 16.3-1)`."""
    return f"PostgreSQL {setting.split(' ', 1)[0][:20]}"


def _unreachable(error: psycopg.Error) -> SourceUnreachable:
    """Why no connection came about. The server's words are looked at, never repeated."""
    words = re.sub(r'"[^"]*"', '""', str(error)).lower()
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        words = "timed out"
    kind = next((kind for kind, signs in _SIGNS if any(sign in words for sign in signs)), "other")
    message, cause = _UNREACHABLE[kind]
    return SourceUnreachable(f"Connection failed: {message}", cause, code=f"source_{kind}")


def _failed(error: psycopg.Error) -> Retryable | Fatal:
    """A statement's failure, sorted by whether it can pass the next time."""
    state = error.sqlstate or ""
    if not state:
        return Retryable("the connection to the source was lost", code="source_lost")
    if state == "57014":
        return Retryable("the source took too long for a query", code="source_timeout")
    if state[:2] in ("08", "40", "53", "57") or state == "55P03":
        return Retryable(f"the source could not answer now (SQLSTATE {state})", code="source_busy")
    if state in ("42P01", "42703", "3F000", "42883"):
        return Fatal("a table or column of the query is not in the source", code="source_changed")
    if state == "42501":
        return Fatal("the user may not read a table of the query", code="source_permission_denied")
    return Fatal(f"the source cannot run the query (SQLSTATE {state})", code="source_query_failed")


_TEXTS = ("text", "varchar", "bpchar", "name", "json", "xml", "unknown")

_SIGNS = (
    ("timeout", ("timeout expired", "timed out")),
    ("refused", ("connection refused",)),
    ("no_route", ("no route to host", "network is unreachable")),
    ("authentication", ("authentication", "no password supplied", "pg_hba.conf", 'role "" does not exist')),
    ("database", ('database "" does not exist',)),
    ("full", ("too many", "remaining connection slots")),
    ("protocol", ("invalid response", "closed the connection unexpectedly", "expected authentication request")),
    ("tls", ("ssl", "tls", "certificate")),
)

_UNREACHABLE = {
    "timeout": ("could not connect to server", "Connection timed out"),
    "refused": ("could not connect to server", "Connection refused"),
    "no_route": ("could not connect to server", "No route to host"),
    "authentication": ("the server refused the login", "Authentication failed"),
    "database": ("the server has no such database", "Database does not exist"),
    "full": ("the server takes no more connections", "Too many connections"),
    "tls": ("no encrypted connection could be made", "TLS failed"),
    "protocol": ("the server did not answer like PostgreSQL", "Unexpected answer"),
    "other": ("could not connect to server", "Connection could not be established"),
}
