"""Queries of columns alone, as people write them for a template, and what they become for sql.py.

In: tables, columns, comparisons of columns, values. Out: an `sql.Query` in which every name is quoted. Refused, each by
its place: whatever is no plain name (so no expression can come this way), tables the query does not read, fields the
record type does not have, values that do not fit their operator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chalicelib import sql, targets, transformations
from chalicelib.messages import sentence

_NAME = r"[^\W\d][\w$]{0,62}"
_COLUMN = re.compile(rf"({_NAME}\.)?{_NAME}\Z")
_PAIR = rf"{_NAME}\.{_NAME}\s*=\s*{_NAME}\.{_NAME}"
_LINK = re.compile(rf"{_PAIR}(\s+AND\s+{_PAIR})*\Z", re.IGNORECASE)

Errors = dict[str, list[str]]


def _is_column(value: str) -> str:
    if not _COLUMN.match(value):
        raise PydanticCustomError("column", "no column")
    return value


def _is_link(value: str) -> str:
    if not _LINK.match(value):
        raise PydanticCustomError("link", "no comparison of columns")
    return value


def _is_absent(value: Any) -> None:
    if value is not None:
        raise PydanticCustomError("later", "not available")


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


def _is_value_or_list(value: Any) -> Any:
    if not isinstance(value, list):
        return _is_value(value)
    if not 0 < len(value) <= MAX_OPERANDS or None in value:
        raise PydanticCustomError("values", "no list of values", {"limit": MAX_OPERANDS})
    return [_is_value(one) for one in value]


MAX_OPERAND = 1_000
"""Longest text a filter compares with, in characters."""

MAX_OPERANDS = 100
"""Most values of one IN."""

Table = Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
Column = Annotated[str, AfterValidator(_is_column)]
Link = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(_is_link)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Join(_Part):
    """A joined table. on: which columns are equal. RIGHT and FULL would bring rows without a key."""

    type: Literal["INNER", "LEFT"] = "LEFT"
    table: Table
    on: Link
    condition: Annotated[Any, AfterValidator(_is_absent)] = None


class Mapped(_Part):
    """source: a column. target: the field it fills. transformation: by its name."""

    source: Column
    target: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_ -]+)?$", max_length=63)]
    transformation: Annotated[str, StringConstraints(max_length=63)] | None = None


class Filter(_Part):
    """A condition. value: a list for IN and NOT IN, none for IS NULL and IS NOT NULL; value2: the end of BETWEEN."""

    field: Column
    operator: sql.Operator
    value: Annotated[Any, AfterValidator(_is_value_or_list)] = None
    value2: Annotated[Any, AfterValidator(_is_value)] = None


class Query(_Part):
    """What one record type is read by. A column without a table is the base table's. key: an integer column that is
    never null, which planning holds it to; without it, the one that fills external_id.
    """

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None
    base_table: Table
    key: Column | None = None
    joins: Annotated[list[Join], Field(max_length=20)] = []
    fields: Annotated[list[Mapped], Field(min_length=1, max_length=200)]
    filters: Annotated[list[Filter], Field(max_length=50)] = []
    target_type: str | None = None


def faults(query: Query, record_type: str, at: str) -> Errors:
    """What is wrong with a query, its parts being well formed: field -> sentence. at: the field it stands in."""
    found = ((f"{at}.{place}", kind, more) for place, kind, more in _faults(query, record_type))
    return {field: [sentence(kind, field, **more)] for field, kind, more in found}


def _faults(query: Query, record_type: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if query.target_type not in (None, record_type):
        yield "target_type", "selected", {}
    tables = {query.base_table}
    for place, join in enumerate(query.joins):
        if join.table in tables:
            yield f"joins.{place}.table", "repeated", {}
        tables.add(join.table)
        if set(re.findall(rf"({_NAME})\.", join.on)) - tables:
            yield f"joins.{place}.on", "unread_table", {}
    for name, column in _columns(query):
        if "." in column and column.partition(".")[0] not in tables:
            yield name, "unread_table", {}
    yield from _unfit_fields(query, targets.get(record_type), record_type)
    for place, item in enumerate(query.filters):
        for word in _unfit_values(item):
            yield f"filters.{place}.{word}", "operand", {"operator": item.operator}


def _columns(query: Query) -> Iterator[tuple[str, str]]:
    if query.key:
        yield "key", query.key
    yield from ((f"fields.{place}.source", field.source) for place, field in enumerate(query.fields))
    yield from ((f"filters.{place}.field", item.field) for place, item in enumerate(query.filters))


def _unfit_fields(query: Query, target: targets.Target, record_type: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    known = {"external_id", *target.Record.model_fields, *target.REFERENCES}
    objects = {name for name, info in target.Record.model_fields.items() if info.annotation == targets.Object | None}
    whole = {field.target for field in query.fields}
    seen: set[str] = set()
    for place, field in enumerate(query.fields):
        outer, dot, _ = field.target.partition(".")
        if outer not in known:
            yield f"fields.{place}.target", "unknown_target", {"target_type": record_type}
        elif dot and outer not in objects:
            yield f"fields.{place}.target", "no_object", {"outer": outer}
        elif dot and outer in whole:
            yield f"fields.{place}.target", "whole_and_part", {"outer": outer}
        elif field.target in seen:
            yield f"fields.{place}.target", "repeated", {}
        seen.add(field.target)
        if field.transformation not in (None, *transformations.names()):
            yield f"fields.{place}.transformation", "one_of", {"allowed": ", ".join(transformations.names())}
    required = {name for name, info in target.Record.model_fields.items() if info.is_required()} | {"external_id"}
    if missing := sorted(required - seen):
        yield "fields", "unfilled", {"missing": ", ".join(missing)}


def _unfit_values(item: Filter) -> Iterator[str]:
    """Which of the filter's values do not fit its operator."""
    several = isinstance(item.value, list)
    match item.operator:
        case "IS NULL" | "IS NOT NULL":
            fits = item.value is None
        case "IN" | "NOT IN":
            fits = isinstance(item.value, list) and len({type(one) for one in item.value}) == 1
        case "LIKE" | "ILIKE" | "NOT LIKE" | "REGEXP":
            fits = isinstance(item.value, str)
        case _:
            fits = item.value is not None and not several
    if not fits:
        yield "value"
    if (item.value2 is not None) != (item.operator == "BETWEEN"):
        yield "value2"


def built(query: Query, record_type: str) -> sql.Query:
    """The query as it is run. Call it on what has no faults."""

    def quoted(column: str) -> str:
        table, _, name = column.rpartition(".")
        return f"{sql.quoted(table or query.base_table)}.{sql.quoted(name)}"

    joins = [
        sql.Join(
            type=join.type,
            table=join.table,
            on=re.sub(rf"{_NAME}\.{_NAME}", lambda found: quoted(found[0]), join.on),
        )
        for join in query.joins
    ]
    identity = next(field.source for field in query.fields if field.target == "external_id")
    return sql.Query(
        name=query.name or f"{record_type.replace('_', ' ').title()} Import",
        base_table=query.base_table,
        origin=query.base_table,
        key=[quoted(query.key or identity)],
        joins=joins,
        fields=[
            sql.Mapped(source=quoted(field.source), target=field.target, transformation=field.transformation)
            for field in query.fields
        ],
        filters=[
            sql.Filter(field=quoted(item.field), operator=item.operator, value=item.value, value2=item.value2)
            for item in query.filters
        ],
        target_type=record_type,
    )
