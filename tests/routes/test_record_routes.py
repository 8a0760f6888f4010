from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from chalicelib import chunks, dynamo, jobs, keys, ledger, records
from tests.routes.conftest import Api
from tests.routes.test_job_routes import started

RECORDS = "/api/records"
IMPORT_RECORDS = "/api/import/analytics/records"
SOURCE = "f" * 32
PARENT = "6f0a3c1e-7f0b-4c57-9a38-3b5b0f6f2d11"
ONLY_ONE = "Only one key can be asked for at a time."


def stored(api: Api, record_type: str, external_id: str, *, parent: str | None = None, **data: Any) -> str:
    """A record as `load` leaves it, with its claim when it has an e-mail address. Returns its id."""
    record_id = keys.record_id(api.org, record_type, SOURCE, record_type, external_id)
    records.note_origins(api.org, SOURCE, {record_type: record_type})
    item = {
        "origin": {"source": SOURCE, "table": record_type, "ext": external_id, "at": "2026-01-01T10:00:00Z"},
        "data": data,
        "refs": {},
        "ver": 1,
        "by": "job#type#0#0",
        "hash": "0" * 64,
    }
    if parent:
        item["parent"] = keys.children(api.org, record_type, parent)
    dynamo.put("records", keys.record(api.org, record_type, record_id), item)
    if "email" in data:
        claim = keys.claim(api.org, record_type, "email", data["email"].lower())
        dynamo.put("records", claim, {"id": record_id})
    return record_id


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.body
    return [record["id"] for record in answer.json_body["data"]]


def test_one_record_comes_bare(api: Api) -> None:
    record_id = stored(api, "agents", "7", email="Ada@Example.com", name="Ada")
    answer = api.get(f"{RECORDS}/agents/{record_id}")
    assert answer.status_code == 200
    shown = answer.json_body
    assert (shown["id"], shown["type"], shown["external_id"]) == (record_id, "agents", "7")
    assert (shown["email"], shown["name"]) == ("Ada@Example.com", "Ada")


def test_a_record_is_found_by_its_external_id_whatever_was_imported_from_its_database_later(api: Api) -> None:
    record_id = stored(api, "agents", "7")
    records.note_origins(api.org, SOURCE, {"tickets": "conversations"})
    assert ids(api.get(f"{RECORDS}/agents", external_id="7")) == [record_id]
    records.note_origins(api.org, SOURCE, {"agents": "users", "tickets": "conversations"})
    assert ids(api.get(f"{RECORDS}/agents", external_id="7")) == [record_id]
    assert ids(api.get(f"{RECORDS}/tickets", external_id="7")) == []
    records.note_origins(api.org, SOURCE, {})


def test_records_are_found_by_key_and_by_external_id(api: Api) -> None:
    record_id = stored(api, "agents", "7", email="ada@example.com")
    stored(api, "agents", "8", email="bo@example.com")
    assert ids(api.get(f"{RECORDS}/agents", email="ADA@example.com ")) == [record_id]
    assert ids(api.get(f"{RECORDS}/agents", external_id="7")) == [record_id]
    assert ids(api.get(f"{RECORDS}/agents", email="nobody@example.com")) == []
    assert ids(api.get(f"{RECORDS}/agents", external_id="9")) == []


def test_a_list_goes_on_by_cursor_to_its_end(api: Api) -> None:
    made = {stored(api, "agents", str(number)) for number in range(7)}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = api.get(f"{RECORDS}/agents", per_page=3, **cursor)
        seen += ids(answer)
        assert answer.json_body["meta"]["per_page"] == 3
        if answer.json_body["next_cursor"] is None:
            break
        cursor = {"cursor": answer.json_body["next_cursor"]}
    assert sorted(seen) == sorted(made)


def test_a_page_ends_by_bytes_as_lambda_sends_them_and_goes_on(api: Api) -> None:
    ticket = stored(api, "tickets", "1")
    notes = [stored(api, "ticket_notes", str(n), parent=ticket, content='"' * 170_000) for n in range(11)]
    for query in ({}, {"parent": ticket}):
        seen: list[str] = []
        place: dict[str, Any] = {}
        while place != {"cursor": None}:
            answer = api.get(f"{RECORDS}/ticket_notes", per_page=100, **query, **place)
            assert 2_000_000 < len(json.dumps(answer.body.decode())) < 4_000_000 or len(seen) == 10
            seen += ids(answer)
            place = {"cursor": answer.json_body["next_cursor"]}
        assert sorted(seen) == sorted(notes)
        assert len(seen) == len(notes)


def test_children_are_listed_by_parent(api: Api) -> None:
    ticket, other = stored(api, "tickets", "1"), stored(api, "tickets", "2")
    notes = {stored(api, "ticket_notes", str(number), parent=ticket, content="x") for number in range(3)}
    stored(api, "ticket_notes", "9", parent=other, content="y")
    assert set(ids(api.get(f"{RECORDS}/ticket_notes", parent=ticket))) == notes
    first = api.get(f"{RECORDS}/ticket_notes", parent=ticket, per_page=2).json_body
    rest = api.get(f"{RECORDS}/ticket_notes", parent=ticket, per_page=2, cursor=first["next_cursor"]).json_body
    assert [record["id"] for record in first["data"] + rest["data"]] == sorted(notes)
    assert rest["next_cursor"] is None
    note = notes.pop()
    assert api.get(f"{RECORDS}/ticket_notes/{note}").json_body["id"] == note


@pytest.mark.accepts("SV-149")
def test_another_tenants_records_look_exactly_absent(api: Api, stranger: Api) -> None:
    ticket = stored(api, "tickets", "1")
    note = stored(api, "ticket_notes", "1", parent=ticket)
    agent = stored(api, "agents", "7", email="ada@example.com")
    for path in (f"agents/{agent}", f"agents/{uuid.uuid4()}", f"tickets/{ticket}", f"ticket_notes/{note}"):
        answer = stranger.get(f"{RECORDS}/{path}")
        assert (answer.status_code, answer.json_body["message"]) == (404, "Record not found")
    for query in ({}, {"email": "ada@example.com"}, {"external_id": "7"}):
        assert ids(stranger.get(f"{RECORDS}/agents", **query)) == []
    assert ids(stranger.get(f"{RECORDS}/ticket_notes", parent=ticket)) == []


def test_an_unknown_type_is_404(api: Api) -> None:
    for name in ("unicorns", "__init__", "..", "agents%2F"):
        answer = api.get(f"{RECORDS}/{name}")
        assert (answer.status_code, answer.json_body["message"]) == (404, "Record type not found")


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("email=a&email=b", {"email": "The email must be a string."}),
        ("email[]=a", {"email": "The email must be a string."}),
        ("phone[0]=1", {"phone": "The phone must be a string."}),
        *(
            (f"{one}&{other}", {pair.partition("=")[0]: ONLY_ONE for pair in (one, other)})
            for one, other in (
                ("email=a", "external_id=1"),
                ("email=a", f"parent={PARENT}"),
                (f"parent={PARENT}", "external_id=1"),
                ("email=a", "phone=1"),
            )
        ),
    ],
)
def test_a_search_is_by_one_text(api: Api, query: str, errors: dict[str, str]) -> None:
    answer = api.get(f"{RECORDS}/agents?{query}")
    assert answer.status_code == 422, answer.body
    assert answer.json_body["errors"] == {field: [said] for field, said in errors.items()}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"phone": "1"}, ["phone"]),
        ({"email": "a@b.c", "external_id": "1"}, ["email", "external_id"]),
        ({"parent": "x"}, ["parent"]),
        ({"per_page": 101}, ["per_page"]),
        ({"cursor": "zz"}, ["cursor"]),
        ({"cursor": "99.x"}, ["cursor"]),
    ],
)
def test_nonsense_in_the_query_is_422(api: Api, query: dict[str, Any], fields: list[str]) -> None:
    answer = api.get(f"{RECORDS}/agents", **query)
    assert answer.status_code == 422
    assert list(answer.json_body["errors"]) == fields


def decided(api: Api, job_id: str) -> None:
    """A job whose one chunk of agents has been decided."""
    dynamo.update("state", keys.job(api.org, job_id), "SET #types = :types", {"types": ["agents"]})
    job = jobs.get(api.org, job_id)
    lines = [
        {"row": 0, "ext": "7", "action": "created", "id": str(uuid.uuid4())},
        {"row": 1, "ext": "8", "action": "failed", "reason": "invalid", "message": "Email is required"},
        {"row": 2, "ext": "9", "action": "created", "id": str(uuid.uuid4())},
    ]
    part = ledger.write(job, "agents", 0, lines)
    item = {"parts": [part], "counts": ledger.counts(lines), "decided_at": 1_767_264_000.0}
    dynamo.put("state", keys.chunk(api.org, job_id, "agents", 0), item)
    assert chunks.get(job, "agents", 0)["parts"] == [part]


def test_import_records_are_a_jobs_rows_in_pages(api: Api) -> None:
    job_id = started(api)["id"]
    assert api.get(IMPORT_RECORDS, job_id=job_id).json_body == {
        "data": [],
        "meta": {"current_page": 1, "per_page": 25, "total": 0},
    }
    decided(api, job_id)
    answer = api.get(IMPORT_RECORDS, job_id=job_id).json_body
    assert [row["source_identifier"] for row in answer["data"]] == ["7", "8", "9"]
    assert answer["meta"]["total"] == 3
    assert {row["import_job_id"] for row in answer["data"]} == {job_id}
    second = api.get(IMPORT_RECORDS, job_id=job_id, import_action="created", per_page=1, page=2).json_body
    assert [row["source_identifier"] for row in second["data"]] == ["9"]
    assert second["meta"] == {"current_page": 2, "per_page": 1, "total": 2}
    [failed] = api.get(IMPORT_RECORDS, job_id=job_id, import_action="failed", target_type="agents").json_body["data"]
    assert failed["error_message"] == "Email is required"


def test_import_records_refuse_what_they_cannot_answer(api: Api, stranger: Api) -> None:
    job_id = started(api)["id"]
    assert stranger.get(IMPORT_RECORDS, job_id=job_id).status_code == 404
    for query, field in (
        ({}, "job_id"),
        ({"job_id": "1"}, "job_id"),
        ({"job_id": job_id, "import_action": "eaten"}, "import_action"),
        ({"job_id": job_id, "target_type": "leads"}, "target_type"),
        ({"job_id": job_id, "per_page": 0}, "per_page"),
    ):
        answer = api.get(IMPORT_RECORDS, **query)
        assert answer.status_code == 422
        assert list(answer.json_body["errors"]) == [field]
