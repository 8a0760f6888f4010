"""The database the benchmarks read: a FreeScout help desk, made once and kept under .wharf/bench."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from chalicelib import sessions, sql
from chalicelib.network import Address
from chalicelib.sources import postgres
from chalicelib.sql import Query
from chalicelib.templates import freescout
from infra.local.postgres import Postgres, run

STATE = Path(__file__).parent.parent / ".wharf" / "bench"
CONVERSATIONS = int(os.environ.get("BENCH_CONVERSATIONS", "50000"))


@dataclass(frozen=True)
class Source:
    """A database that is running: how to reach it, and the template's queries for it."""

    dsn: str
    connection: sessions.Connection
    address: Address
    queries: dict[str, Query]

    def session(self) -> sessions.Session:
        """A session as the extract step opens it, with time for whole tables."""
        return sessions.connect(self.connection, self.address, statement_timeout_seconds=600)


@contextmanager
def help_desk(conversations: int = CONVERSATIONS) -> Iterator[Source]:
    """The help desk, generated when it is not there; its server ends with the block."""
    STATE.mkdir(parents=True, exist_ok=True)
    port = free_port()
    server = run(STATE, port, log=STATE / "postgres.log")
    try:
        name = f"freescout_{conversations}"
        ensure(server, name, lambda dsn: _generate(dsn, conversations))
        connection = sessions.Connection(server.host, server.port, name, server.user, server.password)
        yield Source(server.dsn(name), connection, Address(server.host, server.host, port), freescout.queries({}))
    finally:
        server.stop()


def ensure(server: Postgres, name: str, fill: Callable[[str], None]) -> None:
    """Make a database and fill it, unless it is there; half a one is never taken for a whole one."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            admin.execute(f'CREATE DATABASE "{name}_new"'.encode())
            fill(server.dsn(f"{name}_new"))
            admin.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"'.encode())


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _generate(dsn: str, conversations: int) -> None:
    """In a process of its own, whose memory is not counted as ours."""
    module = "infra.local.freescout.generate"
    command = [sys.executable, "-m", module, dsn, "--conversations", str(conversations)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def copied(session: sessions.Session, query: Query, part: postgres.Range) -> int:
    """Bytes of raw COPY (the query of a range) TO STDOUT: PostgreSQL's own fastest way out, unparsed."""
    text = psycopg.ClientCursor(session).mogrify(*sql.select(query, part.bounds))
    with session.cursor() as cursor, cursor.copy(f"COPY ({text}) TO STDOUT".encode()) as rows:
        return sum(len(part) for part in rows)


def line(name: str, value: float, unit: str, ratio: float | None = None, against: str | None = None) -> None:
    """Print one figure."""
    shown = {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "ratio": ratio and round(ratio, 3),
        "against": against,
    }
    print(json.dumps(shown), flush=True)
