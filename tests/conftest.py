"""What tests of several rooms need: a real PostgreSQL, and in it a small FreeScout help desk."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from xdist.scheduler import LoadScopeScheduling

from chalicelib import sessions
from chalicelib.network import Address
from infra.local.freescout.generate import generate
from infra.local.postgres import Postgres, run

CONVERSATIONS = 300

SEED = os.environ.get("SEED") or str(secrets.randbelow(10**6))
"""Of everything drawn by chance in one run: another one each time, unless it is given."""

os.environ["SEED"] = SEED  # the workers' as well

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored, and all that it starts


_DEATHS = ("tests/deployed/test_exactly_once.py", "tests/deployed/test_kills.py")


class _Rooms(LoadScopeScheduling):
    """Who runs what when several workers share the tests: files stay whole, and a deployed stack is started for all of
    tests/deployed, and for the loops of deaths another one, by whoever is through with the rest.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return "deaths" if file in _DEATHS else "deployed" if file.startswith("tests/deployed/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Rooms(config, log)


def pytest_report_header() -> str:
    return f"seed: {SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure of a test that draws by chance says how to see it again."""
    report = yield
    if report.failed and "generator" in getattr(item, "fixturenames", ()):
        marked = " -m exhaustive" if item.get_closest_marker("exhaustive") else ""
        path, _, name = item.nodeid.partition("::")
        report.sections.append(("seed", f"SEED={SEED} make test TESTS=\"{path}{marked} -k '{name.split('[')[0]}'\""))
    return report


@pytest.fixture
def generator(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be repeated: the same for the same seed and test, whichever other tests run."""
    return random.Random(f"{SEED} {request.node.nodeid}")


@dataclass(frozen=True)
class Database:
    """A database of the test server: how its owner reaches it (`dsn`), and how an import does."""

    dsn: str
    connection: sessions.Connection
    address: Address

    def session(self, **options: float) -> sessions.Session:
        """A session as the import opens it."""
        return sessions.connect(self.connection, self.address, **options)


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
    connection = sessions.Connection(server.host, server.port, name, server.user, server.password)
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
