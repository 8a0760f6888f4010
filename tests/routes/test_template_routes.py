from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.routes.conftest import Api

TEMPLATES = "/api/import/templates"
TARGET_TYPES = ["customer_users", "tickets", "time_entries", "agents", "accounts"]


def template(api: Api, platform: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in api.get(TEMPLATES).json_body["data"] if one["platform"] == platform)
    return found


def apply(api: Api, profile_id: str, platform: str = "freescout", **options: Any) -> Any:
    body = {"template_id": template(api, platform)["id"], "options": options}
    return api.put(f"/api/import/profiles/{profile_id}/template", body)


@pytest.mark.accepts("SV-054", "SV-055")
def test_templates_come_with_all_documented_fields(api: Api) -> None:
    answer = api.get(TEMPLATES)
    assert answer.status_code == 200
    assert set(answer.json_body) == {"data"}
    for shown in answer.json_body["data"]:
        assert uuid.UUID(shown["id"])
        assert shown["database_type"] == "postgresql"
        assert shown["is_system"] is True
        assert shown["description"]
        assert shown["created_at"].endswith("Z")
        assert isinstance(shown["supported_types"], list)


@pytest.mark.accepts("SV-056", "SV-058")
def test_the_freescout_template_is_the_documented_one(api: Api) -> None:
    shown = template(api, "freescout")
    assert shown["name"] == "FreeScout Platform"
    assert shown["supported_types"] == TARGET_TYPES[:4]
    assert {"timezone", "ticket_number", "table_prefix", "include_spam"} <= {one["name"] for one in shown["options"]}


@pytest.mark.accepts("SV-057", "SV-058")
def test_the_custom_template_supports_every_target_type(api: Api) -> None:
    shown = template(api, "custom")
    assert shown["name"] == "Custom Database"
    assert shown["supported_types"] == TARGET_TYPES


@pytest.mark.accepts("SV-027", "SV-028", "SV-059", "SV-060")
def test_applying_a_template_gives_the_profile_its_queries(api: Api) -> None:
    made = api.profile()
    answer = apply(api, made["id"])
    assert answer.status_code == 200
    assert answer.json_body["message"] == "Template applied successfully"
    shown = answer.json_body["profile"]
    assert shown["id"] == made["id"]
    assert shown["template_id"] == template(api, "freescout")["id"]
    queries = shown["configuration"]["queries"]
    assert set(TARGET_TYPES[:4]) <= set(queries)
    for name, query in queries.items():
        assert query["target_type"] == name
        assert query["name"].endswith(" Import")
        assert query["base_table"]
        assert isinstance(query["joins"], list)
        assert query["fields"]
    assert queries["customer_users"]["base_table"] == "customers"
    kept = api.get(f"/api/import/profiles/{made['id']}").json_body
    assert kept["template"] == {
        "id": shown["template_id"],
        "name": "FreeScout Platform",
        "platform": "freescout",
    }
    assert kept["configuration"] == shown["configuration"]


def test_the_options_chosen_are_kept_and_the_others_have_their_defaults(api: Api) -> None:
    made = api.profile()
    assert apply(api, made["id"], timezone="Europe/Berlin", ticket_number="number").status_code == 200
    kept = api.get(f"/api/import/profiles/{made['id']}").json_body
    assert kept["template_options"] == {
        "timezone": "Europe/Berlin",
        "ticket_number": "number",
        "table_prefix": "",
        "include_spam": False,
    }
    assert "Europe/Berlin" in repr(kept["configuration"]["queries"]["tickets"]["fields"])


@pytest.mark.accepts("SV-036", "SV-037", "SV-038", "SV-060")
def test_a_configuration_has_the_parts_of_the_query_builder(api: Api) -> None:
    made = api.profile()
    apply(api, made["id"])
    queries = api.get(f"/api/import/profiles/{made['id']}").json_body["configuration"]["queries"]
    customers = queries["customer_users"]
    assert customers["base_table"] == "customers"
    assert customers["target_type"] == "customer_users"
    joins = [join for query in queries.values() for join in query["joins"]]
    assert joins
    assert all({"type", "table", "on", "condition"} <= set(join) for join in joins)
    assert all({"source", "target", "transformation"} <= set(field) for field in customers["fields"])
    assert {field["target"]: field["transformation"] for field in customers["fields"]}["email"] == "email"
    assert "external_id" in {field["target"] for field in customers["fields"]}
    filters = [item for query in queries.values() for item in query["filters"]]
    assert filters
    assert all({"field", "operator", "value"} <= set(item) for item in filters)
    [finished] = queries["time_entries"]["filters"]
    assert (finished["field"], finished["operator"], finished["value"]) == ("timelogs.finished::int", "=", 1)


@pytest.mark.accepts("SV-059", "SV-150")
@pytest.mark.parametrize("template_id", ["92b29b3f-6ab4-44e2-9d1e-83966041c4f5", "x", "../freescout"])
def test_an_unknown_template_is_422(api: Api, template_id: str) -> None:
    answer = api.put(f"/api/import/profiles/{api.profile()['id']}/template", {"template_id": template_id})
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"template_id": ["The selected template_id is invalid."]}


@pytest.mark.accepts("SV-150")
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "options.timezone"),
        ({"timezone": "../../etc/passwd"}, "options.timezone"),
        ({"timezone": 1}, "options.timezone"),
        ({"ticket_number": "both"}, "options.ticket_number"),
        ({"table_prefix": 1}, "options.table_prefix"),
        ({"table_prefix": 'x"; DROP TABLE'}, "options.table_prefix"),
        ({"include_spam": "yes"}, "options.include_spam"),
        ({"colour": "red"}, "options.colour"),
    ],
)
def test_an_unfit_option_is_named(api: Api, options: dict[str, Any], field: str) -> None:
    made = api.profile()
    answer = apply(api, made["id"], **options)
    assert answer.status_code == 422
    assert list(answer.json_body["errors"]) == [field]
    assert api.get(f"/api/import/profiles/{made['id']}").json_body["template_id"] is None
