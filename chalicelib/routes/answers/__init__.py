"""What the routes answer, one file a resource: the shapes that the OpenAPI document shows and the tests hold them to.

An answer has the members its shape names and no others, unless the shape says that it is open. As in requests' models,
`name: text` in a docstring describes a member.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict
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


class Document(TypedDict):
    """An OpenAPI 3.1 document."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pydantic's way; the specification's matter

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
