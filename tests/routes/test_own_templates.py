"""An organisation's own templates: who may keep them, what may stand in them, and what profiles keep of them."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from chalicelib import access, configured, dynamo, profiles
from chalicelib.clients import client
from chalicelib.own_templates import MAX_TEMPLATE_BYTES
from tests.routes.conftest import Api
from tests.routes.test_template_routes import TEMPLATES, template

TICKETS: dict[str, Any] = {
    "base_table": "cases",
    "joins": [{"type": "INNER", "table": "people", "on": "people.id = cases.person_id"}],
    "fields": [
        {"source": "cases.id", "target": "external_id"},
        {"source": "cases.Subject", "target": "title"},
        {"source": "people.id", "target": "customer"},
        {"source": "people.city", "target": "custom_fields.city"},
    ],
    "filters": [
        {"field": "cases.opened", "operator": ">=", "value": "2024-01-01"},
        {"field": "state", "operator": "IN", "value": [1, 2]},
    ],
}
PEOPLE = {
    "base_table": "people",
    "fields": [
        {"source": "people.id", "target": "external_id"},
        {"source": "full_name", "target": "name"},
        {"source": "mail", "target": "email", "transformation": "email"},
    ],
}


def body(**values: Any) -> dict[str, Any]:
    queries = copy.deepcopy({"tickets": TICKETS, "customer_users": PEOPLE})
    return {"name": "Case desk", "platform": "casedesk", "description": "Ours", "queries": queries} | values


def created(api: Api, **values: Any) -> dict[str, Any]:
    answer = api.post(TEMPLATES, body(**values))
    assert answer.status_code == 201, answer.body
    found: dict[str, Any] = answer.json_body["template"]
    return found


def one(template: dict[str, Any]) -> str:
    return f"{TEMPLATES}/{template['id']}"


def described(name: str, *columns: str) -> dict[str, Any]:
    """A table as the catalogue would tell of it, with `id` as its key."""
    found = [{"name": column, "type": "text", "nullable": column != "id"} for column in columns]
    keys = {"primary_key": ["id"], "unique_keys": [], "indexed": ["id"]}
    return {"name": name, "namespace": "public", "kind": "table", "row_count": 1, "columns": found, **keys}


def take(api: Api, profile_id: str, template_id: str, **options: Any) -> Any:
    return api.put(f"/api/import/profiles/{profile_id}/template", {"template_id": template_id, "options": options})


@pytest.mark.accepts("SV-061")
def test_a_template_of_ones_own_is_listed_behind_the_systems(api: Api, stranger: Api) -> None:
    before = api.get(TEMPLATES).json_body["data"]
    answer = api.post(TEMPLATES, body(metadata={"owner": "ops", "n": 10**60}))
    assert answer.status_code == 201
    assert answer.json_body["message"] == "Template created successfully"
    shown = answer.json_body["template"]
    assert uuid.UUID(shown["id"])
    assert shown["is_system"] is False
    assert (shown["name"], shown["platform"], shown["database_type"]) == ("Case desk", "casedesk", "postgresql")
    assert shown["supported_types"] == ["customer_users", "tickets"], "in the order of import"
    assert shown["created_by"] == {"id": api.user, "name": "Admin User"}
    assert shown["metadata"]["owner"] == "ops"
    assert shown["queries"]["tickets"] == TICKETS
    assert api.get(one(shown)).json_body == shown
    created(api, name="Another")
    listed = api.get(TEMPLATES).json_body["data"]
    assert listed[: len(before)] == before
    assert all(found["is_system"] for found in before)
    assert [(found["name"], found["is_system"]) for found in listed[len(before) :]] == [
        ("Another", False),
        ("Case desk", False),
    ]
    assert set(listed[-1]) == set(before[0])
    assert stranger.get(TEMPLATES).json_body["data"] == before


@pytest.mark.accepts("SV-061")
def test_a_template_can_be_edited_and_deleted(api: Api) -> None:
    made = created(api)
    answer = api.put(one(made), body(name="case DESK", queries={"customer_users": PEOPLE}, supported_types=None))
    assert (answer.status_code, answer.json_body["message"]) == (200, "Template updated successfully")
    changed = answer.json_body["template"]
    assert (changed["id"], changed["name"], set(changed["queries"])) == (made["id"], "case DESK", {"customer_users"})
    assert changed["created_at"] == made["created_at"]
    assert api.get(one(made)).json_body == changed
    answer = api.delete(one(made))
    assert (answer.status_code, answer.json_body) == (200, {"message": "Template deleted successfully"})
    for path in (api.get, api.delete, lambda path: api.put(path, body())):
        gone = path(one(made))
        assert (gone.status_code, gone.json_body["message"]) == (404, "Template not found")
    created(api)  # the name is free again


@pytest.mark.accepts("SV-061", "SV-148")
def test_who_may_only_import_changes_no_template(api: Api) -> None:
    made = created(api)
    token = access.issue_token(api.org, api.user, "t", scopes=["system.import"])
    importer = Api(api.client, token, api.org, api.user)
    for answer in (
        importer.post(TEMPLATES, body(name="x")),
        importer.put(one(made), body()),
        importer.delete(one(made)),
    ):
        assert (answer.status_code, answer.json_body["message"]) == (403, "This action is unauthorized.")
    assert importer.get(one(made)).json_body == made
    assert take(importer, importer.profile()["id"], made["id"]).status_code == 200


@pytest.mark.accepts("SV-061")
@pytest.mark.parametrize("platform", ["freescout", "custom"])
def test_a_system_template_is_shown_and_never_changed(api: Api, platform: str) -> None:
    system = template(api, platform)
    shown = api.get(one(system)).json_body
    assert system.items() <= shown.items()
    assert shown["is_system"] is True
    assert bool(shown["queries"]) == (platform == "freescout")
    for answer in (api.put(one(system), body()), api.delete(one(system))):
        assert answer.status_code == 403
        assert answer.json_body["message"] == "System templates cannot be changed or deleted"
        assert answer.json_body["code"] == "system_template"
    assert template(api, platform) == system


@pytest.mark.accepts("SV-149")
def test_another_tenants_template_looks_exactly_absent(api: Api, stranger: Api) -> None:
    made, absent = created(api), {"id": str(uuid.uuid4())}
    for found in (made, absent):
        for answer in (stranger.get(one(found)), stranger.put(one(found), body()), stranger.delete(one(found))):
            assert (answer.status_code, answer.json_body["message"]) == (404, "Template not found")
        answer = take(stranger, stranger.profile()["id"], found["id"])
        assert answer.status_code == 422
        assert answer.json_body["errors"] == {"template_id": ["The selected template_id is invalid."]}
    assert api.get(one(made)).json_body == made


def test_a_name_is_taken_once_whatever_its_case(api: Api, stranger: Api) -> None:
    made, other = created(api), created(api, name="Other")
    created(stranger)
    taken = {"name": ["The name has already been taken."]}
    for answer in (
        api.post(TEMPLATES, body(name=" CASE desk ")),
        api.put(one(other), body(name="case Desk")),
        api.post(TEMPLATES, body(name="freescout platform")),
    ):
        assert answer.status_code == 422
        assert answer.json_body["errors"] == taken
    assert api.get(one(other)).json_body == other
    assert api.put(one(made), body(name="New")).status_code == 200
    assert api.put(one(other), body(name="Case desk")).status_code == 200


def test_every_change_leaves_a_line_in_the_trail(api: Api) -> None:
    made = created(api)
    api.put(one(made), body(description="New words"))
    api.delete(one(made))
    trail = [line for line in dynamo.query("state", f"O#{api.org}", prefix="AUDIT#") if made["id"] in line["subject"]]
    assert [(line["action"], line["subject"], line["fields"]) for line in trail] == [
        ("template.created", f"template/{made['id']}", []),
        ("template.updated", f"template/{made['id']}", ["description"]),
        ("template.deleted", f"template/{made['id']}", []),
    ]


def test_a_change_and_its_line_are_one_transaction(api: Api) -> None:
    puts: list[Any] = []

    def look(**_: Any) -> None:
        puts.append(1)

    events = client("dynamodb").meta.events
    events.register("before-call.dynamodb.PutItem", look)
    try:
        made = created(api)
        api.put(one(made), body(name="Renamed"))
        api.delete(one(made))
    finally:
        events.unregister("before-call.dynamodb.PutItem", look)
    assert puts == []
    trail = [line["action"] for line in dynamo.query("state", f"O#{api.org}", prefix="AUDIT#")]
    assert trail == ["template.created", "template.updated", "template.deleted"]


def test_another_refusal_is_not_told_as_a_taken_name(api: Api) -> None:
    reasons = [{"Code": "None"}, {"Code": "None"}, {"Code": "ItemCollectionSizeLimitExceeded"}]
    error = {"Error": {"Code": "TransactionCanceledException", "Message": "no"}, "CancellationReasons": reasons}
    events = client("dynamodb").meta.events

    def refuse(**_: Any) -> tuple[AWSResponse, Any]:
        return AWSResponse("", 400, {}, None), error

    events.register("before-call.dynamodb.TransactWriteItems", refuse)
    try:
        answer = api.post(TEMPLATES, body())
    finally:
        events.unregister("before-call.dynamodb.TransactWriteItems", refuse)
    assert (answer.status_code, answer.json_body["code"]) == (500, "internal")


@pytest.mark.accepts("SV-059", "SV-060", "SV-061")
def test_a_profile_keeps_what_it_took(api: Api) -> None:
    made, profile_id = created(api), api.profile()["id"]
    answer = take(api, profile_id, made["id"])
    assert (answer.status_code, answer.json_body["message"]) == (200, "Template applied successfully")
    shown = answer.json_body["profile"]
    assert shown["template"] == {"id": made["id"], "name": "Case desk", "platform": "casedesk"}
    queries = shown["configuration"]["queries"]
    assert list(queries) == ["customer_users", "tickets"]
    assert queries["tickets"] == TICKETS | {"target_type": "tickets"}, "as it was written"
    schema = {"tables": [described("cases", "id", "Subject", "person_id", "opened", "state"),
                         described("people", "id", "city", "full_name", "mail")]}  # fmt: skip
    stored = profiles.get(api.org, profile_id)
    tickets = configured.queries(stored, schema)["tickets"].model_dump(mode="json")
    assert (tickets["name"], tickets["base_table"], tickets["origin"]) == ("Tickets Import", "cases", "cases")
    assert tickets["key"] == ['"cases"."id"']
    assert [field["source"] for field in tickets["fields"]] == [
        '"cases"."id"',
        '"cases"."Subject"',
        '"people"."id"',
        '"people"."city"',
    ]
    assert tickets["joins"][0]["on"] == '"people"."id" = "cases"."person_id"'
    assert [item["field"] for item in tickets["filters"]] == ['"cases"."opened"', '"cases"."state"']
    api.put(one(made), body(name="Renamed", queries={"customer_users": PEOPLE}))
    api.delete(one(made))
    kept = api.get(f"/api/import/profiles/{profile_id}").json_body
    assert (kept["template"], kept["configuration"]["queries"]) == (shown["template"], queries)
    assert list(configured.queries(profiles.get(api.org, profile_id), schema)) == list(queries)
    assert api.post(f"/api/import/profiles/{profile_id}/import").status_code == 201
    assert take(api, profile_id, template(api, "custom")["id"]).json_body["profile"]["configuration"]["queries"] == {}


def test_a_template_of_ones_own_has_no_options(api: Api) -> None:
    answer = take(api, api.profile()["id"], created(api)["id"], timezone="UTC")
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"options.timezone": ["The options.timezone field is not known."]}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The body with one place changed; None removes it."""
    whole = body()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = whole
    for part in way:
        place = place[part]
    place[last] = value
    if value is None:
        del place[last]
    return whole


VALUE = "must be a text of up to 1000 characters, a number of 64 bits, true or false."
SOURCE, ON = "queries.tickets.fields.1.source", "queries.tickets.joins.0.on"


@pytest.mark.accepts("SV-061", "SV-150", "SV-152")
@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (SOURCE, "cases.subject; DROP TABLE x", ""),
        (SOURCE, "(SELECT 1)", ""),
        (SOURCE, "pg_sleep(1)", ""),
        (SOURCE, "cases.*", ""),
        (SOURCE, "", "is required."),
        (SOURCE, "subject --", ""),
        (SOURCE, "a" * 5001, "may not be greater than 5000 characters."),
        (ON, "people.id = (SELECT 1)", ""),
        ("queries.tickets.joins.0.on", None, "is required."),
        ("queries.tickets.joins.0.type", "CROSS", "selected"),
        ("queries.tickets.joins.0.condition", "pg_sleep(1) IS NULL", ""),
        ("queries.tickets.joins.0.lateral", "SELECT 1", "is not known."),
        ("queries.tickets.joins.0.table", "a b", "must be a table, `name`, `schema.name` or quoted."),
        ("queries.tickets.base_table", "(SELECT 1)", "must be a table, `name`, `schema.name` or quoted."),
        ("queries.tickets.base_table", None, "is required."),
        ("queries.tickets.key", "cases.id + 1", ""),
        ("queries.tickets.key", "others.id", "others"),
        (SOURCE, "others.id", "others"),
        (ON, "people.id = others.id", "others"),
        ("queries.tickets.with_queries", [{"name": "x", "sql": "SELECT 1"}], "is not known."),
        ("queries.tickets.width", "1", "is not known."),
        ("queries.tickets.target_type", "agents", "selected"),
        ("queries.tickets.fields.3.target", "colour", "is no field of tickets."),
        ("queries.tickets.fields.1.target", "Title", "format is invalid."),
        ("queries.tickets.fields.2.target", "title", "is there twice."),
        *(
            ("queries.tickets.fields.3.target", f"{outer}.x", f"goes below {outer}, which is no object.")
            for outer in ("title", "number", "customer", "external_id", "tags")
        ),
        (
            "queries.tickets.fields.1.transformation",
            "upper",
            "it may be direct, custom, case_when, math, array, aside, email, first_phone",
        ),
        ("queries.tickets.fields.1.transformation", "case_when", "case_when needs a CASE expression as source."),
        ("queries.tickets.fields.1.transformation", "math", "math needs an arithmetic expression as source."),
        ("queries.tickets.filters.0.field", "count(*)", ""),
        ("queries.tickets.filters.0.operator", "IS", "selected"),
        ("queries.tickets.filters.0.value", None, "does not fit the operator >=."),
        ("queries.tickets.filters.0.value", [1], "does not fit the operator >=."),
        ("queries.tickets.filters.0.value2", 1, "does not fit the operator >=."),
        ("queries.tickets.filters.1.value", [1, "a"], "does not fit the operator IN."),
        *(("queries.tickets.filters.0.value", value, VALUE) for value in ({"a": 1}, 10**30, "x" * 1001, "a\0")),
        *(("queries.tickets.filters.0.value2", value, VALUE) for value in ({}, [1], -(2**63))),
        *(("queries.tickets.filters.1.value", [1, value], VALUE) for value in ([1], {}, 2**63, float("inf"))),
        *(
            ("queries.tickets.filters.1.value", value, "must have 1 to 100 values.")
            for value in ([], [1] * 101, [None])
        ),
        ("metadata", {"deep": [float("inf")]}, "has a number that is too large."),
        ("queries.leads", PEOPLE, "selected"),
        ("queries", {}, "is required."),
        ("queries", None, "is required."),
        ("supported_types", ["tickets"], "lack customer_users, which the template has queries for."),
        ("platform", "Case Desk", "format is invalid."),
        ("database_type", "mysql", "selected"),
        ("name", None, "is required."),
        ("name", "a\nb", "format is invalid."),
        ("is_system", True, "is not known."),
        ("org", "x", "is not known."),
    ],
)
def test_what_a_template_may_not_hold_is_named(api: Api, path: str, value: Any, said: str) -> None:
    sent = json.dumps(changed(path, value)).replace("Infinity", "1e999").encode()
    answer = api.post(TEMPLATES, sent)
    assert answer.status_code == 422, answer.body
    [(field, [text])] = answer.json_body["errors"].items()
    assert field == path
    assert text == (f"The selected {path} is invalid." if said == "selected" else text)
    assert text.startswith(f"The {path} ") or said == "selected" or "it may be" in text
    assert said in text or said == "selected"
    assert len(api.get(TEMPLATES).json_body["data"]) == 2


def test_an_object_is_filled_whole_or_by_its_parts(api: Api) -> None:
    fields = [*TICKETS["fields"], {"source": "extra", "target": "custom_fields"}]
    answer = api.post(TEMPLATES, body(queries={"tickets": TICKETS | {"fields": fields}}))
    place = "queries.tickets.fields.3.target"
    assert answer.json_body["errors"] == {
        place: [f"The {place} fills a part of custom_fields, which another field fills whole."]
    }
    fields = [*PEOPLE["fields"], {"source": "theme", "target": "preferences.theme"}]
    assert created(api, queries={"customer_users": PEOPLE | {"fields": fields}})


@pytest.mark.parametrize("value", [0.5, -(2**63) + 1, 2**63 - 1, True, "x" * 1000])
def test_a_filter_keeps_its_value(api: Api, value: Any) -> None:
    made = api.post(TEMPLATES, changed("queries.tickets.filters.0.value", value)).json_body["template"]
    kept = made["queries"]["tickets"]["filters"][0]["value"]
    assert (kept, type(kept)) == (value, type(value))


def test_a_table_is_joined_once(api: Api) -> None:
    twice = TICKETS | {"joins": TICKETS["joins"] * 2}
    place = "queries.tickets.joins.1.table"
    assert api.post(TEMPLATES, body(queries={"tickets": twice})).json_body["errors"] == {
        place: [f"The {place} brings a second people; give it an alias of its own."]
    }
    again = {"type": "LEFT", "table": "people", "alias": "boss", "leftColumn": "people.boss_id", "rightColumn": "id"}
    assert created(api, queries={"tickets": TICKETS | {"joins": [*TICKETS["joins"], again]}})


def test_fields_that_must_be_filled_are_named(api: Api) -> None:
    bare = {"tickets": {"base_table": "cases", "fields": [{"source": "n", "target": "number"}]}}
    answer = api.post(TEMPLATES, body(queries=bare))
    assert answer.json_body["errors"] == {
        "queries.tickets.fields": ["The queries.tickets.fields do not fill external_id, title."]
    }


def test_a_template_fits_into_a_profile(api: Api) -> None:
    unread = TICKETS | {"filters": [{"field": "pg_sleep(1)", "operator": "IS NULL"}]}
    answer = api.post(TEMPLATES, body(queries={"tickets": unread}, metadata={"x": "y" * MAX_TEMPLATE_BYTES}))
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {
        "queries": ["The queries and the metadata may not have more than 100000 bytes together."]
    }
    fields = [{"source": f"column_{number}", "target": f"custom_fields.c{number}"} for number in range(190)]
    made = created(api, queries={"tickets": TICKETS | {"fields": TICKETS["fields"] + fields}})
    assert take(api, api.profile()["id"], made["id"]).status_code == 200
    assert len(json.dumps(made)) < MAX_TEMPLATE_BYTES
