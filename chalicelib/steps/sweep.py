"""sweep: every ten minutes, jobs that nobody drives any more are brought to an end.

In: nothing. Out: {started, finished}. A pending job without an execution is started; a job whose execution has ended
without finishing it (aborted, timed out, lost with the cloud it ran on) is settled like any failed one. Raises Fatal
when one cannot be settled, so that the alarm on the function's errors rings: it holds its locks for good.
"""

from __future__ import annotations

import logging
from typing import Any, TypedDict

from chalicelib import jobs, settings, telemetry
from chalicelib.clients import client
from chalicelib.errors import Fatal, NotFound, Retryable
from chalicelib.jobs import Job
from chalicelib.steps import RESERVE_SECONDS, Clock, finish

START_GRACE_SECONDS = 60
"""A job younger than this and without an execution may be about to get one."""


class Event(TypedDict):
    """The schedule has nothing to say."""


def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Look at every job that has not ended."""
    started = finished = stuck = 0
    for org, job_id in jobs.active():
        try:
            job = jobs.get(org, job_id)
        except NotFound:
            continue
        status = _execution(job)
        if status == "RUNNING" or (status is None and now() - job["created_at"] < START_GRACE_SECONDS):
            continue
        if status is None and job["status"] == "pending":
            jobs.execute(job)
            started += 1
            continue
        if remaining() < RESERVE_SECONDS:
            break
        error = {"error": {"Error": "ExecutionEnded"}} if job["status"] in ("pending", "running") else {}
        try:
            finish.run({"org": org, "job": job_id, **error}, now=now, remaining=remaining)
            finished += 1
        except Retryable:
            continue  # the next sweep comes by again
        except Fatal as lost:  # one tenant's job must not keep others waiting
            logging.getLogger(telemetry.LOGGER).error(
                "job cannot be finished", extra={**_place(job), **telemetry.described(lost)}
            )
            stuck += 1
    if stuck:
        raise Fatal(f"{stuck} jobs hold their locks and cannot be finished", code="stuck")
    return {"started": started, "finished": finished}


def _place(job: Job) -> dict[str, str]:
    return {"org": job["org"], "job": job["id"]}


def _execution(job: Job) -> str | None:
    """The status of the job's execution, None when it never had one."""
    machine = settings.get().state_machine
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:{job['id']}"
    states = client("stepfunctions")
    try:
        return str(states.describe_execution(executionArn=arn)["status"])
    except states.exceptions.ExecutionDoesNotExist:
        return None
