"""attachments: what is known about files on tickets; the files themselves are not read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chalicelib.targets import TIMES, Imported, Line, Timestamp

UNIQUE_KEYS: tuple[str, ...] = ()
MATCH_FIELDS: tuple[str, ...] = ()
REFERENCES = {"ticket": ("tickets",), "note": ("ticket_notes",), "uploaded_by": ("agents", "customer_users")}
PARENT = "ticket"
LENIENT = {**TIMES, "uploaded_at": None, "file_size": None, "file_type": None}


class Record(Imported):
    """A file. file_path: where the source keeps it; untrusted text, never a path to open. file_size in bytes."""

    file_name: Line
    file_size: Annotated[int, Field(ge=0)] | None = None
    file_type: Line | None = None
    file_path: Line | None = None
    uploaded_at: Timestamp | None = None
