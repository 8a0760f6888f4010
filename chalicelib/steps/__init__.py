"""The Lambdas of the import state machine, one file each: plan, extract, transform, match, decide, load, finish.

Each is `run(event, *, now, remaining)` and declares its event as a class `Event`: an organisation, a job and mostly a
type and a chunk. The answer is a word of state for the state machine. Records and secrets travel in S3, never in
events. `now` gives epoch seconds, `remaining` the seconds this invocation has left. Every step may be repeated at any
time.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypedDict

from chalicelib import chunks, dynamo, jobs, keys
from chalicelib.chunks import Stopping
from chalicelib.errors import Fatal, Retryable, SourceUnreachable, WharfError

Clock = Callable[[], float]
Step = Callable[..., dict[str, Any]]

RESERVE_SECONDS = 15
"""A step hands on what is left of its work when this little time remains."""

STOPPED = {"state": "stopped"}


class JobEvent(TypedDict):
    """org: whose job. job: its id. Both are taken from here and from nowhere else."""

    org: str
    job: str


class TypeEvent(JobEvent):
    """type: a record type of the job's plan."""

    type: str


class ChunkEvent(TypeEvent):
    """chunk: its number within the type, from 0."""

    chunk: int


def step(run: Step) -> Step:
    """Let out only what the state machine knows: an answer, `Retryable` or `Fatal`, its reason left on the chunk."""

    @functools.wraps(run)
    def guarded(event: Mapping[str, Any], *, now: Clock, remaining: Clock) -> dict[str, Any]:
        try:
            return run(event, now=now, remaining=remaining)
        except Stopping:
            return STOPPED
        except SourceUnreachable as error:
            lasting = error.code not in _PASSING
            _note(event, error)
            raise (Fatal if lasting else Retryable)(error.message, code=error.code) from error
        except (Fatal, Retryable) as error:
            _note(event, error)
            raise
        except Exception:
            logging.getLogger("wharf").exception("step failed at %s", _place(event))
            _note(event, Fatal("An internal error occurred", code="internal"))
            raise Fatal("An internal error occurred", code="internal") from None

    return guarded


_PASSING = {
    "dns_failed",
    "source_closed",
    "source_full",
    "source_no_route",
    "source_other",
    "source_refused",
    "source_timeout",
    "source_unreachable",
}
"""Codes of sources that may answer when they are asked again."""


def _note(event: Mapping[str, Any], error: WharfError) -> None:
    if "chunk" in event:
        chunks.note((event["org"], event["job"]), event["type"], event["chunk"], code=error.code, message=error.message)
    else:
        key = keys.job(event["org"], event["job"])
        note = {"code": error.code, "message": error.message}
        with suppress(dynamo.Refused):  # there is no such job
            dynamo.update("state", key, "SET #note = :note", {"note": note}, condition="attribute_exists(#pk)")


def _place(event: Mapping[str, Any]) -> dict[str, Any]:
    return {word: event[word] for word in ("org", "job", "type", "chunk") if word in event}


def running(event: JobEvent, now: Clock) -> jobs.Job:
    """The event's job. Raises Stopping when it is not running (cancelled, ended, or not begun), Fatal when its time is
    over.
    """
    job = jobs.get(event["org"], event["job"])
    if job["status"] != "running":
        raise Stopping
    jobs.confirm_in_time(job, now())
    return job
