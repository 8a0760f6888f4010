"""What /api/records answers."""

from __future__ import annotations

from typing import Any, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict


class Record(TypedDict):
    """A record: beside these, the fields of its type and `<reference>_id` (`<reference>_type`) of what it refers to.

    external_id: its id in the source. unresolved: reference to the external id of what has not been imported.
    truncated: the fields of which only the beginning is shown. version: rises with every change.
    """

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pydantic's way; open: a type's own fields

    id: str
    type: str
    external_id: str
    unresolved: NotRequired[dict[str, Any]]
    truncated: NotRequired[list[str]]
    version: int
    imported_at: str


class RecordsMeta(TypedDict):
    """How many were asked for."""

    per_page: int


class Records(TypedDict):
    """Records of a type. next_cursor: where the next page begins; null at the end."""

    data: list[Record]
    meta: RecordsMeta
    next_cursor: str | None
