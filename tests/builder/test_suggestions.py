"""Suggestions: foreign keys first, names next, each with a reason, and usable as they are."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from chalicelib import configurations, suggestions, tables, targets
from chalicelib.sources import postgres
from tests.conftest import Database
from tests.routes.conftest import Api

NAMED = """
CREATE TABLE users (id int PRIMARY KEY, "firstName" text, surname text, e_mail varchar(200), enabled boolean);
CREATE TABLE companies (id int PRIMARY KEY, company_name text, website text);
CREATE TABLE cases (id bigint PRIMARY KEY, subject text, body text, user_id int, company_id text, opened timestamptz,
  parent_id bigint REFERENCES cases (id), labels text[], state int);
CREATE TABLE case_comments (id bigint PRIMARY KEY, case_id bigint, text text, "private" boolean);
CREATE TABLE "Weird Table" ("The Key" uuid PRIMARY KEY, "caseId" int);
"""


def described(place: Database) -> dict[str, Any]:
    with place.session() as session:
        return postgres.describe(session)


@pytest.fixture
def named(empty_db: Database) -> dict[str, Any]:
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        admin.execute(NAMED.encode())
    return described(empty_db)


def test_joins_follow_foreign_keys_and_then_names(shop: Database, named: dict[str, Any]) -> None:
    schema = described(shop)
    found = suggestions.joins(schema, tables.find("sales.orders", schema))
    assert [(one["table"], one["confidence"]) for one in found] == [
        ("customers", 1.0), ("sales.notes", 0.95), ('"Back Office".customers', 0.8),
    ]  # fmt: skip
    assert found[0] == {
        "type": "LEFT",
        "table": "customers",
        "on": "customers.id = orders.customer_id",
        "leftColumn": "orders.customer_id",
        "rightColumn": "customers.id",
        "confidence": 1.0,
        "reason": "A foreign key: orders refers to customers by customer_id.",
    }
    assert found[1]["on"] == "notes.tenant = orders.tenant AND notes.number = orders.number", "in the key's order"
    found = suggestions.joins(named, tables.find("cases", named))
    assert [(one["table"], one.get("alias"), one["on"], one["confidence"]) for one in found] == [
        ("cases", "parent", "parent.id = cases.parent_id", 1.0),
        ("users", None, "users.id = cases.user_id", 0.8),
        ('"Weird Table"', None, '"Weird Table"."caseId" = cases.id', 0.7),
        ("case_comments", None, "case_comments.case_id = cases.id", 0.7),
    ], "company_id is a text, and companies have numbers"
    assert found[1]["reason"] == "cases.user_id is named like a reference to users.id; no foreign key says so."


def test_a_table_called_like_the_base_table_is_joined_under_another_name(empty_db: Database) -> None:
    long, other = "s" * 40, "ünit " * 8
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        halls = "CREATE TABLE stock.hall (id int PRIMARY KEY REFERENCES hall, hall_id int REFERENCES stock.hall)"
        admin.execute(f"CREATE SCHEMA stock; CREATE TABLE hall (id int PRIMARY KEY); {halls}".encode())
        units = f'CREATE TABLE {long}."{other}" (id int REFERENCES "{other}")'
        admin.execute(f'CREATE SCHEMA {long}; CREATE TABLE "{other}" (id int PRIMARY KEY); {units}'.encode())
    schema = described(empty_db)
    found = suggestions.joins(schema, tables.find("stock.hall", schema))
    assert [(one["table"], one["alias"], one["on"]) for one in found if one["confidence"] == 1.0] == [
        ("hall", "other_hall", "other_hall.id = hall.id"),
        ("stock.hall", "hall_2", "hall_2.id = hall.hall_id"),
    ]
    [back] = [one for one in suggestions.joins(schema, tables.find("hall", schema)) if one["confidence"] == 0.95]
    assert (back["table"], back["alias"], back["on"]) == ("stock.hall", "stock_hall", "stock_hall.id = hall.id")
    [back] = suggestions.joins(schema, tables.find(f'"{other}"', schema))
    assert (back["alias"], len(back["alias"].encode())) == (f"{long}_{other[:16]}", 61)


def test_mappings_go_by_name_and_type(named: dict[str, Any]) -> None:
    def mapped(table: str, record_type: str) -> dict[str, tuple[str, float]]:
        found = suggestions.mappings(tables.find(table, named), record_type)
        assert all(one["reason"] for one in found)
        return {one["target"]: (one["source"], one["confidence"]) for one in found}

    assert mapped("users", "customer_users") == {
        "external_id": ("users.id", 1.0),
        "first_name": ('users."firstName"', 0.95),
        "last_name": ("users.surname", 0.8),
        "email": ("users.e_mail", 0.8),
        "is_active": ("users.enabled", 0.8),
    }
    cases = mapped("cases", "tickets")
    assert cases["title"] == ("cases.subject", 0.85)
    assert cases["description"] == ("cases.body", 0.85)
    assert cases["tags"] == ("cases.labels", 0.85)
    assert cases["created_at"][0] == "cases.opened"
    assert cases["status"] == ("cases.state", 0.55), "less likely: it is a number"
    notes = mapped("case_comments", "ticket_notes")
    assert {"content": notes["content"][0], "ticket": notes["ticket"][0], "is_internal": notes["is_internal"][0]} == {
        "content": "case_comments.text", "ticket": "case_comments.case_id", "is_internal": "case_comments.private",
    }  # fmt: skip
    assert mapped('"Weird Table"', "accounts") == {"external_id": ('"Weird Table"."The Key"', 1.0)}


def test_every_record_type_finds_its_table(named: dict[str, Any]) -> None:
    found = suggestions.found(named, None, None)
    assert set(found["base_tables"]) == set(found["mappings"]) == set(targets.names())
    assert found["base_tables"]["tickets"][0]["table"] == "cases"
    assert found["base_tables"]["accounts"][0]["table"] == "companies"
    assert [one["table"] for one in found["base_tables"]["ticket_notes"]] == ["case_comments"]
    assert found["base_tables"]["attachments"] == []
    assert found["joins"] == []


def test_what_is_suggested_can_be_run_as_it_is(shop: Database, named: dict[str, Any]) -> None:
    for schema, base in ((described(shop), "sales.orders"), (described(shop), "customers"), (named, "cases")):
        found = suggestions.found(schema, tables.find(base, schema), "tickets")
        for join in found["joins"]:
            parts = ("type", "table", "alias", "on")
            query = {
                "base_table": base,
                "joins": [{word: join[word] for word in parts if word in join}],
                "fields": [{word: one[word] for word in ("source", "target", "transformation")}
                           for one in found["mappings"]["tickets"]],
            }  # fmt: skip
            checked = configurations.compiled(configurations.Query.model_validate(query), None, "", schema)
            assert checked.faults == {}, join
            compared = {owner for owner, _ in checked.reads["joins.0.on"]}
            assert compared == set(checked.tables), (
                "the joined table is compared with the base table, not it with itself"
            )


def test_suggestions_over_http(api: Api, profile: str) -> None:
    answer = api.get(f"{profile}/builder/suggestions", base_table="customers", target_type="customer_users")
    assert answer.status_code == 200
    assert list(answer.json_body["mappings"]) == ["customer_users"]
    assert answer.json_body["joins"][0]["confidence"] == 1.0
    wrong = api.get(f"{profile}/builder/suggestions", base_table="custmers")
    assert wrong.json_body["errors"] == {
        "base_table": ["The base_table is no table of the database; did you mean customers?"]
    }
