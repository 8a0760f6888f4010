"""The right to write records of a type: one job at a time has it, from `match` until it ends.

In: a job. Out: whether it has the lock now, or who has. A lock is free when the job that holds it has ended, never by
the clock; `jobs.end` gives it back.
"""

from __future__ import annotations

from chalicelib import dynamo, jobs, keys
from chalicelib.dynamo import Refused


def take_type(org: str, record_type: str, job_id: str) -> str | None:
    """Take the right to write records of a type. Returns None when held now by this job, else the holder's id."""
    lock = keys.type_lock(org, record_type)
    held = dynamo.get("state", lock)
    if held and held["job"] != job_id and jobs.runs(org, held["job"]):
        return str(held["job"])
    condition = "attribute_not_exists(#pk) OR #job = :mine" + (" OR #job = :old" if held else "")
    values = {"mine": job_id} | ({"old": held["job"]} if held else {})
    try:
        dynamo.put("state", lock, {"job": job_id}, condition=condition, values=values)
    except Refused as refused:
        return str((refused.item or {}).get("job", "another job"))
    return None
