from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from chalicelib import sql
from chalicelib.sql import Bounds, Filter, Join, Mapped, NamedQuery, Query
from tests.conftest import Database


def query(**parts: Any) -> Query:
    defaults: dict[str, Any] = {
        "name": "Things",
        "base_table": "things",
        "origin": "things",
        "key": "things.id",
        "fields": [Mapped(source="things.id", target="external_id")],
        "target_type": "tickets",
    }
    return Query(**(defaults | parts))


def test_a_range_is_bound_and_in_the_order_of_the_key() -> None:
    text, values = sql.select(query(), Bounds(("5",), ("9",)))
    assert text == (
        'SELECT things.id AS "external_id"\nFROM "things"\n'
        "WHERE (things.id) > %s\n  AND (things.id) <= %s\nORDER BY things.id"
    )
    assert values == ["5", "9"]


def test_a_range_of_several_columns_compares_rows_and_leaves_nulls_out() -> None:
    text, values = sql.select(query(key=["a", "b"]), Bounds(("1", "x"), ("9", "y")))
    assert text.endswith(
        "\nWHERE ROW((a), (b)) > ROW(%s, %s)\n  AND ROW((a), (b)) <= ROW(%s, %s)"
        "\n  AND (a) IS NOT NULL\n  AND (b) IS NOT NULL\nORDER BY a, b"
    )
    assert values == ["1", "x", "9", "y"]
    text, values = sql.select(query(key=["a"]), Bounds(None, ("9",)))
    assert text.endswith("\nWHERE (a) <= %s\nORDER BY a")
    assert values == ["9"]
    text, values = sql.select(query(key=["a", "b"]), unkeyed=True, limit=7)
    assert text.endswith("\nWHERE ((a) IS NULL OR (b) IS NULL)\nORDER BY a, b\nLIMIT %s")
    assert values == [7]
    text, _ = sql.select(query(key=[]))
    assert text.endswith('\nFROM "things"')


def test_tables_are_found_in_their_schemas() -> None:
    whole = query(
        base_schema='s"1',
        joins=[
            Join(table="Parts", table_schema="Other", on="true"),
            Join(type="FULL", table="things", table_schema="old", alias="before", on="true"),
        ],
    )
    text, _ = sql.select(whole)
    assert (
        '\nFROM "s""1"."things"\nLEFT JOIN "Other"."Parts" ON true\nFULL JOIN "old"."things" AS "before" ON true\n'
    ) in text


def test_a_statement_is_shown_with_its_values_as_literals(empty_db: Database) -> None:
    """What is shown is what runs: pasted, it answers the same."""
    values = ["it's %s", "100%", None, "\\"]
    items = [Filter(field="things.name || '%'", operator="IN", value=values)]
    statement = sql.select(query(filters=items), limit=3)
    text = sql.shown(statement)
    assert "(things.name || '%') IN ('it''s %s', '100%', NULL, '\\')" in text
    assert text.endswith("\nLIMIT 3")
    with psycopg.connect(empty_db.dsn) as connection:
        connection.execute("CREATE TABLE things (id int, name text)")
        connection.execute("INSERT INTO things VALUES (1, '100'), (2, 'it''s %s'), (3, '')")
        cursor = connection.cursor()
        assert cursor.execute(text.encode()).fetchall() == [(1,)]
        shown = sql.shown(sql.select(query(filters=[Filter(field="name || '%'", operator="=", value="100%")])))
        assert cursor.execute(shown.encode()).fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("column", "operator", "value", "found"),
    [
        ("n", "=", 5, 1), ("n", "=", "5", 1), ("n", ">", 4, 1), ("n", "IN", [4, 5, 6], 1), ("n", "BETWEEN", 5, 1),
        ("t", "=", 5, 1), ("t", "=", "5", 1), ("t", ">=", 5, 1), ("t", "LIKE", "5%", 1), ("t", "NOT IN", [4, 5], 0),
        ("f", "=", 2.5, 1), ("f", "<", 3, 1), ("f", "IN", [2.5, 3], 1), ("f", "NOT IN", [2.5, None], 0),
        ("m", "=", 2.5, 1), ("b", "=", True, 1), ("b", "!=", False, 1), ("b", "IN", [False], 0), ("b", "=", None, 0),
        ("d", ">=", "2024-01-31", 1), ("d", "BETWEEN", "2024-01-01", 0), ("u", "=", "A" * 32, 1),
        ("j", "=", '{"a": 1}', 1), ("a", "=", "{1,2}", 1), ("e", "IN", ["on", "off"], 1), ("e", ">", "on", 0),
    ],
)  # fmt: skip
def test_values_are_compared_as_what_their_column_is(
    empty_db: Database, column: str, operator: Any, value: Any, found: int
) -> None:
    second = value if operator == "BETWEEN" else None
    with psycopg.connect(empty_db.dsn) as connection:
        connection.execute(
            """CREATE TYPE mood AS ENUM ('off', 'on');
            CREATE TABLE things (n int, t text, f float8, m numeric, b bool, d date, u uuid, j jsonb, a int[], e mood);
            INSERT INTO things VALUES (5, '5', 2.5, 2.50, true, '2024-01-31', repeat('a', 32)::uuid, '{"a":1}',
              '{1,2}', 'on')"""
        )
        item = Filter(field=f"things.{column}", operator=operator, value=value, value2=second)
        assert connection.execute(*_encoded(sql.total(query(filters=[item])))).fetchone() == (found,)


def _encoded(statement: sql.Statement) -> tuple[bytes, list[Any]]:
    return statement[0].encode(), statement[1]


def test_names_are_quoted_and_percent_signs_are_not_placeholders() -> None:
    odd = query(
        base_table='a"b',
        alias="things",
        joins=[Join(table="100%", on="things.name LIKE '%x'")],
        fields=[Mapped(source="things.share || '%'", target="external_id")],
    )
    text, _ = sql.select(odd)
    assert 'FROM "a""b" AS "things"' in text
    assert "LEFT JOIN \"100%%\" ON things.name LIKE '%%x'" in text
    assert "things.share || '%%'" in text


@pytest.mark.parametrize(
    ("item", "text", "values"),
    [
        ({"operator": "=", "value": 1}, "(f) = %s", ["1"]),
        ({"operator": "!=", "value": 1}, "(f) <> %s", ["1"]),
        ({"operator": ">=", "value": "x"}, "(f) >= %s", ["x"]),
        ({"operator": "LIKE", "value": "%x"}, "(f) LIKE %s", ["%x"]),
        ({"operator": "NOT LIKE", "value": "x"}, "(f) NOT LIKE %s", ["x"]),
        ({"operator": "ILIKE", "value": "x"}, "(f) ILIKE %s", ["x"]),
        ({"operator": "REGEXP", "value": "^x"}, "(f) ~ %s", ["^x"]),
        ({"operator": "IN", "value": (1, 2)}, "(f) IN (%s, %s)", ["1", "2"]),
        ({"operator": "NOT IN", "value": [1]}, "(f) NOT IN (%s)", ["1"]),
        ({"operator": "IN", "value": []}, "false", []),
        ({"operator": "NOT IN", "value": []}, "true", []),
        ({"operator": "=", "value": True}, "(f) = %s", ["true"]),
        ({"operator": "=", "value": False}, "(f) = %s", ["false"]),
        ({"operator": "=", "value": 2.5}, "(f) = %s", ["2.5"]),
        ({"operator": "=", "value": 2.0}, "(f) = %s", ["2"]),
        ({"operator": "=", "value": 1e300}, "(f) = %s", [str(int(1e300))]),
        ({"operator": "=", "value": None}, "(f) = %s", [None]),
        ({"operator": "IS NULL"}, "(f) IS NULL", []),
        ({"operator": "IS NOT NULL"}, "(f) IS NOT NULL", []),
        ({"operator": "BETWEEN", "value": 1, "value2": 2}, "(f) BETWEEN %s AND %s", ["1", "2"]),
    ],
)
def test_operators_bind_their_values(item: dict[str, Any], text: str, values: list[Any]) -> None:
    found, bound = sql.total(query(filters=[Filter(field="f", **item)]))
    assert found.endswith(f"\nWHERE {text}")
    assert bound == values


@pytest.mark.parametrize(
    "parts",
    [
        {"surprise": 1},
        {"base_table": ""},
        {"fields": []},
        {"filters": [{"field": "f", "operator": "; DROP", "value": 1}]},
        {"joins": [{"type": "CROSS", "table": "t"}]},
        {"fields": [{"source": "x", "target": 'a" FROM b'}]},
    ],
)
def test_unknown_parts_and_operators_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        query(**parts)


def test_counting_leaves_out_joins_that_cannot_change_the_count() -> None:
    joins = [
        Join(table="owners", on="owners.id = things.owner_id", at_most_one=True),
        Join(table="x", alias="note", lateral="SELECT 1 FROM owners o WHERE o.id = things.id", at_most_one=True),
        Join(table="parts", on="parts.thing_id = things.id"),
    ]
    text, _ = sql.total(query(joins=joins))
    assert "parts" in text
    assert "owners" not in text
    text, _ = sql.total(query(joins=joins, filters=[Filter(field="owners.kind", operator="=", value=1)]))
    assert '"owners"' in text
    text, _ = sql.boundaries(query(joins=joins, width="length(note.body)"), 10, chunk_bytes=100)
    assert "note" in text
    assert '"owners"' not in text


def test_mapped_names_each_field_once() -> None:
    fields = [
        Mapped(source="1", target=name) for name in ("external_id", "custom_fields.a", "custom_fields.b", "title")
    ]
    assert query(fields=fields).mapped == ("external_id", "custom_fields", "title")


def test_a_query_survives_its_own_json() -> None:
    whole = query(
        with_queries=[NamedQuery(name="w", sql="SELECT 1 AS id")],
        joins=[Join(table="t", alias="u", on="true", condition="u.a = 1", lateral="SELECT 1", at_most_one=True)],
        filters=[Filter(field="f", operator="IN", value=[1, 2])],
        width="1",
    )
    assert Query.model_validate_json(whole.model_dump_json()) == whole


@pytest.mark.parametrize("text", ["", "plain", "it's", "back\\slash", "'; SELECT 1; --", "%s", "ünïcödé 🔥", "a\nb"])
def test_a_literal_reads_back_as_itself(empty_db: Database, text: str) -> None:
    with psycopg.connect(empty_db.dsn) as connection:
        assert connection.execute(f"SELECT {sql.literal(text)}".encode()).fetchone() == (text,)
