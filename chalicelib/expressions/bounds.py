"""What an expression may cost: how long its texts can become, and what its literal arguments have to be.

In: a tree whose every node is allowed. Refused: patterns, formats, lengths and places that are not literals or too
large, and texts that grow beyond a bound. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlglot import exp

from chalicelib.expressions import patterns
from chalicelib.expressions.allowed import (
    FUNCTIONS,
    MAX_FORMAT,
    MAX_GROWTH,
    MAX_LENGTH,
    MAX_PATTERN,
    MAX_PLACES,
    PARTS,
    UNITS,
    Unfit,
)
from chalicelib.expressions.names import folded
from chalicelib.expressions.nodes import OPERATORS

IsNumber = Callable[[exp.Column], bool]


def check(tree: exp.Expr, is_number: IsNumber) -> None:
    """Raises Unfit for what could take more memory or time than one value should."""
    for node in tree.walk():
        for name, place, must, argument in _obligations(node):
            _MUSTS[must](name, place, argument, is_number)
    if _growth(tree) > MAX_GROWTH:
        raise Unfit("sql_growth", limit=MAX_GROWTH)


def _obligations(node: exp.Expr) -> Iterator[tuple[str, int, str, exp.Expr]]:
    if isinstance(node, exp.RegexpLike | exp.RegexpILike):
        yield "~", 2, "pattern", node.expression
    elif isinstance(node, exp.Pow):
        yield "^", 2, "power", node.expression
    elif isinstance(node.this, str) and "expressions" in node.args:
        name = folded(node.this)
        for place, must in (FUNCTIONS[name].must if name in FUNCTIONS else {}).items():
            if place <= len(node.expressions):
                yield name, place, must, node.expressions[place - 1]


def _text(node: exp.Expr) -> str | None:
    return str(node.this) if isinstance(node, exp.Literal) and node.is_string else None


def _whole(node: exp.Expr) -> int | None:
    if isinstance(node, exp.Neg):
        inner = _whole(node.this)
        return None if inner is None else -inner
    plain = isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit()
    return int(node.this) if plain else None


def _number(node: exp.Expr) -> float | None:
    if isinstance(node, exp.Neg | exp.Paren):
        return _number(node.this)
    return float(node.this) if isinstance(node, exp.Literal) and not node.is_string else None


def _within(name: str, place: int, found: int | None, limit: int) -> None:
    if found is None or abs(found) > limit:
        raise Unfit("sql_argument", name=name, place=place, must=f"a whole number up to {limit}")


def _must_be_text(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    if _text(node) is None:
        raise Unfit("sql_argument", name=name, place=place, must="a text in single quotes")


def _must_be_length(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    _within(name, place, _whole(node), MAX_LENGTH)


def _must_be_places(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    _within(name, place, _whole(node), MAX_PLACES)


def _must_be_power(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    exponent = _number(node)
    if exponent is None or abs(exponent) > MAX_PLACES:
        raise Unfit("sql_argument", name=name, place=place, must=f"a number up to {MAX_PLACES}")


def _must_be_format(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    text = _text(node)
    if text is None or len(text) > MAX_FORMAT:
        must = f"a format in single quotes of up to {MAX_FORMAT} characters"
        raise Unfit("sql_argument", name=name, place=place, must=must)


def _must_be_unit(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    units = PARTS if name == "date_part" else UNITS
    if folded(_text(node) or "") not in units:
        raise Unfit("sql_argument", name=name, place=place, must=f"one of {', '.join(sorted(units))}")


def _must_be_flags(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    text = _text(node)
    if text is None or set(text) - set("gi"):
        raise Unfit("sql_argument", name=name, place=place, must="'g', 'i' or 'gi'")


def _must_be_pattern(name: str, place: int, node: exp.Expr, _: IsNumber) -> None:
    text = _text(node)
    if text is None or len(text) > MAX_PATTERN:
        must = f"a pattern in single quotes of up to {MAX_PATTERN} characters"
        raise Unfit("sql_argument", name=name, place=place, must=must)
    patterns.check(text)


def _must_be_number(name: str, place: int, node: exp.Expr, is_number: IsNumber) -> None:
    if _text(node) is not None and place == 2:  # substring(text from pattern)
        _must_be_pattern(name, place, node, is_number)
    elif not _numeric(node, is_number):
        raise Unfit("sql_argument", name=name, place=place, must="a number; a cast makes one (::integer)")


_MUSTS: dict[str, Callable[[str, int, exp.Expr, IsNumber], None]] = {
    "text": _must_be_text,
    "length": _must_be_length,
    "places": _must_be_places,
    "power": _must_be_power,
    "format": _must_be_format,
    "unit": _must_be_unit,
    "flags": _must_be_flags,
    "pattern": _must_be_pattern,
    "number": _must_be_number,
}

_INTEGERS = ("smallint", "integer", "bigint")

_COUNTS = {"position", "strpos", "length", "char_length", "character_length", "octet_length", "ascii", "cardinality"}


def _numeric(node: Any, is_number: IsNumber) -> bool:
    """Whether a value is a number whatever its parts are; a text here would be a pattern."""
    match node:
        case exp.Literal():
            return not node.is_string
        case exp.Column():
            return is_number(node)
        case exp.Paren() | exp.Neg():
            return _numeric(node.this, is_number)
        case exp.Cast():
            return node.to.name in _INTEGERS and not node.to.args["dimensions"]
        case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod():
            return _numeric(node.this, is_number) and _numeric(node.expression, is_number)
    return isinstance(node, exp.Expr) and isinstance(node.this, str) and folded(node.this) in _COUNTS


def _growth(node: Any) -> float:
    """How many times longer than a column's a text may be. A text counts by its length, each call and cast for one."""
    if not isinstance(node, exp.Expr):
        return 0
    if isinstance(node, exp.Literal):
        return len(str(node.this)) / MAX_LENGTH if node.is_string else 1
    if isinstance(node, exp.Column):
        return 1
    inner = 0.0
    while type(node) in OPERATORS and not isinstance(node, exp.Pow):  # a chain of a thousand is no thousand calls
        inner += _growth(node.expression)
        node = node.this
    if inner:
        return inner + _growth(node)
    return (1 + sum(_growth(part) for part in node.iter_expressions())) * _factor(node)


def _factor(node: exp.Expr) -> float:
    """How many times longer than its arguments together a call's text may be."""
    if isinstance(node, exp.Array):
        return 2  # as text, with a backslash before each quote and backslash
    if isinstance(node, exp.Pow):
        return max(1, _number(node.expression) or 1)
    if not isinstance(node, exp.Anonymous):
        return 1
    name, arguments = folded(str(node.this)), node.expressions
    if name in ("power", "pow", "repeat"):
        return max(1, _number(arguments[1]) or 1)
    if name in ("replace", "regexp_replace"):
        return max(1, len(_text(arguments[2]) or ""))
    if name == "array_to_string":
        return 1 + sum(len(_text(one) or "") for one in arguments[1:])
    if name == "concat_ws":
        return len(arguments)
    return _FACTORS.get(name, 1)


_FACTORS = {"to_json": 6, "to_jsonb": 6, "encode": 2, "lower": 2, "upper": 2, "initcap": 2}
"""A control character is six in JSON; a few letters are two in the other case."""
