"""What /api/import/jobs and /api/import/analytics answer."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from chalicelib.routes.answers import Listed, PageMeta, Person

Status = Literal["running", "completed", "failed", "cancelled"]


class JobProfile(TypedDict):
    """The job's profile as it was when the job was made."""

    id: str
    name: str
    database_type: str


class Counts(TypedDict):
    """Rows of one record type, by how far they came and what became of them."""

    planned: int
    extracted: int
    decided: int
    created: int
    updated: int
    skipped: int
    failed: int
    unprocessed: int


class JobError(TypedDict):
    """Why a job failed. type, chunk: where, when it was in one place."""

    message: str
    code: str
    type: NotRequired[str | None]
    chunk: NotRequired[int | None]


class Metadata(TypedDict):
    """source_counts: rows planned, by type."""

    source_counts: dict[str, int]


class Progress(TypedDict):
    """What changes while a job runs. records_processed: imported (created), updated, skipped and failed ones.
    records_unprocessed: rows a stopped job never came to. duration: seconds. current_operation: a sentence, null when
    the job has ended.
    """

    status: Status
    progress_percentage: int
    current_operation: str | None
    records_processed: int
    records_imported: int
    records_updated: int
    records_skipped: int
    records_failed: int
    records_unprocessed: int
    started_at: str | None
    duration: int | None
    estimated_completion: str | None


class JobStatus(Progress):
    """A job's progress alone, for those who ask often."""

    job_id: str


class Job(Progress):
    """A job. number: within the organisation. retry_of: the job it goes on with. estimated_total: rows planned; 0 until
    the source has been counted.
    records: type to counts. reasons: type to `action:reason` to rows. import_options, mode_config: what was asked for.
    """

    id: str
    number: int
    profile: JobProfile
    retry_of: str | None
    dry_run: bool
    import_options: dict[str, Any]
    mode_config: dict[str, Any]
    estimated_total: int
    completed_at: str | None
    errors: list[JobError] | None
    metadata: Metadata
    records: dict[str, Counts]
    reasons: dict[str, dict[str, int]]
    created_by: Person
    created_at: str


class Jobs(Listed):
    """A page of jobs, newest first."""

    data: list[Job]


class JobStarted(TypedDict):
    """The job that was started. warnings: of flags that contradict each other, which one wins."""

    message: str
    job: Job
    warnings: NotRequired[list[str]]


class JobStopped(TypedDict):
    """The job as it is now; `running` when its workers have not let go yet."""

    message: str
    job: Job


class Statistics(TypedDict):
    """How jobs ended. average_duration: seconds a completed one took."""

    total_jobs: int
    completed_jobs: int
    failed_jobs: int
    cancelled_jobs: int
    running_jobs: int
    total_records_imported: int
    total_records_failed: int
    average_duration: int


class RecentJob(TypedDict):
    """A job beside the statistics."""

    id: str
    profile_name: str
    status: Status
    records_imported: int
    records_failed: int
    started_at: str | None
    completed_at: str | None
    duration: int | None


class JobStatistics(TypedDict):
    """How the jobs of some days ended. recent_jobs: the newest ten of them."""

    stats: Statistics
    recent_jobs: list[RecentJob]


class MatchingRules(TypedDict):
    """What the job recognised records by."""

    strategy: str
    primary_fields: list[str]
    confidence_threshold: int | float


class MatchingField(TypedDict):
    """How a field matched. confidence: percent. why: a sentence."""

    confidence: int | float
    why: str


class ImportRecord(TypedDict):
    """What became of one row. source_identifier: its id in the source. reason: a word of docs/errors.md. warnings: what
    was odd and did not stop it. duplicate_of: the record that has its key.
    """

    id: str
    import_job_id: str
    import_profile_id: str
    source_table: str | None
    source_identifier: str | None
    source_hash: str | None
    target_type: str
    target_id: str | None
    import_action: Literal["created", "updated", "skipped", "failed", "unprocessed"]
    import_mode: str
    reason: str | None
    matching_rules: MatchingRules
    matching_fields: dict[str, MatchingField]
    duplicate_of: str | None
    error_message: str | None
    warnings: list[str]
    created_at: str | None


class FailedRow(TypedDict):
    """A row that was not imported. chunk, row: where it was read. field: the first one at fault, where one is."""

    id: str
    target_type: str
    chunk: int
    row: int
    external_id: str | None
    field: str | None
    reason: str | None
    message: str | None


class JobErrors(Listed):
    """What went wrong. errors: why the job itself stopped. summary: type to reason to failed rows. data: a page of
    them, in the order of types, chunks and rows.
    """

    job_id: str
    errors: list[JobError]
    summary: dict[str, dict[str, int]]
    data: list[FailedRow]


class ImportRecords(TypedDict):
    """A page of a job's rows, in the order of types, chunks and rows."""

    data: list[ImportRecord]
    meta: PageMeta
