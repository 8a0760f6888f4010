"""The types an expression may cast to."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from chalicelib.expressions.allowed import MAX_LENGTH, Unfit
from chalicelib.expressions.names import shown
from chalicelib.expressions.nodes import only

_TYPES = {
    exp.DType.TEXT: "text",
    exp.DType.VARCHAR: "varchar",
    exp.DType.CHAR: "char",
    exp.DType.BPCHAR: "bpchar",
    exp.DType.BOOLEAN: "boolean",
    exp.DType.SMALLINT: "smallint",
    exp.DType.INT: "integer",
    exp.DType.BIGINT: "bigint",
    exp.DType.DECIMAL: "numeric",
    exp.DType.FLOAT: "real",
    exp.DType.DOUBLE: "double precision",
    exp.DType.DATE: "date",
    exp.DType.TIME: "time",
    exp.DType.TIMETZ: "timetz",
    exp.DType.TIMESTAMP: "timestamp",
    exp.DType.TIMESTAMPTZ: "timestamptz",
    exp.DType.INTERVAL: "interval",
    exp.DType.UUID: "uuid",
    exp.DType.JSON: "json",
    exp.DType.JSONB: "jsonb",
    exp.DType.INET: "inet",
}

_SIZED = {"varchar": MAX_LENGTH * 10, "char": MAX_LENGTH, "bpchar": MAX_LENGTH, "numeric": 1000}
_SIZED |= dict.fromkeys(["time", "timetz", "timestamp", "timestamptz"], 6)
"""Types that take a size, and the largest."""


def written(node: Any) -> str:
    """A type's name. Raises Unfit for any that is not listed, and for sizes beyond its bound."""
    if not isinstance(node, exp.DataType):
        raise Unfit("sql_type", name=shown(node.name or node.key))
    only(node, "this", "expressions", "nested")
    if node.this == exp.DType.ARRAY and len(node.expressions) == 1:
        return f"{written(node.expressions[0])}[]"
    name = _TYPES.get(node.this)
    if name is None:
        raise Unfit("sql_type", name=shown(node.sql("postgres").lower()))
    if not node.expressions:
        return name
    sizes = [size.this.name if isinstance(size.this, exp.Literal) else "" for size in node.expressions]
    sized = name in _SIZED and len(sizes) <= (2 if name == "numeric" else 1)
    if not sized or not all(size.isdigit() and len(size) < 6 and int(size) <= _SIZED[name] for size in sizes):
        raise Unfit("sql_type", name=shown(f"{name}({', '.join(sizes)})"))
    return f"{name}({', '.join(sizes)})"
