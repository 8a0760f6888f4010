"""time_entries: time agents spent on tickets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chalicelib.targets import TIMES, Imported, Text, Timestamp

UNIQUE_KEYS: tuple[str, ...] = ()
MATCH_FIELDS: tuple[str, ...] = ()
REFERENCES = {"ticket": ("tickets",), "agent": ("agents",)}
PARENT = None
LENIENT = {**TIMES, "started_at": None, "rate_override": None}


class Record(Imported):
    """A stretch of work. duration_minutes is rounded; where the source knows seconds they are in custom_fields."""

    duration_minutes: Annotated[int, Field(ge=0)]
    started_at: Timestamp | None = None
    description: Text | None = None
    billable: bool | None = None
    approved: bool | None = None
    rate_override: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
