"""What a query is likely to do that the person who wrote it did not mean: warnings, as sentences.

In: a configuration as it was compiled, the types its columns turned out to have, PostgreSQL's estimate. Out: sentences
that name the place and say what will happen. Nothing here is wrong enough to refuse. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from chalicelib import sql, targets
from chalicelib.configurations import Compiled, Query, rules
from chalicelib.tables import Table

LARGE_ROWS = 100_000
"""From so many rows on, reading a table without an index is worth a word: it takes seconds."""

MAX_WARNINGS = 50
"""Most sentences of one answer."""

_PAIR = re.compile(r'"((?:[^"]|"")+)"\."((?:[^"]|"")+)" = (?:"((?:[^"]|"")+)"\."((?:[^"]|"")+)"|(\S+))(?= AND |\)|\Z)')

_QUOTED = re.compile(r"""("(?:[^"]|"")+")|'(?:[^']|'')*'""")
"""A name, or a text, whose letters are no SQL."""

_LOOSE = re.compile(r"\bOR\b|\bNOT\b(?! (?:NULL|IN|LIKE|ILIKE|BETWEEN)\b)")
"""What lets a condition hold although two columns in it are not equal."""

Name = str
ColumnOf = tuple[str, str]


def warnings(query: Query, found: Compiled, record_type: str | None, types: Mapping[str, str]) -> list[str]:
    """All that is worth a word, in the order of the configuration. types: target -> type of its values, as known."""
    adviser = _Adviser(query, found, record_type)
    said = [*adviser.keys(), *adviser.joins(), *adviser.fields(types), *adviser.filters()]
    return list(dict.fromkeys(said))[:MAX_WARNINGS]


class _Adviser:
    def __init__(self, query: Query, found: Compiled, record_type: str | None) -> None:
        assert found.query is not None
        self._query, self._found, self._built = query, found, found.query
        self._names = list(found.tables)
        self._base = self._names[0]
        self._type = record_type
        self._optional = self._outer()

    def _outer(self) -> set[str]:
        """The tables whose columns may all be NULL in a row, because a join found no row of theirs."""
        optional: set[str] = set()
        for place, join in enumerate(self._built.joins):
            if join.type in ("LEFT", "FULL"):
                optional.add(self._names[place + 1])
            if join.type in ("RIGHT", "FULL"):
                optional |= set(self._names[: place + 1])
        return optional

    def keys(self) -> Iterator[str]:
        """How the rows are cut, and whether they can be told apart."""
        base = self._found.tables[self._base]
        if not self._built.key:
            yield (
                f"{base.spelled} has no key: its rows are read in one go, without an order that repeats, "
                "and a run that fails meanwhile begins again."
            )
        elif self._query.key and (column := self._key_column()) and self._is_slow(base, column):
            yield self._slow("key", base, column)
        if self._base in self._optional:
            yield (
                f"RIGHT and FULL joins bring rows without {base.spelled}: "
                "they have no key and are read in one go at the end."
            )
        identity = next((place for place, one in enumerate(self._query.fields) if one.target == "external_id"), None)
        if identity is not None and base.described and not self._identifies(self._reads(f"fields.{identity}.source")):
            yield (
                f"fields.{identity}: {self._query.fields[identity].source} is not known to be different in every row; "
                "rows that share an external_id become one record."
            )

    def joins(self) -> Iterator[str]:
        """Rows that come several times, and joins that take long."""
        identity = next((n for n, one in enumerate(self._query.fields) if one.target == "external_id"), None)
        identified = self._reads(f"fields.{identity}.source") if identity is not None else frozenset()
        for place, join in enumerate(self._built.joins):
            known_as, table = self._names[place + 1], self._found.tables[self._names[place + 1]]
            reads = self._reads(f"joins.{place}.on") | self._reads(f"joins.{place}.leftColumn")
            if not any(owner == known_as for owner, _ in reads | self._reads(f"joins.{place}.rightColumn")):
                yield f"joins.{place}: nothing of {known_as} is compared, so every row meets every row of it."
                continue
            held = self._held(known_as, join)
            if not table.described:
                continue
            if not self._unique(table, held) and not any(owner == known_as for owner, _ in identified):
                columns = ", ".join(sorted(held)) or "what is compared"
                yield (
                    f"joins.{place}: {columns} is not unique in {table.spelled}, so a row of {self._base} "
                    "comes once for each row found there, each time with the same external_id."
                )
            if held and table.described["row_count"] >= LARGE_ROWS and not held & set(table.described["indexed"]):
                yield self._slow(f"joins.{place}", table, ", ".join(sorted(held)))

    def fields(self, types: Mapping[str, str]) -> Iterator[str]:
        """Values that will not fit, and required fields that may stay empty."""
        if self._type is None:
            return
        target = targets.get(self._type)
        required = {name for name, info in target.Record.model_fields.items() if info.is_required()} | {"external_id"}
        for place, one in enumerate(self._query.fields):
            if one.target in required and self._may_be_null(place):
                yield (
                    f"fields.{place}: {one.source} may be NULL, and {one.target} is required; "
                    "rows without it will be rejected."
                )
            info = target.Record.model_fields.get(one.target)
            named = self._built.fields[place].transformation
            if info is not None and one.target in types and named in (None, "time", "array", "object"):
                labels = self._labels(place)
                if said := misfit(info.annotation, types[one.target], labels):
                    yield f"fields.{place}: {one.source} is of type {types[one.target]}; {one.target} {said}."

    def filters(self) -> Iterator[str]:
        """Conditions that do more, or less, than they seem to."""
        for place, item in enumerate(self._query.filters):
            reads = self._reads(f"filters.{place}.field")
            null = item.operator in ("IS NULL", "IS NOT NULL")
            if item.operator in ("!=", "NOT IN", "NOT LIKE") and any(self._nullable(column) for column in reads):
                yield f"filters.{place}: rows in which {item.field} is NULL are left out by {item.operator} as well."
            if not null and (gone := sorted({owner for owner, _ in reads if owner in self._optional})):
                yield f"filters.{place}: leaves out the rows for which no row of {', '.join(gone)} was found."
            if item.operator == "BETWEEN" and type(item.value) is type(item.value2) and _reversed(item):
                yield f"filters.{place}: the first value is greater than the second, so no row fits."
            if item.operator in ("LIKE", "ILIKE", "NOT LIKE") and not set(str(item.value)) & set("%_"):
                yield f"filters.{place}: {item.operator} without % or _ compares with the whole text."
            yield from self._slow_filter(place, reads)

    def _slow_filter(self, place: int, reads: frozenset[ColumnOf]) -> Iterator[str]:
        if len(reads) == 1:
            [(owner, column)] = reads
            table = self._found.tables[owner]
            if self._is_slow(table, column):
                yield self._slow(f"filters.{place}", table, column)

    def _reads(self, place: str) -> frozenset[ColumnOf]:
        return self._found.reads.get(place, frozenset())

    def _key_column(self) -> str | None:
        reads = self._reads("key") or self._reads("key.0")
        return next((column for owner, column in reads if owner == self._base), None)

    def _held(self, known_as: str, join: sql.Join) -> set[str]:
        """The joined table's columns that one row before it, or a constant, gives one value."""
        text = f"{join.on} AND {join.condition}" if join.condition else join.on
        if _LOOSE.search(_QUOTED.sub('""', text)):
            return set()
        text = _QUOTED.sub(lambda found: found[1] or "''", text)
        held = set()
        for owner, column, other, other_column, _ in _PAIR.findall(text):
            if owner == known_as != other:
                held.add(column.replace('""', '"'))
            elif other == known_as != owner:
                held.add(other_column.replace('""', '"'))
        return held

    def _unique(self, table: Table, columns: set[str]) -> bool:
        """Whether no two rows of a table are alike in these columns. A key does not hold for tables that inherit."""
        described = table.described or {}
        if described.get("inherited"):
            return False
        keys = [described.get("primary_key") or [], *described.get("unique_keys", ())]
        return any(key and set(key) <= columns for key in keys)

    def _identifies(self, reads: frozenset[ColumnOf]) -> bool:
        return any(
            self._unique(self._found.tables[known_as], {column for owner, column in reads if owner == known_as})
            for known_as in self._names
        )

    def _may_be_null(self, place: int) -> bool:
        """Whether a field that is one column can be NULL; what an expression makes of NULL is not looked into."""
        return self._plain(place) and any(self._nullable(column) for column in self._reads(f"fields.{place}.source"))

    def _plain(self, place: int) -> bool:
        """Whether a field's source is one column as it is."""
        return bool(re.fullmatch(r'"(?:[^"]|"")+"\."(?:[^"]|"")+"', self._built.fields[place].source))

    def _nullable(self, column: ColumnOf) -> bool:
        owner, name = column
        described = self._described(column)
        return owner in self._optional or bool(described and described["nullable"] and name)

    def _described(self, column: ColumnOf) -> Mapping[str, Any] | None:
        owner, name = column
        table = self._found.tables[owner].described
        return next((one for one in table["columns"] if one["name"] == name), None) if table else None

    def _labels(self, place: int) -> list[str]:
        described = self._described(next(iter(self._reads(f"fields.{place}.source")))) if self._plain(place) else None
        return list(described.get("enum", ())) if described else []

    def _is_slow(self, table: Table, column: str) -> bool:
        described = table.described
        return bool(described and described["row_count"] >= LARGE_ROWS and column not in described["indexed"])

    def _slow(self, place: str, table: Table, column: str) -> str:
        rows = (table.described or {}).get("row_count", 0)
        return f"{place}: {table.spelled} has about {rows:,} rows and no index that begins with {column}."


def _reversed(item: Any) -> bool:
    return bool(item.value > item.value2)


_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "money", "oid")
_TEXTS = ("text", "character varying", "character", "name", "citext", "unknown")
_TIMES = ("timestamp without time zone", "timestamp with time zone", "date")


def misfit(annotation: Any, kind: str, labels: list[str]) -> str | None:
    """Why values of a type will not fit a field, or not all of them; None when they may. labels: of an enum."""
    holds = rules.holds(annotation)
    kind = kind.partition("(")[0]
    if annotation == targets.Timestamp | None:
        return None if kind in (*_TIMES, *_TEXTS) else "takes dates and times"
    if choices := [choice for one in get_args(annotation) if get_origin(one) is Literal for choice in get_args(one)]:
        unknown = [label for label in labels if label not in choices]
        if unknown:
            return f"is one of {', '.join(choices)}, so {', '.join(unknown[:5])} will not fit"
        return None if kind in _TEXTS or labels else f"is one of {', '.join(choices)}"
    if list in holds:
        return None if kind.endswith("[]") or kind in ("json", "jsonb", *_TEXTS) else "takes lists"
    if dict in holds:
        return None if kind in ("json", "jsonb", *_TEXTS) else "takes JSON objects"
    if bool in holds:
        return None if kind in ("boolean", *_TEXTS) else "takes true and false; other values but 0 and 1 will not fit"
    if int in holds or float in holds:
        whole = "takes whole numbers" if int in holds else "takes numbers"
        fraction = int in holds and kind in ("numeric", "real", "double precision")
        return whole if kind not in (*_NUMBERS, *_TEXTS) or fraction else None
    return "takes text; true and false will not fit" if kind == "boolean" else None
