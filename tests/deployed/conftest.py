"""The deployed stack, started once a session: PostgreSQL, the embedded cloud, the packaged template, the front."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import clients, settings
from chalicelib.steps import plan
from infra.local.postgres import Postgres
from infra.local.stack import Stack, stack
from tests.conftest import Database, database
from tests.deployed.faults import source


@pytest.fixture(scope="session")
def deployed() -> Iterator[Stack]:
    """A fresh stack on free ports. `endpoint` and `client("s3")` reach it, `postgres.dsn()` the empty source server."""
    # Not pytest's own folder: as root, PostgreSQL's user is let through, which pytest takes back at its next start.
    state = Path(tempfile.mkdtemp(prefix="wharf-test-"))
    try:
        with stack(state) as running:
            yield running
    finally:
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def in_process(deployed: Stack) -> Iterator[None]:
    """chalicelib in this process works on the deployed tables and bucket."""
    kept = dict(os.environ)
    os.environ.update(deployed.environment())
    _forget()
    yield
    os.environ.clear()
    os.environ.update(kept)
    _forget()


@pytest.fixture(scope="module")
def undriven(deployed: Stack, in_process: None) -> Iterator[None]:
    """The same, but what is started is driven by nobody: tests invoke the steps themselves."""
    machine = deployed.client("stepfunctions").create_state_machine(
        name=f"nothing-{uuid.uuid4()}",
        definition='{"StartAt": "Nothing", "States": {"Nothing": {"Type": "Pass", "End": true}}}',
        roleArn="arn:aws:iam::000000000000:role/nothing",
    )
    os.environ["WHARF_STATE_MACHINE"] = machine["stateMachineArn"]
    _forget()
    whole, plan.CHUNK_ROWS = plan.CHUNK_ROWS, source.CHUNK_ROWS
    yield
    plan.CHUNK_ROWS = whole


@pytest.fixture(scope="session")
def tiny_db(postgres_server: Postgres) -> Database:
    """A database for `faults.source.fill`, which makes it anew each time."""
    return database(postgres_server, "tiny")


def _forget() -> None:
    clients.client.cache_clear()
    settings.get.cache_clear()
