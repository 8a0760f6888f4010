"""agents: the people who work on tickets."""

from __future__ import annotations

from typing import Literal

from chalicelib.targets import TIMES, Email, Imported, Line, Object

UNIQUE_KEYS = ("email",)
MATCH_FIELDS = ("name",)
REFERENCES: dict[str, tuple[str, ...]] = {}
PARENT = None
LENIENT = {**TIMES, "role": "agent", "phone": None, "timezone": None, "preferences": None}


class Record(Imported):
    """A person. role: what they may do in the source. is_active: False for disabled and deleted ones."""

    email: Email
    name: Line
    first_name: Line | None = None
    last_name: Line | None = None
    phone: Line | None = None
    role: Literal["agent", "admin"] | None = None
    is_active: bool | None = None
    timezone: Line | None = None
    preferences: Object | None = None
