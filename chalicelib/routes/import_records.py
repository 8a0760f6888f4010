"""What became of each row of a job: /api/import/analytics/records, and /api/import/jobs/{job_id}/errors."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints

from chalicelib import jobs, ledger
from chalicelib.access import Caller
from chalicelib.messages import between, sentence
from chalicelib.pages import Page, cut, first
from chalicelib.requests import Query, Routes, invalid
from chalicelib.routes.answers.jobs import ImportRecords, JobErrors

routes = Routes()


class ImportRecordsQuery(Query):
    """job_id: the job, required as long as there is no index over jobs. import_action, target_type: only such rows."""

    job_id: uuid.UUID
    import_action: Literal["created", "updated", "skipped", "failed", "unprocessed"] | None = None
    target_type: Annotated[str, StringConstraints(max_length=64)] | None = None
    page: Annotated[int, AfterValidator(between(1, 1_000_000))] = 1
    per_page: Annotated[int, AfterValidator(between(1, 100))] = 25


@routes.on(
    "GET",
    "/api/import/analytics/records",
    permission="system.import",
    limit="records",
    answer=ImportRecords,
    refuses=("not_found",),
)
def list_import_records(caller: Caller, query: ImportRecordsQuery) -> dict[str, Any]:
    """The job's rows in the order of types, chunks and rows."""
    job = _job(caller, str(query.job_id), query.target_type)
    shown, total = ledger.import_records(
        job, record_type=query.target_type, action=query.import_action, page=query.page, per_page=query.per_page
    )
    return {"data": shown, "meta": {"current_page": query.page, "per_page": query.per_page, "total": total}}


class JobErrorsQuery(Page):
    """target_type: only rows of this type."""

    target_type: Annotated[str, StringConstraints(max_length=64)] | None = None


@routes.on(
    "GET",
    "/api/import/jobs/{job_id}/errors",
    permission="system.import",
    limit="records",
    answer=JobErrors,
)
def list_job_errors(caller: Caller, job_id: str, query: JobErrorsQuery) -> dict[str, Any]:
    """Why the job stopped, how many rows failed for which reason, and a page of them."""
    job = _job(caller, job_id, query.target_type)
    start, cursor = first(query)
    try:
        behind = None if cursor is None else ledger.place_of(cursor)
    except ValueError:
        raise invalid({"cursor": [sentence("cursor", "cursor")]}) from None
    rows, start, total = ledger.failures(
        job, record_type=query.target_type, start=start, behind=behind, size=query.per_page
    )
    more = start + len(rows) < total
    page = cut(rows, query, start=start, more=more, total=total, place=lambda row: str(row["id"]), show=dict)
    summary = ledger.summary(job, query.target_type)
    return {"job_id": job["id"], "errors": job["errors"], "summary": summary} | page


def _job(caller: Caller, job_id: str, target_type: str | None) -> jobs.Job:
    """The job, if it has that type. Raises NotFound, Invalid."""
    job = jobs.get(caller.org, job_id)
    if target_type is not None and target_type not in job["types"]:
        raise invalid({"target_type": [sentence("selected", "target_type")]})
    return job
