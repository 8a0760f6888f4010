"""A job's counts, spread over items on which its workers seldom meet; and the gate that shuts when it stops running.

In: a job and a chunk's number, which says on which of the tallies it counts. Out: operations for the transactions that
set a chunk's results, and the sums. DynamoDB refuses a transaction that meets another one on an item: on one item for
the whole job, forty workers would spend a third of their time trying again, two hundred nearly all of it.

A tally that bears a status is shut: it is set on all of them in the transaction that moves the job out of `running`,
so no result counts afterwards but those that settle the job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

from chalicelib import dynamo, keys

Operation = tuple[Literal["Update", "ConditionCheck"], dict[str, Any]]

OPEN = "attribute_not_exists(#status)"

_MARKS = ("pk", "sk", "status", "writes")


def count(org: str, job_id: str, number: int, counted: dict[str, int], shut_as: tuple[str, ...] = ()) -> Operation:
    """Add rows to the tally of the chunk: counter -> rows. Refused once the job has stopped running.

    shut_as: states of the job in which it counts all the same, for what settles it.
    """
    condition = " OR ".join([OPEN, *(f"#status = :state{index}" for index in range(len(shut_as)))])
    amounts = {"writes": 1} | {counter: rows for counter, rows in counted.items() if rows}
    expression = "ADD " + ", ".join(f"#{counter} :{counter}" for counter in amounts)
    values = amounts | {f"state{index}": state for index, state in enumerate(shut_as)}
    key = keys.tally(org, job_id, number % keys.TALLIES)
    return "Update", dynamo.update_operation("state", key, expression, values, condition=condition)


def gate(org: str, job_id: str, number: int) -> Operation:
    """Refused once the job has stopped running."""
    return "ConditionCheck", dynamo.check_operation("state", keys.tally(org, job_id, number % keys.TALLIES), OPEN)


def shut(org: str, job_id: str, status: str) -> list[Operation]:
    """Let nothing more be counted but in this state of the job."""
    return [_shut(tally, status) for tally in _all(org, job_id)]


def settle(org: str, job_id: str, status: str) -> tuple[dict[str, int], list[Operation]]:
    """The sums, and operations that shut the tallies for good; refused when anything has been counted meanwhile."""
    tallies = _all(org, job_id)
    found = dynamo.batch_get("state", tallies, consistent=True)
    operations = [_shut(tally, status, found.get(tally, {}).get("writes", 0)) for tally in tallies]
    return _sums(found.values()), operations


def sums(org: str, job_id: str) -> dict[str, int]:
    """Counter -> rows, over all chunks."""
    return _sums(dynamo.batch_get("state", _all(org, job_id), consistent=True).values())


def _all(org: str, job_id: str) -> list[keys.Key]:
    return [keys.tally(org, job_id, place) for place in range(keys.TALLIES)]


def _shut(tally: keys.Key, status: str, writes: int | None = None) -> Operation:
    """writes: how often the tally has been counted on, None for no matter."""
    unchanged = "#writes = :writes" if writes else None if writes is None else "attribute_not_exists(#writes)"
    values = {"status": status} | ({"writes": writes} if writes else {})
    return "Update", dynamo.update_operation("state", tally, "SET #status = :status", values, condition=unchanged)


def _sums(found: Iterable[dict[str, Any]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for tally in found:
        total.update({counter: rows for counter, rows in tally.items() if counter not in _MARKS})
    return dict(total)
