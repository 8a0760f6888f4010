"""SQL expressions of people: what a field, a filter or a join may say, checked and written anew.

In: the text and the tables it may look at. Out: SQL in which every name is a quoted column of those tables and every
call, operator and type is on a list (allowed.py), and which says the same as the text. Refused: everything else, by an
`Unfit` that names it. Pure; sqlglot is loaded by the first call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chalicelib.expressions.allowed import MAX_EMITTED
from chalicelib.expressions.allowed import Unfit as Unfit
from chalicelib.expressions.tables import Table as Table

if TYPE_CHECKING:
    from chalicelib.expressions.grammar import Reading

Kind = Literal["column", "case", "math", "other"]


@dataclass(frozen=True)
class Checked:
    """An expression that may be run. sql: with every identifier quoted; columns: (known_as, column) that it reads."""

    sql: str
    columns: frozenset[tuple[str, str]]


def value(text: str, tables: Sequence[Table]) -> Checked:
    """An expression of one value. Raises Unfit."""
    from chalicelib.expressions import grammar

    return _checked(grammar.read(text), tables)


def condition(text: str, tables: Sequence[Table]) -> Checked:
    """An expression that is true or false. Raises Unfit."""
    from chalicelib.expressions import grammar, kinds

    reading = grammar.read(text)
    checked = _checked(reading, tables)
    if not kinds.may_be_boolean(reading.tree):
        raise Unfit("sql_no_condition")
    return checked


def column(text: str, tables: Sequence[Table]) -> Checked:
    """An expression that is one column. Raises Unfit."""
    from sqlglot import exp

    from chalicelib.expressions import grammar

    reading = grammar.read(text)
    checked = _checked(reading, tables)
    if not isinstance(reading.tree, exp.Column):
        raise Unfit("sql_no_column")
    return checked


def kind_of(text: str) -> Kind:
    """What an expression is at its outermost; brackets and casts do not count. Raises Unfit when it cannot be read."""
    from chalicelib.expressions import grammar, kinds

    return kinds.kind_of(grammar.read(text).tree)


def _checked(reading: Reading, tables: Sequence[Table]) -> Checked:
    from chalicelib.expressions import bounds, emission, names

    known = names.Columns(tables)
    written = emission.emitted(reading.tree, known.named)
    if not reading.is_faithful:
        raise Unfit("sql_unreadable")
    bounds.check(reading.tree, known.is_number)
    if len(written) > MAX_EMITTED:
        raise Unfit("sql_too_long", limit=MAX_EMITTED)
    return Checked(written, frozenset(known.read))
