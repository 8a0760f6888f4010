"""Jobs: their shape, legal moves, counters and the locks they hold.

In: a profile and options, or a job id. Out: job dicts, as stored. A job belongs to one organisation, runs one frozen
profile, and ends exactly once. Moves are conditional on the state moved from, so of two racing moves one wins.

    pending ─► running ─► completed | completed_with_errors
       └──────────┼─► cancelling ─► cancelled
                  └─► failing ─► failed

Counters stand one attribute a type and word (`tickets_created`), changed only in the transaction that changes the
chunk they came from: on the job's tallies while it runs, on the job itself once it has ended; whoever reads a job gets
them with it. `total = created + updated + skipped + failed + unprocessed` for every ended job.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date
from typing import Any, Literal

from chalicelib import audit, dynamo, keys, settings, statistics, tallies
from chalicelib.clients import client
from chalicelib.dynamo import Refused
from chalicelib.errors import BadRequest, Fatal, NotFound, Retryable

Job = dict[str, Any]
Operation = tuple[Literal["Update"], dict[str, Any]]

LEGAL = {
    "pending": {"running", "cancelling", "failing"},
    "running": {"cancelling", "failing", "completed", "completed_with_errors"},
    "cancelling": {"cancelled"},
    "failing": {"failed"},
}
"""state -> states it may become; a state that is not a key is final. While cancelling or failing, workers let go."""

COUNTERS = ("created", "updated", "skipped", "failed", "unprocessed")
"""What becomes of a row. Exactly one for every row of an ended job."""


LAST_ATTEMPT = 3
"""Times a start looks again at a lock that changes hands under it."""


def total(job: Job, *words: str) -> int:
    """Rows over all types, the words' counts added up."""
    return sum(job.get(f"{name}_{word}", 0) for name in job["types"] for word in words)


def seconds(job: Job, now: float) -> int | None:
    """How long the job has run or ran."""
    return int((job.get("completed_at") or now) - job["started_at"]) if job.get("started_at") else None


def confirm_in_time(job: Job, now: float) -> None:
    """Raise Fatal when the job has run for longer than it was given. Every step asks, whatever it waits for."""
    allowed = job["options"].get("timeout")
    if allowed and job.get("started_at") and now >= job["started_at"] + allowed:
        raise Fatal(f"The job has reached its timeout of {allowed} seconds", code="job_timeout")


def ended(job: Job) -> bool:
    """Whether the job is in a final state."""
    return job["status"] not in LEGAL


def policy(mode_config: dict[str, Any]) -> dict[str, str]:
    """The one policy every document's vocabulary becomes: what to do on a match and with a new row.

    Out: {"on_match", "on_key": "update" | "skip" | "fail", "on_new": "create" | "skip"}. on_match is for a row that
    has been imported before, on_key for one that meets another's unique key. `skip_duplicates` beats
    `update_duplicates`. Where keys are not to be compared (detection off, or the unique key is none of the primary
    fields), a taken key fails the row: no two records ever share one.
    """
    mode = mode_config.get("import_mode", "upsert")
    spare = mode == "create" or mode_config.get("skip_duplicates") or mode_config.get("update_duplicates") is False
    on_match = "skip" if spare else "update"
    detection = mode_config.get("duplicate_detection", {})
    compares = detection.get("enabled", True) and "email" in detection.get("primary_fields", ["email"])
    return {
        "on_match": on_match,
        "on_new": "skip" if mode == "update" else "create",
        "on_key": on_match if compares else "fail",
    }


def start(
    org: str,
    profile: dict[str, Any],
    user: dict[str, str],
    options: dict[str, Any],
    mode_config: dict[str, Any],
    *,
    job_id: str | None = None,
    retry_of: str | None = None,
    now: float | None = None,
) -> Job:
    """Make a job, take the profile's lock and start the state machine. Returns the running job.

    Job, lock and audit line are one transaction, so of any number of starts at once one wins; the others raise
    BadRequest with code `job_running` and the running job's id. If the state machine cannot be started now, the job
    stays `pending` and the sweep starts it. job_id: a new one, when it was minted before. retry_of: the job it goes on
    with.
    """
    now = time.time() if now is None else now
    number = dynamo.update("state", keys.sequence(org, "job"), "ADD #value :one", {"one": 1})["value"]
    job: Job = {
        "id": job_id or keys.mint_id(now),
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
    } | ({"retry_of": retry_of} if retry_of else {})
    _insert(org, job)
    return _begin(job, now)


def resume(org: str, job_id: str) -> Job | None:
    """The job that an earlier attempt at the same start may have made, set going if that did not come to it."""
    job = dynamo.get("state", keys.job(org, job_id))
    if job is None:
        return None
    return _begin(job, time.time()) if job["status"] == "pending" else _with_counts(job)


def _begin(job: Job, now: float) -> Job:
    if not execute(job):
        return job
    try:
        return move(job, "running", {"started_at": now})
    except Refused:
        return get(job["org"], job["id"])  # already further: its first step, or a cancel, was faster


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
    for attempt in range(LAST_ATTEMPT + 1):
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
                    statistics.beginning(org, job["created_at"]),
                    audit.line(org, job["created_by"], "job.started", f"job/{job['id']}"),
                ]
            )
            return
        except Refused as refused:
            if refused.reasons[0] == "ConditionalCheckFailed":
                raise NotFound("Import profile not found") from None
            held = dynamo.get("state", lock)
            if held and held["job"] == job["id"]:
                return  # the transaction had gone through; only its answer was lost
            if held and (attempt == LAST_ATTEMPT or runs(org, held["job"])):
                raise BadRequest(
                    "An import job is already running on this profile",
                    code="job_running",
                    extra={"running_job": held["job"]},
                ) from None
            # A lock whose job has ended is free: take it over from exactly that job.
            free, values = ("#job = :old", {"old": held["job"]}) if held else ("attribute_not_exists(#pk)", {})
    raise Retryable("The profile's lock keeps changing hands", code="busy")


def running(org: str, profile_id: str) -> str | None:
    """The id of the job that holds the profile's lock, None when it is free."""
    held = dynamo.get("state", keys.profile_lock(org, profile_id))
    return str(held["job"]) if held and runs(org, held["job"]) else None


def runs(org: str, job_id: str) -> bool:
    """Whether the job has not ended. A lock is free when its job has, never by the clock."""
    job = dynamo.get("state", keys.job(org, job_id))
    return bool(job and not ended(job))


def get(org: str, job_id: str) -> Job:
    """A job of the organisation, with its counts. Raises NotFound for absent ids and other tenants' alike."""
    job = dynamo.get("state", keys.job(org, job_id))
    if job is None:
        raise NotFound("Import job not found")
    return _with_counts(job)


def _with_counts(job: Job) -> Job:
    return job if ended(job) else job | tallies.sums(job["org"], job["id"])


def is_running(job: Job) -> bool:
    """Whether the job still runs, read afresh."""
    found = dynamo.get("state", keys.job(job["org"], job["id"]))
    return bool(found and found["status"] == "running")


def still_running(job: Job) -> dynamo.Operation:
    """What a transaction takes along to change nothing once the job has stopped."""
    key = keys.job(job["org"], job["id"])
    return "ConditionCheck", dynamo.check_operation("state", key, "#status = :running", {"running": "running"})


def listing(
    org: str,
    begin: date | None = None,
    end: date | None = None,
    *,
    behind: str | None = None,
    page_size: int = 100,
    attributes: tuple[str, ...] = (),
) -> Iterator[Job]:
    """Jobs, newest first, read page by page as the caller goes on; nothing outside the days is read.

    begin, end: only jobs made in these days (UTC), both included. behind: a job id; only older ones. attributes: the
    ones to bring, `id` among them.
    """
    partition, low, high = keys.jobs_between(org, begin, end)
    if behind is not None:
        high = min(high, keys.job(org, behind)[1])
    found = dynamo.query(
        "state",
        partition,
        between=(low, high),
        newest_first=True,
        limit=page_size,
        consistent=True,
        attributes=attributes,
    )
    return (job if attributes else _with_counts(job) for job in found if job["id"] != behind)


def several(org: str, ids: Iterable[str]) -> list[Job]:
    """The jobs with these ids, in their order."""
    wanted = [keys.job(org, job_id) for job_id in ids]
    found = dynamo.batch_get("state", wanted, consistent=True)
    return [_with_counts(found[key]) for key in wanted if key in found]


def active() -> Iterator[tuple[str, str]]:
    """(org, job id) of every job that has not ended."""
    return ((item["org"], item["job"]) for item in dynamo.query("state", "ACTIVE", consistent=True))


def set_once(job: Job, marker: str, values: dict[str, Any]) -> Job:
    """Set attributes of a running job unless the marker among them is set. Returns the job as it stands."""
    with suppress(Refused):
        unset = f"attribute_not_exists(#{marker}) AND #status = :running"
        return _update(job, values, unset, {"running": "running"})
    return get(job["org"], job["id"])


def describe(job: Job, values: dict[str, Any]) -> None:
    """Change what the job says of itself while it runs (operation, current type)."""
    with suppress(Refused):  # it is being cancelled or has ended: it says so itself
        _update(job, values, "#status = :running", {"running": "running"})


def move(job: Job, status: str, values: dict[str, Any] | None = None, *beside: dynamo.Operation) -> Job:
    """Move a job to another state. Raises Refused when it is no longer in the state it was read in.

    When it stops running, its tallies shut in the same transaction. beside: what else is part of that.
    """
    if status not in LEGAL.get(job["status"], set()):
        raise Refused(job)
    moved = _moved(job, {"status": status, **(values or {})})
    shut = [] if status == "running" else tallies.shut(job["org"], job["id"], status)
    dynamo.transact([moved, *shut, *beside])
    return get(job["org"], job["id"])


def _update(job: Job, values: dict[str, Any], condition: str, condition_values: dict[str, Any]) -> Job:
    key = keys.job(job["org"], job["id"])
    return dynamo.update("state", key, _set(values), values | condition_values, condition=condition)


def _moved(job: Job, values: dict[str, Any]) -> Operation:
    key, held = keys.job(job["org"], job["id"]), {"from": job["status"]}
    return "Update", dynamo.update_operation("state", key, _set(values), values | held, condition="#status = :from")


def _set(values: dict[str, Any]) -> str:
    return "SET " + ", ".join(f"#{word} = :{word}" for word in values)


def end(job: Job, status: str, values: dict[str, Any]) -> None:
    """The one move into a final state: takes the counts home, frees the profile, takes the job off the active list,
    adds it to the day's numbers.

    Raises Refused when the job has moved meanwhile; the caller reads it again.
    """
    if status not in LEGAL.get(job["status"], set()):
        raise Refused(job)
    org = job["org"]
    sums, settled = tallies.settle(org, job["id"], status)
    changed = {"status": status, **values, **sums}
    lock, free = keys.profile_lock(org, job["profile"]["id"]), "attribute_not_exists(#pk) OR #job = :job"
    dynamo.transact(
        [
            _moved(job, changed),
            *settled,
            ("Delete", dynamo.delete_operation("state", lock, condition=free, values={"job": job["id"]})),
            ("Delete", dynamo.delete_operation("state", keys.active_job(org, job["id"]))),
            _counted({**job, **changed}),
        ]
    )
    for record_type in job["types"]:
        try:
            dynamo.delete("state", keys.type_lock(org, record_type), condition="#job = :job", values={"job": job["id"]})
        except Refused:
            continue  # never taken, or already another job's


def _counted(job: Job) -> statistics.Operation:
    """What an ended job adds to its day. A dry run has imported nothing."""
    wrote = not job["dry_run"]
    return statistics.ending(
        job["org"],
        job["created_at"],
        shown_status(job),
        records_imported=total(job, "created") if wrote else 0,
        records_failed=total(job, "failed") if wrote else 0,
        seconds=seconds(job, time.time()) or 0,
    )


def cancel(
    org: str,
    job_id: str,
    user: dict[str, str],
    *,
    wait_seconds: float = 15,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Job:
    """Ask a job to stop and wait a little until its workers have let go.

    Returns the job, normally `cancelled`; still `cancelling`, or `failing`, when a worker needs longer. Raises
    BadRequest with code `invalid_status` when the job has ended otherwise.
    """
    job = get(org, job_id)
    over = ended(job)
    while job["status"] in ("pending", "running"):
        try:
            job = move(job, "cancelling", None, audit.line(org, user, "job.cancelled", f"job/{job_id}"))
        except Refused:
            job = get(org, job_id)
    deadline = now() + wait_seconds
    while not ended(job) and now() < deadline:
        sleep(0.25)
        job = get(org, job_id)
    if over or (ended(job) and job["status"] != "cancelled"):  # it came to its end first, or was failing already
        raise BadRequest(f"Cannot cancel a job that is {shown_status(job)}", code="invalid_status")
    return job


def shown_status(job: Job) -> str:
    """The status in the words of the import API, which knows five."""
    return _SHOWN.get(job["status"]) or str(job["status"])


_SHOWN = {"pending": "running", "cancelling": "running", "failing": "running", "completed_with_errors": "completed"}
