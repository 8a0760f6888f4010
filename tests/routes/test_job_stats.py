"""GET /api/import/jobs/stats: counted with the jobs, exactly once, and answered without reading them."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest

from chalicelib import dynamo, jobs, keys, profiles, statistics
from chalicelib.clients import client
from chalicelib.steps import finish
from tests.routes.conftest import Api
from tests.routes.test_job_routes import started

STATS = "/api/import/jobs/stats"
NOTHING = {
    "total_jobs": 0,
    "completed_jobs": 0,
    "failed_jobs": 0,
    "running_jobs": 0,
    "cancelled_jobs": 0,
    "total_records_imported": 0,
    "total_records_failed": 0,
    "average_duration": 0,
}


def at(moment: str) -> float:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


def made(api: Api, moment: str = "2026-03-10T12:00:00", name: str = "Help desk", **options: Any) -> jobs.Job:
    """A running job, made at a moment, on a profile of its own."""
    user = {"id": api.user, "name": "Ada"}
    profile = profiles.create(api.org, user, {"name": name, "database_type": "postgresql"})
    return jobs.start(api.org, profile, user, options, {}, now=at(moment))


def ended(job: jobs.Job, status: str = "completed", *, seconds: int = 60, created: int = 0, failed: int = 0) -> None:
    """As its steps and `finish` would leave it."""
    counted = {"types": ["agents", "tickets"], "agents_created": 1, "tickets_created": created - 1}
    job = job if status.startswith("completed") else jobs.move(job, "failing" if status == "failed" else "cancelling")
    job = job | (counted if created else {}) | {"tickets_failed": failed}
    jobs.end(job, status, {"completed_at": job["started_at"] + seconds, **(counted | {"tickets_failed": failed})})


def stats(api: Api, **query: str) -> dict[str, Any]:
    answer = api.get(STATS, **query)
    assert answer.status_code == 200, answer.body
    assert set(answer.json_body) == {"stats", "recent_jobs"}
    found: dict[str, Any] = answer.json_body["stats"]
    return found


@pytest.mark.accepts("SV-140", "SV-142")
def test_an_organisation_without_jobs_has_zeros(api: Api, stranger: Api) -> None:
    made(stranger)
    assert api.get(STATS).json_body == {"stats": NOTHING, "recent_jobs": []}


@pytest.mark.accepts("SV-140", "SV-142")
def test_jobs_count_by_how_they_ended(api: Api) -> None:
    ended(made(api), seconds=100, created=30, failed=0)
    ended(made(api), "completed_with_errors", seconds=201, created=12, failed=3)
    ended(made(api), "failed", seconds=5, created=2, failed=1)
    ended(made(api), "cancelled", seconds=7, created=1)
    made(api)
    cancelling = made(api)
    jobs.move(cancelling, "cancelling")
    assert stats(api) == {
        "total_jobs": 6,
        "completed_jobs": 2,
        "failed_jobs": 1,
        "running_jobs": 2,
        "cancelled_jobs": 1,
        "total_records_imported": 45,
        "total_records_failed": 4,
        "average_duration": 150,
    }


@pytest.mark.accepts("SV-143")
def test_the_newest_ten_jobs_are_shown_in_short(api: Api) -> None:
    made_jobs = [made(api, f"2026-03-10T12:00:{second:02}", f"desk {second}") for second in range(12)]
    ended(made_jobs[-1], seconds=2700, created=4850, failed=25)
    recent = api.get(STATS).json_body["recent_jobs"]
    assert [job["id"] for job in recent] == [job["id"] for job in made_jobs[::-1][:10]]
    assert recent[0] == {
        "id": made_jobs[-1]["id"],
        "profile_name": "desk 11",
        "status": "completed",
        "records_imported": 4850,
        "records_failed": 25,
        "started_at": "2026-03-10T12:00:11Z",
        "completed_at": "2026-03-10T12:45:11Z",
        "duration": 2700,
    }
    assert (recent[1]["status"], recent[1]["completed_at"]) == ("running", None)
    assert isinstance(recent[1]["duration"], int)


@pytest.mark.accepts("SV-141")
def test_a_range_holds_its_days_whole(api: Api) -> None:
    for name, moment in {
        "a": "2026-03-09T23:59:59.999",
        "b": "2026-03-10T00:00:00",
        "c": "2026-03-10T23:59:59.999",
        "d": "2026-03-11T00:00:00",
    }.items():
        made(api, moment, name)
    for query, found in (
        ({}, "abcd"),
        ({"date_from": "2026-03-10"}, "bcd"),
        ({"date_to": "2026-03-10"}, "abc"),
        ({"date_from": "2026-03-10", "date_to": "2026-03-10"}, "bc"),
        ({"date_from": "2026-03-11", "date_to": "2026-12-31"}, "d"),
        ({"date_from": "2026-03-12"}, ""),
        ({"date_from": "0001-01-01", "date_to": "9999-12-31"}, "abcd"),
        ({"date_to": "1969-12-31"}, ""),
    ):
        assert stats(api, **query)["total_jobs"] == len(found)
        recent = api.get(STATS, **query).json_body["recent_jobs"]
        assert [job["profile_name"] for job in recent] == list(found)[::-1]


@pytest.mark.accepts("SV-141")
def test_a_job_counts_on_the_day_it_was_made_though_it_ends_later(api: Api) -> None:
    ended(made(api, "2026-03-10T23:50:00"), seconds=3600, created=5)
    assert stats(api, date_to="2026-03-10")["completed_jobs"] == 1
    assert stats(api, date_to="2026-03-10")["total_records_imported"] == 5
    assert stats(api, date_from="2026-03-11") == NOTHING


@pytest.mark.accepts("SV-141")
@pytest.mark.parametrize("field", ["date_from", "date_to"])
@pytest.mark.parametrize(
    "value", ["yesterday", "", "2026-02-30", "2026-3-1", "20260301", "2026-W10-1", "2026-03-10T00:00:00", "1767225600"]
)
@pytest.mark.parametrize("path", [STATS, "/api/import/jobs"])
def test_what_is_no_day_is_422(api: Api, path: str, field: str, value: str) -> None:
    answer = api.get(path, **{field: value})
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {field: [f"The {field} is not a valid date."]}


@pytest.mark.accepts("SV-141")
@pytest.mark.parametrize("path", [STATS, "/api/import/jobs"])
def test_a_range_that_ends_before_it_begins_is_422(api: Api, path: str) -> None:
    answer = api.get(path, date_from="2026-03-11", date_to="2026-03-10")
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"date_to": ["The date_to must be a date after or equal to date_from."]}


def test_a_misspelt_bound_does_not_answer_with_everything(api: Api) -> None:
    assert api.get(STATS, from_date="2026-03-11").json_body["errors"] == {
        "from_date": ["The from_date field is not known."]
    }


def test_a_dry_run_is_a_job_that_imported_nothing(api: Api) -> None:
    ended(made(api, dry_run=True), created=30, failed=2)
    found = stats(api)
    assert (found["completed_jobs"], found["total_records_imported"], found["total_records_failed"]) == (1, 0, 0)
    [job] = api.get(STATS).json_body["recent_jobs"]
    assert (job["status"], job["records_imported"], job["records_failed"]) == ("completed", 0, 0)


def test_jobs_that_were_made_before_any_were_counted_leave_no_negative_numbers(api: Api) -> None:
    job = made(api)
    dynamo.delete("state", keys.daily(api.org, date(2026, 3, 10)))
    ended(job, created=5)
    counted = {"completed_jobs": 1, "total_records_imported": 5, "average_duration": 60}
    assert stats(api) == NOTHING | counted
    assert [one["id"] for one in api.get("/api/import/jobs", search="desk").json_body["data"]] == [job["id"]]
    assert api.get("/api/import/jobs").status_code == 200


@pytest.mark.accepts("SV-142")
def test_a_repeated_end_counts_once(api: Api) -> None:
    job = made(api)
    event = {"org": api.org, "job": job["id"], "error": {"Error": "Fatal"}}
    for _ in range(3):
        assert finish.run(event, now=time.time, remaining=lambda: 900.0) == {"state": "done"}
    with pytest.raises(dynamo.Refused):
        jobs.end(job | {"status": "failing"}, "failed", {})
    assert stats(api) == NOTHING | {"total_jobs": 1, "failed_jobs": 1}


@pytest.mark.accepts("SV-142")
def test_only_the_start_that_wins_is_counted(api: Api) -> None:
    job = started(api)
    for _ in range(2):
        assert api.post("/api/import/jobs", {"profile_id": job["profile"]["id"]}).status_code == 400
    assert stats(api) == NOTHING | {"total_jobs": 1, "running_jobs": 1}
    stored = jobs.get(api.org, job["id"])
    jobs._insert(api.org, {name: value for name, value in stored.items() if name not in ("pk", "sk")})
    assert stats(api)["total_jobs"] == 1, "a start repeated after a lost answer is the same start"


def test_the_numbers_are_read_without_reading_jobs(api: Api) -> None:
    for number in range(13):
        made(api, f"2026-03-{1 + number % 3:02}T12:00:00", f"desk {number}")
    read: list[str] = []

    def look(parsed: dict[str, Any], **_: Any) -> None:
        read.extend(item["sk"]["S"].partition("#")[0] for item in parsed.get("Items", []))

    events = client("dynamodb").meta.events
    events.register("after-call.dynamodb.Query", look)
    try:
        assert stats(api)["total_jobs"] == 13
    finally:
        events.unregister("after-call.dynamodb.Query", look)
    assert (read.count("STATS"), read.count("JOB")) == (3, 10)
    assert statistics.summary(api.org)["running_jobs"] == 13


def test_stats_is_no_job(api: Api) -> None:
    assert api.get(f"{STATS}/status").status_code == 404
    assert api.request("POST", STATS).status_code == 405
