"""Expression trees as SQL: the list of nodes that may stand in one, and the text of each.

In: a tree as grammar.py read it, and what its columns are called. Out: text with the same words in the same order.
Refused: every kind of node, operator, call, type and literal that is not listed, and a tree that PostgreSQL, which
binds some operators otherwise than sqlglot, would read differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sqlglot import exp

from chalicelib import sql
from chalicelib.expressions import types
from chalicelib.expressions.allowed import (
    AGGREGATES,
    CLOCKS,
    FUNCTIONS,
    MAX_ELEMENTS,
    MAX_NUMBER,
    PARTS,
    TEXTUAL,
    Unfit,
)
from chalicelib.expressions.names import folded, shown
from chalicelib.expressions.nodes import (
    CAST,
    COMPARED,
    IS,
    MATCHED,
    NOT,
    ONE_AT_A_TIME,
    OPERATORS,
    SIGN,
    ZONE,
    Coerced,
    Denied,
    Keyworded,
    Prefixed,
    only,
    refusal,
    tightness,
)

Named = Callable[[exp.Column], str]
"""What a column is called in the text."""

_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\Z")
_NOW = re.compile(r"(?<![a-z])(now|today|tomorrow|yesterday)(?![a-z])", re.IGNORECASE)
"""A word that PostgreSQL reads as the clock: only another letter beside it makes it another word (`today12:00`)."""

_CLOCKS = ("date", "time")
"""How the types begin whose text may name a moment that is another one at every run."""

_TEXTS = ("text", "varchar", "char", "bpchar")
_JOINED = (exp.DPipe, exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar)
"""What makes a text, beside the calls of TEXTUAL."""


def emitted(tree: exp.Expr, named: Named) -> str:
    """The text of a tree. Raises Unfit."""
    return _Writer(named).write(tree)


class _Writer:
    def __init__(self, named: Named) -> None:
        self.named = named

    def write(self, node: Any) -> str:
        if not isinstance(node, exp.Expr):
            raise Unfit("sql_unreadable")
        if type(node) in OPERATORS:
            return self._binary(node)
        method = _NODES.get(type(node))
        if method is None:
            raise refusal(node)
        return method(self, node)

    def _operand(self, node: Any, tighter_than: int, sign: str) -> str:
        """A part of an operation. It binds more tightly, or PostgreSQL would read it otherwise."""
        if isinstance(node, exp.Expr) and tightness(node) <= tighter_than:
            raise Unfit("sql_brackets", name=sign)
        return self.write(node)

    def _binary(self, node: Any) -> str:
        """Left-deep chains in a loop: a thousand ANDs are no thousand calls."""
        parts: list[str] = []
        _, level = OPERATORS[type(node)]
        while True:
            only(node, "this", "expression")
            sign, _ = OPERATORS[type(node)]
            right = node.args.get("expression")
            negated = "NOT " if node.args.get("negate") else ""
            written = self._quantified(right) if level == COMPARED else None
            parts.append(f" {negated}{sign} {written or self._operand(right, level, sign)}")
            left = node.args.get("this")
            if type(left) in OPERATORS and OPERATORS[type(left)][1] == level and level not in ONE_AT_A_TIME:
                node = left
                continue
            parts.append(self._operand(left, level if level in ONE_AT_A_TIME else level - 1, sign))
            return "".join(reversed(parts))

    def _quantified(self, node: Any) -> str | None:
        """`= ANY (array)`."""
        if type(node) is not exp.Anonymous or str(node.this).upper() not in ("ANY", "ALL"):
            return None
        only(node, "this", "expressions")
        if len(node.expressions) != 1:
            raise Unfit("sql_arguments", name=str(node.this).lower(), count=len(node.expressions), allowed="1")
        return f"{str(node.this).upper()}({self.write(node.expressions[0])})"

    def _list(self, nodes: Iterable[Any]) -> str:
        return ", ".join(self.write(node) for node in nodes)

    def _column(self, node: exp.Column) -> str:
        only(node, "this", "table", "db")
        return self.named(node)

    def _literal(self, node: exp.Literal) -> str:
        if node.is_string:
            return sql.literal(str(node.this))
        if len(str(node.this)) > MAX_NUMBER or not _NUMBER.match(str(node.this)):
            raise Unfit("sql_number", limit=MAX_NUMBER)
        return str(node.this)

    def _null(self, _: exp.Null) -> str:
        return "NULL"

    def _boolean(self, node: exp.Boolean) -> str:
        return "TRUE" if node.this else "FALSE"

    def _paren(self, node: exp.Paren) -> str:
        only(node, "this")
        return f"({self.write(node.this)})"

    def _neg(self, node: exp.Neg) -> str:
        only(node, "this")
        return f"- {self._operand(node.this, SIGN - 1, '-')}"

    def _denied(self, node: Denied) -> str:
        only(node, "this")
        return f"NOT {self._operand(node.this, NOT - 1, 'NOT')}"

    def _not(self, node: exp.Not) -> str:
        only(node, "this")
        inner = node.this
        if type(inner) in (exp.RegexpLike, exp.RegexpILike):
            return self._unmatched(inner)
        if type(inner) is exp.In:
            return self._in(inner, "NOT ")
        if type(inner) is exp.Between:
            return self._between(inner, "NOT ")
        if type(inner) is exp.Is:
            return self._is(inner, "NOT ")
        raise refusal(inner if type(inner) not in _NODES else node)

    def _unmatched(self, node: exp.Expr) -> str:
        only(node, "this", "expression")
        sign, level = OPERATORS[type(node)]
        left = self._operand(node.this, level - 1, f"!{sign}")
        return f"{left} !{sign} {self._operand(node.expression, level, f'!{sign}')}"

    def _is(self, node: exp.Is, negated: str = "") -> str:
        only(node, "this", "expression")
        if not isinstance(node.expression, exp.Null | exp.Boolean):
            raise Unfit("sql_construct", name="IS")
        negated = negated or ("NOT " if node.args.get("negate") else "")
        return f"{self._operand(node.this, IS, 'IS')} IS {negated}{self.write(node.expression)}"

    def _escape(self, node: exp.Escape) -> str:
        only(node, "this", "expression")
        if type(node.this) not in (exp.Like, exp.ILike) or not node.expression.is_string:
            raise Unfit("sql_construct", name="ESCAPE")
        return f"{self._binary(node.this)} ESCAPE {self.write(node.expression)}"

    def _between(self, node: exp.Between, negated: str = "") -> str:
        only(node, "this", "low", "high")
        value, low, high = (self._operand(node.args[name], MATCHED, "BETWEEN") for name in ("this", "low", "high"))
        return f"{value} {negated}BETWEEN {low} AND {high}"

    def _in(self, node: exp.In, negated: str = "") -> str:
        if node.args.get("query"):
            raise Unfit("sql_subquery")
        only(node, "this", "expressions")
        if not node.expressions:
            raise Unfit("sql_construct", name="an empty IN")
        return f"{self._operand(node.this, MATCHED, 'IN')} {negated}IN ({self._list(node.expressions)})"

    def _case(self, node: exp.Case) -> str:
        only(node, "this", "ifs", "default")
        parts = ["CASE"]
        if node.this:
            parts.append(self.write(node.this))
        for branch in node.args.get("ifs") or ():
            only(branch, "this", "true")
            parts.append(f"WHEN {self.write(branch.this)} THEN {self.write(branch.args.get('true'))}")
        if node.args.get("default"):
            parts.append(f"ELSE {self.write(node.args['default'])}")
        return " ".join([*parts, "END"])

    def _at_time_zone(self, node: exp.AtTimeZone) -> str:
        only(node, "this", "zone")
        value = self._operand(node.this, ZONE - 1, "AT TIME ZONE")
        return f"{value} AT TIME ZONE {self._operand(node.args['zone'], ZONE, 'AT TIME ZONE')}"

    def _bracket(self, node: exp.Bracket) -> str:
        only(node, "this", "expressions")
        index = node.expressions[0] if len(node.expressions) == 1 else None
        if not isinstance(index, exp.Literal) or index.is_string:
            raise Unfit("sql_construct", name="a subscript that is no number")
        if type(node.this) not in (exp.Column, exp.Bracket, exp.Paren):
            raise Unfit("sql_brackets", name="[")
        return f"{self.write(node.this)}[{self.write(index)}]"

    def _array(self, node: exp.Array) -> str:
        only(node, "expressions")
        if len(node.expressions) > MAX_ELEMENTS:
            raise Unfit("sql_elements", limit=MAX_ELEMENTS)
        return f"ARRAY[{self._list(node.expressions)}]"

    def _coerced(self, node: Coerced) -> str:
        only(node, "this", "to")
        self._timeless(node)
        return f"{self._operand(node.this, CAST - 1, '::')}::{types.written(node.to)}"

    def _cast(self, node: exp.Cast) -> str:
        only(node, "this", "to")
        self._timeless(node)
        return f"CAST({self.write(node.this)} AS {types.written(node.to)})"

    def _prefixed(self, node: Prefixed) -> str:
        only(node, "this", "to")
        if not isinstance(node.this, exp.Literal):
            raise Unfit("sql_brackets", name="::")  # sqlglot reads DATE '...'::text as DATE ('...'::text)
        self._timeless(node)
        return f"{types.written(node.to)} {self.write(node.this)}"

    def _timeless(self, node: exp.Cast) -> None:
        if not types.written(node.to).lower().startswith(_CLOCKS):
            return
        for literal in node.this.find_all(exp.Literal):
            unescaped = literal.this.replace("\\", "")  # as an array's text is read: '{n\ow}'
            if literal.is_string and (found := _NOW.search(literal.this) or _NOW.search(unescaped)):
                raise Unfit("sql_clock", name=f"'{found[1].lower()}'")
        if _is_composed(node.this):
            raise Unfit("sql_composed", name=types.written(node.to))

    def _extract(self, node: exp.Extract) -> str:
        only(node, "this", "expression")
        if not isinstance(node.this, exp.Var) or node.this.name.lower() not in PARTS:
            raise Unfit("sql_argument", name="extract", place=1, must="one of " + ", ".join(sorted(PARTS)))
        return f"EXTRACT({node.this.name.lower()} FROM {self.write(node.expression)})"

    def _keyworded(self, node: Keyworded) -> str:
        pairs = zip(node.args["words"], node.expressions, strict=True)
        written = " ".join(f"{word} {self.write(value)}" if word else self.write(value) for word, value in pairs)
        return f"{node.name}({written})"

    def _call(self, node: exp.Anonymous) -> str:
        only(node, "this", "expressions")
        if not isinstance(node.this, str):
            raise Unfit("sql_qualified_call", name=shown(node.name))
        name = folded(node.this)
        call = FUNCTIONS.get(name)
        if call is None:
            kind = "sql_aggregate" if name in AGGREGATES else "sql_clock" if name in CLOCKS else "sql_function"
            raise Unfit(kind, name=shown(node.this))
        count = len(node.expressions)
        if count < call.fewest or (call.most is not None and count > call.most):
            bound = {None: f"{call.fewest} or more", call.fewest: str(call.fewest)}
            raise Unfit(
                "sql_arguments", name=name, count=count, allowed=bound.get(call.most, f"{call.fewest} to {call.most}")
            )
        return f"{name}({self._list(node.expressions)})"


def _is_composed(tree: exp.Expr) -> bool:
    """Whether a text in it is put together of literals alone: ('no' || 'w'), reverse('won')."""
    reading: set[int] = set()
    for node in reversed(list(tree.walk())):  # parts before what they are parts of
        if isinstance(node, exp.Column) or id(node) in reading:
            reading.add(id(node.parent))
        elif _makes_text(node):
            return True
    return False


def _makes_text(node: exp.Expr) -> bool:
    if isinstance(node, exp.Cast):
        return types.written(node.to).startswith(_TEXTS)
    if isinstance(node, exp.Anonymous | Keyworded):
        return folded(str(node.this)) in TEXTUAL
    return isinstance(node, _JOINED)


_NODES: dict[type[exp.Expr], Callable[[_Writer, Any], str]] = {
    exp.Column: _Writer._column,
    exp.Literal: _Writer._literal,
    exp.Null: _Writer._null,
    exp.Boolean: _Writer._boolean,
    exp.Paren: _Writer._paren,
    exp.Neg: _Writer._neg,
    exp.Not: _Writer._not,
    Denied: _Writer._denied,
    exp.Is: _Writer._is,
    exp.Escape: _Writer._escape,
    exp.Between: _Writer._between,
    exp.In: _Writer._in,
    exp.Case: _Writer._case,
    exp.AtTimeZone: _Writer._at_time_zone,
    exp.Bracket: _Writer._bracket,
    exp.Array: _Writer._array,
    exp.Cast: _Writer._cast,
    exp.Extract: _Writer._extract,
    exp.Anonymous: _Writer._call,
    Coerced: _Writer._coerced,
    Prefixed: _Writer._prefixed,
    Keyworded: _Writer._keyworded,
}
"""Beside the operators, all nodes there may be: by the very class, since sqlglot's derive from each other."""
