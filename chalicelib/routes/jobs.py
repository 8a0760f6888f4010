"""/api/import/jobs: start, watch and stop imports.

What a job is asked to do is checked here in full, so that nothing is promised that the run would ignore: matching is
exact for now, so a fuzzy strategy is refused by name.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chalicelib import audit, jobs, profiles, progress
from chalicelib.access import Caller
from chalicelib.messages import between, sentence
from chalicelib.requests import Body, Page, Routes, invalid, paged

routes = Routes(__name__)

MatchField = Literal["email", "external_id"]
"""What rows can be recognised by: their own id in the source, and the unique key some types have."""

RecordType = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _later(_: Any) -> None:
    raise PydanticCustomError("later", "not available")


Later = Annotated[Any, AfterValidator(_later)]
"""Documented, and refused until the run honours it: nobody shall find out afterwards that it was ignored."""


class ImportFilters(Body):
    """Which rows. limit: at most so many of each type, the first by key; for trying things out."""

    date_from: Later = None
    date_to: Later = None
    limit: Annotated[int, AfterValidator(between(1, 10_000_000))] | None = None


class JobOptions(Body):
    """How to run.

    batch_size: records written at a time; 1,000 keeps one write below a minute. selected_types: some of the profile's
    types; none named means all. dry_run: decide everything, write nothing.
    """

    batch_size: Annotated[int, AfterValidator(between(10, 1000))] = 100
    timeout: Later = None
    selected_types: Annotated[list[RecordType], Field(max_length=50)] | None = None
    import_filters: ImportFilters | None = None
    dry_run: bool = False


def _available(strategy: str) -> str:
    if strategy.startswith("fuzzy"):
        raise PydanticCustomError("fuzzy", "not available")
    return strategy


class DuplicateDetection(Body):
    """How rows recognise records that are there. confidence_threshold: percent, or 0..1; an exact match has 100."""

    enabled: bool = True
    strategy: Annotated[
        Literal["exact", "exact_match", "case_insensitive", "case_insensitive_match", "fuzzy", "fuzzy_match"],
        AfterValidator(_available),
    ] = "exact"
    primary_fields: Annotated[list[MatchField], Field(max_length=10)] = ["email", "external_id"]
    secondary_fields: Annotated[list[RecordType], Field(max_length=50)] = []
    confidence_threshold: Annotated[int | float, AfterValidator(between(0, 100))] = 85


class ModeConfig(Body):
    """What to do with new and with known rows; see jobs.policy for what the words come to."""

    import_mode: Literal["create", "update", "upsert"] = "upsert"
    duplicate_detection: DuplicateDetection = DuplicateDetection()
    skip_duplicates: bool = False
    update_duplicates: bool | None = None
    source_identifier_field: Literal["id", "external_id"] = "id"
    matching_strategy: Literal["weighted_fields", "any_primary", "all_primary"] = "weighted_fields"


class JobBody(Body):
    """A job: which profile, how, and what to do with what is there."""

    profile_id: uuid.UUID
    options: JobOptions = JobOptions()
    mode_config: ModeConfig = ModeConfig()


class JobsQuery(Page):
    """profile_id: only this profile's jobs. search: only of profiles whose name contains it, in any case."""

    profile_id: uuid.UUID | None = None
    search: Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)] = ""


@routes.on("GET", "/api/import/jobs", permission="system.import")
def list_jobs(caller: Caller, query: JobsQuery) -> dict[str, Any]:
    """The organisation's jobs, newest first."""
    wanted = query.search.casefold()
    found = [
        job
        for job in jobs.listing(caller.org)
        if (query.profile_id is None or job["profile"]["id"] == str(query.profile_id))
        and wanted in job["profile"]["name"].casefold()
    ]
    return paged(found, query, place=lambda job: str(job["id"]), show=progress.show)


@routes.on("POST", "/api/import/jobs", permission="system.import", status=201)
def create_job(caller: Caller, body: JobBody) -> dict[str, Any]:
    """Starts an import of the profile."""
    return start(caller, str(body.profile_id), body.options, body.mode_config)


@routes.on("POST", "/api/import/profiles/{profile_id}/import", permission="system.import", status=201)
def import_profile(caller: Caller, profile_id: str) -> dict[str, Any]:
    """Starts an import of the profile as it is configured."""
    return start(caller, profile_id, JobOptions(), ModeConfig())


def start(caller: Caller, profile_id: str, options: JobOptions, mode: ModeConfig) -> dict[str, Any]:
    """The started job. Raises NotFound, BadRequest while another job runs on the profile, Invalid."""
    profile = profiles.get(caller.org, profile_id)
    types = list(profiles.queries(profile))
    if not types:
        raise invalid({"profile_id": ["The profile has no template and no queries to import with."]})
    unknown = [index for index, name in enumerate(options.selected_types or []) if name not in types]
    if unknown:
        fields = [f"options.selected_types.{index}" for index in unknown]
        raise invalid({field: [sentence("selected", field)] for field in fields})
    job = jobs.start(
        caller.org,
        profile,
        caller.who(),
        options.model_dump(exclude_none=True),
        mode.model_dump(exclude_none=True),
    )
    audit.note(caller.org, caller.who(), "job.started", f"job/{job['id']}")
    answer = {"message": "Import job started successfully", "job": progress.show(job)}
    return answer | ({"warnings": found} if (found := conflicts(mode)) else {})


def conflicts(mode: ModeConfig) -> list[str]:
    """Flags that contradict each other, each with the one that wins."""
    found = []
    if mode.skip_duplicates and (mode.update_duplicates or mode.import_mode == "update"):
        found.append("skip_duplicates is set, so records that are there already are skipped and not updated.")
    elif mode.import_mode == "create" and mode.update_duplicates:
        found.append("import_mode is create, so records that are there already are skipped and not updated.")
    return found


@routes.on("GET", "/api/import/jobs/{job_id}", permission="system.import")
def show_job(caller: Caller, job_id: str) -> dict[str, Any]:
    """One job in full, bare."""
    return progress.show(jobs.get(caller.org, job_id))


@routes.on("GET", "/api/import/jobs/{job_id}/status", permission="system.import")
def show_status(caller: Caller, job_id: str) -> dict[str, Any]:
    """What changes while the job runs; cheap enough to ask every second."""
    return progress.status(jobs.get(caller.org, job_id))


@routes.on("POST", "/api/import/jobs/{job_id}/cancel", permission="system.import")
def cancel_job(caller: Caller, job_id: str) -> dict[str, Any]:
    """Stops the job and waits a little for its workers to let go; what they wrote stays and is counted."""
    job = jobs.cancel(caller.org, job_id)
    audit.note(caller.org, caller.who(), "job.cancelled", f"job/{job_id}")
    message = "Import job cancelled successfully" if jobs.ended(job) else "Import job is being cancelled"
    return {"message": message, "job": progress.show(job)}
