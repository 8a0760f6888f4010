"""The append-only trail: who changed what, when. Items are put once and never written again.

In: an action on a subject. Out: one item in the organisation's partition, ordered by time. No values of the subject
are kept, so no secret can end here.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from chalicelib import dynamo


def note(org: str, user: dict[str, str], action: str, subject: str, *, fields: list[str] | None = None) -> None:
    """Adds a line: `user` did `action` ("profile.updated") to `subject` ("profile/<id>"), changing `fields`."""
    _, put = line(org, user, action, subject, fields=fields)
    dynamo.call("put_item", **put)


def line(
    org: str, user: dict[str, str], action: str, subject: str, *, fields: list[str] | None = None
) -> dynamo.Operation:
    """The same line as an operation, for the transaction that makes the change: neither stands without the other."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    key = (f"O#{org}", f"AUDIT#{at}#{uuid.uuid4()}")
    item = {"user": user, "action": action, "subject": subject, "fields": fields or [], "at": at}
    return "Put", dynamo.put_operation("state", key, item)
