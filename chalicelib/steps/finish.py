"""finish: the only writer of final states. Every road of the state machine ends here.

In: {org, job, error?}. Out: `done`; `waiting` while a worker may still be writing; `more` when time ran out.

A job that went well is completed. A cancelled or failed one is settled first: it waits for leases, reads back what
stopped chunks have really written, writes their last ledger part, and only then says `cancelled` or `failed`. So no
row written after that is visible, and total = created + updated + skipped + failed + unprocessed.
"""

from __future__ import annotations

from typing import Any, NotRequired

from chalicelib import chunks, dynamo, jobs, keys, ledger, plans, storage, telemetry
from chalicelib.chunks import Chunk
from chalicelib.dynamo import Refused
from chalicelib.errors import NotFound, Retryable
from chalicelib.jobs import Job
from chalicelib.steps import RESERVE_SECONDS, Clock, JobEvent, step
from chalicelib.steps.decide import close
from chalicelib.steps.load import outcomes

SHOWN_ERRORS = 20
"""Reasons kept on the job; the chunks keep their own."""


class Event(JobEvent):
    """error: what the state machine caught, `Error` and `Cause`; its presence alone counts, chunks keep the reasons."""

    error: NotRequired[dict[str, str]]


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Settle the job and end it, unless it has ended."""
    try:
        job = jobs.get(event["org"], event["job"])
    except NotFound:
        return {"state": "done"}
    if jobs.ended(job):
        return {"state": "done"}
    if "error" in event and job["status"] in ("pending", "running"):
        try:
            job = jobs.move(job, "failing")  # workers that are left must let go before their chunks are settled
        except Refused:
            return {"state": "more"}
    plan = plans.of(job) if "plan" in job else None
    for type_plan in plan["types"] if plan else []:
        state = _settle(job, type_plan, now=now, remaining=remaining)
        if state != "done":
            return {"state": state}
    job = jobs.get(event["org"], event["job"])
    if job["status"] == "running" and jobs.total(job, "unprocessed"):
        # Nobody stopped it, and yet rows are left: never call that completed.
        try:
            job = jobs.move(job, "failing")
        except Refused:
            return {"state": "more"}
    _end(job, now())
    return {"state": "done"}


def _settle(job: Job, type_plan: plans.TypePlan, *, now: Clock, remaining: Clock) -> str:
    """Close every chunk of a type that is still open."""
    listed = chunks.listing(job, type_plan["type"])
    if any(chunks.leased(chunk, now()) for chunk in listed.values() if not _closed(chunk)):
        return "waiting"
    settled = "manifest" in (dynamo.get("state", keys.job_type(job["org"], job["id"], type_plan["type"])) or {})
    planned = {item["chunk"]: item["rows"] for item in storage.get_json(type_plan["manifest"])}
    for number in sorted(planned.keys() | listed.keys()):
        chunk = listed.get(number, {})
        if _closed(chunk):
            continue
        if remaining() < RESERVE_SECONDS:
            return "more"
        _stop(job, type_plan["type"], number, chunk, _rows(chunk, planned.get(number, 0), settled=settled))
    return "done"


def _closed(chunk: Chunk) -> bool:
    return chunk.get("state") in (chunks.DONE, chunks.STOPPED)


def _rows(chunk: Chunk, planned_rows: int, *, settled: bool) -> int:
    """How many rows an open chunk has. Rows have moved only once `match` has settled; before, they have not."""
    if "group" in chunk:
        return int(chunk["rows"]) if settled else 0
    return int(chunk.get("rows", planned_rows)) - (chunk.get("moved_rows", 0) if settled else 0)


def _stop(job: Job, record_type: str, number: int, chunk: Chunk, rows: int) -> None:
    """Say of an open chunk what became of its rows."""
    telemetry.count(rows=rows)
    if "parts" not in chunk or job["dry_run"]:
        counted = {"unprocessed": rows}
        chunks.close(job, record_type, number, chunks.STOPPED, {"counts": counted}, counted=counted)
        return
    parts = list(chunk["parts"])
    lines = ledger.read(parts)
    came_to = outcomes(job, record_type, number, lines)
    changed = [after for before, after in zip(lines, came_to, strict=True) if before is not after]
    if changed:
        key = ledger.write(job, record_type, number, changed)
        known = parts
        parts = chunks.add_part(job, record_type, number, known, key)
        if parts != [*known, key]:
            raise Retryable("a worker past its lease has added to the ledger", code="raced")
        came_to = ledger.read(parts)
    close(job, record_type, number, chunks.STOPPED, parts, came_to)


def _end(job: Job, now: float) -> None:
    """The final state, with the reasons and what the job came to."""
    reasons: dict[str, dict[str, int]] = {}
    failing = job["status"] == "failing"
    errors: list[dict[str, Any]] = [job["note"]] if failing and job.get("note") else []
    for record_type in job["types"]:
        for number, chunk in sorted(chunks.listing(job, record_type).items()):
            for reason, rows in chunk.get("reasons", {}).items():
                counted = reasons.setdefault(record_type, {})
                counted[reason] = counted.get(reason, 0) + rows
            if failing and "error" in chunk and chunk.get("state") != chunks.DONE:
                errors.append(chunk["error"] | {"type": record_type, "chunk": number})
    values = {"completed_at": now, "reasons": reasons, "errors": errors[:SHOWN_ERRORS]}
    if failing and not errors:
        values["errors"] = [{"code": "internal", "message": "The import stopped for an unknown reason"}]
    try:
        jobs.end(job, _final(job), values)
    except Refused:
        again = jobs.get(job["org"], job["id"])
        if not jobs.ended(again):
            _end(again, now)


def _final(job: Job) -> str:
    if job["status"] in ("failing", "cancelling"):
        return "failed" if job["status"] == "failing" else "cancelled"
    return "completed_with_errors" if jobs.total(job, "failed") else "completed"
