"""POST cancel: what it answers while the workers let go, and when there is nothing left to stop."""

from __future__ import annotations

import pytest

from chalicelib import dynamo, jobs
from tests.routes.conftest import Api
from tests.routes.test_job_routes import JOBS, end, started


@pytest.mark.accepts("SV-138")
def test_cancel_waits_for_the_workers_and_answers_cancelled(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = started(api)

    def let_go(_: float) -> None:
        jobs.end(jobs.get(api.org, job["id"]), "cancelled", {"completed_at": 1_767_264_000.0})

    monkeypatch.setattr(jobs.cancel, "__kwdefaults__", {**(jobs.cancel.__kwdefaults__ or {}), "sleep": let_go})
    answer = api.post(f"{JOBS}/{job['id']}/cancel")
    assert answer.status_code == 200
    assert answer.json_body["message"] == "Import job cancelled successfully"
    assert answer.json_body["job"]["status"] == "cancelled"
    assert answer.json_body["job"]["id"] == job["id"]


def test_cancel_says_so_when_the_workers_need_longer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = started(api)
    monkeypatch.setattr(jobs.cancel, "__kwdefaults__", {**(jobs.cancel.__kwdefaults__ or {}), "wait_seconds": 0})
    answer = api.post(f"{JOBS}/{job['id']}/cancel").json_body
    assert answer["message"] == "Import job is being cancelled"
    assert (answer["job"]["status"], answer["job"]["current_operation"]) == ("running", "Cancelling…")


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_cancel_that_comes_after_the_end_says_so(api: Api, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """The job was at its end, or failing, when it was looked at."""
    job = started(api)
    jobs.move(jobs.get(api.org, job["id"]), "failing") if status == "failed" else None
    answers = iter(["running", "ended"])
    get = jobs.get

    def look(org: str, job_id: str) -> jobs.Job:
        found = get(org, job_id)
        if next(answers, "") == "running":
            end(api, job_id, status)
        return found

    monkeypatch.setattr(jobs, "get", look)
    answer = api.post(f"{JOBS}/{job['id']}/cancel")
    assert (answer.status_code, answer.json_body["code"]) == (400, "invalid_status")
    assert answer.json_body["message"] == f"Cannot cancel a job that is {status}"


@pytest.mark.accepts("SV-139", "SV-146")
@pytest.mark.parametrize("status", ["completed", "completed_with_errors", "failed", "cancelled"])
def test_cancel_of_an_ended_job_is_400(api: Api, status: str) -> None:
    job = started(api)
    end(api, job["id"], status)
    answer = api.post(f"{JOBS}/{job['id']}/cancel")
    assert answer.status_code == 400
    assert answer.json_body["code"] == "invalid_status"
    assert answer.json_body["message"] == f"Cannot cancel a job that is {status.removesuffix('_with_errors')}"
    assert jobs.get(api.org, job["id"])["status"] == status


def test_starts_and_cancels_leave_a_trail(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job = started(api)
    monkeypatch.setattr(jobs.cancel, "__kwdefaults__", {**(jobs.cancel.__kwdefaults__ or {}), "wait_seconds": 0})
    api.post(f"{JOBS}/{job['id']}/cancel")
    trail = list(dynamo.query("state", f"O#{api.org}", prefix="AUDIT#"))
    found = [line["action"] for line in trail if line["subject"] == f"job/{job['id']}"]
    assert found == ["job.started", "job.cancelled"]
