"""A query tried on its source: how many rows it should have, of which types, the first of them; and where it fails.

In: an open session and an `sql.Query`. Out: what the run would meet, asked with the run's own text (see sql.py). A
failure comes back with the part of the query it stands in: PostgreSQL says at which letter it stopped, or which value
it could not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib import catalogue, refusals, sessions, sql
from chalicelib.errors import Fatal, Retryable
from chalicelib.sessions import Session

STATEMENT_SECONDS = 12
"""For each of a trial's two questions: connecting, reading the schema and both stay below the gateway's 29 s."""

MAX_SAMPLE_BYTES = 24_000_000
"""Most that is read for a sample: 100 rows of 240 KB."""


@dataclass(frozen=True)
class Tried:
    """estimate: how many rows, as PostgreSQL guesses. columns: target -> type of its values as the server names it, in
    the query's order. rows: the first ones, as the run would read them.
    """

    estimate: int
    columns: dict[str, str]
    rows: list[tuple[Any, ...]]


class Failed(Exception):
    """The source would not answer. place: the part of the configuration it stumbled over, when it says so."""

    def __init__(self, error: Fatal | Retryable, place: str | None) -> None:
        super().__init__(error.message)
        self.error, self.place = error, place
        self.reason = refusals.reason(error)

    @property
    def lost(self) -> bool:
        """Whether it was the connection that failed, not the query."""
        return isinstance(self.error, Retryable) and self.error.code != "source_timeout"


def tried(session: Session, query: sql.Query, limit: int = 0) -> Tried:
    """A query planned, and its first rows read. Raises Failed."""
    if query.closed:
        sessions.keep_to_own_names(session)
    whole, bound = sql.select(query)
    text = f"EXPLAIN (FORMAT JSON) {whole}"
    try:
        with sessions.understood():
            ((planned,),) = sessions.fetch(session, text, bound, seconds=STATEMENT_SECONDS)
            estimate = int(_json(planned)[0]["Plan"]["Plan Rows"])
            text, bound = sql.select(query, limit=limit)
            with sessions.bounded(session, text, STATEMENT_SECONDS, max_bytes=MAX_SAMPLE_BYTES):
                cursor = session.execute(text.encode(), bound)
                rows, described = cursor.fetchall(), cursor.description or []
            return Tried(estimate, _columns(session, query, [column.type_code for column in described]), rows)
    except (Fatal, Retryable) as error:
        raise Failed(error, placed(query, text, error)) from None


def placed(query: sql.Query, text: str, error: Fatal | Retryable) -> str | None:
    """The part of a configuration in which a statement of its query failed; None when the server did not say.

    text: the statement as it was sent, but for its placeholders.
    """
    if isinstance(error, Retryable):
        return None
    if error.parameter is not None:
        owners = list(_bound(query))
        return owners[error.parameter - 1] if 0 < error.parameter <= len(owners) else None
    if error.position is None:
        return None
    for place, begin, end in _spans(query, refusals.sent(text)):
        if begin <= error.position < end:
            return place
    return None


def _bound(query: sql.Query) -> Iterator[str]:
    """For each value of the statement, in order, the filter it belongs to."""
    for place, item in enumerate(query.filters):
        if isinstance(item.value, list):
            yield from [f"filters.{place}.value"] * len(item.value)
        elif item.value is not None:
            yield f"filters.{place}.value"
        if item.value2 is not None:
            yield f"filters.{place}.value2"


def _spans(query: sql.Query, text: str) -> Iterator[tuple[str, int, int]]:
    """Where each part of a configuration stands in the statement, in the statement's order."""
    at = text.find("SELECT ")
    for place, piece, after in _pieces(query):
        begin = text.find(piece + after, at)
        if begin < 0:
            return
        yield place, begin, begin + len(piece)
        at = begin + len(piece) + len(after)


def _pieces(query: sql.Query) -> Iterator[tuple[str, str, str]]:
    for place, one in enumerate(query.fields):
        yield f"fields.{place}.source", one.source, f" AS {sql.quoted(one.target)}"
    yield "base_table", _table(query.base_schema, query.base_table), ""
    for place, join in enumerate(query.joins):
        yield f"joins.{place}.table", _table(join.table_schema, join.table), ""
        yield f"joins.{place}.on", join.on, ""
        if join.condition:
            yield f"joins.{place}.condition", join.condition, ")"
    for place, item in enumerate(query.filters):
        yield f"filters.{place}.field", item.field, ")"
        yield f"filters.{place}.operator", _OPERATORS.get(item.operator, item.operator), ""
    for place, part in enumerate(query.key):
        yield f"key.{place}", part, ""


def _table(schema: str | None, name: str) -> str:
    return f"{sql.quoted(schema)}.{sql.quoted(name)}" if schema else sql.quoted(name)


_OPERATORS = {"!=": "<>", "REGEXP": "~"}


def _columns(session: Session, query: sql.Query, numbers: list[int]) -> dict[str, str]:
    """target -> type of its values, as the server names it."""
    known = {number: name for number in numbers if (name := type_name(number))}
    if others := sorted({number for number in numbers if number not in known}):
        asked = "SELECT o::int8, format_type(o, NULL) FROM unnest(%s::oid[]) AS o"
        listed = "{" + ",".join(map(str, others)) + "}"
        known |= dict(catalogue.rows(sessions.fetch(session, asked, [listed]), int, str))
    return dict(zip((one.target for one in query.fields), (known[number] for number in numbers), strict=True))


def type_name(number: int) -> str | None:
    """What format_type says of a type that every PostgreSQL has, by its oid; None for another.

    The driver finds an array by its oid too, under its elements' type.
    """
    from psycopg.postgres import types

    info = types.get(number)
    if info is None:
        return None
    return info.regtype if number == info.oid else f"{info.regtype}[]"


def _json(value: Any) -> Any:
    from json import loads

    return loads(value) if isinstance(value, str) else value
