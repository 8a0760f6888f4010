"""The deployed stack, started once a session: PostgreSQL, the embedded cloud, the packaged template, the front."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
