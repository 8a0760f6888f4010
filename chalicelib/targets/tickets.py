"""tickets: what a customer asked, and its state."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from chalicelib.targets import TIMES, Imported, Line, Text, Timestamp

UNIQUE_KEYS: tuple[str, ...] = ()
MATCH_FIELDS = ("number",)
REFERENCES = {
    "customer": ("customer_users",),
    "account": ("accounts",),
    "assigned_to": ("agents",),
    "created_by": ("agents", "customer_users"),
}
PARENT = None
LENIENT = {**TIMES, "status": "open", "priority": "normal", "source": None, "resolved_at": None, "closed_at": None}


class Record(Imported):
    """A ticket. number: what people call it by; not unique. description: what was asked first, HTML or plain text."""

    title: Annotated[str, StringConstraints(max_length=1_000, min_length=1)]
    number: Annotated[str, StringConstraints(max_length=50)] | None = None
    description: Text | None = None
    status: Literal["open", "pending", "resolved", "closed"] | None = None
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    category: Line | None = None
    tags: list[Line] | None = None
    source: Literal["email", "web", "api", "phone", "chat"] | None = None
    resolved_at: Timestamp | None = None
    closed_at: Timestamp | None = None
