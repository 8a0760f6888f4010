"""Which rows a job asks for: a range of days or moments over what fills `created_at`, as filters of the query.

In: a query, the type its `created_at` has in the source, and the ends of the range as the API takes them: a day
(`2026-01-31`) or a moment in UTC (`2026-01-31T10:00:00Z`). Out: the query with up to two filters more. Both ends are
included, a day as its end until it is over. Refused: types that hold no time.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from chalicelib.errors import Fatal
from chalicelib.sql import Filter, Query

FIELD = "created_at"
"""The field a range of days is about."""

_TIMES = ("timestamp without time zone", "timestamp with time zone", "date")
_TEXTS = ("text", "character varying", "character")

UNREADABLE = ("22007", "22008")
"""SQLSTATEs of a text that is no time, and of one that no time can have."""


def moment(text: str) -> str:
    """A day as it is, a moment in UTC; one without a zone is in UTC already. Raises ValueError for what is neither."""
    if len(text) == len("2026-01-31"):
        return date.fromisoformat(text).isoformat()
    found = datetime.fromisoformat(text)
    found = found.astimezone(UTC) if found.tzinfo else found
    return f"{found.replace(tzinfo=None).isoformat()}Z"


def in_order(begin: str, end: str) -> bool:
    """Whether the range holds any moment. What `moment` answers sorts like the times do, but for the Z: a day before
    its moments, a second before its fractions.
    """
    return begin.rstrip("Z") <= (end.rstrip("Z") if "T" in end else f"{end}T23:59:59.999999")


def narrowed(query: Query, kind: str | None, begin: str | None, end: str | None) -> Query:
    """The query with the range on its `created_at`. kind: that column's type as PostgreSQL names it, None when there
    is none. Raises Fatal.

    Times without a zone are in UTC, as everywhere. A text is read as a time first: '10:00' and 'T10:00Z' are the same.
    """
    source = next((field.source for field in query.fields if field.target == FIELD), "")
    if kind is None:
        said = f"nothing fills created_at of {query.target_type}: date_from and date_to need it"
        raise Fatal(said, code="date_unfit")
    if kind in _TEXTS:
        source = f"({source})::timestamptz"
    elif kind not in _TIMES:
        raise Fatal(
            f"created_at of {query.target_type} is of type {kind}: date_from and date_to need a date, a timestamp or a "
            "text that holds one",
            code="date_unfit",
        )
    filters = []
    if begin is not None:
        filters.append(Filter(field=source, operator=">=", value=begin if "T" in begin else f"{begin}T00:00:00Z"))
    if end is not None and "T" in end:
        filters.append(Filter(field=source, operator="<=", value=end))
    elif end is not None:
        day = date.fromisoformat(end)
        over = f"{day + timedelta(1)}" if day < date.max else "10000-01-01"
        filters.append(Filter(field=source, operator="<", value=f"{over} 00:00:00+00"))
    return query.model_copy(update={"filters": [*query.filters, *filters]})


def unreadable(query: Query) -> Fatal:
    """What is said when a text of the column turned out to be no time."""
    return Fatal(
        f"created_at of {query.target_type} holds a text that is no date, so date_from and date_to cannot be applied; "
        "map a column of dates, or leave such rows out by a filter",
        code="date_unreadable",
    )
