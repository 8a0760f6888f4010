"""A shop to test connections to, its user, and how to read what a test says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from chalicelib import diagnosis, settings
from tests.conftest import Database

PASSWORD = "canary-31cd-password"
ROLE = "stages_reader"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of the embedded cloud; nothing here asks AWS for anything."""
    for name in ("STATE_TABLE", "RECORDS_TABLE", "BUCKET", "KMS_KEY", "STATE_MACHINE"):
        monkeypatch.setenv(f"WHARF_{name}", "unused")
    monkeypatch.setenv("WHARF_ALLOW_LOOPBACK", "true")
    settings.get.cache_clear()
    yield
    settings.get.cache_clear()


@pytest.fixture
def shop(empty_db: Database) -> Iterator[Database]:
    """Three tables in two schemas, and a user that may log in and no more."""
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE orders (id int PRIMARY KEY, total int); CREATE TABLE users (id int PRIMARY KEY)")
        admin.execute('CREATE SCHEMA "Old Shop"; CREATE TABLE "Old Shop".orders (id int PRIMARY KEY)')
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), PASSWORD))
    yield replace(empty_db, connection=replace(empty_db.connection, username=ROLE, password=PASSWORD))
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        for role in (ROLE, "wharf_reader"):
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")  # type: ignore[arg-type]


def owner(place: Database, *statements: str) -> None:
    """Run by the database's owner."""
    with psycopg.connect(place.dsn, autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement)  # type: ignore[arg-type]


READS_ALL = (
    f'GRANT USAGE ON SCHEMA "Old Shop" TO {ROLE}',
    f'GRANT SELECT ON ALL TABLES IN SCHEMA public, "Old Shop" TO {ROLE}',
)


def statuses(test: dict[str, Any]) -> dict[str, str]:
    assert [stage["name"] for stage in test["stages"]] == list(diagnosis.STAGES)
    return {stage["name"]: stage["status"] for stage in test["stages"]}


def failure(test: dict[str, Any]) -> dict[str, Any]:
    """The stage it ended in: the only failed one, with nothing but skipped ones behind it."""
    assert test["success"] is False
    [place] = [number for number, stage in enumerate(test["stages"]) if stage["status"] == "failed"]
    assert {stage["status"] for stage in test["stages"][:place]} <= {"ok", "skipped"}
    assert {stage["status"] for stage in test["stages"][place + 1 :]} <= {"skipped"}
    found: dict[str, Any] = test["stages"][place]
    assert found["hint"]
    assert PASSWORD not in str(test)
    return found


def warned(test: dict[str, Any]) -> dict[str, str]:
    """What of the user is warned of, by code; that test servers speak no TLS is another matter."""
    return {one["code"]: one["message"] for one in test["warnings"] if one["code"] != "not_encrypted"}
