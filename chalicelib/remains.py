"""What a stopped job has left to do, for the job that goes on where it stopped.

In: the stopped job. Out: a manifest's items for the rows whose fate is not settled: chunks that are not done, without
the rows that had moved to a chunk that is; of chunks that are done the rows that had moved to one that is not. What was
read before is not read again, and so every row is decided beside the same others as in one import.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib import chunks, dynamo, jobs, keys, plans, storage
from chalicelib.chunks import Chunk
from chalicelib.jobs import Job
from chalicelib.plans import Item, Plan, TypePlan

LOOKED_BACK = timedelta(days=7)
"""How much older than a job one can be that ended after it began: a key is kept for a day, and no import takes six."""


def origin(parent: Job) -> Job | None:
    """The job whose plan a retry of this one goes on with: this one, or the one it had retried without coming to a
    plan. None when there is nothing to go on with: never planned, a dry run, or another job has imported from the same
    source since, by this profile or a copy of it, and what was read may be older than what is stored.
    """
    found = parent
    while "plan" not in found and "retry_of" in found:
        found = jobs.get(found["org"], found["retry_of"])
    if "plan" not in found or found["dry_run"]:
        return None
    return None if _overtaken(found) else found


def _overtaken(job: Job) -> bool:
    """Whether another import from the same source has ended after this one began, or still runs.

    The order of ids does not tell: one that was minted for an Idempotency-Key may wait for its job.
    """
    begun = datetime.fromtimestamp(job["created_at"], UTC).date() - LOOKED_BACK
    read = ("id", "source_id", "plan", "dry_run", "completed_at")
    for other in jobs.listing(job["org"], begun, attributes=read):
        same = "plan" in other and other["source_id"] == job["source_id"] and not other["dry_run"]
        if same and other["id"] != job["id"] and (other.get("completed_at") or math.inf) > job["started_at"]:
            return True
    return False


def items(parent: Job, type_plan: TypePlan, job: Job) -> list[Item]:
    """The items of a type that the job has to do, numbered from 0."""
    record_type = type_plan["type"]
    listed = chunks.listing(parent, record_type)
    moved = _moved(parent, record_type, listed)
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    found: list[Item] = []
    for item in storage.get_json(type_plan["manifest"]):
        chunk = listed.get(item["chunk"], {})
        rows = moved.get(item["chunk"], {})
        done = chunk.get("state") == chunks.DONE
        open_rows = {row for row, settled in rows.items() if not settled}
        if done and not open_rows:
            continue
        left = item | {"chunk": len(found)}
        if "raw" in chunk:
            left |= {"low": None, "high": None, "raw": chunk["raw"], "rows": chunk["rows"]}
            if done or open_rows != rows.keys():
                left |= _rewritten(f"{prefix}/{len(found):06d}", chunk, rows, open_rows, done=done)
        found.append(left)
    return found


def _moved(parent: Job, record_type: str, listed: dict[int, Chunk]) -> dict[int, dict[int, bool]]:
    """chunk -> row that `match` moved away -> whether the chunk it went to is done. Nothing before `match` settled."""
    settled = dynamo.get("state", keys.job_type(parent["org"], parent["id"], record_type)) or {}
    found: dict[int, dict[int, bool]] = {}
    if "manifest" in settled:
        for number, members in storage.get_json(settled["groups"]):
            done = listed.get(number, {}).get("state") == chunks.DONE
            for chunk, row in members:
                found.setdefault(chunk, {})[row] = done
    return found


def _rewritten(prefix: str, chunk: Chunk, moved: dict[int, bool], open_rows: set[int], *, done: bool) -> dict[str, Any]:
    """The chunk's rows without those that are settled."""
    kept = [
        row
        for place, row in enumerate(storage.get_rows(chunk["raw"]))
        if (place in open_rows if done or place in moved else True)
    ]
    stored = storage.put_rows(prefix, "raw", kept)
    return {"raw": stored.key, "rows": stored.rows}


def plan(parent: Job, job: Job, connection: dict[str, Any]) -> tuple[Plan, bool]:
    """The parent's plan with what is left of it and this connection, and whether anything is to be read from it."""
    old = plans.of(parent)
    left = {type_plan["type"]: items(parent, type_plan, job) for type_plan in old["types"]}
    columns = {type_plan["type"]: type_plan["columns"] for type_plan in old["types"]}
    types = [plans.listed(job, name, found, columns[name]) for name, found in left.items()]
    reads = any(item["raw"] is None for found in left.values() for item in found)
    return {**old, "profile": connection, "types": types}, reads
