"""`wharf records search`: what is looked up and how a record is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli import cards, terminal
from tests.cli.conftest import Api, Wharf

TICKET, AGENT, CUSTOMER, NOTE = (f"{n}0000000-0000-5000-8000-000000000000" for n in "1234")

ticket: dict[str, Any] = {
    "id": TICKET,
    "type": "tickets",
    "external_id": "17",
    "number": "17",
    "title": "Printer [bold]broken[/bold] \u202egpj.exe",
    "description": "<p>Hello,</p><p>it <b>burns</b> &amp; smells<br>Thanks</p><script>alert(1)</script>",
    "status": "open",
    "priority": "high",
    "customer_id": CUSTOMER,
    "assigned_to_id": AGENT,
    "account_id": None,
    "created_by_id": CUSTOMER,
    "created_by_type": "customer_users",
    "created_at": "2026-01-01T10:00:00Z",
    "version": 1,
    "imported_at": "2026-02-01T10:00:00Z",
}
notes: list[dict[str, Any]] = [
    {
        "id": NOTE,
        "type": "ticket_notes",
        "external_id": "2",
        "content": "Looks hot\x1b[2J",
        "is_internal": True,
        "author_id": AGENT,
        "author_type": "agents",
        "created_at": "2026-01-01T12:00:00Z",
    },
    {
        "id": NOTE.replace("4", "5", 1),
        "type": "ticket_notes",
        "external_id": "1",
        "content": "Is it on fire?",
        "is_internal": False,
        "author_id": None,
        "author_type": "agents",
        "unresolved": {"author": "99"},
        "created_at": "2026-01-01T11:00:00Z",
    },
]
agent = {"id": AGENT, "type": "agents", "external_id": "1", "name": "Tom Agent", "email": "tom@example.com"}
customer: dict[str, Any] = {
    "id": CUSTOMER,
    "type": "customer_users",
    "external_id": "5",
    "name": "Jane Smith",
    "email": "jane@example.com",
    "emails": ["jane@example.com", {"value": "j.smith@example.org", "type": "home"}],
    "phone": "+1 555",
    "phones": [{"value": "+1 555"}, {"value": "n/a"}],
    "address": {"city": "Paris", "zip": None, "country": "FR"},
    "is_active": True,
    "account_id": None,
}


@pytest.fixture(autouse=True)
def store(api: Api) -> None:
    def page(*records: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, {"data": list(records), "meta": {"per_page": 25, "next_cursor": None}}

    api.on("GET /api/records/tickets", page(ticket))
    api.on(f"GET /api/records/tickets/{TICKET}", (200, ticket))
    api.on("GET /api/records/ticket_notes", page(*notes))
    attachment = {"id": "a", "note_id": NOTE, "file_name": "flames.jpg", "file_size": 2_500_000}
    api.on("GET /api/records/attachments", page(attachment))
    api.on(f"GET /api/records/agents/{AGENT}", (200, agent))
    api.on(f"GET /api/records/customer_users/{CUSTOMER}", (200, customer))
    api.on("GET /api/records/customer_users", page(customer))


def test_a_ticket_is_shown_with_its_conversation_in_order(wharf: Wharf) -> None:
    shown = wharf("records", "search", "tickets", "--external-id", "17").stdout
    wanted = ["Ticket 17", "Jane Smith <jane@example.com>", "Tom Agent", "it burns & smells"]
    wanted += [
        "● reply",
        "99 (not imported)",
        "Is it on fire?",
        "internal note",
        "Looks hot",
        "flames.jpg, 2.5 MB",
    ]
    places = [shown.find(word) for word in wanted]
    assert -1 not in places
    assert places == sorted(places)


def test_a_record_is_shown_but_not_obeyed(wharf: Wharf) -> None:
    shown = wharf("records", "search", "tickets", "--id", TICKET).stdout
    assert "[bold]broken[/bold]" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "alert(1)" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 100


def test_a_customer_is_shown_with_every_address_once(wharf: Wharf) -> None:
    shown = wharf("records", "search", "customer_users", "--email", "jane@example.com").stdout
    assert shown.count("jane@example.com") == 1
    for word in ("j.smith@example.org (home)", "+1 555", "n/a", "Paris, FR"):
        assert word in shown


def test_the_json_form_has_the_notes_in_it(wharf: Wharf) -> None:
    (found,) = json.loads(wharf("records", "search", "tickets", "--id", TICKET, "--json").stdout)
    assert found["id"] == TICKET
    assert [note["id"] for note in found["ticket_notes"]] == [note["id"] for note in notes]


def test_several_records_are_a_list_and_more_are_announced(wharf: Wharf, api: Api) -> None:
    many = [ticket | {"id": TICKET.replace("1", str(n), 1), "title": f"Ticket number {n}"} for n in range(1, 4)]
    api.on("GET /api/records/tickets", (200, {"data": many, "meta": {"next_cursor": "c"}}))
    result = wharf("records", "search", "tickets", "--limit", "2")
    assert ["Ticket number 1" in result.stdout, "Ticket number 3" in result.stdout] == [True, False]
    assert "There are more" in result.stderr
    assert api.asked[0].path == "/api/records/tickets?per_page=3"


def test_nothing_found_is_exit_code_1(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/records/tickets", (200, {"data": [], "meta": {"next_cursor": None}}))
    result = wharf("records", "search", "tickets", "--external-id", "nope")
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_type_nobody_knows_is_said_as_the_api_says_it(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/records/tickts", (404, {"message": "Record type not found", "code": "not_found"}))
    assert "Record type not found" in wharf("records", "search", "tickts").stderr


def test_an_id_that_is_none_is_misuse(wharf: Wharf, api: Api) -> None:
    assert wharf("records", "search", "tickets", "--id", "../jobs").exit_code == 2
    assert api.asked == []


def test_a_shortened_text_is_fetched_whole(wharf: Wharf, api: Api) -> None:
    short = ticket | {"description": "start", "truncated": ["description"]}
    api.on("GET /api/records/tickets", (200, {"data": [short], "meta": {}}))
    assert "burns" in wharf("records", "search", "tickets", "--external-id", "17").stdout


def test_a_key_of_the_type_can_be_named(wharf: Wharf, api: Api) -> None:
    wharf("records", "search", "agents", "--key", "email=a&b=c@x")
    assert api.asked[0].path == "/api/records/agents?per_page=26&email=a%26b%3Dc%40x"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain  text\nwith 3 < 4", "plain  text\nwith 3 < 4"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a<br/>b", "a\nb"),
        ("<style>p{}</style>x", "x"),
        ("<!-- note -->x", "x"),
        ("&lt;b&gt;", "&lt;b&gt;"),
        ("<p>unclosed", "unclosed"),
        ("</script>x</p>", "x"),
        ("", ""),
    ],
)
def test_html_is_shown_as_its_words(content: str, text: str) -> None:
    assert cards.as_text(content) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0 s"), (3.14, "3.1 s"), (59, "59 s"), (125, "2 min 05 s"), (3780, "1 h 03 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert terminal.duration(seconds) == text


def test_lone_surrogates_do_not_end_a_listing() -> None:
    assert terminal.tame("a\ud800b") == "a?b"
