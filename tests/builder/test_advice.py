"""What is worth a warning, each on a real schema, and what is not."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.postgres import types

from chalicelib import advice, configurations, targets, trials
from chalicelib.sources import postgres
from infra.local.postgres import Postgres
from tests.builder.conftest import CUSTOMERS, ORDERS, SHOP
from tests.builder.test_builder_routes import changed
from tests.conftest import Database, database

LARGE = """
CREATE TABLE ledger (day date, amount numeric, note text);
CREATE TABLE parents (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE heirs () INHERITS (parents);
"""


@pytest.fixture(scope="module")
def place(postgres_server: Postgres) -> Database:
    """The shop, said to have millions of orders and e-mails."""
    found = database(postgres_server, "advised")
    with psycopg.connect(found.dsn, autocommit=True) as admin:
        admin.execute((SHOP + LARGE).encode())
        admin.execute("UPDATE pg_class SET reltuples = 4200000 WHERE relname IN ('orders', 'emails', 'ledger')")
    return found


def warned(place: Database, query: dict[str, Any]) -> list[str]:
    written = configurations.Query.model_validate(query)
    with place.session() as session:
        found = configurations.compiled(written, written.target_type, "", postgres.describe(session))
        assert found.query is not None, found.faults
        columns = trials.tried(session, found.query).columns
    return advice.warnings(written, found, written.target_type, columns)


def test_a_join_that_repeats_rows_is_told(place: Database) -> None:
    assert warned(place, CUSTOMERS) == [], "customer and type together are unique"
    [said] = warned(place, changed(CUSTOMERS, "joins.0.condition", None))
    assert said == (
        "joins.0: customer_id is not unique in emails, so a row of customers comes once for each row found there, "
        "each time with the same external_id."
    )
    assert warned(place, changed(CUSTOMERS, "joins.0.condition", "emails.type = 'work' OR emails.id > 5"))
    by_mail = changed(changed(CUSTOMERS, "joins.0.condition", None), "fields.0.source", "emails.id")
    assert not [one for one in warned(place, by_mail) if "is not unique" in one], "each has an identity of its own"
    [first, *_] = warned(place, changed(CUSTOMERS, "joins.0.on", "customers.id > 3"))
    assert first == "joins.0: nothing of emails is compared, so every row meets every row of it."


@pytest.mark.parametrize(
    ("more", "repeats"),
    [
        ("emails.type = 'two words'", False),
        ("emails.type = 'this OR that'", False),
        ("emails.type = 'it''s NOT AND'", False),
        ("emails.type = 'work' AND emails.address IS NOT NULL", False),
        ("emails.type = 'work' AND emails.address NOT IN ('a', 'b') AND emails.address NOT LIKE '%x'", False),
        ('emails.address = \'a."emails"."type" = b.c\'', True),
        ("NOT emails.type = 'work'", True),
        ("emails.type <> 'work'", True),
        ("emails.type = 'work' OR emails.type = 'home'", True),
    ],
)
def test_what_else_a_join_asks_is_read_as_sql_and_not_as_words(place: Database, more: str, repeats: bool) -> None:
    said = warned(place, changed(CUSTOMERS, "joins.0.condition", more))
    assert any("is not unique in emails" in one for one in said) == repeats


def test_a_key_is_not_believed_where_other_tables_inherit(place: Database) -> None:
    fields = [{"source": "id", "target": "external_id"}, {"source": "name", "target": "name"}]
    [said] = warned(place, {"base_table": "parents", "fields": fields, "target_type": "accounts"})
    assert said == (
        "fields.0: id is not known to be different in every row; rows that share an external_id become one record."
    )


def test_a_missing_key_and_missing_indexes_are_told(place: Database) -> None:
    query = {
        "base_table": "ledger",
        "fields": [{"source": "note", "target": "external_id"}, {"source": "note", "target": "name"}],
        "filters": [{"field": "day", "operator": ">=", "value": "2024-01-01"}],
        "target_type": "accounts",
    }
    said = warned(place, query)
    assert said[0].startswith("ledger has no key: its rows are read in one go")
    assert "filters.0: ledger has about 4,200,000 rows and no index that begins with day." in said
    assert "key: ledger has about 4,200,000 rows and no index that begins with day." in warned(
        place, query | {"key": "day"}
    )
    joined = changed(CUSTOMERS, "joins.0.on", "emails.address = customers.email")
    assert "joins.0: emails has about 4,200,000 rows and no index that begins with address, type." in warned(
        place, joined
    )
    orders = ORDERS | {"filters": [{"field": "tenant", "operator": "=", "value": 1}]}
    assert not [one for one in warned(place, orders) if "index" in one]


def test_values_that_will_not_fit_are_told(place: Database) -> None:
    said = warned(place, changed(changed(ORDERS, "fields.2.source", "state"), "fields.2.transformation", None))
    assert said == [
        "fields.2: state is of type sales.state; status is one of open, pending, resolved, closed, "
        "so lost will not fit."
    ]
    assert warned(place, ORDERS) == []
    wrong = changed(ORDERS, "fields.4.source", "seconds")
    assert warned(place, wrong) == ["fields.4: seconds is of type integer; created_at takes dates and times."]


@pytest.mark.parametrize(
    ("source", "target", "kind", "said"),
    [
        ("ARRAY[number]", "tags", "integer[]", None),
        ("ARRAY[opened::date]", "tags", "date[]", None),
        ("ARRAY[subject]", "tags", "text[]", None),
        ("number", "tags", "integer", "takes lists"),
        ("ARRAY[opened]", "closed_at", "timestamp with time zone[]", "takes dates and times"),
        ("ARRAY[subject]", "closed_at", "text[]", "takes dates and times"),
        ("opened", "closed_at", "timestamp with time zone", None),
    ],
)
def test_an_array_is_not_taken_for_one_of_its_elements(
    place: Database, source: str, target: str, kind: str, said: str | None
) -> None:
    query = ORDERS | {"fields": [*ORDERS["fields"], {"source": source, "target": target}]}
    assert warned(place, query) == ([f"fields.6: {source} is of type {kind}; {target} {said}."] if said else [])


def test_every_type_of_the_driver_is_named_as_the_server_names_it(place: Database) -> None:
    numbers = sorted({number for info in types for number in (info.oid, info.array_oid) if number})
    with psycopg.connect(place.dsn) as session:
        named = dict(session.execute("SELECT oid::int8, format_type(oid, NULL) FROM pg_type").fetchall())
    assert {number: trials.type_name(number) for number in numbers} == {number: named[number] for number in numbers}


def test_null_where_a_value_is_required_is_told(place: Database) -> None:
    query = changed(changed(CUSTOMERS, "fields.1.source", "emails.address"), "fields.2.source", "customers.email")
    assert warned(place, query) == [
        "fields.1: emails.address may be NULL, and name is required; rows without it will be rejected."
    ]
    assert warned(place, changed(query, "joins.0.type", "INNER")) == []


def test_rows_without_the_base_table_are_told(place: Database) -> None:
    for kind in ("RIGHT", "FULL"):
        said = warned(place, changed(CUSTOMERS, "joins.0.type", kind))
        assert said[0] == (
            "RIGHT and FULL joins bring rows without customers: they have no key and are read in one go at the end."
        )


def test_filters_that_do_more_than_they_seem_to_are_told(place: Database) -> None:
    filters = [
        {"field": "customers.first_name", "operator": "!=", "value": "x"},
        {"field": "emails.address", "operator": "=", "value": "x"},
        {"field": "customers.id", "operator": "BETWEEN", "value": 9, "value2": 1},
        {"field": "customers.last_name", "operator": "LIKE", "value": "Smith"},
        {"field": "customers.last_name", "operator": "!=", "value": "x"},
        {"field": "emails.id", "operator": "IS NULL"},
    ]
    said = warned(place, CUSTOMERS | {"filters": filters})
    assert said == [
        "filters.0: rows in which customers.first_name is NULL are left out by != as well.",
        "filters.1: leaves out the rows for which no row of emails was found.",
        "filters.1: emails has about 4,200,000 rows and no index that begins with address.",
        "filters.2: the first value is greater than the second, so no row fits.",
        "filters.3: LIKE without % or _ compares with the whole text.",
    ]


@pytest.mark.parametrize(
    ("record_type", "name", "kind", "fits"),
    [
        ("tickets", "created_at", "timestamp with time zone", True),
        ("tickets", "created_at", "date", True),
        ("tickets", "created_at", "interval", False),
        ("tickets", "tags", "text[]", True),
        ("tickets", "tags", "jsonb", True),
        ("tickets", "tags", "integer", False),
        ("tickets", "title", "integer", True),
        ("tickets", "title", "boolean", False),
        ("customer_users", "preferences", "jsonb", True),
        ("customer_users", "preferences", "bigint", False),
        ("customer_users", "is_active", "boolean", True),
        ("customer_users", "is_active", "integer", False),
        ("time_entries", "duration_minutes", "integer", True),
        ("time_entries", "duration_minutes", "numeric", False),
        ("time_entries", "rate_override", "numeric(10,2)", True),
        ("time_entries", "duration_minutes", "interval", False),
        ("tickets", "status", "character varying(20)", True),
        ("tickets", "status", "smallint", False),
    ],
)
def test_a_type_fits_a_field_or_does_not(record_type: str, name: str, kind: str, fits: bool) -> None:
    annotation = targets.get(record_type).Record.model_fields[name].annotation
    assert (advice.misfit(annotation, kind, []) is None) is fits
