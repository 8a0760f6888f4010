"""An organisation's jobs in numbers: one item a day, so that no statistics reads jobs.

In: what a job was when it was made, and when it ended. Out: operations for the very transactions that make and end it,
so each counts exactly once; and the numbers of a range of days. A job counts on the day it was made (UTC), whenever it
ends.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Literal

from chalicelib import dynamo, keys

Operation = tuple[Literal["Update"], dict[str, Any]]

_ENDINGS = ("completed", "failed", "cancelled")


def beginning(org: str, created_at: float) -> Operation:
    """Counts a job that is made."""
    return _add(org, created_at, {"jobs": 1})


def ending(
    org: str, created_at: float, status: str, *, records_imported: int, records_failed: int, seconds: int
) -> Operation:
    """Counts a job that ends as one of the three statuses that are shown.

    seconds: how long it ran; kept of completed ones alone, since a job cut short does not tell how long imports take.
    """
    counts = {status: 1, "records_imported": records_imported, "records_failed": records_failed}
    return _add(org, created_at, counts | ({"seconds": seconds} if status == "completed" else {}))


def _add(org: str, created_at: float, counts: dict[str, int]) -> Operation:
    day = datetime.fromtimestamp(created_at, UTC).date()
    expression = "ADD " + ", ".join(f"#{word} :{word}" for word in counts)
    return "Update", dynamo.update_operation("state", keys.daily(org, day), expression, counts)


def daily(org: str, begin: date | None = None, end: date | None = None) -> dict[date, dict[str, int]]:
    """Day -> its counts, newest first: the days from `begin` to `end` on which jobs were made."""
    partition, low = keys.daily(org, begin or date.min)
    _, high = keys.daily(org, end or date.max)
    found = dynamo.query("state", partition, between=(low, high), newest_first=True, consistent=True)
    return {date.fromisoformat(item["sk"].partition("#")[2]): item for item in found}


def summary(org: str, begin: date | None = None, end: date | None = None) -> dict[str, int]:
    """The jobs made in these days, as the import API shows them. Rows count when their job ends.

    average_duration: seconds a completed job took, 0 as long as there is none. running_jobs: never below 0, though jobs
    may have ended that were made before jobs were counted.
    """
    days = daily(org, begin, end).values()

    def total(word: str) -> int:
        return sum(day.get(word, 0) for day in days)

    jobs, ended = total("jobs"), {f"{word}_jobs": total(word) for word in _ENDINGS}
    return {
        "total_jobs": jobs,
        **ended,
        "running_jobs": max(0, jobs - sum(ended.values())),
        "total_records_imported": total("records_imported"),
        "total_records_failed": total("records_failed"),
        "average_duration": round(total("seconds") / ended["completed_jobs"]) if ended["completed_jobs"] else 0,
    }
