"""GET /api/import/jobs: what filters find, how pages are cut, and what is read for them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest

from chalicelib import dynamo, jobs, keys
from chalicelib.clients import client
from tests.routes.conftest import Api
from tests.routes.test_job_routes import JOBS, end, ready, started
from tests.routes.test_job_stats import made

ALLOWED = "pending, running, completed, failed, cancelled"


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """The items that are read meanwhile, by the first word of their sort key."""
    read: Counter[str] = Counter()

    def look(parsed: dict[str, Any], **_: Any) -> None:
        read.update(item["sk"]["S"].partition("#")[0] if "sk" in item else "part" for item in parsed.get("Items", []))

    events = client("dynamodb").meta.events
    events.register("after-call.dynamodb.Query", look)
    try:
        yield read
    finally:
        events.unregister("after-call.dynamodb.Query", look)


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.body
    return [job["profile"]["name"] for job in answer.json_body["data"]]


@pytest.fixture
def one_of_each(api: Api) -> Api:
    """A job in every state, on a profile named after it; the newest is the first."""
    for state in ("cancelled", "failed", "completed_with_errors", "completed", "failing", "cancelling", "running"):
        job = started(api, ready(api, name=state))
        if state in ("cancelling", "failing"):
            jobs.move(jobs.get(api.org, job["id"]), state)
        elif state != "running":
            end(api, job["id"], state)
    return api


@pytest.mark.accepts("SV-093")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=running", ["running", "cancelling", "failing"]),
        ("status=completed", ["completed", "completed_with_errors"]),
        ("status=failed", ["failed"]),
        ("status=cancelled", ["cancelled"]),
        ("status=pending", []),
        ("status=failed&status=cancelled", ["failed", "cancelled"]),
        ("status[]=failed&status[]=completed", ["completed", "completed_with_errors", "failed"]),
        ("status%5B%5D=failed", ["failed"]),
        ("status[0]=failed&status[1]=cancelled", ["failed", "cancelled"]),
        ("status=failed,cancelled", ["failed", "cancelled"]),
        ("status=failed,%20cancelled&status=failed", ["failed", "cancelled"]),
    ],
)
def test_jobs_are_found_by_the_status_they_show(one_of_each: Api, query: str, found: list[str]) -> None:
    answer = one_of_each.get(f"{JOBS}?{query}")
    assert names(answer) == found
    assert answer.json_body["meta"]["total"] == len(found)
    asked = set(query.replace("%20", "").replace("&", "=").replace(",", "=").split("="))
    assert {job["status"] for job in answer.json_body["data"]} <= asked


@pytest.mark.accepts("SV-093", "SV-150")
@pytest.mark.parametrize(
    "query", ["status=done", "status=RUNNING", "status=", "status[]=", "status=failed,done", "status=cancelling"]
)
def test_an_unknown_status_is_422_and_the_known_ones_are_named(api: Api, query: str) -> None:
    answer = api.get(f"{JOBS}?{query}")
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"status": [f"The selected status is invalid; it may be {ALLOWED}."]}


@pytest.mark.accepts("SV-092", "SV-096")
def test_filters_are_taken_together(api: Api) -> None:
    helpdesk, billing = ready(api, name="Straße Helpdesk"), ready(api, name="Billing")
    for profile in (helpdesk, billing):
        end(api, started(api, profile)["id"])
        started(api, profile)
    assert names(api.get(JOBS, profile_id=helpdesk)) == ["Straße Helpdesk"] * 2
    assert names(api.get(JOBS, profile_id=helpdesk.upper(), status="running")) == ["Straße Helpdesk"]
    assert names(api.get(JOBS, search=" STRASSE help ")) == ["Straße Helpdesk"] * 2
    assert names(api.get(JOBS, search="E HELP")) == ["Straße Helpdesk"] * 2
    assert names(api.get(JOBS, search="desK")) == ["Straße Helpdesk"] * 2
    assert names(api.get(JOBS, search="bill", status="completed", date_from="2020-01-01")) == ["Billing"]
    assert names(api.get(JOBS, search="bill", date_to="2020-01-01")) == []
    assert names(api.get(JOBS, profile_id=helpdesk, search="bill")) == []
    assert names(api.get(JOBS, profile_id=str(uuid.uuid4()))) == []


@pytest.mark.accepts("SV-092")
@pytest.mark.parametrize("query", ["profile_id=1", "profile_id=", "profile_id[]=x"])
def test_a_profile_id_that_is_none_is_422(api: Api, query: str) -> None:
    answer = api.get(f"{JOBS}?{query}")
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"profile_id": ["The profile_id must be a valid UUID."]}


@pytest.fixture
def made_jobs(api: Api) -> list[str]:
    """Ids of nine jobs of four days, the newest first, on profiles named after the day and `x` or `y`."""
    return [
        made(api, f"2026-03-{day:02}T{hour:02}:00:00", f"{'xy'[hour % 2]}{day}")["id"]
        for day, hours in ((4, 3), (3, 1), (2, 4), (1, 1))
        for hour in reversed(range(hours))
    ]


def ids(page: dict[str, Any]) -> list[str]:
    return [job["id"] for job in page["data"]]


@pytest.mark.accepts("SV-094", "SV-095")
def test_days_are_whole_with_and_without_other_filters(api: Api) -> None:
    made(api, "2026-03-09T23:59:59.999", "desk a")
    made(api, "2026-03-10T00:00:00", "desk b")
    made(api, "2026-03-10T23:59:59.999", "desk c")
    made(api, "2026-03-11T00:00:00", "desk d")
    for query, found in (
        ({"date_from": "2026-03-10"}, ["desk d", "desk c", "desk b"]),
        ({"date_to": "2026-03-10"}, ["desk c", "desk b", "desk a"]),
        ({"date_from": "2026-03-10", "date_to": "2026-03-10"}, ["desk c", "desk b"]),
        ({"date_from": "2026-03-12"}, []),
    ):
        for search in ("", "d"):
            answer = api.get(JOBS, **query, search=search)
            assert names(answer) == found
            assert answer.json_body["meta"]["total"] == len(found)


@pytest.mark.accepts("SV-097")
def test_pages_and_cursors_lead_through_the_same_list(api: Api, made_jobs: list[str]) -> None:
    for query in ({}, {"date_to": "2026-03-03"}, {"search": "x"}):
        whole = api.get(JOBS, per_page=100, **query).json_body
        found = ids(whole)
        assert found == [job_id for job_id in made_jobs if job_id in found]
        assert (whole["meta"]["total"], whole["next_cursor"]) == (len(found), None)
        for per_page in (1, 2, 4):
            place: dict[str, Any] = {"page": 1}
            came: list[str] = []
            for number in range(1, 2 + (len(found) - 1) // per_page):
                numbered = api.get(JOBS, per_page=per_page, page=number, **query).json_body
                page = api.get(JOBS, per_page=per_page, **place, **query).json_body
                assert ids(page) == ids(numbered)
                assert page["next_cursor"] == numbered["next_cursor"]
                assert page["meta"] == {"current_page": number, "per_page": per_page, "total": len(found)}
                assert page["meta"] == numbered["meta"]
                came += ids(page)
                place = {"cursor": page["next_cursor"]}
            assert came == found
            assert place == {"cursor": None}
            beyond = api.get(JOBS, per_page=per_page, page=number + 1, **query).json_body
            assert (beyond["data"], beyond["next_cursor"]) == ([], None)


@pytest.mark.accepts("SV-097")
def test_a_page_has_15_jobs_unless_asked_otherwise(api: Api) -> None:
    assert api.get(JOBS).json_body["meta"] == {"current_page": 1, "per_page": 15, "total": 0}
    for wrong in (0, 101, "x"):
        assert list(api.get(JOBS, per_page=wrong).json_body["errors"]) == ["per_page"]


def test_a_cursor_stays_right_while_jobs_come_and_days_change(api: Api, made_jobs: list[str]) -> None:
    first = api.get(JOBS, per_page=5).json_body
    cursor = first["next_cursor"]  # the first of 2026-03-02's four
    made(api, "2026-03-05T00:00:00")
    second = api.get(JOBS, per_page=3, cursor=cursor).json_body
    assert (ids(second), second["meta"]["total"]) == (made_jobs[5:8], 10)
    assert ids(api.get(JOBS, cursor=cursor, date_to="2026-03-01").json_body) == made_jobs[8:]
    assert ids(api.get(JOBS, cursor=cursor, date_from="2026-03-03").json_body) == []
    for strange in ("", "eHl6", "MDAwMDAwMDA="):
        assert api.get(JOBS, cursor=strange).status_code == 200
    assert list(api.get(JOBS, cursor="%%%").json_body["errors"]) == ["cursor"]


def test_a_page_ends_with_the_jobs_and_not_with_the_numbers(api: Api, made_jobs: list[str]) -> None:
    """As when jobs are made between the two, or were made before any were counted."""
    dynamo.update("state", keys.daily(api.org, date(2026, 3, 1)), "REMOVE #jobs ADD #completed :one", {"one": 1})
    dynamo.update("state", keys.daily(api.org, date(2026, 3, 2)), "ADD #jobs :less", {"less": -2})
    came: list[str] = []
    place: dict[str, Any] = {}
    while place != {"cursor": None}:
        page = api.get(JOBS, per_page=3, **place).json_body
        assert page["meta"]["total"] == 6
        came += ids(page)
        place = {"cursor": page["next_cursor"]}
    assert came == made_jobs
    assert ids(api.get(JOBS, per_page=4, page=2).json_body) == made_jobs[4:8]
    whole = api.get(JOBS, per_page=6).json_body
    assert (ids(whole), whole["next_cursor"] is None) == (made_jobs[:6], False)


def test_a_page_reads_its_own_jobs_and_those_of_one_day(api: Api, made_jobs: list[str]) -> None:
    with counted() as read:
        assert ids(api.get(JOBS, per_page=2, page=4).json_body) == made_jobs[6:8]  # third and fourth of their day
    assert (read["STATS"], read["JOB"]) == (4, 5), "and one, to know that there are more"
    with counted() as read:
        api.get(JOBS, per_page=2)
    assert (read["STATS"], read["JOB"]) == (4, 3)
    with counted() as read:
        found = names(api.get(JOBS, date_from="2026-03-01", date_to="2026-03-02", search="x"))
    assert found == ["x2", "x2", "x1"]
    assert read == {"part": 5}, "five jobs were made on those days; what is not compared is not brought"
