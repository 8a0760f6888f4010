"""The rows of a query in a PostgreSQL database: cut into ranges of its key, and read.

In: an open `Session` and a query. Out: where each chunk's keys end, found in one scan, and rows of plain values. A key
may have any number of columns of any type that is ordered and whose text leads back to the value. Rows that no range
holds (one of the key's columns is null) are counted, to be read in one go; so are all rows of a query without a key, or
whose key cannot be used.
"""

# ruff: noqa: S608 -- only placeholders go in, and what sql.py wrote

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from psycopg import Column as Described

from chalicelib import sql
from chalicelib.errors import Fatal
from chalicelib.sessions import MAX_CATALOGUE_BYTES, Session, bounded, counted, fetch, keep_to_own_names, understood
from chalicelib.sql import Bounds, Column, Query

CHUNK_BYTES = 8_000_000
"""Most bytes of wide columns in a chunk: text, its JSON and both compressions of it then stay below 60 MB."""

MAX_RANGE_BYTES = 100_000_000
"""Most bytes of a range of rows, or of a batch of those read in one go: twelve times what a chunk's wide columns may
have. All of it may be held at once, in libpq and in Python: of 400 MB, 860 MB were."""

MAX_PASS_BYTES = 20_000_000_000
"""Most bytes of the rows that are read in one go: more than comes through in the time there is."""

KEY_ROWS = 10_000
"""Most rows of a range, ten chunks: more share one key, and are not cut by it."""

KEY_BYTES = 5 * CHUNK_BYTES
"""Most bytes of wide columns in a range, for the same reason."""

MAX_BOUND_BYTES = 1_500
"""Longest key a range ends with, as JSON: an event of the state machine carries two, and at most 8 KB."""

MAX_SHOWN = 120
"""Longest expression a message repeats, in characters; a longer one is known by the field it fills."""

_ORDERED = (
    "bool", "int2", "int4", "int8", "oid", "numeric", "float4", "float8", "text", "varchar", "bpchar", "name", "uuid",
     "bytea", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "inet", "cidr", "macaddr",
    "macaddr8", "bit", "varbit", "pg_lsn",
)  # fmt: skip
"""Types that are ordered, and whose values PostgreSQL reads back from its own text whatever the session's settings (of
money it does not). Enums are, too; a domain is what it stands on."""


_NO_OPERATOR = "42883"
"""SQLSTATE of a comparison that is not there: of a domain over an enum with a text, for one."""


class Range(NamedTuple):
    """A chunk of the source: where its rows' keys lie, and how many there are."""

    bounds: Bounds
    rows: int


class Cut(NamedTuple):
    """A query's rows, cut.

    query: as it is to be read: without its key, where that cannot be used. columns: what its rows have. ranges:
    ascending; none overlap. rest: how many rows are in no range; None: all of them, uncounted.
    """

    query: Query
    columns: list[Column]
    ranges: list[Range]
    rest: int | None


def plan(session: Session, query: Query, *, chunk_rows: int = 1000, limit: int | None = None) -> Cut:
    """The ranges that hold all rows with a key once, found in one scan. Raises Retryable, Fatal.

    limit: the first so many rows by key; then each range is to be read up to its number of rows.
    """
    with understood():
        query = orderly(session, query)
        found = columns(session, query)
        if query.key:
            text, bound = sql.boundaries(query, chunk_rows, chunk_bytes=CHUNK_BYTES)
            ranges, rest, usable = _ranges(fetch(session, text, bound))
            if usable:
                kept = ranges if limit is None else list(_first(ranges, limit))
                left = rest if limit is None else min(rest, limit - sum(part.rows for part in kept))
                return Cut(query, found, kept, left)
        return Cut(_keyless(query), found, [], None)


def orderly(session: Session, query: Query) -> Query:
    """The query as its rows can be asked for: without its key where that has no order. Raises Retryable, Fatal."""
    _close(session, query)
    try:
        described = _described(session, *sql.key(query)) if query.key else []
    except Fatal as error:
        if error.state != _NO_OPERATOR:
            raise
        return _keyless(query)
    ordered = all(kind == "e" or name in _ORDERED for _, name, kind in _types(session, described).values())
    return query if ordered else _keyless(query)


def _keyless(query: Query) -> Query:
    return query.model_copy(update={"key": []})


def _ranges(ends: list[tuple[Any, ...]]) -> tuple[list[Range], int, bool]:
    """The ranges that end as `sql.boundaries` says, how many rows have no key, and whether the ranges can be used.

    Raises ValueError for counts that are none.
    """
    ranges: list[Range] = []
    low: tuple[str, ...] | None = None
    before = bytes_before = rest = 0
    usable = True
    for upto, size, unkeyed, *key in ends:
        rows, before = counted(upto) - before, counted(upto)
        wide, bytes_before = counted(size) - bytes_before, counted(size)
        counted(rows)  # they only grow
        if unkeyed:
            rest = rows
        elif rows:  # else keys that are equal and not the same, like 1.0 and 1.00
            ranges.append(Range(Bounds(low, tuple(key)), rows))
            low = tuple(key)
            usable &= rows <= KEY_ROWS and wide <= KEY_BYTES and _leads_back(key)
    return ranges, rest, usable


def _leads_back(key: list[str]) -> bool:
    """Whether a bound can be kept, and finds its place again: text that was no UTF-8 cannot be asked for."""
    text = json.dumps(key, ensure_ascii=False)
    return "\ufffd" not in text and len(text.encode()) <= MAX_BOUND_BYTES


def _first(ranges: list[Range], limit: int) -> Iterator[Range]:
    for part in ranges:
        if limit <= 0:
            return
        yield part._replace(rows=min(part.rows, limit))
        limit -= part.rows


def columns(session: Session, query: Query) -> list[Column]:
    """What the rows of a query have, without reading any; the query has to be orderly. Raises Retryable, Fatal."""
    _close(session, query)
    described = _described(session, *sql.select(query, limit=0))
    names = _types(session, described)
    found = zip(query.fields, described, strict=True)
    return [Column(field.target, column.type_code, names[column.type_code][0]) for field, column in found]


def _described(session: Session, text: str, bound: list[Any]) -> list[Described]:
    with bounded(session, text, max_bytes=MAX_CATALOGUE_BYTES), session.cursor() as cursor:
        cursor.execute(text, bound)
        return list(cursor.description or [])


def _types(session: Session, described: Sequence[Described]) -> dict[int, tuple[str, str, str]]:
    """The columns' types: oid -> its name as people write it, its own name, its kind."""
    wanted = sorted({column.type_code for column in described})
    if not wanted:
        return {}
    marks = ", ".join(["%s"] * len(wanted))
    text = f"SELECT oid::int8, format_type(oid, NULL), typname::text, typtype::text FROM pg_type WHERE oid IN ({marks})"
    found = fetch(session, text, wanted)
    return {int(oid): (name, own, kind) for oid, name, own, kind in found}


def count(session: Session, query: Query) -> int:
    """How many rows the query has. Raises Retryable, Fatal."""
    _close(session, query)
    with understood():
        return counted(fetch(session, *sql.total(query))[0][0])


def read(
    session: Session,
    query: Query,
    bounds: Bounds | None = None,
    *,
    columns: Sequence[Column] | None = None,
    unkeyed: bool = False,
    limit: int | None = None,
    batch_rows: int = 100,
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a range in the order of the key, values in the order of the query's fields. Without bounds all rows.

    columns: what the rows had when they were planned. unkeyed: only rows without a key. Raises Retryable, and Fatal,
    `source_changed` where the columns are others now.

    Only one batch is held at a time: the server sends on as rows are taken (libpq's chunked mode).
    """
    _close(session, query)
    text, bound = sql.select(query, bounds, unkeyed=unkeyed, limit=limit)
    most = MAX_RANGE_BYTES if bounds else MAX_PASS_BYTES
    others: list[Described] = []
    with bounded(session, text, max_bytes=most, held_bytes=MAX_RANGE_BYTES) as seen, session.cursor() as cursor:
        batch: list[tuple[Any, ...]] = []
        with closing(cursor.stream(text, bound, size=batch_rows)) as rows:  # type: ignore[type-var]  # a generator has close()
            for row in rows:
                if columns and not batch and (others := _others(columns, cursor.description)):
                    break
                batch.append(row)
                if len(batch) == batch_rows:
                    yield batch
                    batch = []
                    seen.taken()
            else:
                if batch:
                    yield batch
    if columns and others:
        _confirm(session, query, columns, others)
        yield from read(session, query, bounds, unkeyed=unkeyed, limit=limit, batch_rows=batch_rows)


def _close(session: Session, query: Query) -> None:
    if query.closed:
        keep_to_own_names(session)


def _others(columns: Sequence[Column], described: Sequence[Described] | None) -> list[Described]:
    """What a result has now, where it is not what was planned."""
    found = list(described or [])
    return found if [column.type_code for column in found] != [column.oid for column in columns] else []


def _confirm(session: Session, query: Query, columns: Sequence[Column], described: Sequence[Described]) -> None:
    """Raise Fatal unless the types only have other numbers: an enum dropped and made again is the same to us."""
    with understood():
        names = _types(session, described)
        for field, planned, column in zip(query.fields, columns, described, strict=True):
            if (now := names[column.type_code][0]) != planned.type:
                source = field.source.replace('"', "")
                raise Fatal(
                    f"{source if len(source) <= MAX_SHOWN else field.target} of {query.target_type} was of type "
                    f"{planned.type} when the import was planned and is of type {now} now; start the import again",
                    code="source_changed",
                )
