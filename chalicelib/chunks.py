"""Chunks: about 1,000 rows of one type, and what each step made of them.

The chunk item is fence and result in one. Every result is set once, in the same transaction that counts it for the
job, and only while the job is running; whoever comes second gets the first one's result. So a step may be invoked
any number of times, at once or days later, and counts once.

A worker that writes records stands in the chunk's `leases` while it does; `finish` waits for all of them before it
says what a stopped job did. Several workers may hold a lease at once: what they write is conditional row by row, so
exclusion would buy nothing and would make a retry wait for a dead worker's time-out.
"""

from __future__ import annotations

import uuid
from typing import Any

from chalicelib import dynamo, jobs, keys, tallies
from chalicelib.dynamo import Refused
from chalicelib.errors import Fatal, Retryable
from chalicelib.jobs import Job

Chunk = dict[str, Any]

DONE, STOPPED = "done", "stopped"

LEASE_GRACE_SECONDS = 60
"""A lease outlives its invocation's hard limit by this much: clocks differ, and a killed worker's last call may be
still under way."""


class Stopping(Exception):
    """The job is not running any more: the step ends without a result."""


def get(job: Job, record_type: str, number: int) -> Chunk:
    """The chunk as it stands; empty when no step has finished on it."""
    return dynamo.get("state", keys.chunk(job["org"], job["id"], record_type, number)) or {}


def with_job(org: str, job_id: str, record_type: str, number: int, now: float) -> tuple[Job, Chunk]:
    """The job and one of its chunks, in one read. Raises Stopping when the job is not running, Fatal when its time is
    over.
    """
    job_key, key = keys.job(org, job_id), keys.chunk(org, job_id, record_type, number)
    found = dynamo.batch_get("state", (job_key, key), consistent=True)
    job = found.get(job_key)
    if job is None or job["status"] != "running":
        raise Stopping
    jobs.confirm_in_time(job, now)
    return job, found.get(key, {})


def listing(job: Job, record_type: str) -> dict[int, Chunk]:
    """Every chunk of a type that a step has touched, by number."""
    partition, prefix = keys.chunk(job["org"], job["id"], record_type, 0)
    found = dynamo.query("state", partition, prefix=prefix[:-6], consistent=True)
    return {int(chunk["sk"][-6:]): chunk for chunk in found}


def record(
    job: Job, record_type: str, number: int, marker: str, values: dict[str, Any], *, counted: dict[str, int]
) -> Chunk:
    """Set a step's result once and add what it counted to the job's. Returns the result that stands.

    marker: the attribute whose presence says that the step is done. values: what to set, the marker among it.
    counted: counter word -> rows. Raises Stopping when the job is no longer running.
    """
    condition = f"attribute_not_exists(#{marker}) AND (attribute_not_exists(#state) OR #state = :open)"
    operation = _change(job, record_type, number, values, condition, {"open": "open"})
    operation["UpdateExpression"] += " REMOVE #error"
    operation["ExpressionAttributeNames"]["#error"] = "error"
    counting = _count(job, record_type, number, counted) if counted else tallies.gate(job["org"], job["id"], number)
    try:
        dynamo.transact([("Update", operation), counting])
    except Refused as refused:
        chunk = get(job, record_type, number)
        if marker in chunk:
            return chunk
        if chunk.get("state") in (DONE, STOPPED) or not jobs.is_running(job):
            raise Stopping from None
        raise Fatal(f"DynamoDB refused a chunk's result: {refused.reasons}", code="record_refused") from None
    return values


def close(
    job: Job,
    record_type: str,
    number: int,
    state: str,
    values: dict[str, Any],
    *,
    counted: dict[str, int],
    parts: int | None = None,
    lease: str | None = None,
) -> bool:
    """End a chunk, DONE or STOPPED, with the counts of its ledger. False when it had ended already.

    parts: how many ledger parts the counts were taken from; a part added meanwhile refuses the move, so counts and
    ledger never disagree. lease: the caller's, given back with it. Raises Stopping when the job itself has ended.
    """
    condition = "(attribute_not_exists(#state) OR #state = :open)"
    held: dict[str, Any] = {"open": "open"}
    if parts is not None:
        condition += " AND size(#parts) = :parts"
        held["parts"] = parts
    operation = _change(job, record_type, number, {"state": state, **values}, condition, held)
    if lease:
        operation["UpdateExpression"] += " DELETE #leases :lease"
        operation["ExpressionAttributeNames"]["#leases"] = "leases"
        operation["ExpressionAttributeValues"][":lease"] = dynamo.encode({lease})
    try:
        count = _count(job, record_type, number, counted, ("cancelling", "failing"))
        dynamo.transact([("Update", operation), count])
    except Refused:
        chunk = get(job, record_type, number)
        if chunk.get("state") in (DONE, STOPPED):
            return False
        if parts is not None and len(chunk.get("parts", ())) != parts:
            raise Retryable("another worker added to the ledger", code="raced") from None
        raise Stopping from None
    return True


def add_part(job: Job, record_type: str, number: int, parts: list[str], key: str) -> list[str]:
    """Add a ledger part behind the ones the caller has read. Returns the parts that stand: the first writer's."""
    try:
        chunk = dynamo.update(
            "state",
            keys.chunk(job["org"], job["id"], record_type, number),
            "SET #parts = :new",
            {"new": [*parts, key], "known": parts, "open": "open"},
            condition="#parts = :known AND (attribute_not_exists(#state) OR #state = :open)",
        )
    except Refused:
        chunk = get(job, record_type, number)
    return list(chunk["parts"])


def standing(job: Job, record_type: str, number: int, parts: int) -> dynamo.Operation:
    """Refused once the chunk has ended, or its ledger has more parts than these."""
    condition = "size(#parts) = :parts AND (attribute_not_exists(#state) OR #state = :open)"
    key = keys.chunk(job["org"], job["id"], record_type, number)
    return "ConditionCheck", dynamo.check_operation("state", key, condition, {"parts": parts, "open": "open"})


def take_lease(job: Job, record_type: str, number: int, until: float) -> str:
    """Stand in the chunk's leases until then (epoch seconds). Raises Stopping when job or chunk has ended."""
    lease = f"{uuid.uuid4()}|{int(until + LEASE_GRACE_SECONDS)}"
    key = keys.chunk(job["org"], job["id"], record_type, number)
    condition = "attribute_not_exists(#state) OR #state = :open"
    try:
        dynamo.transact(
            [
                tallies.gate(job["org"], job["id"], number),
                (
                    "Update",
                    dynamo.update_operation(
                        "state", key, "ADD #leases :lease", {"lease": {lease}, "open": "open"}, condition=condition
                    ),
                ),
            ]
        )
    except Refused:
        raise Stopping from None
    return lease


def drop_lease(job: Job, record_type: str, number: int, lease: str) -> None:
    """The worker has let go."""
    dynamo.update(
        "state", keys.chunk(job["org"], job["id"], record_type, number), "DELETE #leases :lease", {"lease": {lease}}
    )


def leased(chunk: Chunk, now: float) -> bool:
    """Whether some worker may still be writing the chunk's records."""
    return any(int(lease.rsplit("|", 1)[1]) > now for lease in chunk.get("leases") or [])


def note(job_key: tuple[str, str], record_type: str, number: int, *, code: str, message: str) -> None:
    """Leave on the chunk why a step gave up: from a Map only a general error reaches the state machine."""
    org, job_id = job_key
    dynamo.update(
        "state", keys.chunk(org, job_id, record_type, number), "SET #error = :error",
        {"error": {"code": code, "message": message}},
    )  # fmt: skip


def _change(
    job: Job, record_type: str, number: int, values: dict[str, Any], condition: str, held: dict[str, Any]
) -> dict[str, Any]:
    key = keys.chunk(job["org"], job["id"], record_type, number)
    expression = "SET " + ", ".join(f"#{word} = :{word}" for word in values)
    return dynamo.update_operation("state", key, expression, values | held, condition=condition)


def _count(
    job: Job, record_type: str, number: int, counted: dict[str, int], shut_as: tuple[str, ...] = ()
) -> tallies.Operation:
    counters = {f"{record_type}_{word}": rows for word, rows in counted.items()}
    return tallies.count(job["org"], job["id"], number, counters, shut_as)
