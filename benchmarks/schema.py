"""Looking at a large database: 400 tables of 20 columns, keys, indexes and foreign keys, read from the catalogue."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks.extract import MEGABYTE, peak
from benchmarks.source import STATE, ensure, free_port, line
from chalicelib import sessions
from chalicelib.network import Address
from chalicelib.sources import postgres
from infra.local.postgres import run

TABLES, COLUMNS, SCHEMAS = 400, 20, 10
KINDS = (
    "integer",
    "bigint",
    "text",
    "varchar(255)",
    "numeric(12,2)",
    "timestamptz",
    "boolean",
    "jsonb",
    "uuid",
    "date",
)
REPEATS = 5


def main() -> None:
    """Print the figures."""
    with large_database() as session:
        before = peak()
        described = postgres.describe(session)
        line("schema_memory", (peak() - before) / MEGABYTE, "MB above start")
        columns = sum(len(table["columns"]) for table in described["tables"])
        line("schema_size", columns, f"columns of {len(described['tables'])} tables")
        wall, own = [], []
        for _ in range(REPEATS):
            started, worked = time.perf_counter(), time.process_time()
            postgres.describe(session)
            wall.append(time.perf_counter() - started)
            own.append(time.process_time() - worked)
        line("schema", min(wall), "s")
        line("schema_python", min(own), "s of Python's CPU")
        line("schema_queries", statements(session), "statements")


def statements(session: sessions.Session) -> int:
    """How many statements one look at the database sends."""
    sent = 0
    cursor = psycopg.Cursor.stream

    def counted(self: psycopg.Cursor[object], *arguments: object, **options: object) -> Iterator[object]:
        nonlocal sent
        sent += 1
        return cursor(self, *arguments, **options)  # type: ignore[arg-type]  # handed on as they came

    psycopg.Cursor.stream = counted  # type: ignore[method-assign, assignment]  # a counter before the driver
    try:
        postgres.describe(session)
    finally:
        psycopg.Cursor.stream = cursor  # type: ignore[method-assign]  # and away again
    return sent


@contextmanager
def large_database() -> Iterator[sessions.Session]:
    """A session to a database of that size, made when it is not there; its server ends with the block."""
    STATE.mkdir(parents=True, exist_ok=True)
    port = free_port()
    server = run(STATE, port, log=STATE / "postgres.log")
    try:
        name = f"schema_{TABLES}_{COLUMNS}"
        ensure(server, name, _fill)
        connection = sessions.Connection(server.host, server.port, name, server.user, server.password)
        with sessions.connect(connection, Address(server.host, server.host, port)) as session:
            yield session
    finally:
        server.stop()


def _fill(dsn: str) -> None:
    columns = ", ".join(f"column_{place} {KINDS[place % len(KINDS)]}" for place in range(COLUMNS - 2))
    with psycopg.connect(dsn, autocommit=True) as admin:
        for place in range(SCHEMAS):
            admin.execute(f"CREATE SCHEMA s{place}".encode())
        for place in range(TABLES):
            table, parent = _name(place), _name(max(0, place - SCHEMAS))
            keys = f"id bigint PRIMARY KEY, parent_id bigint REFERENCES {parent}"
            admin.execute(f"CREATE TABLE {table} ({keys}, {columns})".encode())
            admin.execute(f"CREATE INDEX ON {table} (parent_id)".encode())
        admin.execute("ANALYZE")


def _name(place: int) -> str:
    return f"s{place % SCHEMAS}.table_{place}"


if __name__ == "__main__":
    main()
