"""What the body of every refusal looks like, and every code it may carry with the status that goes with it.

Pure words: requests.py writes such bodies, openapi.py shows them, docs/errors.md says when each code comes; tests hold
the three together.
"""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class ConnectionError(TypedDict):  # noqa: A001 -- the reference's name
    """Why a source could not be reached. message: for people. error: the short cause. Neither repeats the server."""

    success: bool
    message: str
    error: str


class Source(TypedDict):
    """The database a profile imports from. fingerprint: which one it is, however it is reached. confirmed_at: when a
    person said so.
    """

    host: str | None
    port: int | None
    database: str | None
    fingerprint: str
    confirmed_at: NotRequired[str | None]


class Decision(TypedDict):
    """What has to be said first, and where."""

    method: str
    path: str
    decisions: list[str]


class Problem(TypedDict):
    """A refusal, for two kinds of reader in one body: `message` and `errors`, and the members of RFC 9457.

    message: a sentence for people, which may change. errors: field, dotted as it was sent, to sentences; of refused
    fields. code: a stable word for programs. request_id: what the log has the request under. type: a URN made of the
    code. title: the status in words. status: the HTTP status. detail: the first thing that is wrong. instance: the
    path that was asked for. connection_error: of a source that cannot be reached. running_job: the id of the job that
    is in the way. running_jobs: how many are. version: the version that stands. known_source, found_source: the
    database that was imported from before, and the one that is there now. decide: what a person has to say first.
    """

    message: str
    errors: NotRequired[dict[str, list[str]]]
    code: str
    request_id: str
    type: str
    title: str
    status: int
    detail: str
    instance: str
    connection_error: NotRequired[ConnectionError]
    running_job: NotRequired[str]
    running_jobs: NotRequired[int]
    version: NotRequired[int]
    known_source: NotRequired[Source | None]
    found_source: NotRequired[Source]
    decide: NotRequired[Decision]


SOURCE = (
    "address_refused",
    "dns_failed",
    "nothing_readable",
    "secret_unusable",
    "source_authentication",
    "source_busy",
    "source_certificate",
    "source_closed",
    "source_database",
    "source_encoding",
    "source_full",
    "source_lost",
    "source_no_route",
    "source_other",
    "source_permission_denied",
    "source_protocol",
    "source_query_failed",
    "source_refused",
    "source_timeout",
    "source_tls",
    "source_too_large",
    "source_unreachable",
    "timed_out",
)
"""What a route that asks a source may be told by it; all 422."""

STATUS = {
    "bad_request": 400,
    "malformed_body": 400,
    "malformed_idempotency_key": 400,
    "malformed_if_match": 400,
    "job_running": 400,
    "profile_in_use": 400,
    "invalid_status": 400,
    "job_expired": 400,
    "no_source": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "csrf_mismatch": 403,
    "system_template": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "duplicate_key": 409,
    "idempotency_in_flight": 409,
    "source_changed": 409,
    "stale_version": 412,
    "too_large": 413,
    "validation_failed": 422,
    "record_refused": 422,
    "query_invalid": 422,
    "idempotency_key_reused": 422,
    **dict.fromkeys(SOURCE, 422),
    "precondition_required": 428,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
}
"""Code of an answer -> its HTTP status."""
