"""Lists: which page of one is asked for, which days, and the page as the answer.

Pages are counted, or begin behind the place a cursor names; days are `2026-01-31`, UTC, and include both ends. Refused:
cursors that are not ours, what is no day, and an end before the beginning.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chalicelib import messages
from chalicelib.requests import Query, invalid

Entry = TypeVar("Entry")


class Page(Query):
    """Which page of a list. page: counted from 1. per_page: entries of one page. cursor: instead of page, what the page
    before gave as `next_cursor`; it stays right while entries come and go."""

    page: Annotated[int, AfterValidator(messages.between(1, 1_000_000))] = 1
    per_page: Annotated[int, AfterValidator(messages.between(1, 100))] = 15
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None


_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)


@messages.described(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
def _day(value: Any) -> date:
    """pydantic alone would also take a time, a week or a number of seconds."""
    if isinstance(value, str) and _DAY.match(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("date_parsing", "not a day")


class Period(Query):
    """date_from: only from the beginning of this day. date_to: only to the end of this day."""

    date_from: Annotated[date, BeforeValidator(_day)] | None = None
    date_to: Annotated[date, BeforeValidator(_day)] | None = None

    @field_validator("date_to")
    @classmethod
    def _in_order(cls, value: date | None, info: ValidationInfo) -> date | None:
        begin = info.data.get("date_from")
        if value and begin and value < begin:
            raise PydanticCustomError("order", "before date_from", {"other": "date_from"})
        return value


def paged(
    found: list[Entry],
    query: Page,
    *,
    place: Callable[[Entry], str],
    show: Callable[[Entry], dict[str, Any]],
) -> dict[str, Any]:
    """One page of a list that is sorted by `place`, last first. Raises Invalid for a cursor that is not one of ours."""
    start, behind = first(query)
    if behind is not None:
        start = sum(place(entry) >= behind for entry in found)
    end = start + query.per_page
    more, total = end < len(found), len(found)
    return cut(found[start:end], query, start=start, more=more, total=total, place=place, show=show)


def first(query: Page) -> tuple[int, str | None]:
    """Where the page begins: how many entries are before it, and the place it begins behind, if a cursor names one."""
    start = (query.page - 1) * query.per_page
    return start, place_of(query.cursor)


def cut(
    entries: list[Entry],
    query: Page,
    *,
    start: int,
    more: bool,
    total: int,
    place: Callable[[Entry], str],
    show: Callable[[Entry], dict[str, Any]],
) -> dict[str, Any]:
    """A page's entries as the answer: {"data", "meta", "next_cursor"}.

    `meta` counts all entries; only the page's are shown. more: whether others follow it. The cursor is the place of the
    page's last entry, so entries that come or go elsewhere move nothing.
    """
    return {
        "data": [show(entry) for entry in entries],
        "meta": {
            "current_page": start // query.per_page + 1,
            "per_page": query.per_page,
            "total": total,
        },
        "next_cursor": cursor_of(place(entries[-1])) if entries and more else None,
    }


def cursor_of(place: str) -> str:
    """A place as callers get it."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def place_of(cursor: str | None) -> str | None:
    """The place a cursor names. Raises Invalid for one that is none of ours."""
    if cursor is None:
        return None
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise invalid({"cursor": [messages.sentence("cursor", "cursor")]}) from None
