"""Query configurations: what a record type is read by, as people write it.

In: tables by their names, SQL expressions, values; and the source's schema (see catalogue.py) where it is known. Out:
an `sql.Query` in which every expression was checked and written anew (see expressions.py). Refused, each by its place:
tables and columns that are not there, expressions the guard does not let through, fields the record type does not have,
values that do not fit their operator, transformations that are none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chalicelib import expressions, sql, tables, targets, transformations
from chalicelib.errors import Fatal
from chalicelib.expressions.allowed import MAX_CHARACTERS
from chalicelib.messages import sentence

Errors = dict[str, list[str]]
Schema = Mapping[str, Any]

MAX_OPERAND = 1_000
"""Longest text a filter compares with, in characters."""

MAX_OPERANDS = 100
"""Most values of one IN."""

ANY_TYPE = "records"
"""The target type of a query that is tried before anybody said what it fills."""


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
    rightColumn: Expression | None = None  # noqa: N815
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


KINDS = {"direct": "column", "case_when": "case", "math": "math"}
"""What a source has to be for each transformation that says so; `custom` lets it be anything."""

TRANSFORMATIONS = ("direct", "custom", "case_when", "math")


@dataclass
class Compiled:
    """A configuration looked at: the query, when nothing is wrong with it; what is wrong, field -> sentences; and for
    who looks closer, the kinds of what is wrong, the tables by the name they are reached by, and what each place reads.
    """

    query: sql.Query | None = None
    faults: Errors = field(default_factory=dict)
    tables: dict[str, tables.Table] = field(default_factory=dict)
    reads: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)


def faults(query: Query, record_type: str, at: str = "", schema: Schema | None = None) -> Errors:
    """What is wrong with a query, its parts being well formed: field -> sentences. at: the field it stands in."""
    return compiled(query, record_type, at, schema).faults


def built(query: Query, record_type: str, schema: Schema | None = None) -> sql.Query:
    """The query as it is run. Raises Fatal, which names field and reason: `source_changed` where a table or column that
    it names is not there, else `query_invalid`.
    """
    found = compiled(query, record_type, "", schema)
    if found.query is None:
        said = " ".join(text for texts in found.faults.values() for text in texts)
        code = "source_changed" if found.kinds & GONE else "query_invalid"
        raise Fatal(f"The query of {record_type} does not fit the source: {said}"[:MAX_SAID], code=code)
    return found.query


def read(saved: Mapping[str, Any], record_type: str, schema: Schema | None) -> sql.Query:
    """A configuration as it was saved, built. Raises as `built`."""
    return built(Query.model_validate(saved), record_type, schema)


MAX_SAID = 1_000
"""Characters of what is wrong with a saved query, on the job that it stopped."""

_NAMES = {"sql_unread_table", "sql_unknown_column"}
"""What an expression is refused for, when a table that nobody found may have had it."""

GONE = {"unknown_table", "sql_unknown_column", "sql_unread_table"}


def compiled(query: Query, record_type: str | None, at: str = "", schema: Schema | None = None) -> Compiled:
    """The query, checked and built. record_type: None while nobody has said what the rows become."""
    return _Compiler(query, record_type, at, schema).compiled()


class _Compiler:
    """One pass over a configuration, which goes on after a fault, so that all of them are told at once."""

    def __init__(self, query: Query, record_type: str | None, at: str, schema: Schema | None) -> None:
        self._query, self._type, self._at, self._schema = query, record_type, at, schema
        self._found = Compiled()
        self._known: list[expressions.Table] = []
        self._missing: list[str] = []

    def compiled(self) -> Compiled:
        base = self._table("base_table", self._query.base_table, None)
        joins = [self._join(place, join) for place, join in enumerate(self._query.joins)]
        fields = [self._mapped(place, one) for place, one in enumerate(self._query.fields)]
        filters = [self._filter(place, item) for place, item in enumerate(self._query.filters)]
        key = self._key()
        for place, kind, more in _misfits(self._query, self._type):
            self._fault(place, kind, **more)
        if not self._found.faults and base:
            self._found.query = sql.Query(
                name=self._query.name or f"{(self._type or ANY_TYPE).replace('_', ' ').title()} Import",
                base_table=base.name,
                base_schema=base.schema,
                origin=base.spelled,
                key=key,
                joins=[join for join in joins if join],
                fields=fields,
                filters=filters,
                target_type=self._type or ANY_TYPE,
            )
        return self._found

    def _fault(self, place: str, kind: str, **values: Any) -> None:
        name = f"{self._at}.{place}" if self._at else place
        self._found.kinds.add(kind)
        said = self._found.faults.setdefault(name, [])
        if (text := sentence(kind, name, **values)) not in said:
            said.append(text)

    def _table(self, place: str, spelling: str, alias: str | None) -> tables.Table | None:
        """The table, reachable from here on; None for one that was not found."""
        try:
            found = tables.find(spelling, self._schema)
        except tables.Unknown as unknown:
            self._fault(place, unknown.kind, **unknown.values)
            self._missing.append(place)
            return None
        known_as = alias or found.name
        if known_as in self._found.tables and not alias and found.namespace:
            known_as = f"{found.namespace}.{found.name}"
        if known_as in self._found.tables:
            self._fault(place if not alias else place.replace(".table", ".alias"), "same_name", name=known_as)
            return None
        if len(known_as.encode()) > 63:
            self._fault(place, "needs_alias")
            return None
        self._found.tables[known_as] = found
        self._known.append(expressions.Table(known_as, found.columns, found.namespace, found.name))
        return found

    def _join(self, place: int, join: Join) -> sql.Join | None:
        at, before = f"joins.{place}", tuple(self._known)
        found = self._table(f"{at}.table", join.table, join.alias)
        if found is None:
            return None
        own = self._known[-1]
        on = self._on(at, join, before, own)
        condition = self._condition(f"{at}.condition", join.condition) if join.condition is not None else None
        return sql.Join(
            type=join.type,
            table=found.name,
            table_schema=found.schema,
            alias=own.known_as if own.known_as != found.name else None,
            on=on or "true",
            condition=condition,
        )

    def _on(self, at: str, join: Join, before: tuple[expressions.Table, ...], own: expressions.Table) -> str | None:
        if join.on is not None:
            if join.leftColumn is not None or join.rightColumn is not None:
                self._fault(f"{at}.on", "on_or_columns")
            return self._condition(f"{at}.on", join.on)
        if join.leftColumn is None or join.rightColumn is None:
            missing = "on" if join.leftColumn is None and join.rightColumn is None else "leftColumn"
            self._fault(f"{at}.{missing if join.leftColumn is None else 'rightColumn'}", "missing")
            return None
        sides = []
        for word, text, plain in (("leftColumn", join.leftColumn, before), ("rightColumn", join.rightColumn, (own,))):
            known = plain if _is_plain(text) else tuple(self._known)
            sides.append(self._checked(f"{at}.{word}", text, "column", known))
        return f"{sides[0].sql} = {sides[1].sql}" if sides[0] and sides[1] else None

    def _condition(self, place: str, text: str) -> str | None:
        found = self._checked(place, text, "condition")
        return found.sql if found else None

    def _mapped(self, place: int, one: Mapped) -> sql.Mapped:
        at = f"fields.{place}"
        found = self._checked(f"{at}.source", one.source, "value")
        named = transformations.names()
        if one.transformation in KINDS:
            if found and expressions.kind_of(one.source) != KINDS[one.transformation]:
                self._fault(f"{at}.transformation", f"not_{one.transformation}")
        elif one.transformation not in (None, *TRANSFORMATIONS, *named):
            self._fault(f"{at}.transformation", "one_of", allowed=", ".join((*TRANSFORMATIONS, *named)))
        return sql.Mapped(
            source=found.sql if found else "NULL",
            target=one.target,
            transformation=one.transformation if one.transformation in named else _reading(self._type, one.target),
        )

    def _filter(self, place: int, item: Filter) -> sql.Filter:
        found = self._checked(f"filters.{place}.field", item.field, "value")
        source = found.sql if found else "NULL"
        return sql.Filter(field=source, operator=item.operator, value=item.value, value2=item.value2)

    def _key(self) -> list[str]:
        """The key that was asked for, else the base table's own; where no one looked, the column of the external id."""
        asked = self._query.key
        if asked is not None:
            names = ["key"] if isinstance(asked, str) else [f"key.{place}" for place in range(len(asked))]
            parts = [asked] if isinstance(asked, str) else asked
            found = [self._checked(name, part, "column") for name, part in zip(names, parts, strict=True)]
            return [part.sql for part in found if part]
        if not self._known:
            return []
        base = self._found.tables[self._known[0].known_as]
        if base.described:
            keys = [base.described["primary_key"], *base.described["unique_keys"]]
            chosen: list[str] = next((key for key in keys if key), [])
            return [f"{sql.quoted(self._known[0].known_as)}.{sql.quoted(column)}" for column in chosen]
        identity = (one.source for one in self._query.fields if one.target == "external_id")
        source = next(identity, None)
        if source is None or self._found.faults or expressions.kind_of(source) != "column":
            return []
        return [expressions.column(source, self._known).sql]

    def _checked(
        self, place: str, text: str, kind: Literal["value", "condition", "column"],
        known: tuple[expressions.Table, ...] | None = None,
    ) -> expressions.Checked | None:  # fmt: skip
        """What the guard makes of an expression; None for one it refuses, or that may name a table nobody found."""
        if "base_table" in self._missing:
            return None
        check = {"value": expressions.value, "condition": expressions.condition, "column": expressions.column}[kind]
        try:
            found = check(text, known or tuple(self._known))
        except expressions.Unfit as unfit:
            if not (self._missing and unfit.kind in _NAMES):
                self._fault(place, unfit.kind, **unfit.values)
            return None
        self._found.reads[place] = found.columns
        return found


def _reading(record_type: str | None, target: str) -> str | None:
    """How a value becomes what the field holds, where PostgreSQL has a text of its own for it."""
    info = targets.get(record_type).Record.model_fields.get(target) if record_type else None
    if info is None:
        return None
    if info.annotation == targets.Timestamp | None:
        return "time"
    if info.annotation == targets.Object | None:
        return "object"
    holds = [getattr(one, "__origin__", one) for one in get_args(info.annotation)]
    return "array" if list in holds else None


def _is_plain(text: str) -> bool:
    """Whether a column is named without its table."""
    return bool(re.fullmatch(r'\s*(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)\s*', text))


def _misfits(query: Query, record_type: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is wrong beside tables and expressions: (place, kind of sentence, its values)."""
    if record_type is not None:
        if query.target_type not in (None, record_type):
            yield "target_type", "selected", {}
        yield from _unfit_targets(query, targets.get(record_type), record_type)
    seen: set[str] = set()
    for place, one in enumerate(query.fields):
        if one.target in seen:
            yield f"fields.{place}.target", "repeated", {}
        seen.add(one.target)
    for place, item in enumerate(query.filters):
        for word in _unfit_values(item):
            yield f"filters.{place}.{word}", "operand", {"operator": item.operator}


def _unfit_targets(query: Query, target: targets.Target, record_type: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    known = {"external_id", *target.Record.model_fields, *target.REFERENCES}
    objects = {name for name, info in target.Record.model_fields.items() if info.annotation == targets.Object | None}
    whole = {one.target for one in query.fields}
    for place, one in enumerate(query.fields):
        outer, dot, _ = one.target.partition(".")
        if outer not in known:
            yield f"fields.{place}.target", "unknown_target", {"target_type": record_type}
        elif dot and outer not in objects:
            yield f"fields.{place}.target", "no_object", {"outer": outer}
        elif dot and outer in whole:
            yield f"fields.{place}.target", "whole_and_part", {"outer": outer}
    required = {name for name, info in target.Record.model_fields.items() if info.is_required()} | {"external_id"}
    if missing := sorted(required - whole):
        yield "fields", "unfilled", {"missing": ", ".join(missing)}


def _unfit_values(item: Filter) -> Iterator[str]:
    """Which of the filter's values do not fit its operator."""
    several = isinstance(item.value, list)
    match item.operator:
        case "IS NULL" | "IS NOT NULL":
            fits = item.value is None
        case "IN" | "NOT IN":
            fits = several and len({type(one) for one in item.value}) == 1
        case "LIKE" | "ILIKE" | "NOT LIKE" | "REGEXP":
            fits = isinstance(item.value, str)
        case _:
            fits = item.value is not None and not several
    if not fits:
        yield "value"
    if (item.value2 is not None) != (item.operator == "BETWEEN"):
        yield "value2"
