"""`wharf records edit` and `wharf records delete`: what is sent, on which version, and what is said of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Api, Wharf

ID = "30000000-0000-5000-8000-000000000000"
PLACE = f"/api/records/customer_users/{ID}"
JANE: dict[str, Any] = {"id": ID, "type": "customer_users", "external_id": "5", "name": "Jane Smith", "version": 7}


@pytest.fixture(autouse=True)
def store(api: Api) -> None:
    api.on(f"GET {PLACE}", (200, JANE))
    api.on(f"PATCH {PLACE}", (200, JANE | {"name": "Jane Doe", "version": 8}))
    api.on(f"DELETE {PLACE}", (200, {"message": "Record deleted successfully"}))


def sent(api: Api) -> list[tuple[str, str | None, Any]]:
    assert {request.path for request in api.asked} <= {PLACE}
    return [(request.method, request.headers.get("If-Match"), request.body) for request in api.asked]


def test_an_edit_reads_the_version_and_sends_what_is_meant(wharf: Wharf, api: Api) -> None:
    fields = ["name=Jane Doe", "phone=0049=1", "is_active:=false", 'emails:=["a@x"]', "company="]
    result = wharf("records", "edit", "customer_users", ID, *fields, "--null", "address", "--null", "account_id")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{ID}\n", "Record changed.\n")
    body = {"name": "Jane Doe", "phone": "0049=1", "is_active": False, "emails": ["a@x"], "company": ""}
    assert sent(api) == [
        ("GET", None, None),
        ("PATCH", '"7"', body | {"address": None, "account_id": None}),
    ]


def test_the_json_form_is_the_record_as_it_is_then(wharf: Wharf) -> None:
    result = wharf("records", "edit", "customer_users", ID, "name=Jane Doe", "--json")
    assert json.loads(result.stdout) == JANE | {"name": "Jane Doe", "version": 8}


def test_an_edit_that_changes_nothing_says_so(wharf: Wharf, api: Api) -> None:
    api.on(f"PATCH {PLACE}", (200, JANE))
    result = wharf("records", "edit", "customer_users", ID, "name=Jane Smith")
    assert (result.exit_code, result.stderr) == (0, "Nothing to change: the record is like that.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give at least one field=value, or --null field."),
        (("name",), "'name' is not name=value."),
        (("=x",), "'=x' is not name=value."),
        (("is_active:=yes",), "'is_active:=yes': what follows := is not JSON."),
        (("name=a", "name=b"), "name is given twice."),
        (("name=a", "--null", "name"), "name is given twice."),
    ],
)
def test_misuse_of_an_edit_asks_nobody(wharf: Wharf, api: Api, arguments: tuple[str, ...], said: str) -> None:
    result = wharf("records", "edit", "customer_users", ID, *arguments)
    assert (result.exit_code, api.asked) == (2, [])
    assert result.stderr.startswith(f"Error: {said}\n")


@pytest.mark.parametrize("command", [("edit", "name=x"), ("delete", "--yes")])
def test_a_change_by_somebody_else_is_said_clearly(wharf: Wharf, api: Api, command: tuple[str, str]) -> None:
    stale = {"message": "The record has been changed meanwhile: it is at version 9.", "code": "stale_version"}
    for method in ("PATCH", "DELETE"):
        api.on(f"{method} {PLACE}", (412, stale | {"version": 9}))
    name, *rest = command
    result = wharf("records", name, "customer_users", ID, *rest)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: Somebody else changed the record at the same moment, so nothing was done. It is at version 9 now.\n"
        "  Look at it with `wharf records search`, then run the command again.\n"
    )
    assert len(api.asked) == 2


def test_a_refused_field_is_named(wharf: Wharf, api: Api) -> None:
    said = "Duplicate entry found for key 'email'."
    api.on(f"PATCH {PLACE}", (409, {"message": said, "code": "duplicate_key", "errors": {"email": [said]}}))
    result = wharf("records", "edit", "customer_users", ID, "email=bo@x")
    assert (result.exit_code, result.stderr) == (1, f"Error: {said}\n  email: {said}\n")


@pytest.mark.parametrize("command", [("edit", "name=x"), ("delete", "--yes")])
def test_a_record_there_is_not_is_not_changed(wharf: Wharf, api: Api, command: tuple[str, str]) -> None:
    api.on(f"GET {PLACE}", (404, {"message": "Record not found", "code": "not_found"}))
    name, *rest = command
    result = wharf("records", name, "customer_users", ID, *rest)
    assert (result.exit_code, result.stderr) == (1, "Error: No customer_users found.\n")
    assert sent(api) == [("GET", None, None)]


def test_a_deletion_reads_the_version_and_says_it_is_done(wharf: Wharf, api: Api) -> None:
    result = wharf("records", "delete", "customer_users", ID, "--yes")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Record deleted successfully.\n")
    assert sent(api) == [("GET", None, None), ("DELETE", '"7"', None)]
    result = wharf("records", "delete", "customer_users", ID, "-y", "--json")
    assert json.loads(result.stdout) == {"message": "Record deleted successfully"}


def test_where_nobody_can_be_asked_a_deletion_needs_yes(wharf: Wharf, api: Api) -> None:
    result = wharf("records", "delete", "customer_users", ID)
    assert (result.exit_code, sent(api)) == (2, [("GET", None, None)])
    assert "Deleting needs --yes where nobody can be asked." in result.stderr


@pytest.mark.parametrize("command", [("edit", "name=x"), ("delete", "--yes")])
def test_an_id_that_is_none_is_misuse(wharf: Wharf, api: Api, command: tuple[str, str]) -> None:
    name, *rest = command
    assert wharf("records", name, "customer_users", "../agents", *rest).exit_code == 2
    assert api.asked == []
