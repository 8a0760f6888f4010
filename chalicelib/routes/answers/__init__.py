"""What the routes answer, one file a resource: the shapes that the OpenAPI document shows and the tests hold them to.

An answer has the members its shape names and no others, unless the shape says that it is open. As in requests' models,
`name: text` in a docstring describes a member.
"""

from __future__ import annotations

from typing_extensions import TypedDict


class Health(TypedDict):
    """The service answers."""

    status: str


class Message(TypedDict):
    """What was done, for people."""

    message: str


class Person(TypedDict):
    """Who did it. id: the user's. name: as it was then."""

    id: str
    name: str


class PageMeta(TypedDict):
    """Where a page is in its list. current_page: from 1. total: entries of the whole list."""

    current_page: int
    per_page: int
    total: int


class Listed(TypedDict):
    """A page of a list. next_cursor: where the next page begins; null at the end."""

    meta: PageMeta
    next_cursor: str | None
