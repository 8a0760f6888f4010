"""PATCH of a record: which fields it takes, on which version, and what stands in the store afterwards."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import pytest

from chalicelib import dynamo, keys, records, storage
from tests.routes.conftest import Api
from tests.routes.editing import HASH, MARK, delete, given, holder, item, patch, refused, trail
from tests.routes.test_record_routes import RECORDS

UNSTORABLE = "has a number of more than 38 digits or not from 1e-130 to 1e125."


def test_a_record_shows_its_version_as_its_entity_tag(api: Api) -> None:
    record_id = given(api, "accounts", "1", name="Acme")
    answer = api.get(f"{RECORDS}/accounts/{record_id}")
    assert (answer.headers["ETag"], answer.json_body["version"]) == ('"1"', 1)


@pytest.mark.parametrize("method", ["PUT", "POST", "HEAD"])
def test_other_methods_are_405_with_those_there_are(api: Api, method: str) -> None:
    answer = api.request(method, f"{RECORDS}/accounts/{uuid.uuid4()}")
    assert answer.status_code == 405
    assert sorted(answer.headers["Allow"].split(", ")) == ["DELETE", "GET", "PATCH"]


def test_a_patch_changes_what_it_names_and_nothing_else(api: Api) -> None:
    record_id = given(api, "accounts", "1", name="Acme", phone="1", notes="old", custom_fields={"a": 1, "b": 2})
    body = {"name": "Acme Ltd", "notes": None, "domain": "acme.example", "custom_fields": {"b": None}}
    answer = patch(api, "accounts", record_id, body)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert answer.json_body == {
        "id": record_id, "type": "accounts", "external_id": "1", "name": "Acme Ltd", "phone": "1",
        "domain": "acme.example", "custom_fields": {"b": None}, "version": 2, "imported_at": "2026-01-01T10:00:00Z",
    }  # fmt: skip
    assert api.get(f"{RECORDS}/accounts/{record_id}").json_body == answer.json_body
    stands = item(api, "accounts", record_id)
    assert stands["data"] == {
        "name": "Acme Ltd",
        "phone": "1",
        "domain": "acme.example",
        "custom_fields": {"b": None},
    }
    assert (stands["ver"], stands["by"], stands["hash"]) == (2, MARK, HASH)
    changed = ["custom_fields", "domain", "name", "notes"]
    assert trail(api) == [("record.updated", f"accounts/{record_id}", changed)]


def test_no_value_of_an_edit_is_in_the_audit_trail(api: Api) -> None:
    record_id = given(api, "customer_users", "1", name="Jane", email="canary-old@example.com")
    patch(api, "customer_users", record_id, {"email": "canary-new@example.com", "notes": None, "name": "canary"})
    patch(api, "customer_users", record_id, {"email": "canary-new@example.com", "name": "canary"})
    delete(api, "customer_users", record_id, '"2"')
    lines = list(dynamo.query("state", f"O#{api.org}", prefix="AUDIT#"))
    assert len([line for line in lines if "record." in line["action"]]) == 2
    assert "canary" not in json.dumps(lines)


@pytest.mark.parametrize(
    "body",
    [
        {},
        None,
        {"name": "Acme"},
        {"phone": None, "custom_fields": {"list": [1, {"x": True}], "text": "t", "half": 0.5}},
    ],
)
def test_a_patch_that_changes_nothing_raises_no_version(api: Api, body: Any) -> None:
    fields = {"list": [1, {"x": True}], "text": "t", "half": 0.5}
    record_id = given(api, "accounts", "1", name="Acme", custom_fields=fields)
    before = item(api, "accounts", record_id)
    answer = patch(api, "accounts", record_id, body)
    assert (answer.status_code, answer.headers["ETag"], answer.json_body["version"]) == (200, '"1"', 1)
    assert item(api, "accounts", record_id) == before
    assert trail(api) == []
    assert patch(api, "accounts", record_id, body, '"2"').status_code == 412


@pytest.mark.parametrize("value", [{"x": 1}, {"x": "true"}, {"x": [True]}, {"x": True, "y": None}, {}])
def test_true_is_not_one(api: Api, value: dict[str, Any]) -> None:
    record_id = given(api, "accounts", "1", name="Acme", custom_fields={"x": True})
    assert patch(api, "accounts", record_id, {"custom_fields": value}).json_body["version"] == 2
    assert item(api, "accounts", record_id)["data"]["custom_fields"] == value


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("match", "status", "code", "message"),
    [
        (None, 428, "precondition_required", 'Send the version you have seen: If-Match: "<version>", or If-Match: *.'),
        ("1", 400, "malformed_if_match",
         "The If-Match header must be a version in double quotes, as ETag gives it, or *."),
        ('"2"', 412, "stale_version", "The record has been changed meanwhile: it is at version 1."),
        ('W/"1"', 412, "stale_version", "The record has been changed meanwhile: it is at version 1."),
    ],
)  # fmt: skip
def test_who_did_not_see_the_version_changes_nothing(
    api: Api, method: str, match: str | None, status: int, code: str, message: str
) -> None:
    record_id = given(api, "agents", "1", name="Ada", email="ada@example.com")
    before = item(api, "agents", record_id)
    headers = {"If-Match": match} if match else {}
    body = {"name": "Bo", "email": "bo@example.com"} if method == "PATCH" else None
    answer = api.request(method, f"{RECORDS}/agents/{record_id}", body, headers)
    assert refused(answer, status, code)["message"] == message
    assert answer.json_body.get("version") == (1 if status == 412 else None)
    assert item(api, "agents", record_id) == before
    assert (holder(api, "agents", "ada@example.com"), holder(api, "agents", "bo@example.com")) == (record_id, None)
    assert trail(api) == []


def test_a_star_takes_whatever_stands(api: Api) -> None:
    record_id = given(api, "accounts", "1", name="Acme")
    assert patch(api, "accounts", record_id, {"name": "B"}, "*").json_body["version"] == 2
    assert patch(api, "accounts", record_id, {"name": "C"}, "*").json_body["version"] == 3
    assert delete(api, "accounts", record_id, "*").status_code == 200
    assert delete(api, "accounts", record_id, "*").status_code == 404


@pytest.mark.accepts("SV-149")
def test_absent_deleted_and_other_tenants_records_are_the_same_404(api: Api, stranger: Api) -> None:
    record_id = given(api, "accounts", "1", name="Acme")
    gone = given(api, "accounts", "2", name="Gone")
    assert delete(api, "accounts", gone).json_body == {"message": "Record deleted successfully"}
    answers = [patch(stranger, "accounts", record_id, {"name": "Mine"}), delete(stranger, "accounts", record_id)]
    for missing in (str(uuid.uuid4()), gone, "stats"):
        for match in ('"1"', '"2"', "*", None):
            answers += [patch(api, "accounts", missing, {"name": "x"}, match), delete(api, "accounts", missing, match)]
    answers.append(patch(api, "agents", record_id, {"name": "x"}))
    for answer in answers:
        assert refused(answer, 404, "not_found")["message"] == "Record not found"
    assert item(api, "accounts", record_id)["data"] == {"name": "Acme"}
    assert (trail(stranger), trail(api)) == ([], [("record.deleted", f"accounts/{gone}", [])])
    for answer in (patch(api, "unicorns", record_id, {}), delete(api, "unicorns", record_id)):
        assert answer.json_body["message"] == "Record type not found"


@pytest.mark.parametrize(
    ("record_type", "body", "errors"),
    [
        ("tickets", {"title": None}, {"title": "The title field is required."}),
        ("tickets", {"title": ""}, {"title": "The title field is required."}),
        ("tickets", {"title": 5}, {"title": "The title must be a string."}),
        ("tickets", {"title": "x" * 1001}, {"title": "The title may not be greater than 1000 characters."}),
        ("tickets", {"status": "gone"}, {"status": "The selected status is invalid."}),
        ("tickets", {"tags": "a,b"}, {"tags": "The tags must be an array."}),
        ("tickets", {"tags": ["a", 1]}, {"tags.1": "The tags.1 must be a string."}),
        ("tickets", {"closed_at": "yesterday"}, {"closed_at": "The closed_at format is invalid."}),
        ("tickets", {"created_at": "2026-19-39T29:59:69Z"}, {"created_at": "The created_at is not a valid date."}),
        ("tickets", {"closed_at": "2026-02-30T10:00:00Z"}, {"closed_at": "The closed_at is not a valid date."}),
        *(("tickets", {"custom_fields": {"deep": [number]}}, {"custom_fields": f"The custom_fields {UNSTORABLE}"})
          for number in (1e200, -1e126, 1e-200, 10**38, float("inf"))),
        ("time_entries", {"rate_override": 1e126}, {"rate_override": f"The rate_override {UNSTORABLE}"}),
        ("time_entries", {"rate_override": float("inf")}, {
            "rate_override": "The rate_override is a number that is too large."}),
        ("attachments", {"file_size": 10**38}, {"file_size": f"The file_size {UNSTORABLE}"}),
        ("tickets", {"custom_fields": [1]}, {"custom_fields": "The custom_fields must be an object."}),
        ("tickets", {"colour": "red"}, {"colour": "The colour field is not known."}),
        ("tickets", {"colour": None}, {"colour": "The colour field is not known."}),
        ("tickets", {"customer": "1"}, {"customer": "The customer field is not known."}),
        ("tickets", {"customer_type": "agents"}, {"customer_type": "The customer_type field is not known."}),
        ("tickets", {"version": 7, "id": "x"}, {
            "version": "The version field cannot be changed.", "id": "The id field cannot be changed."}),
        ("tickets", {"type": None, "external_id": "2", "imported_at": 1, "unresolved": {}, "truncated": [], "by": 1}, {
            "type": "The type field cannot be changed.", "external_id": "The external_id field cannot be changed.",
            "imported_at": "The imported_at field cannot be changed.",
            "unresolved": "The unresolved field cannot be changed.",
            "truncated": "The truncated field cannot be changed.", "by": "The by field is not known."}),
        ("tickets", {"customer_id": "7"}, {"customer_id": "The customer_id format is invalid."}),
        ("tickets", {"customer_id": 7}, {"customer_id": "The customer_id must be a string."}),
        ("tickets", {"created_by_type": "robots"}, {"created_by_type": "The selected created_by_type is invalid."}),
        ("agents", {"is_active": "yes"}, {"is_active": "The is_active field must be true or false."}),
        ("agents", {"is_active": 1}, {"is_active": "The is_active field must be true or false."}),
        ("agents", {"email": None}, {"email": "The email field is required."}),
        ("customer_users", {"phones": [{"value": 1}]}, {"phones.0.value": "The phones.0.value must be a string."}),
        ("attachments", {"file_size": -1}, {"file_size": "The file_size must be at least 0."}),
        ("attachments", {"file_size": 1.5}, {"file_size": "The file_size must be an integer."}),
        ("time_entries", {"rate_override": "9"}, {"rate_override": "The rate_override must be a number."}),
        ("agents", {"preferences": {"$s3": "org/x"}}, {"preferences": "The preferences may not have the key $s3."}),
    ],
)  # fmt: skip
def test_what_a_type_does_not_take_is_refused_field_by_field(
    api: Api, record_type: str, body: dict[str, Any], errors: dict[str, str]
) -> None:
    fields = {"title": "T", "name": "N", "file_name": "f", "duration_minutes": 1, "content": "c"}
    names = {"tickets": "title", "attachments": "file_name", "time_entries": "duration_minutes"}
    name = names.get(record_type, "name")
    record_id = given(api, record_type, "1", **{name: fields[name]})
    before = item(api, record_type, record_id)
    sent = json.dumps(body).replace("Infinity", "1e999").encode()
    answer = refused(
        patch(api, record_type, record_id, sent),
        422,
        "validation_failed",
        {key: [text] for key, text in errors.items()},
    )
    assert answer["message"] == "Validation failed"
    assert item(api, record_type, record_id) == before
    assert trail(api) == []


def test_a_hostile_number_of_errors_is_cut(api: Api) -> None:
    record_id = given(api, "accounts", "1", name="Acme")
    answer = patch(api, "accounts", record_id, {f"field{n}": n for n in range(2000)} | {"version": 1})
    assert answer.status_code == 422
    assert len(answer.json_body["errors"]) == 50


def test_every_field_of_a_type_can_be_set_as_it_is_shown(api: Api) -> None:
    record_id = given(api, "time_entries", "1", duration_minutes=1)
    body = {
        "duration_minutes": 90, "started_at": "2026-01-01T10:00:00Z", "description": "d", "billable": True,
        "approved": False, "rate_override": 12, "created_at": "2026-01-01T10:00:00.5Z",
        "updated_at": "2026-01-02T10:00:00Z", "custom_fields": {"seconds": 5400},
    }  # fmt: skip
    shown = patch(api, "time_entries", record_id, body).json_body
    assert {name: shown[name] for name in body} == body
    again = patch(api, "time_entries", record_id, body, '"2"').json_body
    assert again["version"] == 2, "12 and 12.0 are one rate"


def test_numbers_up_to_the_bounds_are_stored(api: Api) -> None:
    record_id = given(api, "accounts", "1", name="Acme")
    numbers = [0, 0.0, -1.5, 1e-130, 9e125, 10**38 - 1]
    shown = patch(api, "accounts", record_id, {"custom_fields": {"n": numbers}}).json_body
    assert shown["custom_fields"] == {"n": numbers}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("custom_fields", {"a": {"$s3": "x"}}),
        ("custom_fields", {"a": [{"$s3": "x", "sha256": 1}]}),
        ("preferences", {"a": {"$s3": None}}),
        ("phones", [{"$s3": "x"}]),
    ],
)
def test_inside_a_value_nothing_is_a_pointer(api: Api, field: str, value: Any) -> None:
    record_id = given(api, "customer_users", "1", name="Jane")
    for match, version in (('"1"', 2), ('"2"', 2)):
        answer = patch(api, "customer_users", record_id, {field: value}, match)
        assert (answer.status_code, answer.json_body.get("version")) == (200, version), answer.body
    assert (
        patch(api, "customer_users", record_id, {field: value * 0 if field == "phones" else {}}, '"2"').json_body[
            "version"
        ]
        == 3
    )


# --- large values


def test_texts_that_moved_to_s3_stay_there_and_new_ones_follow(api: Api) -> None:
    record_id = given(api, "tickets", "1", title="T")
    long = "ü" * 300_000
    sent = json.dumps({"description": long}, ensure_ascii=False).encode()
    shown = patch(api, "tickets", record_id, sent).json_body
    assert shown["description"] == long
    pointer = item(api, "tickets", record_id)["data"]["description"]
    body = json.dumps(long, ensure_ascii=False).encode()
    place = f"org/{api.org}/values/{hashlib.sha256(body).hexdigest()}"
    assert (pointer["$s3"], pointer["bytes"], pointer["start"]) == (place, len(body), "ü" * 1000)
    shown = patch(api, "tickets", record_id, {"title": "U"}, '"2"').json_body
    assert (shown["description"], shown["version"]) == (long, 3)
    assert item(api, "tickets", record_id)["data"] == {"title": "U", "description": pointer}
    assert patch(api, "tickets", record_id, sent, '"3"').json_body["version"] == 3
    assert patch(api, "tickets", record_id, sent.replace(b'"}', b'."}'), '"3"').json_body["version"] == 4
    assert patch(api, "tickets", record_id, {"description": None}, '"4"').json_body["version"] == 5
    assert item(api, "tickets", record_id)["data"] == {"title": "U"}
    assert trail(api)[-1][2] == ["description"]


@pytest.mark.parametrize(("text", "fits"), [("a" * 1_000_000, True), ("é" * 600_000, True), ("é" * 700_000, False)])
def test_a_record_lambda_could_not_send_shows_how_its_texts_begin(api: Api, text: str, fits: bool) -> None:
    """A letter that is no ASCII takes six bytes on its way."""
    record_id = given(api, "tickets", "1", **records.offload(api.org, {"title": "T", "description": text}))
    for shown in (api.get(f"{RECORDS}/tickets/{record_id}"), patch(api, "tickets", record_id, {"title": "U"})):
        assert shown.status_code == 200
        assert shown.json_body["description"] == (text if fits else text[:1000])
        assert shown.json_body.get("truncated") == (None if fits else ["description"])


def test_a_record_never_shows_an_object_outside_its_organisations_values(api: Api, stranger: Api) -> None:
    """Were a pointer ever smuggled in, it would still lead to nothing of another tenant."""
    secret = b'"canary"'
    digest = hashlib.sha256(secret).hexdigest()
    key = storage.put(f"{keys.values(stranger.org)}/{digest}", secret)
    pointer = {"$s3": key, "sha256": digest, "bytes": len(secret), "start": None}
    record_id = given(api, "accounts", "1", name="Acme", notes=pointer)
    assert b"canary" not in api.get(f"{RECORDS}/accounts/{record_id}").body
    assert patch(api, "accounts", record_id, {"custom_fields": pointer}).status_code == 422
