"""Every row and every field the template brings, against an independent reading of the same database."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from chalicelib import targets
from chalicelib.mapping import Mapper
from chalicelib.sources import postgres
from chalicelib.templates import freescout
from infra.local.freescout.generate import generate
from infra.local.freescout.reconcile import reconcile
from tests.conftest import Database
from tests.templates.freescout_expected import expected


def imported(
    database: Database, options: dict[str, Any], *, only: tuple[str, ...] = freescout.TYPES
) -> dict[str, dict[str, Any]]:
    """type -> external id -> accepted row, read through the whole source side. Fails on a rejected or doubled row."""
    found: dict[str, dict[str, Any]] = {}
    with database.session() as session:
        for name, query in freescout.queries(options, postgres.describe(session)).items():
            if name not in only:
                continue
            mapper, rows = Mapper(query, targets.get(name)), found.setdefault(name, {})
            for part in postgres.plan(session, query, chunk_rows=100).ranges:
                batches = list(postgres.read(session, query, part.bounds))
                accepted, rejected = mapper.apply([row for batch in batches for row in batch], 0)
                assert rejected == []
                assert len(accepted) == part.rows
                assert rows.keys().isdisjoint(row["ext"] for row in accepted)
                rows.update((row["ext"], row) for row in accepted)
    return found


OPTIONS = [
    {},
    {"timezone": "Europe/Berlin"},
    {"timezone": "America/St_Johns", "ticket_number": "number", "include_spam": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_row_and_field_is_what_an_independent_reading_says(
    freescout_db: Database, options: dict[str, Any]
) -> None:
    with psycopg.connect(freescout_db.dsn) as connection:
        wanted = expected(connection, options)
    found = imported(freescout_db, options)
    assert found.keys() == wanted.keys() == set(freescout.TYPES)
    for name, rows in wanted.items():
        assert rows, f"the sample has no {name}"
        assert found[name].keys() == rows.keys(), name
        for external_id, row in rows.items():
            assert found[name][external_id]["data"] == row["data"], (name, external_id)
            assert found[name][external_id]["refs"] == row["refs"], (name, external_id)


@pytest.mark.parametrize("spam", [False, True])
def test_rows_that_come_and_rows_left_out_by_rule_are_all_rows(freescout_db: Database, spam: bool) -> None:
    counted = reconcile(freescout_db.dsn, include_spam=spam)
    options = {"include_spam": spam}
    with freescout_db.session() as session:
        schema = postgres.describe(session)
        for name, query in freescout.queries(options, schema).items():
            rules = {
                rule.name: postgres.count(session, rule.query) for rule in freescout.exclusions(options, schema)[name]
            }
            assert postgres.count(session, query) == counted[name]["expected"], name
            assert {rule: rows for rule, rows in rules.items() if rows} == counted[name]["excluded"], name


def test_warns_of_broken_json_and_keeps_what_can_be_read(freescout_db: Database) -> None:
    with psycopg.connect(freescout_db.dsn) as connection:
        cut = connection.execute("SELECT id FROM customers WHERE phones ~ '[^]}]$'").fetchall()
    assert cut, "the sample has no broken phones"
    rows = imported(freescout_db, {})["customer_users"]
    for (number,) in cut:
        row = rows[str(number)]
        assert row["warnings"] == ["phones: is JSON that was cut off; what could be read is kept"]
        assert row["data"]["phones"]
    assert sum(bool(row["warnings"]) for row in rows.values()) == len(cut)


def test_without_modules_tags_and_timers_fall_away(empty_db: Database) -> None:
    generate(empty_db.dsn, 40, seed=5, modules=False)
    with psycopg.connect(empty_db.dsn) as connection:
        wanted = expected(connection)
    found = imported(empty_db, {})
    assert "time_entries" not in found
    assert {name: {ext: row["data"] for ext, row in rows.items()} for name, rows in found.items()} == {
        name: {ext: row["data"] for ext, row in rows.items()} for name, rows in wanted.items()
    }


def test_prefixed_tables_and_columns_of_older_versions(empty_db: Database) -> None:
    generate(empty_db.dsn, 40, seed=5)
    plain = imported(empty_db, {})
    with psycopg.connect(empty_db.dsn, autocommit=True) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            connection.execute(f'ALTER TABLE "{table}" RENAME TO "Desk_{table}"')
        prefixed = imported(empty_db, {"table_prefix": "Desk_"})
        assert prefixed == plain
        for column in ("job_title", "websites", "state"):
            connection.execute(f'ALTER TABLE "Desk_customers" DROP COLUMN {column}')
        connection.execute('ALTER TABLE "Desk_attachments" DROP COLUMN embedded')
        connection.execute('ALTER TABLE "Desk_users" DROP COLUMN locale, DROP COLUMN status')
    older = imported(empty_db, {"table_prefix": "Desk_"})
    assert older["tickets"] == plain["tickets"]
    assert older["customer_users"].keys() == plain["customer_users"].keys()
    assert not any("job_title" in row["data"] for row in older["customer_users"].values())
    assert all(row["data"]["is_active"] for row in older["agents"].values())
