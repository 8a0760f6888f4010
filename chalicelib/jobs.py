"""Jobs: their shape, legal moves, counters and the locks they hold.

In: a profile and options, or a job id. Out: job dicts, as stored. A job belongs to one organisation, runs one frozen
profile, and ends exactly once. Moves are conditional on the state moved from, so of two racing moves one wins.

    pending ─► running ─► completed | completed_with_errors
       └──────────┼─► cancelling ─► cancelled
                  └─► failing ─► failed

Counters stand one attribute a type and word (`tickets_created`), changed only in the transaction that changes the
chunk they came from; totals are sums made on reading. `total = created + updated + skipped + failed + unprocessed`
for every ended job.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from chalicelib import dynamo, keys, settings
from chalicelib.clients import client
from chalicelib.dynamo import Refused
from chalicelib.errors import BadRequest, NotFound

Job = dict[str, Any]

LEGAL = {
    "pending": {"running", "cancelling", "failing"},
    "running": {"cancelling", "failing", "completed", "completed_with_errors"},
    "cancelling": {"cancelled"},
    "failing": {"failed"},
}
"""state -> states it may become; a state that is not a key is final. While cancelling or failing, workers let go."""

COUNTERS = ("created", "updated", "skipped", "failed", "unprocessed")
"""What becomes of a row. Exactly one for every row of an ended job."""

STARTING = "Initializing import with duplicate detection..."


def ended(job: Job) -> bool:
    """Whether the job is in a final state."""
    return job["status"] not in LEGAL


def mint_id(now: float | None = None) -> str:
    """A UUIDv7 (RFC 9562): milliseconds first, so ids sort by age. The standard library has it from 3.14 on."""
    milliseconds = int((time.time() if now is None else now) * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    return str(uuid.UUID(int=value | 0b10 << 62 | random & 0x3FFFFFFFFFFFFFFF))


def policy(mode_config: dict[str, Any]) -> dict[str, str]:
    """The one policy every document's vocabulary becomes: what to do on a match and with a new row.

    Out: {"on_match": "update" | "skip" | "fail", "on_new": "create" | "skip"}. `skip_duplicates` beats
    `update_duplicates`. With duplicate detection off, a taken unique key fails the row.
    """
    mode = mode_config.get("import_mode", "upsert")
    on_match = "skip" if mode == "create" or mode_config.get("skip_duplicates") else "update"
    detect = mode_config.get("duplicate_detection", {}).get("enabled", True)
    return {
        "on_match": on_match,
        "on_new": "skip" if mode == "update" else "create",
        "on_key": on_match if detect else "fail",
    }


def start(
    org: str, profile: dict[str, Any], user: dict[str, str], options: dict[str, Any], mode_config: dict[str, Any]
) -> Job:
    """Make a job, take the profile's lock and start the state machine. Returns the running job.

    Job and lock are one transaction, so of any number of starts at once one wins; the others raise BadRequest with
    code `job_running` and the running job's id. If the state machine cannot be started now, the job stays `pending`
    and the sweep starts it.
    """
    now = time.time()
    number = dynamo.update("state", keys.sequence(org, "job"), "ADD #value :one", {"one": 1})["value"]
    job: Job = {
        "id": mint_id(now),
        "number": number,
        "org": org,
        "profile": {word: profile[word] for word in ("id", "name", "database_type")},
        "status": "pending",
        "dry_run": bool(options.get("dry_run")),
        "options": options,
        "mode_config": mode_config,
        "created_by": user,
        "created_at": now,
        "types": [],
        "errors": [],
    }
    _insert(org, job)
    if not execute(job):
        return job
    try:
        return move(job, "running", {"started_at": now})
    except Refused:
        return get(org, job["id"])  # already further: its first step, or a cancel, was faster


def execute(job: Job) -> bool:
    """Start the job's execution, named by its id, so there is never a second. False: the sweep will try again."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client("stepfunctions").start_execution(
            stateMachineArn=settings.get().state_machine,
            name=job["id"],
            input=json.dumps({"org": job["org"], "job": job["id"]}),
        )
    except (BotoCoreError, ClientError):
        logging.getLogger("wharf").exception("job %s could not be started now", job["id"])
        return False
    return True


def _insert(org: str, job: Job) -> None:
    lock = keys.profile_lock(org, job["profile"]["id"])
    free = "attribute_not_exists(#pk)"
    values: dict[str, Any] = {}
    for _ in range(2):
        try:
            dynamo.transact(
                [
                    (
                        "ConditionCheck",
                        dynamo.check_operation(
                            "state", keys.profile(org, job["profile"]["id"]), "attribute_exists(#pk)"
                        ),
                    ),
                    ("Put", dynamo.put_operation("state", lock, {"job": job["id"]}, condition=free, values=values)),
                    ("Put", dynamo.put_operation("state", keys.job(org, job["id"]), job)),
                    (
                        "Put",
                        dynamo.put_operation("state", keys.active_job(org, job["id"]), {"org": org, "job": job["id"]}),
                    ),
                ]
            )
            return
        except Refused as refused:
            if refused.reasons[0] == "ConditionalCheckFailed":
                raise NotFound("Import profile not found") from None
            holder = running(org, job["profile"]["id"])
            if holder:
                raise BadRequest(
                    "An import job is already running on this profile",
                    code="job_running",
                    extra={"running_job": holder},
                ) from None
            # A lock whose job has ended is free: take it over from exactly that job.
            held = dynamo.get("state", lock)
            if held:
                free, values = "#job = :old", {"old": held["job"]}
    raise BadRequest("An import job is already running on this profile", code="job_running")


def running(org: str, profile_id: str) -> str | None:
    """The id of the job that holds the profile's lock, None when it is free."""
    return holder(org, keys.profile_lock(org, profile_id))


def holder(org: str, lock: keys.Key) -> str | None:
    """The job that holds a lock. A lock is free when its job has ended, never by the clock."""
    held = dynamo.get("state", lock)
    if not held:
        return None
    job = dynamo.get("state", keys.job(org, held["job"]))
    return str(held["job"]) if job and not ended(job) else None


def take_type_lock(org: str, record_type: str, job_id: str) -> str | None:
    """Take the right to write records of a type. Returns None when held now by this job, else the holder's id."""
    lock = keys.type_lock(org, record_type)
    held = dynamo.get("state", lock)
    if held and held["job"] != job_id and holder(org, lock):
        return str(held["job"])
    condition = "attribute_not_exists(#pk) OR #job = :mine" + (" OR #job = :old" if held else "")
    values = {"mine": job_id} | ({"old": held["job"]} if held else {})
    try:
        dynamo.put("state", lock, {"job": job_id}, condition=condition, values=values)
    except Refused as refused:
        return str((refused.item or {}).get("job", "another job"))
    return None


def get(org: str, job_id: str) -> Job:
    """A job of the organisation. Raises NotFound for absent ids and other tenants' alike."""
    job = dynamo.get("state", keys.job(org, job_id))
    if job is None:
        raise NotFound("Import job not found")
    return job


def listing(org: str, *, before: str | None = None, page_size: int = 100) -> Iterator[Job]:
    """Jobs, newest first, read page by page as the caller goes on; `before` is a job id to start behind."""
    after = f"JOB#{before}" if before else None
    return dynamo.query("state", f"O#{org}", prefix="JOB#", after=after, newest_first=True, limit=page_size)


def active() -> Iterator[tuple[str, str]]:
    """(org, job id) of every job that has not ended."""
    return ((item["org"], item["job"]) for item in dynamo.query("state", "ACTIVE", consistent=True))


def set_once(job: Job, attribute: str, value: Any) -> Any:
    """Set an attribute that is not set and return the one that stands: of two writers the first wins."""
    expression = f"SET #{attribute} = if_not_exists(#{attribute}, :value)"
    stands = dynamo.update("state", keys.job(job["org"], job["id"]), expression, {"value": value})
    return stands[attribute]


def describe(job: Job, values: dict[str, Any]) -> None:
    """Change what the job says of itself while it runs (operation, current type)."""
    with suppress(Refused):  # it is being cancelled or has ended: it says so itself
        _update(job, values, "#status = :running", {"running": "running"})


def move(job: Job, status: str, values: dict[str, Any] | None = None) -> Job:
    """Move a job to another state. Raises Refused when it is no longer in the state it was read in."""
    if status not in LEGAL.get(job["status"], set()):
        raise Refused(job)
    return _update(job, {"status": status, **(values or {})}, "#status = :from", {"from": job["status"]})


def _update(job: Job, values: dict[str, Any], condition: str, condition_values: dict[str, Any]) -> Job:
    expression = "SET " + ", ".join(f"#{word} = :{word}" for word in values)
    key = keys.job(job["org"], job["id"])
    return dynamo.update("state", key, expression, values | condition_values, condition=condition)


def end(job: Job, status: str, values: dict[str, Any]) -> None:
    """The one move into a final state: frees the profile and takes the job off the active list.

    Raises Refused when the job has moved meanwhile; the caller reads it again.
    """
    if status not in LEGAL.get(job["status"], set()):
        raise Refused(job)
    org = job["org"]
    changed = {"status": status, **values}
    expression = "SET " + ", ".join(f"#{word} = :{word}" for word in changed)
    lock, free = keys.profile_lock(org, job["profile"]["id"]), "attribute_not_exists(#pk) OR #job = :job"
    dynamo.transact(
        [
            (
                "Update",
                dynamo.update_operation(
                    "state",
                    keys.job(org, job["id"]),
                    expression,
                    changed | {"from": job["status"]},
                    condition="#status = :from",
                ),
            ),
            ("Delete", dynamo.delete_operation("state", lock, condition=free, values={"job": job["id"]})),
            ("Delete", dynamo.delete_operation("state", keys.active_job(org, job["id"]))),
        ]
    )
    for record_type in job["types"]:
        try:
            dynamo.delete("state", keys.type_lock(org, record_type), condition="#job = :job", values={"job": job["id"]})
        except Refused:
            continue  # never taken, or already another job's


def cancel(
    org: str,
    job_id: str,
    *,
    wait_seconds: float = 15,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Job:
    """Ask a job to stop and wait a little until its workers have let go.

    Returns the job, normally `cancelled`; still `cancelling` when a worker needs longer. Raises BadRequest with code
    `invalid_status` when the job has ended.
    """
    job = get(org, job_id)
    if ended(job):
        raise BadRequest(f"Cannot cancel a job that is {shown_status(job)}", code="invalid_status")
    while job["status"] in ("pending", "running"):
        try:
            job = move(job, "cancelling")
        except Refused:
            job = get(org, job_id)
    deadline = now() + wait_seconds
    while not ended(job) and now() < deadline:
        sleep(0.25)
        job = get(org, job_id)
    return job


def shown_status(job: Job) -> str:
    """The status in the words of the import API, which knows five."""
    return _SHOWN.get(job["status"]) or str(job["status"])


_SHOWN = {"pending": "running", "cancelling": "running", "failing": "running", "completed_with_errors": "completed"}


def counts(job: Job) -> dict[str, dict[str, int]]:
    """Per type: rows planned, extracted, decided, and what became of them."""
    words = ("planned", "extracted", "decided", *COUNTERS)
    return {name: {word: job.get(f"{name}_{word}", 0) for word in words} for name in job["types"]}


def total(job: Job, *words: str) -> int:
    """Rows over all types, the words' counts added up."""
    return sum(job.get(f"{name}_{word}", 0) for name in job["types"] for word in words)


def percentage(job: Job) -> int:
    """0..100, rising with every chunk of every step; 100 only when the job has ended well.

    Reading and deciding count a quarter each and writing half, as measured; a dry run has no writing.
    """
    if job["status"] in ("completed", "completed_with_errors"):
        return 100
    planned = total(job, "planned")
    if not planned:
        return 0
    if job["dry_run"]:
        done = (total(job, "extracted") + total(job, *COUNTERS)) / 2
    else:
        done = (total(job, "extracted", "decided") + 2 * total(job, *COUNTERS)) / 4
    return min(99, int(100 * done / planned))


def seconds(job: Job, now: float) -> int | None:
    """How long the job has run or ran."""
    return int((job.get("completed_at") or now) - job["started_at"]) if job.get("started_at") else None


def show(job: Job, now: float | None = None) -> dict[str, Any]:
    """The whole job as the import API shows it."""
    shown = status(job, now)
    shown["id"] = shown.pop("job_id")
    return shown | {
        "number": job["number"],
        "profile": job["profile"],
        "dry_run": job["dry_run"],
        "import_options": job["options"],
        "mode_config": job["mode_config"],
        "estimated_total": total(job, "planned") or job.get("estimated_total"),
        "completed_at": timestamp(job.get("completed_at")),
        "errors": job["errors"] or None,
        "metadata": {"source_counts": {name: words["planned"] for name, words in counts(job).items()}},
        "records": counts(job),
        "reasons": job.get("reasons", {}),
        "created_by": job["created_by"],
        "created_at": timestamp(job["created_at"]),
    }


def status(job: Job, now: float | None = None) -> dict[str, Any]:
    """What changes while the job runs, for those who ask often."""
    now = time.time() if now is None else now
    percent, duration = percentage(job), seconds(job, now)
    left = duration * (100 - percent) / percent if duration and percent and not ended(job) else None
    return {
        "job_id": job["id"],
        "status": shown_status(job),
        "progress_percentage": percent,
        "current_operation": None if ended(job) else operation(job),
        "records_processed": total(job, "created", "updated", "skipped", "failed"),
        "records_imported": total(job, "created"),
        "records_updated": total(job, "updated"),
        "records_skipped": total(job, "skipped"),
        "records_failed": total(job, "failed"),
        "records_unprocessed": total(job, "unprocessed"),
        "started_at": timestamp(job.get("started_at")),
        "duration": duration,
        "estimated_completion": timestamp(now + left) if left is not None else None,
    }


def operation(job: Job) -> str:
    """What a job that has not ended is doing, for people."""
    if job["status"] in ("cancelling", "failing"):
        return "Cancelling…" if job["status"] == "cancelling" else "Stopping after an error…"
    if job.get("waiting_for"):
        return f"Waiting for job {job['waiting_for']}, which is writing the same kind of records"
    name = job.get("current_type")
    return f"Processing {job['origins'][name]} → {name}" if name else STARTING


def timestamp(epoch_seconds: float | None) -> str | None:
    """Epoch seconds as "2026-01-01T10:00:00Z"."""
    if epoch_seconds is None:
        return None
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
