"""/api/import/jobs: start, watch, count and stop imports.

What a job is asked to do is checked in full, here and in modes.py, so that nothing is promised that the run would
ignore.
"""

from __future__ import annotations

import re
import time
import uuid
from contextlib import suppress
from itertools import islice
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chalicelib import (
    configured,
    history,
    identities,
    jobs,
    modes,
    narrowing,
    profiles,
    progress,
    remains,
    statistics,
    storage,
)
from chalicelib.access import Caller
from chalicelib.errors import BadRequest
from chalicelib.idempotency import Minted
from chalicelib.messages import between, described, sentence
from chalicelib.modes import ModeConfig
from chalicelib.pages import Page, Period, cut, first, paged
from chalicelib.problems import SOURCE
from chalicelib.requests import Body, Routes, invalid
from chalicelib.routes.answers import jobs as shapes

routes = Routes()

RecordType = Annotated[str, StringConstraints(min_length=1, max_length=64)]


_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"


@described(pattern=_TIME)
def _moment(value: str) -> str:
    """Python alone would also take weeks, and times without their colons."""
    if re.match(_TIME, value, re.ASCII) and not value.endswith("\n"):
        with suppress(ValueError, OverflowError):
            return narrowing.moment(value)
    raise PydanticCustomError("date_parsing", "not a day or time")


Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_moment)]


class ImportFilters(Body):
    """Which rows. date_from, date_to: made in this range, both ends included; a day is meant whole, in UTC. limit: at
    most so many of each type, the first by key; for trying things out.
    """

    date_from: Moment | None = None
    date_to: Moment | None = None
    limit: Annotated[int, AfterValidator(between(1, 10_000_000))] | None = None

    @field_validator("date_to")
    @classmethod
    def _in_order(cls, value: str | None, info: ValidationInfo) -> str | None:
        begin = info.data.get("date_from")
        if begin and value and not narrowing.in_order(begin, value):
            raise PydanticCustomError("order", "before date_from", {"other": "date_from"})
        return value


class JobOptions(Body):
    """How to run.

    batch_size: records written at a time; 1,000 keeps one write below a minute. selected_types: some of the profile's
    types; none named means all. timeout: seconds after which the job is failed. dry_run: decide everything, write
    nothing.
    """

    batch_size: Annotated[int, AfterValidator(between(10, 1000))] = 100
    timeout: Annotated[int, AfterValidator(between(60, 86_400))] | None = None
    selected_types: Annotated[list[RecordType], Field(max_length=50)] | None = None
    import_filters: ImportFilters | None = None
    dry_run: bool = False


class JobBody(Body):
    """A job: which profile, how, and what to do with what is there; the profile says that if this does not."""

    profile_id: uuid.UUID
    options: JobOptions = JobOptions()
    mode_config: ModeConfig | None = None


STATUSES = ("pending", "running", "completed", "failed", "cancelled")
"""What a job's status may be asked for. A job that has not begun shows as running, so no job is `pending`."""


@described(items={"enum": list(STATUSES)})
def _statuses(value: Any) -> list[str]:
    """One status, several with commas, or a list of such."""
    given = value if isinstance(value, list) else [value]
    found = [word.strip() for one in given for word in str(one).split(",")]
    if not set(found) <= set(STATUSES):
        raise PydanticCustomError("one_of", "unknown", {"allowed": ", ".join(STATUSES)})
    return found


class JobsQuery(Period, Page):
    """profile_id: only this profile's jobs. status: only jobs that show one of these. search: only of profiles whose
    name contains it, in any case.
    """

    profile_id: uuid.UUID | None = None
    status: Annotated[list[str], BeforeValidator(_statuses)] | None = None
    search: Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)] = ""

    def filters(self) -> bool:
        """Whether more is asked than days."""
        return bool(self.profile_id or self.status or self.search)

    def wants(self, job: jobs.Job) -> bool:
        """Whether the job is one of those asked for, its days aside."""
        return (
            self.profile_id in (None, uuid.UUID(job["profile"]["id"]))
            and (self.status is None or jobs.shown_status(job) in self.status)
            and self.search.casefold() in job["profile"]["name"].casefold()
        )


START_REFUSED = (*SOURCE, "job_running", "source_changed")
"""The codes a start may be refused with that are its own."""


@routes.on("GET", "/api/import/jobs", permission="system.import", limit="monitoring", answer=shapes.Jobs)
def list_jobs(caller: Caller, query: JobsQuery) -> dict[str, Any]:
    """The organisation's jobs, newest first. Days cost nothing; other filters look at every job of the days."""
    days = query.date_from, query.date_to
    if not query.filters():
        start, behind = first(query)
        found = history.page(caller.org, *days, start=start, behind=behind, size=query.per_page)
        start, more, total = found.start, found.more, found.total
        return cut(found.jobs, query, start=start, more=more, total=total, place=_place, show=progress.show)
    looked_at = jobs.listing(caller.org, *days, page_size=_LOOKED_AT, attributes=("id", "profile", "status"))
    answer = paged([job for job in looked_at if query.wants(job)], query, place=_place, show=dict)
    shown = map(progress.show, jobs.several(caller.org, map(_place, answer["data"])))
    return answer | {"data": list(shown)}


_LOOKED_AT = 1000
"""Jobs a filter looks at in one call, of which DynamoDB reads no more than 1 MB."""


def _place(job: jobs.Job) -> str:
    return str(job["id"])


@routes.on("GET", "/api/import/jobs/stats", permission="system.import", limit="monitoring", answer=shapes.JobStatistics)
def show_statistics(caller: Caller, query: Period) -> dict[str, Any]:
    """How the jobs made in these days ended, in numbers, and the newest of them."""
    days = query.date_from, query.date_to
    recent = islice(jobs.listing(caller.org, *days, page_size=RECENT_JOBS), RECENT_JOBS)
    return {
        "stats": statistics.summary(caller.org, *days),
        "recent_jobs": [_summary(progress.show(job)) for job in recent],
    }


RECENT_JOBS = 10
"""Jobs shown beside the statistics."""


def _summary(shown: dict[str, Any]) -> dict[str, Any]:
    """A job beside the statistics, and like them: a dry run imported nothing."""
    words = ("status", "records_imported", "records_failed", "started_at", "completed_at", "duration")
    if shown["dry_run"]:
        shown = shown | {"records_imported": 0, "records_failed": 0}
    return {"id": shown["id"], "profile_name": shown["profile"]["name"], **{word: shown[word] for word in words}}


@routes.on(
    "POST",
    "/api/import/jobs",
    permission="system.import",
    limit="monitoring",
    status=201,
    answer=shapes.JobStarted,
    refuses=(*START_REFUSED, "not_found"),
    idempotent=True,
)
def create_job(caller: Caller, minted: Minted, body: JobBody) -> dict[str, Any]:
    """Starts an import of the profile."""
    return start(caller, minted, str(body.profile_id), body.options, body.mode_config)


@routes.on(
    "POST",
    "/api/import/profiles/{profile_id}/import",
    permission="system.import",
    limit="monitoring",
    status=201,
    answer=shapes.JobStarted,
    refuses=START_REFUSED,
    idempotent=True,
)
def import_profile(caller: Caller, minted: Minted, profile_id: str) -> dict[str, Any]:
    """Starts an import of the profile as it is configured."""
    return start(caller, minted, profile_id, JobOptions())


def start(
    caller: Caller, minted: Minted, profile_id: str, options: JobOptions, mode: ModeConfig | None = None
) -> dict[str, Any]:
    """The started job. Raises NotFound, BadRequest while another job runs on the profile, Invalid; Conflict when the
    profile has come to lead to another database, SourceUnreachable when that cannot be told.
    """
    if minted.again and (made := jobs.resume(caller.org, minted.id)):
        return _started(made)
    profile = profiles.get(caller.org, profile_id)
    _confirm_queries(profile, options)
    identities.check(profile)
    mode = mode or ModeConfig.model_validate(profile.get("mode_config") or {})
    job = jobs.start(
        caller.org,
        profile,
        caller.who(),
        options.model_dump(exclude_none=True),
        mode.model_dump(exclude_none=True),
        job_id=minted.id,
    )
    return _started(job)


def _confirm_queries(profile: profiles.Profile, options: JobOptions) -> None:
    """Raise Invalid when the profile has no query of what is asked for."""
    types = configured.types(profile)
    if not types:
        raise invalid({"profile_id": ["The profile has no template and no queries to import with."]})
    unknown = [index for index, name in enumerate(options.selected_types or []) if name not in types]
    if unknown:
        fields = [f"options.selected_types.{index}" for index in unknown]
        raise invalid({field: [sentence("selected", field)] for field in fields})
    _confirm_dated(profile, options)


def _confirm_dated(profile: profiles.Profile, options: JobOptions) -> None:
    """Raise Invalid when a range of days is asked for and a selected type says of no row when it was made."""
    filters = options.import_filters
    given = [name for name in ("date_from", "date_to") if filters and getattr(filters, name)]
    if not given:
        return
    queries = configured.shown(profile)["queries"]
    selected = [name for name in queries if name in (options.selected_types or queries)]
    undated = [
        name for name in selected if not any(field["target"] == narrowing.FIELD for field in queries[name]["fields"])
    ]
    if undated:
        fields = [f"options.import_filters.{name}" for name in given]
        raise invalid({field: [sentence("undated", field, types=", ".join(undated))] for field in fields})


def _started(job: jobs.Job) -> dict[str, Any]:
    mode = ModeConfig.model_validate(job["mode_config"])
    verb = "retried" if "retry_of" in job else "started"
    answer = {"message": f"Import job {verb} successfully", "job": progress.show(job)}
    return answer | ({"warnings": found} if (found := modes.conflicts(mode)) else {})


@routes.on("GET", "/api/import/jobs/{job_id}", permission="system.import", limit="monitoring", answer=shapes.Job)
def show_job(caller: Caller, job_id: str) -> dict[str, Any]:
    """One job in full, bare."""
    return progress.show(jobs.get(caller.org, job_id))


@routes.on(
    "GET", "/api/import/jobs/{job_id}/status", permission="system.import", limit="monitoring", answer=shapes.JobStatus
)
def show_status(caller: Caller, job_id: str) -> dict[str, Any]:
    """What changes while the job runs; cheap enough to ask every second."""
    return progress.status(jobs.get(caller.org, job_id))


@routes.on(
    "POST",
    "/api/import/jobs/{job_id}/cancel",
    permission="system.import",
    limit="monitoring",
    answer=shapes.JobStopped,
    refuses=("invalid_status",),
)
def cancel_job(caller: Caller, job_id: str) -> dict[str, Any]:
    """Stops the job and waits a little for its workers to let go; what they wrote stays and is counted."""
    job = jobs.cancel(caller.org, job_id, caller.who())
    message = "Import job cancelled successfully" if jobs.ended(job) else "Import job is being cancelled"
    return {"message": message, "job": progress.show(job)}


@routes.on(
    "POST",
    "/api/import/jobs/{job_id}/retry",
    permission="system.import",
    limit="monitoring",
    status=201,
    answer=shapes.JobStarted,
    refuses=(*START_REFUSED, "invalid_status", "job_expired"),
    idempotent=True,
)
def retry_job(caller: Caller, minted: Minted, job_id: str) -> dict[str, Any]:
    """Starts a job that goes on where a failed or cancelled one stopped."""
    if minted.again and (made := jobs.resume(caller.org, minted.id)):
        return _started(made)
    parent = jobs.get(caller.org, job_id)
    if jobs.shown_status(parent) not in ("failed", "cancelled"):
        raise BadRequest(f"Cannot retry a job that is {jobs.shown_status(parent)}", code="invalid_status")
    if time.time() - parent["created_at"] > storage.KEPT_DAYS * 86_400:
        said = f"What the job had read is kept for {storage.KEPT_DAYS} days only. Start a new import."
        raise BadRequest(said, code="job_expired")
    profile = profiles.get(caller.org, parent["profile"]["id"])
    if remains.origin(parent) is None:  # it begins anew, with what the profile has now
        _confirm_queries(profile, JobOptions.model_validate(parent["options"]))
    identities.check(profile)
    job = jobs.start(
        caller.org,
        profile,
        caller.who(),
        parent["options"],
        parent["mode_config"],
        job_id=minted.id,
        retry_of=parent["id"],
    )
    return _started(job)
