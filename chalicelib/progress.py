"""How far a job is and what it shows of itself, derived from its counters alone.

In: a job as stored. Out: the objects the import API answers with. Nothing here reads or writes.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from chalicelib.jobs import COUNTERS, Job, ended, seconds, shown_status, total

STARTING = "Initializing import with duplicate detection..."
FINISHING = "Finishing…"


def counts(job: Job) -> dict[str, dict[str, int]]:
    """Per type: rows planned, extracted, decided, and what became of them."""
    words = ("planned", "extracted", "decided", *COUNTERS)
    return {name: {word: job.get(f"{name}_{word}", 0) for word in words} for name in job["types"]}


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


def show(job: Job, now: float | None = None) -> dict[str, Any]:
    """The whole job as the import API shows it."""
    shown = status(job, now)
    shown["id"] = shown.pop("job_id")
    return shown | {
        "number": job["number"],
        "profile": job["profile"],
        "retry_of": job.get("retry_of"),
        "dry_run": job["dry_run"],
        "import_options": job["options"],
        "mode_config": job["mode_config"],
        "estimated_total": total(job, "planned"),
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
    name = next((name for name, words in counts(job).items() if _open(words)), None)
    return f"Processing {job['origins'][name]} → {name}" if name else STARTING if not job["types"] else FINISHING


def _open(words: dict[str, int]) -> bool:
    """Whether rows of a type wait to be settled. Types come one after the other."""
    return sum(words[word] for word in COUNTERS) < words["planned"]


def timestamp(epoch_seconds: float | None) -> str | None:
    """Epoch seconds as "2026-01-01T10:00:00Z"."""
    if epoch_seconds is None:
        return None
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
