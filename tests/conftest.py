"""What tests of several rooms need: a real PostgreSQL, and in it a small FreeScout help desk."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from chalicelib.network import Address
from chalicelib.sources import postgres
from infra.local.freescout.generate import generate
from infra.local.postgres import Postgres, run

CONVERSATIONS = 300


@dataclass(frozen=True)
class Database:
    """A database of the test server: how its owner reaches it (`dsn`), and how an import does."""

    dsn: str
    connection: postgres.Connection
    address: Address

    def session(self, **options: float) -> postgres.Session:
        """A session as the import opens it."""
        return postgres.connect(self.connection, self.address, **options)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL on a free port."""
    # Not pytest's own folder: as root, PostgreSQL's user is let through, which pytest takes back at its next start.
    state = Path(tempfile.mkdtemp(prefix="wharf-test-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = run(state, port, log=state / "postgres.log")
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(state, ignore_errors=True)


def database(server: Postgres, name: str) -> Database:
    """A new, empty database."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
    connection = postgres.Connection(server.host, server.port, name, server.user, server.password)
    return Database(server.dsn(name), connection, Address(server.host, server.host, server.port))


@pytest.fixture(scope="session")
def freescout_db(postgres_server: Postgres) -> Database:
    """A help desk of 300 conversations. Read only: several tests look at it."""
    found = database(postgres_server, "freescout")
    generate(found.dsn, CONVERSATIONS, seed=3)
    return found


@pytest.fixture
def empty_db(postgres_server: Postgres) -> Database:
    """A database of the test's own."""
    return database(postgres_server, "scratch")
