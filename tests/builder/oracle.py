"""What a sample database holds, asked of PostgreSQL without a line of ours: its relations, keys, and rows."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.conftest import Database

RELATIONS = """
WITH named AS (
  SELECT schemaname, tablename AS name FROM pg_tables UNION ALL SELECT schemaname, viewname FROM pg_views
  UNION ALL SELECT schemaname, matviewname FROM pg_matviews),
seen AS (SELECT *, format('%I.%I', schemaname, name)::regclass AS relation FROM named)
SELECT schemaname::text, name::text, relation::oid, relkind::text FROM seen JOIN pg_class ON pg_class.oid = relation
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
  AND coalesce(pg_partition_root(relation), relation) = relation"""

COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod), coalesce(is_nullable = 'YES', NOT attnotnull)
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
LEFT JOIN information_schema.columns s
  ON (s.table_schema, s.table_name, s.column_name) = (relnamespace::regnamespace::text, relname, attname)
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""

KEY = """
SELECT attname::text FROM pg_constraint, unnest(conkey) WITH ORDINALITY AS part(number, place)
JOIN pg_attribute ON attnum = number WHERE contype = 'p' AND conrelid = %s AND attrelid = conrelid ORDER BY place"""

FOREIGN_KEYS = """
SELECT conrelid, confrelid,
  ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS part(number, place)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place),
  ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS part(number, place)
        JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place)
FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"""

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Relation:
    """A table, view, or what else has rows. columns: (name, type, whether it may be null) in order. rows: how many are
    its own; None of a view.
    """

    schema: str
    name: str
    columns: list[tuple[str, str, bool]]
    key: list[str]
    rows: int | None

    @property
    def spelled(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True)
class ForeignKey:
    own: Relation
    columns: list[str]
    other: Relation
    keys: list[str]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def relations(place: Database) -> tuple[list[Relation], list[ForeignKey]]:
    """Everything with rows, but for the partitions of what has them; and all foreign keys between them."""
    with psycopg.connect(place.dsn) as session:
        found = {}
        for schema, name, oid, kind in session.execute(RELATIONS).fetchall():
            columns = session.execute(COLUMNS, [oid]).fetchall()
            key = [one for (one,) in session.execute(KEY, [oid])]
            found[oid] = Relation(schema, name, columns, key, _counted(session, schema, name, kind))
        keys = session.execute(FOREIGN_KEYS).fetchall()
    return list(found.values()), [
        ForeignKey(found[own], columns, found[other], others) for own, other, columns, others in keys
    ]


def _counted(session: psycopg.Connection, schema: str, name: str, kind: str) -> int | None:
    if kind == "v":
        return None
    only = "ONLY " if kind == "r" else ""
    [(counted,)] = session.execute(f"SELECT count(*) FROM {only}{quoted(schema)}.{quoted(name)}".encode()).fetchall()
    return int(counted)


def rows(place: Database, relation: Relation) -> tuple[list[Row], list[Row]]:
    """(values, the text the server sends for them) of all rows, in the order of the columns."""
    settings = (
        "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c search_path=pg_catalog"
    )
    text = f"SELECT {', '.join(quoted(name) for name, *_ in relation.columns)} FROM {relation.spelled}"
    with psycopg.connect(place.dsn, options=settings) as session:
        cursor = session.execute(text.encode())
        answer, types = cursor.pgresult, [column.type_code for column in cursor.description or []]
        assert answer is not None
        sent: list[Row] = []
        for row in range(answer.ntuples):
            raw = (answer.get_value(row, column) for column in range(answer.nfields))
            sent.append(tuple(None if one is None else bytes(one).decode() for one in raw))
    return [tuple(value(one, kind) for one, kind in zip(row, types, strict=True)) for row in sent], sent


def value(text: str | None, oid: int) -> Any:
    """What JSON holds of a value: numbers and booleans that every system has as such, arrays of PostgreSQL's own types
    as lists, the server's text of all else."""
    known = psycopg.postgres.types.get(oid)
    if text is None or known is None:
        return text
    if oid == known.array_oid and known.delimiter == ",":
        return _each(json.loads(re.sub(r'"((?:[^"\\]|\\.)*)"|[{}]|[^{},"]+', _as_json, text)), known.oid)
    if known.name in ("int2", "int4", "int8", "oid"):
        return int(text)
    if known.name in ("float4", "float8"):
        return float(text) if math.isfinite(float(text)) else text
    return text == "t" if known.name == "bool" else text


def _as_json(found: re.Match[str]) -> str:
    if found[0] in "{}":
        return "[" if found[0] == "{" else "]"
    if found[1] is None:
        return "null" if found[0] == "NULL" else json.dumps(found[0])
    return json.dumps(re.sub(r"\\(.)", r"\1", found[1]))


def _each(found: Any, oid: int) -> Any:
    return [_each(one, oid) for one in found] if isinstance(found, list) else value(found, oid)
