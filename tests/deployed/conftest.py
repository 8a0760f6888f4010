"""The deployed stack, started once a session: PostgreSQL, the embedded cloud, the packaged template, the front."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib import clients, settings
from infra.local.stack import Stack, stack


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


def _forget() -> None:
    clients.client.cache_clear()
    settings.get.cache_clear()
