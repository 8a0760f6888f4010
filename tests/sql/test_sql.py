from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from chalicelib import sql
from chalicelib.sql import Filter, Join, Mapped, NamedQuery, Query
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
    text, values = sql.select(query(), 5, 9)
    assert text == (
        'SELECT things.id AS "external_id"\nFROM "things"\nWHERE (things.id) BETWEEN %s AND %s\nORDER BY things.id'
    )
    assert values == [5, 9]


def test_names_are_quoted_and_percent_signs_are_not_placeholders() -> None:
    odd = query(
        base_table='a"b',
        alias="things",
        joins=[Join(table="100%", on="things.name LIKE '%x'")],
        fields=[Mapped(source="things.share || '%'", target="external_id")],
    )
    text, _ = sql.select(odd)
    assert 'FROM "a""b" AS "things"' in text
    assert 'LEFT JOIN "100%%" AS "100%%" ON things.name LIKE \'%%x\'' in text
    assert "things.share || '%%'" in text


@pytest.mark.parametrize(
    ("item", "text", "values"),
    [
        ({"operator": "=", "value": 1}, "(f) = %s", [1]),
        ({"operator": "!=", "value": 1}, "(f) <> %s", [1]),
        ({"operator": ">=", "value": "x"}, "(f) >= %s", ["x"]),
        ({"operator": "LIKE", "value": "%x"}, "(f) LIKE %s", ["%x"]),
        ({"operator": "NOT LIKE", "value": "x"}, "(f) NOT LIKE %s", ["x"]),
        ({"operator": "ILIKE", "value": "x"}, "(f) ILIKE %s", ["x"]),
        ({"operator": "REGEXP", "value": "^x"}, "(f) ~ %s", ["^x"]),
        ({"operator": "IN", "value": (1, 2)}, "(f) = ANY(%s)", [[1, 2]]),
        ({"operator": "NOT IN", "value": [1]}, "(f) <> ALL(%s)", [[1]]),
        ({"operator": "IS NULL"}, "(f) IS NULL", []),
        ({"operator": "IS NOT NULL"}, "(f) IS NOT NULL", []),
        ({"operator": "BETWEEN", "value": 1, "value2": 2}, "(f) BETWEEN %s AND %s", [1, 2]),
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
