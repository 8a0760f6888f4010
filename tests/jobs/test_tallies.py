"""Counts of a job: added in transactions, shut with the job, taken home by the last move."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from chalicelib import dynamo, jobs, keys, tallies
from chalicelib.dynamo import Refused
from chalicelib.jobs import Job


@pytest.fixture
def job(cloud: None) -> Job:
    org = str(uuid.uuid4())
    dynamo.put("state", keys.profile(org, "p1"), {"id": "p1"})
    profile = {"id": "p1", "name": "P", "database_type": "postgresql"}
    return jobs.start(org, profile, {"id": "u", "name": "U"}, {}, {})


def count(job: Job, number: int, counted: dict[str, int], *states: str) -> None:
    dynamo.transact([tallies.count(job["org"], job["id"], number, counted, states)])


def planned(job: Job) -> Job:
    return jobs.set_once(job, "plan", {"plan": "none", "types": ["tickets"], "tickets_planned": 30})


def test_a_job_is_read_with_what_its_chunks_counted(job: Job) -> None:
    for number in range(20):
        count(job, number, {"tickets_extracted": 10, "tickets_failed": 0, "agents_created": number})
    read = jobs.get(job["org"], job["id"])
    assert (read["tickets_extracted"], read["agents_created"]) == (200, 190)
    assert "tickets_failed" not in read
    (listed,) = jobs.listing(job["org"])
    assert listed == read
    assert jobs.several(job["org"], [job["id"]]) == [read]
    assert "tickets_extracted" not in (dynamo.get("state", keys.job(job["org"], job["id"])) or {})
    written = {item["sk"]: item["writes"] for item in dynamo.query("state", f"O#{job['org']}#J#{job['id']}")}
    assert written == {f"TALLY#{place:02d}": 3 if place < 4 else 2 for place in range(8)}


@pytest.mark.parametrize("status", ["cancelling", "failing"])
def test_nothing_counts_for_a_job_that_has_stopped_but_what_settles_it(job: Job, status: str) -> None:
    count(job, 1, {"tickets_extracted": 10})
    assert jobs.move(job, status)["status"] == status
    for number in range(8):
        with pytest.raises(Refused):
            count(job, number, {"tickets_extracted": 10})
        with pytest.raises(Refused):
            dynamo.transact([tallies.gate(job["org"], job["id"], number)])
        count(job, number, {"tickets_unprocessed": 1}, "cancelling", "failing")
    read = jobs.get(job["org"], job["id"])
    assert (read["tickets_extracted"], read["tickets_unprocessed"]) == (10, 8)


def test_the_last_move_takes_the_sums_home_and_shuts_the_tallies_for_good(job: Job) -> None:
    job = planned(job)
    count(job, 0, {"tickets_created": 10})
    count(job, 9, {"tickets_created": 10, "tickets_skipped": 10})
    jobs.end(jobs.get(job["org"], job["id"]), "completed", {"completed_at": 1.0})
    at_rest = dynamo.get("state", keys.job(job["org"], job["id"])) or {}
    assert (at_rest["status"], at_rest["tickets_created"], at_rest["tickets_skipped"]) == ("completed", 20, 10)
    assert jobs.get(job["org"], job["id"]) == at_rest
    for number in range(8):
        with pytest.raises(Refused):
            count(job, number, {"tickets_created": 1}, "cancelling", "failing")


@pytest.mark.parametrize("number", [0, 5])
def test_a_job_does_not_end_over_a_count_it_has_not_seen(
    job: Job, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number 0 falls on a tally that was read with something on it, 5 on one that was read as absent."""
    job = planned(job)
    count(job, 0, {"tickets_created": 10})
    settle = tallies.settle

    def late(*where: Any) -> Any:
        settled = settle(*where)
        count(job, number, {"tickets_created": 1})
        return settled

    monkeypatch.setattr(tallies, "settle", late)
    with pytest.raises(Refused):
        jobs.end(jobs.get(job["org"], job["id"]), "completed", {})
    assert jobs.get(job["org"], job["id"])["status"] == "running"
    monkeypatch.undo()
    jobs.end(jobs.get(job["org"], job["id"]), "completed", {})
    assert jobs.get(job["org"], job["id"])["tickets_created"] == 11
