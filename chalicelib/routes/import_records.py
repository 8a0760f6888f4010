"""/api/import/analytics/records: what became of each row of a job."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints

from chalicelib import jobs, ledger
from chalicelib.access import Caller
from chalicelib.messages import between, sentence
from chalicelib.requests import Query, Routes, invalid
from chalicelib.routes.answers.jobs import ImportRecords

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
    job = jobs.get(caller.org, str(query.job_id))
    if query.target_type is not None and query.target_type not in job["types"]:
        raise invalid({"target_type": [sentence("selected", "target_type")]})
    shown, total = ledger.import_records(
        job, record_type=query.target_type, action=query.import_action, page=query.page, per_page=query.per_page
    )
    return {"data": shown, "meta": {"current_page": query.page, "per_page": query.per_page, "total": total}}
