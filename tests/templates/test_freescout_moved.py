"""FreeScout databases that came from MySQL by pgloader: other types, a schema of their own, huge values."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from chalicelib.ranges import CHUNK_BYTES
from chalicelib.sources import postgres
from chalicelib.sql import Bounds
from chalicelib.templates import freescout
from infra.local.postgres import Postgres
from tests.conftest import database
from tests.templates.test_freescout_cases import FOLDER, Desk

LONGEST = 100_000


@pytest.fixture
def desk(postgres_server: Postgres) -> Iterator[Desk]:
    """An empty help desk that may be altered."""
    place = database(postgres_server, "moved")
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        for script in ("schema.sql", "modules.sql"):
            connection.execute((FOLDER / script).read_bytes())
        yield Desk(place, connection)


def test_times_with_a_zone_are_taken_as_they_are(desk: Desk) -> None:
    for table, column in (("conversations", "created_at"), ("conversations", "closed_at"), ("threads", "created_at")):
        desk.connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE timestamptz".encode())
    desk.add("conversations", status=3, created_at="2024-07-01 12:00:00+02", closed_at="2024-07-02 12:00:00+00",
             last_reply_at="2024-07-03 12:00:00")  # fmt: skip
    desk.add("threads", created_at="infinity")
    for zone in ("Europe/Berlin", "America/St_Johns"):
        data = desk.read("tickets", timezone=zone)["1"]["data"]
        assert (data["created_at"], data["closed_at"]) == ("2024-07-01T10:00:00Z", "2024-07-02T12:00:00Z")
    assert desk.read("tickets", timezone="Europe/Berlin")["1"]["data"]["updated_at"] == "2024-07-03T10:00:00Z"
    assert "created_at" not in desk.read("ticket_notes", timezone="Europe/Berlin")["1"]["data"]


def test_flags_that_are_numbers(desk: Desk) -> None:
    for table, column in (("threads", '"first"'), ("timelogs", "finished")):
        desk.connection.execute(f"ALTER TABLE {table} ALTER {column} DROP DEFAULT".encode())
        desk.connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE smallint USING {column}::int".encode())
    desk.add("conversations")
    desk.add("threads", first=0, body="later", created_at="2024-01-01")
    desk.add("threads", first=1, type=3, body="a phone call", created_at="2024-01-02")
    for finished in (0, 1, 1):
        desk.add("timelogs", conversation_id=1, user_id=1, time_spent=60, finished=finished)
    assert desk.read("tickets")["1"]["data"]["description"] == "a phone call"
    assert set(desk.read("time_entries")) == {"2", "3"}
    with desk.database.session() as session:
        (running,) = freescout.exclusions({}, postgres.describe(session))["time_entries"]
        assert postgres.count(session, running.query) == 1


def test_a_schema_of_its_own_that_the_search_path_leads_to(desk: Desk) -> None:
    desk.add("conversations")
    tables = desk.connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    desk.connection.execute('CREATE SCHEMA "FreeScout"')
    for (table,) in tables:
        desk.connection.execute(f'ALTER TABLE "{table}" SET SCHEMA "FreeScout"'.encode())
    desk.connection.execute('ALTER DATABASE moved SET search_path TO "FreeScout", public')
    assert set(desk.read("tickets")) == {"1"}


def test_texts_kept_aside_are_cut_in_the_source_with_a_warning(desk: Desk) -> None:
    phones = "[" + '{"value":"1","type":1},' * 100_000 + "{}]"
    addresses = "[" + '"a@b.example",' * 100_000 + '"z"]'
    desk.add("customers", first_name="A", notes="n" * 2_000_000, phones=phones, websites=addresses)
    desk.add("conversations", cc=addresses)
    desk.add("threads", cc=addresses, bcc=addresses)
    with desk.database.session() as session:
        queries = freescout.queries({}, postgres.describe(session))
        for name in ("customer_users", "tickets", "ticket_notes"):
            ((row,),) = postgres.read(session, queries[name], Bounds(("0",), ("1",)))
            assert max(len(str(value)) for value in row) <= LONGEST + 1, name
    customer = desk.read("customer_users")["1"]
    assert customer["data"]["custom_fields"]["notes"] == "n" * LONGEST
    assert len(customer["data"]["phones"]) >= LONGEST // len('{"value":"1","type":1},')
    assert len(customer["warnings"]) == 3
    assert len(desk.read("ticket_notes")["1"]["warnings"]) == 2


def test_tickets_with_long_descriptions_make_small_chunks(desk: Desk) -> None:
    for number in range(1, 31):
        desk.add("conversations")
        desk.add("threads", conversation_id=number, first=True, body="x" * 900_000)
    with desk.database.session() as session:
        ranges = postgres.plan(session, freescout.queries({}, postgres.describe(session))["tickets"]).ranges
    assert sum(part.rows for part in ranges) == 30
    assert max(part.rows for part in ranges) <= CHUNK_BYTES // 900_000 + 1


def test_names_that_nobody_can_see_are_no_names(desk: Desk) -> None:
    desk.add("customers", first_name="\u200b", last_name=" \u2060\ufeff", company="\u200b")
    desk.add("customers", first_name="\u200bAnn", last_name="Lee\ufeff", company="\u200bAcme")
    rows = desk.read("customer_users")
    assert [row["data"]["name"] for row in rows.values()] == ["Customer 1", "Ann Lee"]
    assert [row["data"].get("company") for row in rows.values()] == [None, "Acme"]
    assert [row["refs"].get("account") for row in rows.values()] == [None, "company:acme"]
