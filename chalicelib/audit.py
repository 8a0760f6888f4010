"""The append-only trail: who changed what, when. Items are put once and never written again.

In: an action on a subject. Out: one item in the organisation's partition, ordered by time. No values of the subject
are kept, so no secret can end here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from chalicelib import dynamo, keys

Line = dict[str, Any]


def line(
    org: str, user: dict[str, str], action: str, subject: str, *, fields: list[str] | None = None
) -> dynamo.Operation:
    """A line, as a part of the transaction that makes the change: neither stands without the other.

    `user` did `action` ("profile.updated") to `subject` ("profile/<id>"), changing `fields`.
    """
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    key = keys.audit(org, f"{at}#{uuid.uuid4()}")
    item = {"user": user, "action": action, "subject": subject, "fields": fields or [], "at": at}
    return "Put", dynamo.put_operation("state", key, item)


def listing(
    org: str, begin: date | None = None, end: date | None = None, *, behind: str | None = None, page_size: int = 100
) -> Iterator[Line]:
    """Lines, newest first, read page by page as the caller goes on; nothing outside the days is read.

    begin, end: only lines of these days (UTC), both included. behind: a place; only older lines.
    """
    partition, low = keys.audit(org, begin.isoformat() if begin else "")
    _, high = keys.audit(org, (end + timedelta(days=1)).isoformat() if end else "~")
    if behind is not None:
        high = min(high, keys.audit(org, behind)[1])
    found = dynamo.query("state", partition, between=(low, high), newest_first=True, limit=page_size, consistent=True)
    return (line for line in found if line["sk"] < high)


def place(line: Line) -> str:
    """Where a line stands: its time, then chance. Pages are cut by it."""
    return str(line["sk"].removeprefix("AUDIT#"))
