"""docs/expressions.md says what is allowed, neither more nor less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chalicelib import expressions
from chalicelib.expressions import Table, Unfit, allowed, types
from chalicelib.expressions.nodes import OPERATORS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "expressions.md").read_text()
ANY_COLUMN = Table("customers", None, None, "customers")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def code(text: str) -> list[str]:
    return [found.replace("\\|", "|") for found in re.findall(r"`([^`]+)`", text)]


def test_the_functions_are_those_on_the_list() -> None:
    table = section("Functions").rpartition("|\n")[0]
    assert set(code(table)) == allowed.FUNCTIONS.keys() | {"extract", "position"}


def test_the_types_are_those_on_the_list() -> None:
    assert code(section("Types").partition(", under")[0]) == list(dict.fromkeys(types.NAMES.values()))


def test_the_operators_are_those_on_the_list() -> None:
    signs = {sign for sign, _ in OPERATORS.values()} - {"IS NOT DISTINCT FROM"}
    named = set(code(section("Operators").rpartition("|\n")[0]))
    assert signs <= named
    words = {"BETWEEN", "IN", "NOT", "IS NULL", "IS TRUE", "IS FALSE", "AT TIME ZONE", "CASE", "!~", "!~*"}
    examples = {"= ANY (array)", "<> ALL (array)", "array[1]", "ARRAY[1, 2]", "value::type", "CAST(value AS type)"}
    assert named == signs | words | examples


@pytest.mark.parametrize("text", PAGE.split("```sql\n")[1].split("```")[0].strip().splitlines())
def test_the_examples_are_taken(text: str) -> None:
    assert expressions.value(text, [ANY_COLUMN]).sql


@pytest.mark.parametrize(
    "text",
    [
        *["E'a'", "U&'a'", "B'1'", "X'1'", "$$a$$"],
        *[
            "(SELECT 1)",
            "EXISTS (SELECT 1)",
            "count(*)",
            "sum(a)",
            "lower(a) OVER ()",
            "unnest(a)",
            "generate_series(1, 2)",
        ],
        *[
            "now()",
            "current_date",
            "'today'::date",
            "('no' || 'w')::date",
            "random()",
            "schema.function()",
            '"function"()',
            "a; b",
            "a -- b",
        ],
        *["$1", "%s", ":name", "{{name}}", "a SIMILAR TO 'b'", 'a COLLATE "C"', "a OPERATOR(+) b", "(a, b)", "a[1:2]"],
        *["a::oid", "a::regclass", "a::xml", "age(a)", "a = b = c", "x ~ 'a' || 'b'", "x ~ '(a+)+'", "ctid", "*"],
    ],
)
def test_what_it_says_is_refused_is(text: str) -> None:
    with pytest.raises(Unfit):
        expressions.value(text, [ANY_COLUMN])


def test_it_names_the_bounds() -> None:
    bounds = section("Bounds")
    for number in (allowed.MAX_CHARACTERS, allowed.MAX_GROWTH):
        assert f"{number:,}" in bounds
    for number in (allowed.MAX_DEPTH, allowed.MAX_PATTERN, allowed.MAX_REPEATS):
        assert f" {number} " in bounds.replace("\n", " ")
