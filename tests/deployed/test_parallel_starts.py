"""Starts that meet: of any number at once on one profile one runs, and the lock goes from hand to hand."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import jobs, profiles
from chalicelib.errors import BadRequest
from cli.access import Access
from cli.client import Client
from cli.failures import ApiError
from infra.local.stack import Stack
from tests.conftest import Database
from tests.deployed.tenant import Tenant
from tests.deployed.workings import executions

STARTS = 50

IN_FLIGHT = 8
"""Requests the embedded cloud serves at the same moment: each takes a worker process of its own."""

Answer = tuple[int, dict[str, Any]]


@pytest.fixture
def tenant(deployed: Stack, in_process: None, freescout_db: Database) -> Tenant:
    return Tenant(deployed, freescout_db)


def at_once(tenant: Tenant, *requests: Callable[[Client], dict[str, Any]]) -> list[Answer]:
    """Send requests at once, each over a connection of its own; status and body of each, in order."""
    gate, room = threading.Barrier(len(requests)), threading.Semaphore(IN_FLIGHT)
    answers: list[Answer | None] = [None] * len(requests)

    def send(index: int, request: Callable[[Client], dict[str, Any]]) -> None:
        api = Client(Access(tenant.api.access.endpoint, tenant.api.access.token, "test"))
        gate.wait(30)
        with room:
            try:
                answers[index] = (200, request(api))
            except ApiError as error:
                answers[index] = (error.status, error.body)

    threads = [threading.Thread(target=send, args=one) for one in enumerate(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in answers
    return [answer for answer in answers if answer]


def starting(tenant: Tenant, **options: Any) -> Callable[[Client], dict[str, Any]]:
    body = {"profile_id": tenant.profile, "options": options or {"selected_types": ["agents"]}}
    return lambda api: dict(api.post("/api/import/jobs", body))


def jobs_of(tenant: Tenant) -> list[str]:
    return [job["id"] for job in tenant.api.pages("/api/import/jobs", profile_id=tenant.profile)]


@pytest.mark.accepts("SV-146")
def test_of_fifty_starts_at_once_one_runs_and_the_others_name_it(deployed: Stack, tenant: Tenant) -> None:
    answers = at_once(tenant, *[starting(tenant, import_filters={"limit": 40})] * STARTS)
    started = [body["job"]["id"] for status, body in answers if status == 200]
    assert len(started) == 1, answers
    refused = [body for status, body in answers if status == 400]
    assert len(refused) == STARTS - 1, answers
    assert {(body["code"], body["message"]) for body in refused} == {
        ("job_running", "An import job is already running on this profile")
    }
    assert {body["running_job"] for body in refused} == {started[0]}
    assert jobs_of(tenant) == started, "the refused left nothing behind"
    job = tenant.wait(started[0])
    assert job["status"] == "completed"
    assert job["records_imported"] + job["records_updated"] == job["estimated_total"] > 100
    assert [one["name"] for one in executions(deployed) if one["name"] in started] == started


def test_of_fifty_starts_in_the_same_instant_one_runs(deployed: Stack, tenant: Tenant) -> None:
    """What the route calls, by fifty threads of one process: as close together as they can come."""
    profile = profiles.get(tenant.org, tenant.profile)
    gate = threading.Barrier(STARTS)

    def start(_: int) -> tuple[str, str]:
        gate.wait(30)
        try:
            options = {"selected_types": ["agents"]}
            return "started", jobs.start(tenant.org, profile, {"id": "u", "name": "U"}, options, {})["id"]
        except BadRequest as refused:
            return refused.code, str(refused.extra["running_job"])

    with ThreadPoolExecutor(STARTS) as threads:
        answers = Counter(threads.map(start, range(STARTS)))
    [(started, times)] = [(job, times) for (word, job), times in answers.items() if word == "started"]
    assert (times, answers) == (1, {("started", started): 1, ("job_running", started): STARTS - 1})
    assert jobs_of(tenant) == [started]
    assert tenant.wait(started)["status"] == "completed"


def test_the_lock_is_free_the_moment_the_job_is_seen_to_have_ended(deployed: Stack, tenant: Tenant) -> None:
    """Three jobs in a row, each started by six at once right after the one before is over."""
    ran = []
    for _ in range(3):
        answers = at_once(tenant, *[starting(tenant)] * 6)
        [started] = [body["job"]["id"] for status, body in answers if status == 200]
        assert {status for status, _ in answers} == {200, 400}
        ran.append(started)
        assert tenant.wait(started)["status"] == "completed"
    assert jobs_of(tenant) == ran[::-1]
    assert len(set(ran)) == 3


def test_a_start_and_a_delete_at_once_leave_either_a_job_with_its_profile_or_neither(tenant: Tenant) -> None:
    outcomes = set()
    for _ in range(4):
        tenant.profile = tenant.add_profile()
        path = f"/api/import/profiles/{tenant.profile}"
        start, delete = at_once(tenant, starting(tenant), lambda api, path=path: dict(api.delete(path)))
        if start[0] == 200:
            assert (delete[0], delete[1]["code"], delete[1]["running_jobs"]) == (400, "profile_in_use", 1)
            assert tenant.wait(start[1]["job"]["id"])["status"] == "completed"
            assert tenant.api.get(path)["id"] == tenant.profile
        else:
            assert (start[0], start[1]["code"], delete[0]) == (404, "not_found", 200)
            assert jobs_of(tenant) == []
        outcomes.add(start[0])
    assert outcomes <= {200, 404}
