"""The query builder over HTTP: what it answers for the reference's own query, and for queries that cannot be run."""

from __future__ import annotations

import copy
from typing import Any

import psycopg
import pytest

from tests.builder.conftest import CUSTOMERS, ORDERS
from tests.conftest import Database
from tests.routes.conftest import Api
from tests.routes.test_template_routes import apply

SQL = """SELECT "customers"."id" AS "external_id",
  concat("customers"."first_name", ' ', "customers"."last_name") AS "name",
  "emails"."address" AS "email",
  "customers"."created_at" AS "created_at"
FROM "public"."customers"
LEFT JOIN "public"."emails" ON ("emails"."customer_id" = "customers"."id") AND ("emails"."type" = 'work')
WHERE ("customers"."created_at") >= '2024-01-11'
ORDER BY "customers"."id\""""


def without(query: dict[str, Any], *words: str) -> dict[str, Any]:
    return {word: value for word, value in query.items() if word not in words}


def changed(query: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The query with one place changed."""
    whole = copy.deepcopy(query)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = whole
    for part in way:
        place = place[part]
    place[last] = value
    return whole


@pytest.mark.accepts("SV-077")
def test_the_builder_lists_tables_and_columns(api: Api, profile: str) -> None:
    answer = api.get(f"{profile}/builder/tables")
    assert (answer.status_code, set(answer.json_body)) == (200, {"tables"})
    tables = {(table.get("schema"), table["name"]): table for table in answer.json_body["tables"]}
    assert set(tables) == {
        (None, "customers"), (None, "emails"), ("sales", "orders"), ("sales", "notes"), ("sales", "open_orders"),
        ("Back Office", "Staff.List"), ("Back Office", "customers"),
    }  # fmt: skip
    shown = tables[None, "customers"]
    assert shown["row_count"] == 40
    assert shown["columns"][0] == {"name": "id", "type": "integer", "nullable": False, "primary_key": True}
    assert shown["columns"][1] == {"name": "first_name", "type": "character varying(100)", "nullable": True}
    found = api.get(f"{profile}/builder/tables", search="ORDER").json_body["tables"]
    assert [table["name"] for table in found] == ["open_orders", "orders"]


@pytest.mark.accepts("SV-064", "SV-078", "SV-079", "SV-084")
def test_validation_answers_with_the_sql_and_the_estimate(api: Api, profile: str) -> None:
    answer = api.post(f"{profile}/builder/validate", CUSTOMERS)
    assert answer.status_code == 200
    assert answer.json_body == {
        "valid": True,
        "generated_sql": SQL,
        "estimated_records": 31,
        "warnings": [],
        "errors": [],
        "fields": {},
        "columns": {
            "external_id": "integer",
            "name": "text",
            "email": "text",
            "created_at": "timestamp without time zone",
        },
    } | {"estimated_records": answer.json_body["estimated_records"]}
    assert 25 <= answer.json_body["estimated_records"] <= 40
    assert api.post(f"{profile}/builder/validate", ORDERS).json_body["estimated_records"] == 60


@pytest.mark.accepts("SV-078")
def test_a_query_is_validated_before_anybody_said_what_it_fills(api: Api, profile: str) -> None:
    body = {"base_table": "customers", "fields": [{"source": "id", "target": "whatever"}]}
    answer = api.post(f"{profile}/builder/validate", body)
    assert (answer.json_body["valid"], answer.json_body["errors"]) == (True, [])
    assert answer.json_body["generated_sql"].startswith(
        'SELECT "customers"."id" AS "whatever"\nFROM "public"."customers"'
    )
    rows = api.post(f"{profile}/preview-query", body | {"limit": 2}).json_body["sample_data"]
    assert rows == [{"whatever": 1}, {"whatever": 2}]


@pytest.mark.accepts("SV-080", "SV-081", "SV-084", "SV-085")
def test_a_preview_shows_rows_as_they_would_be_imported(api: Api, profile: str, shop: Database) -> None:
    answer = api.post(f"{profile}/preview-query", CUSTOMERS | {"limit": 20})
    assert answer.status_code == 200
    shown = answer.json_body
    assert set(shown) == {"sample_data", "estimated_records", "generated_query", "columns", "rejected", "warnings"}
    assert shown["columns"] == ["external_id", "name", "email", "created_at"]
    assert shown["generated_query"] == SQL
    assert len(shown["sample_data"]) == 20
    assert shown["sample_data"][0] == {
        "external_id": 10,
        "name": "First 10 Last 10",
        "email": "work10@example.com",
        "created_at": "2024-01-11T00:00:00Z",
    }
    assert shown["rejected"] == []
    guess = guessed(shop, shown["generated_query"])
    assert shown["estimated_records"] == guess > len(shown["sample_data"]), "PostgreSQL's own, of all rows"
    for asked, rows in (({}, 10), ({"limit": 100}, 31)):
        shown = api.post(f"{profile}/preview-query", CUSTOMERS | asked).json_body
        assert (len(shown["sample_data"]), shown["estimated_records"]) == (rows, guess)
    few = api.post(f"{profile}/preview-query", ORDERS | {"limit": 1}).json_body
    assert (len(few["sample_data"]), few["estimated_records"]) == (1, 60)


def guessed(place: Database, query: str) -> int:
    """How many rows PostgreSQL's planner thinks a query has."""
    with psycopg.connect(place.dsn) as session:
        [(plan,)] = session.execute(f"EXPLAIN (FORMAT JSON) {query}".encode())
    return int(plan[0]["Plan"]["Plan Rows"])


@pytest.mark.accepts("SV-079")
def test_what_is_unwise_is_said_beside_the_answer(api: Api, profile: str) -> None:
    said = (
        "joins.0: customer_id is not unique in emails, so a row of customers comes once for each row found there, "
        "each time with the same external_id."
    )
    query = changed(CUSTOMERS, "joins.0.condition", None)
    for path in ("builder/validate", "preview-query"):
        assert api.post(f"{profile}/{path}", query).json_body["warnings"] == [said]


@pytest.mark.accepts("SV-083", "SV-085")
def test_a_sample_respects_every_condition(api: Api, profile: str) -> None:
    filters = [
        {"field": "customers.active", "operator": "=", "value": True},
        {"field": "customers.id", "operator": "BETWEEN", "value": 5, "value2": 20},
        {"field": "LOWER(customers.last_name)", "operator": "NOT LIKE", "value": "%0"},
    ]
    query = CUSTOMERS | {"filters": filters}
    shown = api.post(f"{profile}/preview-query", query | {"limit": 100}).json_body["sample_data"]
    assert [row["external_id"] for row in shown] == [6, 8, 12, 14, 16, 18]
    fewer = changed(query, "joins.0.type", "INNER")
    fewer = changed(fewer, "joins.0.condition", "emails.type = 'home'")
    shown = api.post(f"{profile}/preview-query", fewer | {"limit": 100}).json_body["sample_data"]
    assert [(row["external_id"], row["email"]) for row in shown] == [(6, "home6@example.com"), (8, "home8@example.com")]


@pytest.mark.accepts("SV-029", "SV-035", "SV-039", "SV-062", "SV-063", "SV-066", "SV-067")
def test_a_query_is_kept_exactly_as_it_was_written(api: Api, profile: str) -> None:
    before = api.get(profile).json_body
    assert (before["has_custom_queries"], before["configuration"]) == (False, {"queries": {}})
    answer = api.post(f"{profile}/queries", CUSTOMERS)
    assert answer.status_code == 200
    assert answer.json_body["message"] == "Query saved successfully"
    shown = answer.json_body["profile"]
    assert (shown["id"], shown["has_custom_queries"]) == (before["id"], True)
    assert without(shown["configuration"], "queries") == CUSTOMERS
    odd = ORDERS | {"name": "Orders", "key": None, "filters": [{"field": "price", "operator": ">", "value": 0.5}]}
    assert without(api.post(f"{profile}/queries", odd).json_body["profile"]["configuration"], "queries") == odd
    kept = api.get(profile).json_body
    assert kept["has_custom_queries"] is True
    assert kept["configuration"] == CUSTOMERS | {"queries": {"customer_users": CUSTOMERS, "tickets": odd}}
    assert kept["configuration"]["base_table"] == "customers"
    assert kept["configuration"]["target_type"] == "customer_users"
    again = CUSTOMERS | {"filters": []}
    api.post(f"{profile}/queries", again)
    assert api.get(profile).json_body["configuration"]["queries"] == {"customer_users": again, "tickets": odd}


@pytest.mark.accepts("SV-029", "SV-062")
def test_a_saved_query_can_be_taken_back(api: Api, profile: str) -> None:
    apply(api, profile.rsplit("/", 1)[1])
    template = api.get(profile).json_body["configuration"]["queries"]
    api.post(f"{profile}/queries", CUSTOMERS)
    api.post(f"{profile}/queries", ORDERS)
    answer = api.delete(f"{profile}/queries/customer_users")
    assert (answer.status_code, answer.json_body["message"]) == (200, "Query deleted successfully")
    assert answer.json_body["profile"]["has_custom_queries"] is True
    left = api.get(profile).json_body["configuration"]["queries"]
    assert left == template | {"tickets": ORDERS}
    assert api.delete(f"{profile}/queries/tickets").json_body["profile"]["has_custom_queries"] is False
    assert api.get(profile).json_body["configuration"] == {"queries": template}
    for gone in ("tickets", "colours"):
        answer = api.delete(f"{profile}/queries/{gone}")
        assert (answer.status_code, answer.json_body["message"]) == (404, "Saved query not found")


def test_a_query_is_saved_as_it_was_seen(api: Api, profile: str) -> None:
    version = api.get(profile).json_body["version"]
    stale = {"If-Match": f'"{version + 1}"'}
    assert api.request("POST", f"{profile}/queries", CUSTOMERS, stale).status_code == 412
    assert api.get(profile).json_body["has_custom_queries"] is False
    seen = {"If-Match": f'"{version}"'}
    assert api.request("POST", f"{profile}/queries", CUSTOMERS, seen).json_body["profile"]["version"] == version + 1


@pytest.mark.accepts("SV-070", "SV-071", "SV-072", "SV-073", "SV-074", "SV-075", "SV-076")
def test_the_preview_shows_every_type_of_the_profile(api: Api, profile: str) -> None:
    api.post(f"{profile}/queries", CUSTOMERS)
    api.post(f"{profile}/queries", ORDERS | {"filters": [
        {"field": "opened", "operator": "BETWEEN", "value": "2024-02-01", "value2": "2024-02-03"},
        {"field": "state", "operator": "IN", "value": ["open", "lost"]},
        {"field": "customer_id", "operator": "IS NOT NULL"},
        {"field": "price", "operator": "!=", "value": 7},
        {"field": "subject", "operator": "NOT LIKE", "value": "it's%"},
    ]})  # fmt: skip
    answer = api.get(f"{profile}/preview")
    assert (answer.status_code, list(answer.json_body)) == (200, ["customer_users", "tickets"])
    shown = answer.json_body["customer_users"]
    assert shown["query"]["sql"] == SQL
    estimate = api.post(f"{profile}/builder/validate", CUSTOMERS).json_body["estimated_records"]
    assert shown["query"]["estimated_count"] == estimate >= 25, "of all rows, not of the sample"
    assert len(shown["sample_data"]) == 10
    assert set(shown["sample_data"][0]) == {"external_id", "name", "email", "created_at"}
    assert shown["field_mapping"] == {
        "external_id": "customers.id",
        "name": "CONCAT(customers.first_name, ' ', customers.last_name)",
        "email": "emails.address",
        "created_at": "customers.created_at",
    }
    assert shown["applied_filters"] == ["customers.created_at >= '2024-01-11'", "emails.type = 'work'"]
    assert answer.json_body["tickets"]["applied_filters"] == [
        "opened BETWEEN '2024-02-01' AND '2024-02-03'",
        "state IN ('open', 'lost')",
        "customer_id IS NOT NULL",
        "price != 7",
        "subject NOT LIKE 'it''s%'",
    ]
    assert {row["status"] for row in answer.json_body["tickets"]["sample_data"]} == {"open", "closed"}
    one = api.get(f"{profile}/preview", query_type="customer_users", limit=3).json_body
    assert list(one) == ["customer_users"]
    assert [row["external_id"] for row in one["customer_users"]["sample_data"]] == [10, 11, 12]


@pytest.mark.accepts("SV-071", "SV-072")
def test_what_a_preview_cannot_be_asked_is_named(api: Api, profile: str) -> None:
    api.post(f"{profile}/queries", CUSTOMERS)
    for query, field in (({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"query_type": "x"}, "query_type")):
        answer = api.get(f"{profile}/preview", **query)
        assert (answer.status_code, list(answer.json_body["errors"])) == (422, [field])
    answer = api.get(f"{profile}/preview", query_type="agents")
    assert answer.json_body["errors"] == {"query_type": ["The query_type has no query in this profile."]}
    for limit in (0, 101):
        assert api.post(f"{profile}/preview-query", CUSTOMERS | {"limit": limit}).status_code == 422


WRONG: list[tuple[str, Any, str, str]] = [
    ("base_table", "custmers", "base_table", "is no table of the database; did you mean customers?"),
    ("joins.0.table", "nowhere", "joins.0.table", "is no table of the database."),
    ("fields.0.source", "customers.idd", "fields.0.source", "idd"),
    ("fields.0.source", "id", "fields.0.source", "id, which customers and emails have"),
    ("fields.2.source", "LOWER(emails.address)", "fields.2.transformation", "needs one column"),
    ("fields.0.target", "colour", "fields.0.target", "is no field of customer_users."),
    ("fields.1.target", "email", "fields.2.target", "is there twice."),
    ("filters.0.operator", "BETWEEN", "filters.0.value2", "does not fit the operator BETWEEN."),
    ("filters.0.value", "yesterday-ish", "filters.0.value", "SQLSTATE 22007"),
    ("filters.0.field", "customers.active", "filters.0.value", "SQLSTATE 22P02"),
    ("joins.0.on", "emails.address = customers.id", "joins.0.on", "cannot apply ="),
    ("joins.0.condition", "emails.id = 'x'", "joins.0.condition", "SQLSTATE 22P02"),
    ("fields.1.source", "customers.id + customers.first_name", "fields.1.source", "cannot apply +"),
    ("fields.1.source", "pg_read_file('/etc/passwd')", "fields.1.source", "pg_read_file"),
    ("key", "customers.nothing", "key", "nothing"),
]


@pytest.mark.accepts("SV-079")
@pytest.mark.parametrize(("path", "value", "field", "said"), WRONG)
def test_what_is_wrong_with_a_query_names_field_and_reason(
    api: Api, profile: str, path: str, value: Any, field: str, said: str
) -> None:
    body = changed(CUSTOMERS, path, value)
    answer = api.post(f"{profile}/builder/validate", body)
    assert (answer.status_code, answer.json_body["valid"]) == (200, False)
    assert said in " ".join(answer.json_body["fields"][field]), answer.json_body
    assert answer.json_body["errors"] == [text for texts in answer.json_body["fields"].values() for text in texts]
    for path_ in ("preview-query", "queries"):
        refused = api.post(f"{profile}/{path_}", body)
        assert (refused.status_code, refused.json_body["code"]) == (422, "query_invalid")
        assert refused.json_body["errors"] == answer.json_body["fields"]
    assert api.get(profile).json_body["has_custom_queries"] is False


@pytest.mark.parametrize("route", ["builder/validate", "preview-query", "queries"])
def test_a_query_too_large_to_be_kept_is_not_even_tried(route: str, api: Api, profile: str) -> None:
    """200 expressions of 5,000 characters fit a body, and took 18 s to be read."""
    long = " || ".join(["first_name"] * 300)
    fields = [{"source": "id", "target": "external_id"}] + [
        {"source": long, "target": f"custom_fields.f{number}"} for number in range(10)
    ]
    answer = api.post(f"{profile}/{route}", changed(CUSTOMERS, "fields", fields))
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"fields": ["The fields may not have more than 25000 bytes as JSON."]}


def test_an_estimate_needs_no_row_and_a_sample_that_fails_says_why(api: Api, profile: str) -> None:
    body = changed(CUSTOMERS, "fields.3.source", "100 / (customers.id - 12)")
    body = changed(body, "fields.3.target", "phone")
    assert api.post(f"{profile}/builder/validate", body).json_body["valid"] is True
    answer = api.post(f"{profile}/preview-query", body)
    assert answer.json_body["errors"] == {
        "fields": ["The fields cannot be run by the database: it divides by zero in a row (SQLSTATE 22012)."]
    }


def test_rows_that_would_be_rejected_are_listed_with_field_and_reason(api: Api, profile: str) -> None:
    query = {
        "base_table": "customers",
        "fields": [
            {"source": "id", "target": "external_id"},
            {"source": "CASE WHEN id <> 2 THEN last_name END", "target": "name", "transformation": "case_when"},
            {"source": "tags", "target": "emails"},
            {"source": "preferences", "target": "preferences"},
            {"source": "\"Vip Since\"", "target": "custom_fields.vip"},
        ],
        "target_type": "customer_users",
    }  # fmt: skip
    shown = api.post(f"{profile}/preview-query", query | {"limit": 3}).json_body
    assert shown["rejected"] == [{"row": 1, "external_id": "2", "errors": [{"field": "name", "reason": "is required"}]}]
    assert shown["sample_data"][0] == {
        "external_id": 1,
        "name": "Last 1",
        "emails": ["a", "b,1"],
        "preferences": {"n": 1},
        "custom_fields.vip": None,
    }
    assert shown["sample_data"][1]["name"] is None
