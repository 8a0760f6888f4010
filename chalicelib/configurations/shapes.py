"""The shapes of a query configuration: what may be written at all. Unknown fields are refused, values kept as sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chalicelib import sql, tables
from chalicelib.expressions.allowed import MAX_CHARACTERS
from chalicelib.messages import described

Errors = dict[str, list[str]]
Schema = Mapping[str, Any]

MAX_OPERAND = 1_000
"""Longest text a filter compares with, in characters."""

MAX_OPERANDS = 100
"""Most values of one IN."""


@described(type=["string", "number", "boolean", "null"])
def _is_value(value: Any) -> Any:
    """One validator for every kind: a union's findings would name its members as if they were fields."""
    match value:
        case None | bool():
            fits = True
        case str():
            fits = len(value) <= MAX_OPERAND and "\0" not in value
        case int():
            fits = abs(value) <= sql.MAX_BIGINT
        case _:
            fits = isinstance(value, float) and math.isfinite(value)
    if not fits:
        raise PydanticCustomError("value", "no value", {"length": MAX_OPERAND})
    return value


@described(type=["string", "number", "boolean", "array", "null"])
def _is_value_or_list(value: Any) -> Any:
    if not isinstance(value, list):
        return _is_value(value)
    if not 0 < len(value) <= MAX_OPERANDS or None in value:
        raise PydanticCustomError("values", "no list of values", {"limit": MAX_OPERANDS})
    return [_is_value(one) for one in value]


Spelling = Annotated[str, StringConstraints(min_length=1, max_length=tables.MAX_SPELLING)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f]+$")]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]
Target = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_ -]+)?$", max_length=63)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Join(_Part):
    """A joined table. on: the condition its rows are found by, or leftColumn = rightColumn: a column of the tables
    before it, and one of its own. condition: what must hold besides. alias: its name in expressions, where a table
    comes twice.
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"] = "LEFT"
    table: Spelling
    alias: Name | None = None
    on: Expression | None = None
    leftColumn: Expression | None = None  # noqa: N815 -- as the import API's reference has it
    rightColumn: Expression | None = None  # noqa: N815 -- likewise
    condition: Expression | None = None


class Mapped(_Part):
    """source: an SQL expression. target: the field it fills. transformation: what the source is held to (direct,
    case_when, math, custom), or what is done to its value, by name.
    """

    source: Expression
    target: Target
    transformation: Annotated[str, StringConstraints(max_length=63)] | None = None


class Filter(_Part):
    """A condition. value: a list for IN and NOT IN, none for IS NULL and IS NOT NULL; value2: the end of BETWEEN."""

    field: Expression
    operator: sql.Operator
    value: Annotated[Any, AfterValidator(_is_value_or_list)] = None
    value2: Annotated[Any, AfterValidator(_is_value)] = None


class Query(_Part):
    """What one record type is read by.

    key: the columns that order the rows and cut them into chunks; without any, the base table's own key.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    base_table: Spelling
    key: Expression | Annotated[list[Expression], Field(min_length=1, max_length=sql.MAX_KEY)] | None = None
    joins: Annotated[list[Join], Field(max_length=20)] = []
    fields: Annotated[list[Mapped], Field(min_length=1, max_length=200)]
    filters: Annotated[list[Filter], Field(max_length=50)] = []
    target_type: str | None = None
