"""Servers that mean harm: each is told from one that works, in time, in little memory, in words of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.sources.hostile import CANARY, SERVER_TEXT, SERVERS, TOO_LARGE, giant_chain, met
from tests.sources.servers import certificate, server

MEGABYTES = 512
SECONDS = 8
"""The process that meets them has time-outs of 2 s for each step and 6 s for a connection test."""


def harmless(came: dict[str, Any], written: str) -> None:
    """In time, in memory, and nothing that was said to us or by us in confidence is said again."""
    assert came["megabytes"] < MEGABYTES
    assert max(came["test"]["seconds"], came["read"]["seconds"]) < SECONDS
    for secret in (CANARY, SERVER_TEXT):
        assert secret not in f"{came}{written}"
    assert "Traceback" not in written


def test_there_are_enough_of_them() -> None:
    assert len(SERVERS) >= 12


@pytest.mark.parametrize("name", SERVERS)
def test_a_hostile_server_is_a_clean_failure(name: str) -> None:
    hostile = SERVERS[name]
    with server(hostile.answer) as address:
        came, written = met(address.port)
    harmless(came, written)
    test = came["test"]["said"]
    assert test["success"] is False
    assert test["message"].startswith("Connection failed: ")
    [failed] = [stage for stage in test["stages"] if stage["status"] == "failed"]
    assert (failed["name"], test["error"]) == (hostile.stage, hostile.error)
    assert failed["hint"]
    if hostile.error == TOO_LARGE:
        assert came["range"]["said"]["code"] == "source_too_large"
        assert came["pass"]["said"]["raised"] in ("Retryable", "Fatal")
    assert came["read"]["said"]["raised"] in ("SourceUnreachable", "Retryable", "Fatal")


def test_a_chain_of_certificates_of_a_megabyte(tmp_path: Path) -> None:
    with server(giant_chain(certificate(tmp_path, "db.example.com"))) as address:
        came, written = met(address.port, "require")
    harmless(came, written)
    assert came["test"]["said"]["error"] == "TLS failed"


def test_an_honest_server_is_read_by_the_same_process(empty_db: Database) -> None:
    """The control: what refuses the others lets one in that only has another password."""
    import psycopg

    with psycopg.connect(empty_db.dsn) as admin:
        admin.execute(f"DROP ROLE IF EXISTS me; CREATE ROLE me LOGIN PASSWORD '{CANARY}'")  # type: ignore[arg-type]
        admin.execute("CREATE TABLE things (id int PRIMARY KEY); GRANT SELECT ON things TO me")
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS db WITH (FORCE)")
        admin.execute("CREATE DATABASE db TEMPLATE template0")
    came, written = met(empty_db.address.port)
    harmless(came, written)
    assert came["test"]["said"]["success"] is True
    assert came["test"]["said"]["database_info"]["database"] == "db"
    assert came["read"]["said"]["tables"] == []
