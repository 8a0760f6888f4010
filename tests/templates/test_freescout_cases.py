"""One FreeScout row at a time, each a case that breaks naive importers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import infra.local.freescout
from infra.local.postgres import Postgres
from tests.conftest import Database, database
from tests.templates.test_freescout_rows import imported

FOLDER = Path(infra.local.freescout.__file__).parent

TABLES = (
    "users", "customers", "emails", "conversations", "threads", "attachments", "timelogs", "custom_fields",
    "conversation_custom_field",
)  # fmt: skip

CONVERSATION = {
    "number": 1, "type": 1, "folder_id": 1, "status": 1, "state": 2, "subject": "S", "preview": "the preview",
    "mailbox_id": 1, "source_via": 1, "source_type": 1, "created_at": "2024-03-01 12:00:00",
}  # fmt: skip
THREAD = {"conversation_id": 1, "type": 1, "state": 2, "source_via": 1, "source_type": 1, "body": "hello"}


class Desk:
    """An empty help desk to put rows into."""

    def __init__(self, place: Database, connection: psycopg.Connection[Any]) -> None:
        self.database = place
        self.connection = connection

    def add(self, table: str, **values: Any) -> None:
        row = {"conversations": CONVERSATION, "threads": THREAD}.get(table, {}) | values
        names = sql.SQL(", ").join(map(sql.Identifier, row))
        places = sql.SQL(", ").join([sql.Placeholder()] * len(row))
        query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, places)
        self.connection.execute(query, list(row.values()))

    def read(self, record_type: str, **options: Any) -> dict[str, Any]:
        return imported(self.database, options, only=(record_type,))[record_type]


@pytest.fixture(scope="module")
def schema(postgres_server: Postgres) -> Database:
    place = database(postgres_server, "cases")
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        for script in ("schema.sql", "modules.sql"):
            connection.execute((FOLDER / script).read_bytes())
    return place


@pytest.fixture
def desk(schema: Database) -> Iterator[Desk]:
    with psycopg.connect(schema.dsn, autocommit=True) as connection:
        names = sql.SQL(", ").join(map(sql.Identifier, TABLES))
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names))
        yield Desk(schema, connection)


@pytest.mark.parametrize(
    ("threads", "description"),
    [
        ([{"first": True, "body": "first"}, {"body": "second"}], "first"),
        ([{"first": True, "body": "draft", "state": 1}, {"type": 3, "body": "note"}, {"body": "reply"}], "reply"),
        ([{"first": True, "type": 3, "body": "a phone call"}], "a phone call"),
        ([{"first": True, "type": 4, "body": None}, {"type": 2, "body": "reply"}], "reply"),
        ([{"type": 3, "body": "note"}], "the preview"),
        ([{"first": True, "body": None}], None),
        ([], "the preview"),
        (
            [{"body": "later", "created_at": "2024-03-02"}, {"body": "earlier", "created_at": "2024-03-01"}],
            "earlier",
        ),
    ],
)
def test_the_description_is_the_first_published_message(
    desk: Desk, threads: list[dict[str, Any]], description: str | None
) -> None:
    desk.add("conversations")
    for thread in threads:
        desk.add("threads", **thread)
    assert desk.read("tickets")["1"]["data"].get("description") == description


@pytest.mark.parametrize(
    ("conversation", "data"),
    [
        ({"status": 2}, {"status": "pending"}),
        ({"status": 3, "closed_at": "2024-02-28 10:00:00"}, {"status": "closed", "closed_at": "2024-02-28T10:00:00Z"}),
        ({"status": 1, "closed_at": "2024-02-28 10:00:00"}, {"status": "open", "closed_at": None}),
        ({"type": 2, "source_type": 2}, {"source": "phone"}),
        ({"type": 3}, {"source": "chat"}),
        ({"type": 4, "source_type": 3}, {"source": "api"}),
        ({"subject": None}, {"title": "(no subject)"}),
        ({"subject": "  "}, {"title": "(no subject)"}),
        ({"subject": "Ä" * 998}, {"title": "Ä" * 998}),
        ({"created_at": "1970-01-01"}, {"created_at": "1970-01-01T00:00:00Z"}),
        ({"created_at": None}, {"created_at": None}),
        ({"updated_at": None, "last_reply_at": "2024-04-01"}, {"updated_at": "2024-04-01T00:00:00Z"}),
        ({"updated_at": None}, {"updated_at": "2024-03-01T12:00:00Z"}),
        ({"cc": '{"0":"a@b.example","2":"c@d.example"}'}, {"custom_fields": {"cc": ["a@b.example", "c@d.example"]}}),
    ],
)
def test_a_conversations_codes_and_gaps(desk: Desk, conversation: dict[str, Any], data: dict[str, Any]) -> None:
    desk.add("conversations", **conversation)
    row = desk.read("tickets")["1"]
    assert {name: row["data"].get(name) for name in data} == data
    assert row["warnings"] == []


NO_TIME = "is not a time between the years 0000 and 9999, left out"
CUT_JSON = "is JSON that was cut off; what could be read is kept"
STATUSES = "'open', 'pending', 'resolved' or 'closed'"
SOURCES = "'email', 'web', 'api', 'phone' or 'chat'"


@pytest.mark.parametrize(
    ("conversation", "data", "warning"),
    [
        ({"status": 9}, {"status": "open"}, f"status: is none of {STATUSES}, taken as open"),
        ({"source_type": 7}, {"source": None}, f"source: is none of {SOURCES}, left out"),
        ({"created_at": "infinity"}, {"created_at": None}, f"created_at: {NO_TIME}"),
        ({"created_at": "20000-01-01"}, {"created_at": None}, f"created_at: {NO_TIME}"),
        ({"created_at": "0044-03-15 BC"}, {"created_at": None}, f"created_at: {NO_TIME}"),
        ({"created_at": "294276-12-31 23:59:59"}, {"created_at": None}, f"created_at: {NO_TIME}"),
        ({"cc": "[broken"}, {"custom_fields": None}, "custom_fields.cc: is no readable JSON, left out"),
        ({"cc": '["a@b.c", "c@d.e'}, {"custom_fields": {"cc": ["a@b.c"]}}, f"custom_fields.cc: {CUT_JSON}"),
    ],
)
def test_what_does_not_fit_costs_a_warning_never_the_row(
    desk: Desk, conversation: dict[str, Any], data: dict[str, Any], warning: str
) -> None:
    desk.add("conversations", **({"updated_at": "2024-03-01"} | conversation))
    row = desk.read("tickets")["1"]
    assert {name: row["data"].get(name) for name in data} == data
    assert row["warnings"] == [warning]


def test_drafts_deleted_and_spam_stay_behind_and_states_nobody_knows_come(desk: Desk) -> None:
    for state, status in ((1, 1), (2, 1), (3, 1), (2, 4), (7, 1)):
        desk.add("conversations", state=state, status=status)
    assert set(desk.read("tickets")) == {"2", "5"}
    spam = desk.read("tickets", include_spam=True)
    assert set(spam) == {"2", "4", "5"}
    assert spam["4"]["data"]["status"] == "closed"
    assert spam["4"]["data"]["tags"] == ["spam"]


def test_orphans_come_with_the_reference_they_lost(desk: Desk) -> None:
    desk.add("conversations", customer_id=404, user_id=405, created_by_user_id=406)
    desk.add("threads", conversation_id=500, created_by_customer_id=404)
    desk.add("attachments", thread_id=600, file_name="f", mime_type="text/plain", type=0, file_dir="1/2")
    desk.add("timelogs", conversation_id=700, user_id=701, time_spent=90, finished=True)
    rows = imported(desk.database, {})
    assert rows["tickets"]["1"]["refs"] == {"customer": "404", "assigned_to": "405", "created_by": "agents:406"}
    assert rows["ticket_notes"]["1"]["refs"] == {"ticket": "500", "author": "customer_users:404"}
    assert rows["attachments"]["1"]["refs"] == {"note": "600"}
    assert rows["time_entries"]["1"]["refs"] == {"ticket": "700", "agent": "701"}


@pytest.mark.parametrize(
    ("local", "zone", "utc"),
    [
        ("2024-07-01 12:00:00", "Europe/Berlin", "2024-07-01T10:00:00Z"),
        ("2024-01-01 12:00:00", "Europe/Berlin", "2024-01-01T11:00:00Z"),
        ("2024-10-27 02:30:00", "Europe/Berlin", "2024-10-27T01:30:00Z"),  # twice on that clock: the later one
        ("2024-03-31 02:30:00", "Europe/Berlin", "2024-03-31T01:30:00Z"),  # never on that clock
        ("2011-12-29 12:00:00", "Pacific/Apia", "2011-12-29T22:00:00Z"),
        ("2024-01-01 00:00:00", "Asia/Kathmandu", "2023-12-31T18:15:00Z"),
    ],
)
def test_times_are_read_in_the_zone_they_were_written_in(desk: Desk, local: str, zone: str, utc: str) -> None:
    desk.add("conversations", created_at=local)
    assert desk.read("tickets", timezone=zone)["1"]["data"]["created_at"] == utc


@pytest.mark.parametrize(
    ("customer", "emails", "data"),
    [
        ({"first_name": "A", "last_name": "B"}, [("h@x.example", 2), ("W@x.example", 1)],
         {"email": "W@x.example", "emails": ["h@x.example", "W@x.example"], "name": "A B"}),
        ({"first_name": "", "last_name": None}, [("jo@x.example", 2), ("z@x.example", 3)],
         {"email": "jo@x.example", "name": "jo"}),
        ({}, [], {"email": None, "emails": None, "name": "Customer 1"}),
        ({"first_name": " \u00a0", "last_name": "Lee\u00a0"}, [], {"name": "Lee", "first_name": None}),
        ({"phones": '[{"value":"1","type":4},{"value":"2","type":1}]'}, [],
         {"phone": "1", "phones": [{"value": "1", "type": "mobile"}, {"value": "2", "type": "work"}]}),
        ({"phones": '{"2":{"value":"7","type":9}}'}, [], {"phones": [{"value": "7", "type": "other"}]}),
        ({"phones": '"just text"'}, [], {"phones": None}),
        ({"phones": '[{"value":null},null,3]'}, [], {"phones": None}),
        ({"phones": "[]"}, [], {"phones": None}),
        ({"address": "1 Main St", "zip": "00501", "city": "Holtsville", "country": "US"}, [],
         {"address": "1 Main St\n00501 Holtsville\nUS"}),
    ],
)  # fmt: skip
def test_a_customers_names_addresses_and_phones(
    desk: Desk, customer: dict[str, Any], emails: list[tuple[str, int]], data: dict[str, Any]
) -> None:
    desk.add("customers", id=1, **customer)
    for address, kind in emails:
        desk.add("emails", customer_id=1, email=address, type=kind)
    row = desk.read("customer_users")["1"]
    assert {name: row["data"].get(name) for name in data} == data
    assert row["keys"] == ({"email": row["data"]["email"].lower()} if emails else {})
    assert row["warnings"] == []


@pytest.mark.parametrize(
    ("company", "address", "account"),
    [
        ("Acme", None, "company:acme"),
        (" ACME, Inc. ", None, "company:acme"),
        ("Müller Söhne GmbH & Co. KG", None, "company:müller söhne"),
        ("Inc", None, "company:inc"),
        ("...", "jo@corp.example", "domain:corp.example"),
        (None, "jo@Corp.Example.", "domain:corp.example"),
        (None, "jo@gmail.com", None),
        (None, "jo@yahoo.co.uk", None),
        (None, "jo@localhost", None),
        (None, "not-an-email", None),
        (None, None, None),
    ],
)
def test_accounts_come_from_companies_and_then_domains(
    desk: Desk, company: str | None, address: str | None, account: str | None
) -> None:
    desk.add("customers", id=1, company=company)
    desk.add("conversations", customer_id=1)
    if address:
        desk.add("emails", customer_id=1, email=address)
    rows = imported(desk.database, {})
    assert rows["customer_users"]["1"]["refs"].get("account") == account
    assert rows["tickets"]["1"]["refs"].get("account") == account
    assert list(rows["accounts"]) == ([account] if account else [])


def test_one_account_for_all_spellings_named_by_the_first(desk: Desk) -> None:
    for company in ("Acme Ltd.", "acme", "ACME, INC"):
        desk.add("customers", company=company)
    rows = desk.read("accounts")
    assert list(rows) == ["company:acme"]
    assert rows["company:acme"]["data"] == {"name": "Acme Ltd."}


def test_deleted_agents_get_their_address_back_and_robots_stay_behind(desk: Desk) -> None:
    deleted = {"email": "jo@x.example_deleted20240101120000", "status": 3, "role": 2}
    desk.add("users", first_name="Jo", last_name="Doe", password="secret", **deleted)
    desk.add("users", first_name="", last_name="", email="ann@x.example", password="secret")
    desk.add("users", first_name="Flow", last_name="", email="robot@x.example", password="secret", type=2)
    rows = desk.read("agents")
    assert set(rows) == {"1", "2"}
    assert rows["1"]["data"]["email"] == "jo@x.example"
    assert (rows["1"]["data"]["role"], rows["1"]["data"]["is_active"]) == ("admin", False)
    assert (rows["2"]["data"]["role"], rows["2"]["data"]["name"]) == ("agent", "ann")
    assert "secret" not in str(rows)


@pytest.mark.parametrize(
    ("options", "value", "priority", "warned"),
    [
        ('{"1":"Low","2":"Medium","3":"High","4":"Urgent"}', "4", "urgent", False),
        ('{"1":"Low","2":"Medium"}', "2", "normal", False),
        ('{"1":"Low"}', "9", "normal", True),
        ('{"1":"Low"}', "", "normal", False),
        ("{broken", "1", "normal", True),
        (None, "1", "normal", True),
    ],
)
def test_priority_comes_from_a_drop_down_of_that_name(
    desk: Desk, options: str | None, value: str, priority: str, warned: bool
) -> None:
    desk.add("conversations")
    desk.add("custom_fields", mailbox_id=1, name="Due", type=5)
    desk.add("custom_fields", mailbox_id=1, name="Ticket priority", type=1, options=options)
    desk.add("conversation_custom_field", conversation_id=1, custom_field_id=2, value=value)
    row = desk.read("tickets")["1"]
    assert row["data"]["priority"] == priority
    assert bool(row["warnings"]) is warned


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(0, 0), (29, 0), (30, 1), (89, 1), (90, 2), (-5, 0), (2_592_000, 43_200)]
)
def test_seconds_become_minutes_rounded_half_up(desk: Desk, seconds: int, minutes: int) -> None:
    desk.add("timelogs", conversation_id=1, user_id=1, time_spent=seconds, finished=True)
    desk.add("timelogs", conversation_id=1, user_id=1, time_spent=5, finished=False)
    rows = desk.read("time_entries")
    assert set(rows) == {"1"}
    assert rows["1"]["data"]["duration_minutes"] == minutes
    assert rows["1"]["data"]["custom_fields"] == {"seconds": seconds}


def test_a_huge_body_is_cut_with_a_warning(desk: Desk) -> None:
    desk.add("conversations")
    desk.add("threads", first=True, body="ä" * 1_200_000)
    rows = imported(desk.database, {})
    for row, field in ((rows["ticket_notes"]["1"], "content"), (rows["tickets"]["1"], "description")):
        assert row["data"][field] == "ä" * 1_000_000
        assert row["warnings"] == [f"{field}: cut to 1000000 characters"]


def test_notes_of_tickets_left_out_stay_behind_with_their_attachments(desk: Desk) -> None:
    for number, (state, status) in enumerate(((1, 1), (2, 1), (3, 1), (2, 4)), 1):
        desk.add("conversations", state=state, status=status)
        desk.add("threads", conversation_id=number)
        desk.add("attachments", thread_id=number, file_name="f", mime_type="text/plain", type=0)
    for kind, state in ((4, 2), (1, 1), (1, 3), (3, 2), (8, 2), (2, 2)):
        desk.add("threads", conversation_id=2, type=kind, state=state)
    rows = imported(desk.database, {})
    assert set(rows["ticket_notes"]) == {"2", "8", "9", "10"}
    assert [row["data"]["is_internal"] for row in rows["ticket_notes"].values()] == [False, True, False, False]
    assert set(rows["attachments"]) == {"2"}
    assert set(imported(desk.database, {"include_spam": True})["ticket_notes"]) == {"2", "4", "8", "9", "10"}
