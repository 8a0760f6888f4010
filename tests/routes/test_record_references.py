"""PATCH of what ties a record to others: unique keys and references."""

from __future__ import annotations

import uuid

import pytest

from chalicelib import keys
from tests.routes.conftest import Api
from tests.routes.editing import delete, given, holder, item, patch, refused, trail
from tests.routes.test_record_routes import RECORDS, ids


def test_another_address_is_taken_and_the_old_one_is_free(api: Api) -> None:
    record_id = given(api, "customer_users", "1", name="Jane", email="jane@example.com")
    answer = patch(api, "customer_users", record_id, {"email": " Jane.Smith@Example.COM "})
    assert answer.json_body["email"] == " Jane.Smith@Example.COM ", "kept as it was sent, compared as keys are"
    assert holder(api, "customer_users", "jane.smith@example.com") == record_id
    assert holder(api, "customer_users", "jane@example.com") is None
    assert item(api, "customer_users", record_id)["keys"] == [["email", "jane.smith@example.com"]]
    assert ids(api.get(f"{RECORDS}/customer_users", email="jane.smith@example.com")) == [record_id]
    assert ids(api.get(f"{RECORDS}/customer_users", email="jane@example.com")) == []
    assert trail(api) == [("record.updated", f"customer_users/{record_id}", ["email"])]


def test_the_same_address_in_other_letters_keeps_its_claim(api: Api) -> None:
    record_id = given(api, "customer_users", "1", name="Jane", email="jane@example.com")
    answer = patch(api, "customer_users", record_id, {"email": "JANE@example.com"})
    assert (answer.json_body["email"], answer.json_body["version"]) == ("JANE@example.com", 2)
    assert holder(api, "customer_users", "jane@example.com") == record_id


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_an_address_that_is_taken_away_is_free(api: Api, nothing: str | None) -> None:
    record_id = given(api, "customer_users", "1", name="Jane", email="jane@example.com")
    assert patch(api, "customer_users", record_id, {"email": nothing}).status_code == 200
    stands = item(api, "customer_users", record_id)
    assert (stands["keys"], stands["data"].get("email")) == ([], nothing)
    assert holder(api, "customer_users", "jane@example.com") is None
    assert patch(api, "customer_users", record_id, {"email": "jane@example.com"}, '"2"').status_code == 200
    assert holder(api, "customer_users", "jane@example.com") == record_id


def test_an_address_that_another_has_is_refused_and_nothing_changes(api: Api) -> None:
    record_id = given(api, "customer_users", "1", name="Jane", email="jane@example.com")
    other = given(api, "customer_users", "2", name="Bo", email="bo@example.com")
    given(api, "agents", "3", name="Ada", email="ada@example.com")
    before = item(api, "customer_users", record_id)
    said = "Duplicate entry found for key 'email'."
    answer = patch(api, "customer_users", record_id, {"name": "New", "email": "BO@example.com"})
    assert refused(answer, 409, "duplicate_key", {"email": [said]})["message"] == said
    assert item(api, "customer_users", record_id) == before
    assert holder(api, "customer_users", "bo@example.com") == other
    assert holder(api, "customer_users", "jane@example.com") == record_id
    assert trail(api) == []
    assert patch(api, "customer_users", record_id, {"email": "ada@example.com"}).status_code == 200, "an agent's"


# --- references


def ticket(api: Api) -> tuple[str, dict[str, str]]:
    """A ticket that refers to nothing yet, and what it may refer to."""
    others = {
        "account": given(api, "accounts", "1", name="Acme"),
        "customer": given(api, "customer_users", "1", name="Jane"),
        "agent": given(api, "agents", "1", name="Ada"),
    }
    return given(api, "tickets", "1", title="T"), others


def test_a_reference_leads_to_a_record_of_the_organisation(api: Api, stranger: Api) -> None:
    record_id, others = ticket(api)
    foreign = given(stranger, "accounts", "9", name="Theirs")
    body = {
        "account_id": others["account"].upper(),
        "assigned_to_id": others["agent"],
        "created_by_id": others["agent"],
        "created_by_type": "agents",
    }
    shown = patch(api, "tickets", record_id, body).json_body
    assert (shown["account_id"], shown["assigned_to_id"]) == (others["account"], others["agent"])
    assert (shown["created_by_id"], shown["created_by_type"], shown["version"]) == (others["agent"], "agents", 2)
    assert item(api, "tickets", record_id)["refs"] == {
        "account": {"type": "accounts", "id": others["account"]},
        "assigned_to": {"type": "agents", "id": others["agent"]},
        "created_by": {"type": "agents", "id": others["agent"]},
    }
    fields = ["account_id", "assigned_to_id", "created_by_id", "created_by_type"]
    assert trail(api) == [("record.updated", f"tickets/{record_id}", fields)]
    assert patch(api, "tickets", record_id, body, '"2"').json_body["version"] == 2
    before = item(api, "tickets", record_id)
    absent = str(uuid.uuid4())
    for sent, errors in (
        ({"account_id": foreign}, {"account_id": ["The account_id is the id of no record of accounts."]}),
        ({"account_id": absent}, {"account_id": ["The account_id is the id of no record of accounts."]}),
        ({"account_id": others["agent"]}, {"account_id": ["The account_id is the id of no record of accounts."]}),
        ({"created_by_id": others["customer"]},
         {"created_by_id": ["The created_by_id is the id of no record of agents."]}),
        ({"created_by_type": "customer_users"},
         {"created_by_id": ["The created_by_id is the id of no record of customer_users."]}),
        ({"created_by_id": others["agent"], "created_by_type": None},
         {"created_by_type": ["The created_by_type field is required."]}),
        ({"created_by_type": None}, {"created_by_type": ["The created_by_type field is required."]}),
        ({"created_by_id": absent, "assigned_to_id": absent}, {
            "assigned_to_id": ["The assigned_to_id is the id of no record of agents."],
            "created_by_id": ["The created_by_id is the id of no record of agents."]}),
    ):  # fmt: skip
        refused(patch(api, "tickets", record_id, sent, '"2"'), 422, "validation_failed", errors)
    assert item(api, "tickets", record_id) == before


def test_a_reference_of_several_types_needs_one(api: Api) -> None:
    record_id, others = ticket(api)
    for sent, field in (({"created_by_id": others["agent"]}, "type"), ({"created_by_type": "agents"}, "id")):
        name = f"created_by_{field}"
        answer = patch(api, "tickets", record_id, sent)
        refused(answer, 422, "validation_failed", {name: [f"The {name} field is required."]})
    body = {"created_by_id": others["customer"], "created_by_type": "customer_users"}
    assert patch(api, "tickets", record_id, body).json_body["created_by_type"] == "customer_users"


def test_null_ends_a_reference_an_open_one_too(api: Api) -> None:
    _, others = ticket(api)
    refs = {
        "account": {"type": "accounts", "id": others["account"]},
        "customer": {"type": "customer_users", "id": str(uuid.uuid4()), "ext": "77", "open": True},
        "created_by": {"type": "agents", "id": others["agent"]},
    }
    record_id = given(api, "tickets", "2", title="T", refs=refs)
    kept = patch(api, "tickets", record_id, {"title": "U", "created_by_type": "agents"}).json_body
    assert kept["unresolved"] == {"customer": "77"}
    ended = {"account_id": None, "customer_id": None, "created_by_id": None, "assigned_to_id": None}
    shown = patch(api, "tickets", record_id, ended, '"2"').json_body
    assert {name: shown[name] for name in ended} == ended
    assert ("unresolved" in shown, shown["created_by_type"], shown["version"]) == (False, None, 3)
    assert item(api, "tickets", record_id)["refs"] == {}
    assert trail(api)[-1][2] == ["account_id", "created_by_id", "customer_id"]
    assert patch(api, "tickets", record_id, ended, '"3"').json_body["version"] == 3


def test_a_deleted_record_is_not_referred_to_anew(api: Api) -> None:
    record_id, others = ticket(api)
    assert delete(api, "accounts", others["account"]).status_code == 200
    errors = {"account_id": ["The account_id is the id of no record of accounts."]}
    refused(patch(api, "tickets", record_id, {"account_id": others["account"]}), 422, "validation_failed", errors)


def test_a_child_moves_with_its_parent_reference(api: Api) -> None:
    first, second = given(api, "tickets", "1", title="1"), given(api, "tickets", "2", title="2")
    note = given(api, "ticket_notes", "1", content="c", refs={"ticket": {"type": "tickets", "id": first}})
    assert patch(api, "ticket_notes", note, {"content": "d"}).status_code == 200
    assert item(api, "ticket_notes", note)["parent"] == keys.children(api.org, "ticket_notes", first)
    assert patch(api, "ticket_notes", note, {"ticket_id": second}, '"2"').status_code == 200
    assert ids(api.get(f"{RECORDS}/ticket_notes", parent=first)) == []
    assert ids(api.get(f"{RECORDS}/ticket_notes", parent=second)) == [note]
    assert patch(api, "ticket_notes", note, {"ticket_id": None}, '"3"').status_code == 200
    assert "parent" not in item(api, "ticket_notes", note)
    assert ids(api.get(f"{RECORDS}/ticket_notes", parent=second)) == []
