"""ticket_notes: replies and internal notes, stored under their ticket."""

from __future__ import annotations

from chalicelib.targets import TIMES, Imported, Line, Text

UNIQUE_KEYS: tuple[str, ...] = ()
MATCH_FIELDS: tuple[str, ...] = ()
REFERENCES = {"ticket": ("tickets",), "author": ("agents", "customer_users")}
PARENT = "ticket"
LENIENT = {**TIMES, "cc": None, "bcc": None}


class Record(Imported):
    """A message of a ticket. content may be empty: a reply can be its attachments alone."""

    content: Text
    is_internal: bool | None = None
    cc: list[Line] | None = None
    bcc: list[Line] | None = None
