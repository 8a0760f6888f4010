"""What an expression makes, as far as its outermost part says."""

from __future__ import annotations

from typing import Any, Literal

from sqlglot import exp

from chalicelib.expressions import types
from chalicelib.expressions.allowed import ARITHMETIC
from chalicelib.expressions.names import folded
from chalicelib.expressions.nodes import OPERATORS

_VALUES = (
    exp.DPipe, exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar, exp.BitwiseAnd,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Pow,
)  # fmt: skip
"""Operators that make something else than true or false."""


def kind_of(tree: exp.Expr) -> Literal["column", "case", "math", "other"]:
    """What a tree is at its outermost; brackets and casts do not count."""
    node: Any = tree
    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    if isinstance(node, exp.Column):
        return "column" if node is tree else "other"
    if isinstance(node, exp.Case):
        return "case"
    name = folded(node.this) if isinstance(node, exp.Anonymous) and isinstance(node.this, str) else ""
    arithmetic = isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.Mod | exp.Pow | exp.Neg)
    return "math" if arithmetic or name in ARITHMETIC else "other"


def may_be_boolean(tree: exp.Expr) -> bool:
    """Whether a tree's outermost node can make true or false."""
    node: Any = tree
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Cast):
        return types.written(node.to) == "boolean"
    if isinstance(node, exp.Anonymous):
        return folded(str(node.this)) in ("coalesce", "nullif", "starts_with", "isempty", "isfinite")
    if type(node) in OPERATORS:
        return not isinstance(node, _VALUES)
    return isinstance(node, exp.Not | exp.Is | exp.Between | exp.In | exp.Escape | exp.Boolean | exp.Column | exp.Case)
