"""All fifteen operators over columns of every sort, on PostgreSQL, against what Python says of the same values."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any, get_args

import psycopg
import pytest

from chalicelib import configurations, sessions, sql, trials
from chalicelib.sources import postgres
from infra.local.postgres import Postgres
from tests.conftest import Database, database

Value = Any

TEXTS = ["", "a", "A", "ab", "a%b", "a_b", "b", "100", "Ärger", "it's", "x\\y", None]
NUMBERS = [-5, -1, 0, 1, 2, 10, 100, None]
COLUMNS: dict[str, tuple[str, list[Value], list[Value]]] = {
    "t": ("text", TEXTS, ["a", "ab", "a%b", "zz", "it's", "100"]),
    "c": ("varchar(20)", TEXTS, ["a", "A", "Ärger"]),
    "i": ("integer", NUMBERS, [0, 1, 10, 3]),
    "l": ("bigint", [2**62, -(2**62), 0, 7, None], [2**62, 7, 0]),
    "n": ("numeric(12, 3)", [Decimal("0.100"), Decimal("2.5"), Decimal(-3), Decimal(1000), None], [2.5, 0.1, -3, 1000]),
    "f": ("double precision", [0.1, 2.5, -3.0, 1e10, 1e-7, None], [2.5, 0.1, -3, 1e-7]),
    "b": ("boolean", [True, False, None], [True, False]),
    "d": ("date", [date(2024, 1, 1), date(2024, 2, 29), date(1999, 12, 31), None], ["2024-01-01", "2024-02-29"]),
    "z": (
        "timestamptz",
        [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 1, 12, 30, tzinfo=UTC), None],
        ["2024-01-01T00:00:00Z", "2024-03-01", "2024-06-01 14:30:00+02"],
    ),
    "u": ("uuid", [uuid.UUID(int=1), uuid.UUID(int=2**127), None], [str(uuid.UUID(int=1)), str(uuid.UUID(int=9))]),
    "e": ("mood", ["sad", "ok", "happy", None], ["ok", "sad"]),
}
"""name -> (type, values, operands)."""

MOODS = ["sad", "ok", "happy"]


def read(name: str, operand: Value) -> Value:
    """An operand as the column's values are."""
    match name:
        case "n":
            return Decimal(str(operand))
        case "d":
            return date.fromisoformat(operand)
        case "z":
            found = datetime.fromisoformat(operand)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        case "u":
            return uuid.UUID(operand)
        case "e":
            return MOODS.index(operand)
        case "t" | "c":
            return operand.encode()  # as the collation C compares
        case _:
            return operand


def held(name: str, value: Value) -> Value:
    """A column's value as it is compared."""
    return MOODS.index(value) if name == "e" else value.encode() if name in ("t", "c") else value


def like(pattern: str, *, case: bool) -> Callable[[str], bool]:
    signs = {"%": ".*", "_": "."}
    text, left = "", iter(pattern)
    for sign in left:
        text += re.escape(next(left)) if sign == "\\" else signs.get(sign) or re.escape(sign)
    found = re.compile(text, re.DOTALL | (0 if case else re.IGNORECASE))
    return lambda value: bool(found.fullmatch(value))


def fits(name: str, value: Value, operator: str, first: Value, second: Value) -> bool:
    """What SQL says of one value; NULL fits nothing but IS NULL."""
    if operator in ("IS NULL", "IS NOT NULL"):
        return (value is None) == (operator == "IS NULL")
    if value is None:
        return False
    match operator:
        case "LIKE" | "ILIKE":
            return like(first, case=operator == "LIKE")(value)
        case "NOT LIKE":
            return not like(first, case=True)(value)
        case "REGEXP":
            return bool(re.search(first, value))
        case "IN" | "NOT IN":
            return (held(name, value) in [read(name, one) for one in first]) == (operator == "IN")
    mine, other = held(name, value), read(name, first)
    if operator == "BETWEEN":
        return bool(other <= mine <= read(name, second))
    return bool(COMPARED[operator](mine, other))


COMPARED: dict[str, Callable[[Value, Value], Any]] = {
    "=": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le,
}  # fmt: skip


@pytest.fixture(scope="module")
def values(postgres_server: Postgres) -> Database:
    """A table a column, each with its values."""
    place = database(postgres_server, "operators")
    with psycopg.connect(place.dsn, autocommit=True) as admin:
        admin.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')")
        for name, (kind, found, _) in COLUMNS.items():
            collation = ' COLLATE "C"' if name in ("t", "c") else ""
            admin.execute(f"CREATE TABLE has_{name} (id serial PRIMARY KEY, {name} {kind}{collation})".encode())
            with admin.cursor() as cursor:
                text = f"INSERT INTO has_{name} ({name}) VALUES (%s)"
                cursor.executemany(text.encode(), [(value,) for value in found])
    return place


def chosen(session: sessions.Session, schema: dict[str, Any], name: str, **condition: Any) -> list[int]:
    """Which values the source finds, by place, asked as the run asks."""
    written = configurations.Query.model_validate(
        {
            "base_table": f"has_{name}",
            "fields": [{"source": "id", "target": "external_id"}],
            "filters": [{"field": name, **condition}],
        }
    )
    found = configurations.compiled(written, None, "", schema)
    assert found.query is not None, found.faults
    return [row[0] - 1 for row in trials.tried(session, found.query, 100).rows]


def cases(name: str) -> list[dict[str, Any]]:
    """Conditions of every operator that makes sense for the column."""
    _, _, operands = COLUMNS[name]
    found: list[dict[str, Any]] = [{"operator": "IS NULL"}, {"operator": "IS NOT NULL"}]
    found += [{"operator": sign, "value": one} for sign in ("=", "!=", ">", ">=", "<", "<=") for one in operands]
    found += [{"operator": sign, "value": operands[:count]} for sign in ("IN", "NOT IN") for count in (1, 2)
              if len({type(one) for one in operands[:count]}) == 1]  # fmt: skip
    found += [{"operator": "BETWEEN", "value": one, "value2": two} for one in operands for two in operands[:2]]
    if name in ("t", "c"):
        patterns = ["a%", "%b", "a_b", "a\\%b", "%", "", "it's", "x\\\\y", "Ä%", "A%"]
        found += [{"operator": sign, "value": one} for sign in ("LIKE", "ILIKE", "NOT LIKE") for one in patterns]
        found += [{"operator": "REGEXP", "value": one} for one in ("^a", "b$", "[0-9]+", "a|b", "^$", "'")]
    return found


@pytest.mark.accepts("SV-083", "SV-090")
@pytest.mark.parametrize("name", list(COLUMNS))
def test_an_operator_finds_the_rows_that_python_finds(values: Database, name: str) -> None:
    _, found, _ = COLUMNS[name]
    tried = set()
    with values.session() as session:
        schema = postgres.describe(session)
        for condition in cases(name):
            operator, first, second = condition["operator"], condition.get("value"), condition.get("value2")
            expected = [n for n, value in enumerate(found) if fits(name, value, operator, first, second)]
            assert chosen(session, schema, name, **condition) == expected, condition
            tried.add(operator)
    assert tried >= {"=", "!=", ">", ">=", "<", "<=", "IN", "NOT IN", "BETWEEN", "IS NULL", "IS NOT NULL"}


@pytest.mark.accepts("SV-090")
def test_the_operators_are_the_documented_fifteen() -> None:
    assert set(get_args(sql.Operator)) == {
        "=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "NOT LIKE", "REGEXP", "IN", "NOT IN", "IS NULL",
        "IS NOT NULL", "BETWEEN",
    }  # fmt: skip
    assert {condition["operator"] for condition in cases("t")} == set(get_args(sql.Operator))


@pytest.mark.parametrize(
    ("name", "condition", "place"),
    [
        ("i", {"operator": "=", "value": "x"}, "filters.0.value"),
        ("i", {"operator": "IN", "value": ["1", "x"]}, "filters.0.value"),
        ("d", {"operator": "BETWEEN", "value": "2024-01-01", "value2": "2024-13-01"}, "filters.0.value2"),
        ("e", {"operator": "=", "value": "angry"}, "filters.0.value"),
        ("u", {"operator": "!=", "value": "1"}, "filters.0.value"),
        ("i", {"operator": "REGEXP", "value": "1"}, "filters.0.operator"),
        ("b", {"operator": "LIKE", "value": "t%"}, "filters.0.operator"),
        ("t", {"operator": "REGEXP", "value": "("}, None),
    ],
)
def test_a_value_that_cannot_be_compared_is_named(
    values: Database, name: str, condition: dict[str, Any], place: str | None
) -> None:
    with values.session() as session, pytest.raises(trials.Failed) as failed:
        chosen(session, postgres.describe(session), name, **condition)
    assert failed.value.place == place
    assert not failed.value.lost
