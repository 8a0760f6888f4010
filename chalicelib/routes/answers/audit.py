"""What /api/audit answers."""

from __future__ import annotations

from typing_extensions import TypedDict

from chalicelib.routes.answers import Person


class Line(TypedDict):
    """Who did what. at: UTC, to the microsecond. user: as they were called then; null when it was nobody. action: a
    word such as `profile.updated`. subject: what it was done to, such as `profile/<id>`. fields: the names of those
    that were changed, never their values.
    """

    at: str
    user: Person | None
    action: str
    subject: str
    fields: list[str]


class Trail(TypedDict):
    """A page of the trail, newest first. next_cursor: where the next page begins; null at the end."""

    data: list[Line]
    next_cursor: str | None
