"""One pass over a configuration: tables found, expressions checked and written anew, the query built for sql.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from chalicelib import expressions, sql, tables, transformations
from chalicelib.configurations import rules
from chalicelib.configurations.shapes import Errors, Filter, Join, Mapped, Query, Schema
from chalicelib.messages import sentence

ANY_TYPE = "records"
"""The target type of a query that is tried before anybody said what it fills."""

_NAMES = {"sql_unread_table", "sql_unknown_column"}
"""What an expression is refused for, when a table that nobody found may have had it."""


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


class Compiler:
    """One pass over a configuration, which goes on after a fault, so that all of them are told at once."""

    def __init__(self, query: Query, record_type: str | None, at: str, schema: Schema | None) -> None:
        self._query, self._type, self._at, self._schema = query, record_type, at, schema
        self._found = Compiled()
        self._known: list[expressions.Table] = []
        self._missing: list[str] = []

    def compiled(self) -> Compiled:
        """The query, or all that is wrong with it."""
        base = self._table("base_table", self._query.base_table, None)
        joins = [self._join(place, join) for place, join in enumerate(self._query.joins)]
        fields = [self._mapped(place, one) for place, one in enumerate(self._query.fields)]
        filters = [self._filter(place, item) for place, item in enumerate(self._query.filters)]
        key = self._key()
        for place, kind, more in rules.misfits(self._query, self._type):
            self._fault(place, kind, **more)
        if not self._found.faults and base:
            self._found.query = sql.Query(
                name=self._query.name or f"{(self._type or ANY_TYPE).replace('_', ' ').title()} Import",
                base_table=base.name,
                base_schema=base.namespace,
                closed=self._schema is not None,
                origin=base.spelled,
                key=key,
                width=self._width(),
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
        other = self._found.tables.get(known_as)
        if other and not alias and found.namespace and found.namespace != other.namespace:
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
            table_schema=found.namespace,
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
        if one.transformation in rules.KINDS:
            if found and expressions.kind_of(one.source) != rules.KINDS[one.transformation]:
                self._fault(f"{at}.transformation", f"not_{one.transformation}")
        elif one.transformation not in (None, *rules.TRANSFORMATIONS, *named):
            self._fault(f"{at}.transformation", "one_of", allowed=", ".join((*rules.TRANSFORMATIONS, *named)))
        return sql.Mapped(
            source=found.sql if found else "NULL",
            target=one.target,
            transformation=one.transformation if one.transformation in named else rules.reading(self._type, one.target),
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

    def _width(self) -> str | None:
        """What a row's long texts measure, so that its chunk stays small; None when it reads none."""
        measured = []
        for known_as, name in sorted({column for place, reads in self._found.reads.items()
                                      if place.startswith("fields.") for column in reads}):  # fmt: skip
            described = self._found.tables[known_as].described or {"columns": ()}
            column = next((one for one in described["columns"] if one["name"] == name), None)
            if column and (size := rules.size(column)):
                measured.append(size.format(f"{sql.quoted(known_as)}.{sql.quoted(name)}"))
        return " + ".join(measured) or None

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


def _is_plain(text: str) -> bool:
    """Whether a column is named without its table."""
    return bool(re.fullmatch(r'\s*(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)\s*', text))
