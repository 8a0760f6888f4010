"""Query configuration -> SQL. The only place that writes SQL for a customer's database.

In: a `Query`, which names a table, joins, fields and filters. Out: (text, parameters) for psycopg. Names are quoted
and values are bound here. Expressions (`source`, `on`, `condition`, `key`, ...) are pasted as they stand: they come
from system templates, or from what a request's expressions were checked and rewritten by. Refused: unknown keys,
unknown operators.

Every value is bound as text without a type, so PostgreSQL reads it as what it is compared with: 5 is a number beside
an integer column and '5' beside a text one.
"""

# ruff: noqa: S608 -- what goes in is what the docstring says

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MAX_BIGINT = 2**63 - 1
"""PostgreSQL's largest integer key."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=63)]
"""A table, column or alias. 63 bytes is PostgreSQL's NAMEDATALEN - 1; longer names cannot exist there."""

Expression = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
"""SQL by a system template. The longest of ours has about 2,000 characters."""

Operator = Literal[
    "=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "NOT LIKE", "REGEXP",
    "IN", "NOT IN", "IS NULL", "IS NOT NULL", "BETWEEN",
]  # fmt: skip

Statement = tuple[str, list[Any]]
"""The text of a query with %s where a value is bound, and the values in order."""


class Bounds(NamedTuple):
    """A range of keys: behind `low` (None: from the first) up to `high`, which is included; each column's value as
    PostgreSQL writes it.
    """

    low: tuple[str, ...] | None
    high: tuple[str, ...]


class Column(NamedTuple):
    """A column of a result: its name, and its type by number and name."""

    name: str
    oid: int
    type: str


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NamedQuery(_Part):
    """A query of its own, put in front as `WITH name AS (sql)`; the base table or a join may name it."""

    name: Name
    sql: Expression


class Join(_Part):
    """One joined table.

    table_schema: where it is found, when not by its bare name.
    lateral: SQL of a subquery that may look at the tables before it; then `table` only says what it reads.
    at_most_one: never more than one row to a row of the base table, so a count may leave the join out.
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"] = "LEFT"
    table: Name
    table_schema: Name | None = None
    alias: Name | None = None
    on: Expression = "true"
    condition: Expression | None = None
    lateral: Expression | None = None
    at_most_one: bool = False

    @property
    def known_as(self) -> str:
        """The name its columns are reached by."""
        return self.alias or self.table


class Mapped(_Part):
    """One field: an SQL expression, the target field it fills ("a.b" fills key b of field a) and what is done to the
    value on the way, by the name of a transformation in mapping.py.
    """

    source: Expression
    target: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_ -]+)?$", max_length=63)]
    transformation: Name | None = None


class Filter(_Part):
    """One condition on the rows. `value` is a list for IN and NOT IN; BETWEEN takes `value` and `value2`."""

    field: Expression
    operator: Operator
    value: Any = None
    value2: Any = None


def _several(value: Any) -> Any:
    """A key of one expression may be written without its list."""
    return [value] if isinstance(value, str) else value


MAX_KEY = 32
"""Columns of a key: PostgreSQL's own INDEX_MAX_KEYS."""


class Query(_Part):
    """What one record type is read by.

    base_schema: where the base table is found, when not by its bare name.
    alias: name of the base table in expressions, where the real name carries a prefix.
    origin: where the rows come from, as part of a record's identity: stays the same when a prefix changes.
    key: expressions of which the rows' order is made, and the ranges they are cut into. Rows in which one is null, and
    all rows of a query without a key, are read in one go.
    closed: every table in it is named with its schema, so that it is run with PostgreSQL's own functions and operators
    alone, whatever somebody has put on the search path beside them.
    width: SQL expression of a wide row's bytes, so that chunks stay small in memory too; without it only rows are
    counted.
    with_queries: named queries; only system templates bring any.
    """

    name: str = Field(max_length=200)
    base_table: Name
    base_schema: Name | None = None
    alias: Name | None = None
    origin: Name
    key: Annotated[list[Expression], BeforeValidator(_several), Field(max_length=MAX_KEY)] = []
    closed: bool = False
    width: Expression | None = None
    with_queries: list[NamedQuery] = []
    joins: list[Join] = []
    fields: list[Mapped] = Field(min_length=1)
    filters: list[Filter] = []
    target_type: Name

    @property
    def mapped(self) -> tuple[str, ...]:
        """The target fields the query fills, each once, `a.b` as `a`: an update replaces exactly these."""
        return tuple(dict.fromkeys(field.target.partition(".")[0] for field in self.fields))


def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal, for the expressions of templates; everywhere else values are bound.

    The session has standard_conforming_strings on, so a backslash is a plain character.
    """
    return "'" + text.replace("'", "''") + "'"


def select(query: Query, bounds: Bounds | None = None, *, unkeyed: bool = False, limit: int | None = None) -> Statement:
    """The rows in the order of the key, columns in the order of `query.fields`.

    bounds: only rows with such a key. unkeyed: only rows in which a column of the key is null. limit: the first so
    many.
    """
    columns = ",\n  ".join(f"{_raw(field.source)} AS {_raw(quoted(field.target))}" for field in query.fields)
    where, values = _where(query, bounds, unkeyed=unkeyed)
    text = f"{_with(query)}SELECT {columns}\n{_from(query, query.joins)}{where}"
    if query.key:
        text += f"\nORDER BY {', '.join(map(_raw, query.key))}"
    return (f"{text}\nLIMIT %s", [*values, limit]) if limit is not None else (text, values)


def boundaries(query: Query, chunk_rows: int, *, chunk_bytes: int) -> Statement:
    """The last key of each chunk, ascending: (rows and bytes up to here, without a key, key...), the key as text.

    One scan. A chunk ends with the key that brings its rows, or its wide columns' bytes, to a whole multiple; rows that
    share a key stay together, whatever the chunk's size. Rows in which a column of the key is null come last and count
    as one, `without a key`.
    """
    names = [f"k{place}" for place in range(len(query.key))]
    measured = ", ".join(f"{_raw(part)} AS {name}" for part, name in zip(query.key, names, strict=True))
    columns = "rank() OVER keys - 1 AS place, count(*) OVER keys AS upto, lead(unkeyed) OVER keys AS behind"
    full, size = [f"upto / {int(chunk_rows)} <> place / {int(chunk_rows)}"], "0"
    if query.width:
        measured += f", {_raw(query.width)} AS width"
        columns, size = columns + ", sum(width) OVER keys AS bytes", "coalesce(bytes, 0)"
        # Of rows that share a key each stands for all: the widest finds the chunk full at the latest when it is.
        full.append(f"floor(bytes / {chunk_bytes}) <> floor((bytes - width * (upto - place)) / {int(chunk_bytes)})")
    where, values = _where(query)
    unkeyed = " OR ".join(f"{name} IS NULL" for name in names)
    # Nulls of one column stand last by themselves; those of several would else stand everywhere.
    window = f"WINDOW keys AS (ORDER BY {', '.join(['unkeyed', *names] if len(names) > 1 else names)})"
    # OFFSET 0 keeps PostgreSQL from measuring after the sort, which would carry every text through it.
    inner = f"SELECT {measured}\n{_from(query, _needed(query))}{where}\nOFFSET 0"
    found = f"SELECT *, {unkeyed} AS unkeyed FROM (\n{inner}\n) AS measured"
    placed = f"SELECT *, {columns} FROM (\n{found}\n) AS found {window}"
    shown = ", ".join(["upto", size, "unkeyed", *(f"{name}::text" for name in names)])
    ends = f"unkeyed IS DISTINCT FROM behind OR NOT unkeyed AND ({' OR '.join(full)})"
    text = f"{_with(query)}SELECT DISTINCT {shown} FROM (\n{placed}\n) AS placed\nWHERE {ends}\nORDER BY upto"
    return text, values


def key(query: Query) -> Statement:
    """The key of no row at all: what is asked for is its types, and whether it compares with a bound; that is NULL,
    which every type can read.
    """
    columns = len(query.key)
    where, values = _where(query, Bounds(None, ("",) * columns))
    text = f"{_with(query)}SELECT {', '.join(map(_raw, query.key))}\n{_from(query, _needed(query))}{where}\nLIMIT 0"
    return text, [*values[:-columns], *[None] * columns]


def total(query: Query) -> Statement:
    """How many rows the query has."""
    where, values = _where(query)
    return f"{_with(query)}SELECT count(*)\n{_from(query, _needed(query))}{where}", values


def _with(query: Query) -> str:
    if not query.with_queries:
        return ""
    parts = (f"{_raw(quoted(part.name))} AS (\n{_raw(part.sql)}\n)" for part in query.with_queries)
    return "WITH " + ", ".join(parts) + "\n"


def _from(query: Query, joins: list[Join]) -> str:
    lines = [f"FROM {_table(query.base_table, query.base_schema, query.alias)}"]
    for join in joins:
        if join.lateral:
            table = f"LATERAL ({_raw(join.lateral)}) AS {_raw(quoted(join.known_as))}"
        else:
            table = _table(join.table, join.table_schema, join.alias)
        condition = f"({_raw(join.on)}) AND ({_raw(join.condition)})" if join.condition else _raw(join.on)
        lines.append(f"{join.type} JOIN {table} ON {condition}")
    return "\n".join(lines)


def _table(name: str, schema: str | None, alias: str | None) -> str:
    """A table as FROM names it; without an alias its columns can be reached through its schema as well."""
    text = f"{quoted(schema)}.{quoted(name)}" if schema else quoted(name)
    return _raw(text if alias in (None, name) else f"{text} AS {quoted(str(alias))}")


def _needed(query: Query) -> list[Join]:
    """The joins that decide which rows there are, or that such a join or condition looks at."""
    texts = [*query.key, query.width or "", *(item.field for item in query.filters)]
    kept: list[Join] = []
    for join in reversed(query.joins):
        named = re.compile(rf'(?<![\w"])"?{re.escape(join.known_as)}"?\s*\.')
        if join.at_most_one and join.type == "LEFT" and not any(named.search(text) for text in texts):
            continue
        kept.insert(0, join)
        texts += [join.on, join.condition or "", join.lateral or ""]
    return kept


def _where(query: Query, bounds: Bounds | None = None, *, unkeyed: bool = False) -> Statement:
    conditions: list[str] = []
    values: list[Any] = []
    for item in query.filters:
        text, bound = _condition(item)
        conditions.append(text)
        values += bound
    parts = [f"({_raw(part)})" for part in query.key]
    if unkeyed:
        conditions.append("(" + " OR ".join(f"{part} IS NULL" for part in parts) + ")")
    if bounds is not None:
        columns, marks = (
            (f"ROW({', '.join(parts)})", f"ROW({', '.join(['%s'] * len(parts))})")
            if len(parts) > 1
            else (parts[0], "%s")
        )
        for operator, ends in ((">", bounds.low), ("<=", bounds.high)):
            if ends is not None:
                conditions.append(f"{columns} {operator} {marks}")
                values += ends
        if len(parts) > 1:  # a comparison of rows is settled by the first columns that differ: a later one may be null
            conditions += [f"{part} IS NOT NULL" for part in parts]
    return ("\nWHERE " + "\n  AND ".join(conditions) if conditions else ""), values


def _condition(item: Filter) -> Statement:
    field = f"({_raw(item.field)})"
    match item.operator:
        case "IS NULL" | "IS NOT NULL":
            return f"{field} {item.operator}", []
        case "IN" | "NOT IN":
            values = [_bound(value) for value in item.value]
            if not values:
                return "false" if item.operator == "IN" else "true", []
            return f"{field} {item.operator} ({', '.join(['%s'] * len(values))})", values
        case "BETWEEN":
            return f"{field} BETWEEN %s AND %s", [_bound(item.value), _bound(item.value2)]
        case "REGEXP":
            return f"{field} ~ %s", [_bound(item.value)]
        case "!=":
            return f"{field} <> %s", [_bound(item.value)]
        case _:
            return f"{field} {item.operator} %s", [_bound(item.value)]


def _bound(value: Any) -> str | None:
    """A value as the text PostgreSQL reads. A whole float is written like an integer, as JSON writes it."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case _:
            return str(value)


def shown(statement: Statement) -> str:
    """A statement with its values as literals, for people to read or to paste into psql."""
    text, values = statement
    left = iter(values)
    return re.sub("%[%s]", lambda found: "%" if found[0] == "%%" else _shown(next(left)), text)


def _shown(value: str | int | None) -> str:
    return "NULL" if value is None else literal(value) if isinstance(value, str) else str(value)


def _raw(text: str) -> str:
    """SQL text between placeholders, where a percent sign is doubled."""
    return text.replace("%", "%%")
