"""Query configuration -> SQL. The only place that writes SQL for a customer's database.

In: a `Query`, which names a table, joins, fields and filters. Out: (text, parameters) for psycopg. Names are quoted
and values are bound here. Expressions (`source`, `on`, `condition`, `key`, ...) are pasted as they stand: they come
from system templates, or from columns.py, which lets through a request's columns alone and quotes them. Refused:
unknown keys, unknown operators.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

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


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NamedQuery(_Part):
    """A query of its own, put in front as `WITH name AS (sql)`; the base table or a join may name it."""

    name: Name
    sql: Expression


class Join(_Part):
    """One joined table.

    lateral: SQL of a subquery that may look at the tables before it; then `table` only says what it reads.
    at_most_one: never more than one row to a row of the base table, so a count may leave the join out.
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"] = "LEFT"
    table: Name
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


class Query(_Part):
    """What one record type is read by.

    alias: name of the base table in expressions, where the real name carries a prefix.
    origin: where the rows come from, as part of a record's identity: stays the same when a prefix changes.
    key: integer expression the chunks are cut by; never null. A plan refuses other types, and rows without one.
    width: SQL expression of a wide row's bytes, so that chunks stay small in memory too; without it only rows are
    counted.
    with_queries: named queries; only system templates bring any.
    """

    name: str = Field(max_length=200)
    base_table: Name
    alias: Name | None = None
    origin: Name
    key: Expression
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


def select(query: Query, low: int | None = None, high: int | None = None, limit: int | None = None) -> Statement:
    """The rows with low <= key <= high in the order of the key, columns in the order of `query.fields`."""
    columns = ",\n  ".join(f"{_raw(field.source)} AS {_raw(quoted(field.target))}" for field in query.fields)
    where, values = _where(query, low, high)
    text = f"{_with(query)}SELECT {columns}\n{_from(query, query.joins)}{where}\nORDER BY {_raw(query.key)}"
    return (f"{text}\nLIMIT %s", [*values, limit]) if limit is not None else (text, values)


def boundaries(query: Query, chunk_rows: int, *, chunk_bytes: int, limit: int | None = None) -> Statement:
    """(low, high, rows) of each chunk, ascending: ranges that hold all rows once.

    One scan. Rows that share a key stay together, whatever the chunk's size; a limit is cut at the same places. Rows
    whose key is null are in no range: they come last, together, with low and high null.
    """
    where, values = _where(query)
    measured = f"SELECT {_raw(query.key)} AS key"
    columns = "key, rank() OVER (ORDER BY key) - 1 AS place"
    bucket = f"place / {int(chunk_rows)}"
    if query.width:
        measured += f", {_raw(query.width)} AS width"
        columns += ", sum(width) OVER (ORDER BY key) AS bytes"
        bucket += f" + div(bytes::numeric, {int(chunk_bytes)})"
    # OFFSET 0 keeps PostgreSQL from measuring after the sort, which would carry every text through it.
    inner = f"SELECT {columns}\nFROM (\n{measured}\n{_from(query, _needed(query))}{where}\nOFFSET 0\n) AS measured"
    cut = "\nWHERE place < %s" if limit is not None else ""
    outer = f"SELECT min(key), max(key), count(*) FROM (\n{inner}\n) AS places{cut}"  # noqa: S608 -- see the docstring
    text = f"{_with(query)}{outer}\nGROUP BY key IS NULL, {bucket} ORDER BY 1"
    return text, values + ([limit] if limit is not None else [])


def key(query: Query) -> Statement:
    """The key of no row at all: what is asked for is its type."""
    where, values = _where(query)
    return f"{_with(query)}SELECT {_raw(query.key)}\n{_from(query, _needed(query))}{where}\nLIMIT 0", values


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
    lines = [f"FROM {_raw(quoted(query.base_table))}"]
    if query.alias and query.alias != query.base_table:
        lines[0] += f" AS {_raw(quoted(query.alias))}"
    for join in joins:
        table = f"LATERAL ({_raw(join.lateral)})" if join.lateral else _raw(quoted(join.table))
        condition = f"({_raw(join.on)}) AND ({_raw(join.condition)})" if join.condition else _raw(join.on)
        lines.append(f"{join.type} JOIN {table} AS {_raw(quoted(join.known_as))} ON {condition}")
    return "\n".join(lines)


def _needed(query: Query) -> list[Join]:
    """The joins that decide which rows there are, or that such a join or condition looks at."""
    texts = [query.key, query.width or "", *(item.field for item in query.filters)]
    kept: list[Join] = []
    for join in reversed(query.joins):
        named = re.compile(rf'(?<![\w"])"?{re.escape(join.known_as)}"?\s*\.')
        if join.at_most_one and join.type == "LEFT" and not any(named.search(text) for text in texts):
            continue
        kept.insert(0, join)
        texts += [join.on, join.condition or "", join.lateral or ""]
    return kept


def _where(query: Query, low: int | None = None, high: int | None = None) -> Statement:
    conditions: list[str] = []
    values: list[Any] = []
    for item in query.filters:
        text, bound = _condition(item)
        conditions.append(text)
        values += bound
    if low is not None or high is not None:
        conditions.append(f"({_raw(query.key)}) BETWEEN %s AND %s")
        values += [-MAX_BIGINT if low is None else low, MAX_BIGINT if high is None else high]
    return ("\nWHERE " + "\n  AND ".join(conditions) if conditions else ""), values


def _condition(item: Filter) -> Statement:
    field = f"({_raw(item.field)})"
    match item.operator:
        case "IS NULL" | "IS NOT NULL":
            return f"{field} {item.operator}", []
        case "IN":
            return f"{field} = ANY(%s)", [list(item.value)]
        case "NOT IN":
            return f"{field} <> ALL(%s)", [list(item.value)]
        case "BETWEEN":
            return f"{field} BETWEEN %s AND %s", [item.value, item.value2]
        case "REGEXP":
            return f"{field} ~ %s", [item.value]
        case "!=":
            return f"{field} <> %s", [item.value]
        case _:
            return f"{field} {item.operator} %s", [item.value]


def _raw(text: str) -> str:
    """SQL text between placeholders, where a percent sign is doubled."""
    return text.replace("%", "%%")
