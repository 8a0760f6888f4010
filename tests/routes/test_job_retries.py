"""Which jobs can be gone on with, and which rows went wrong: what the API says before anything runs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from chalicelib import chunks, dynamo, jobs, keys, ledger, profiles, remains
from tests.routes.conftest import Api
from tests.routes.test_job_routes import JOBS, end, note, ready, started


def test_a_failed_job_is_gone_on_with_by_a_new_one(api: Api) -> None:
    profile = ready(api)
    options = {"selected_types": ["tickets"], "timeout": 3600, "import_filters": {"limit": 5}}
    parent = started(api, profile, options=options, mode_config={"import_mode": "create"})
    end(api, parent["id"], "failed")
    answer = api.post(f"{JOBS}/{parent['id']}/retry")
    assert answer.status_code == 201, answer.json_body
    assert answer.json_body["message"] == "Import job retried successfully"
    job = answer.json_body["job"]
    assert job["id"] != parent["id"]
    assert (job["retry_of"], parent["retry_of"], job["status"]) == (parent["id"], None, "running")
    assert job["profile"] == parent["profile"]
    assert (job["import_options"], job["mode_config"]) == (parent["import_options"], parent["mode_config"])
    again = api.post(f"{JOBS}/{parent['id']}/retry")
    assert (again.status_code, again.json_body["code"], again.json_body["running_job"]) == (
        400,
        "job_running",
        job["id"],
    )


@pytest.mark.parametrize("status", ["running", "completed", "completed_with_errors"])
def test_what_runs_or_is_through_cannot_be_retried(api: Api, status: str) -> None:
    job = started(api)
    if status != "running":
        end(api, job["id"], status)
    answer = api.post(f"{JOBS}/{job['id']}/retry")
    shown = "running" if status == "running" else "completed"
    assert (answer.status_code, answer.json_body["code"]) == (400, "invalid_status")
    assert answer.json_body["message"] == f"Cannot retry a job that is {shown}"


def test_a_job_whose_objects_are_gone_says_so(api: Api) -> None:
    job = started(api)
    end(api, job["id"], "cancelled")
    note(api, job["id"], created_at=time.time() - 91 * 86_400)
    answer = api.post(f"{JOBS}/{job['id']}/retry")
    assert (answer.status_code, answer.json_body["code"]) == (400, "job_expired")
    assert answer.json_body["message"] == "What the job had read is kept for 90 days only. Start a new import."


def planned(api: Api, job_id: str, began: float) -> dict[str, Any]:
    note(api, job_id, plan="x", source_id="s" * 32, started_at=began, created_at=began)
    return jobs.get(api.org, job_id)


def test_a_retry_goes_on_with_what_was_read_unless_another_import_of_the_source_has_ended_since(api: Api) -> None:
    began = time.time() - 3600
    profile = profiles.get(api.org, ready(api))
    early = keys.mint_id(began - 600)  # for an Idempotency-Key, whose first attempt died before it made its job
    parent = started(api, profile["id"])["id"]
    stopped = planned(api, parent, began)
    end(api, parent, "failed", completed_at=began + 60)
    found = remains.origin(stopped)
    assert found
    assert found["id"] == parent
    earlier = started(api, profile["id"])["id"]
    planned(api, earlier, began - 1200)
    end(api, earlier, "completed", completed_at=began - 1)
    assert remains.origin(stopped)
    later = jobs.start(api.org, profile, {"id": "u", "name": "U"}, {}, {}, job_id=early)["id"]
    assert remains.origin(stopped)
    planned(api, later, began + 600)
    assert remains.origin(stopped) is None
    end(api, later, "completed", completed_at=began + 660)
    assert remains.origin(stopped) is None


QUERY = {
    "base_table": "orders",
    "fields": [{"source": "id", "target": "external_id"}, {"source": "made", "target": "created_at"}],
}


@pytest.mark.parametrize(
    ("options", "kept", "refused"),
    [
        ({}, None, ["profile_id"]),
        ({"selected_types": ["tickets"]}, {"agents": QUERY}, ["options.selected_types.0"]),
        (
            {"import_filters": {"date_from": "2026-01-01"}},
            {"tickets": {**QUERY, "fields": QUERY["fields"][:1]}},
            ["options.import_filters.date_from"],
        ),
    ],
)
def test_a_retry_that_begins_anew_needs_what_a_start_needs(
    api: Api, options: dict[str, Any], kept: dict[str, Any] | None, refused: list[str]
) -> None:
    """The job failed before it was planned, and the profile was changed then."""
    profile, who = api.profile()["id"], {"id": "u", "name": "U"}
    profiles.save_query(api.org, profile, who, "tickets", QUERY)
    job = started(api, profile, options=options)
    end(api, job["id"], "failed")
    profiles.save_query(api.org, profile, who, "tickets", None)
    for name, query in (kept or {}).items():
        profiles.save_query(api.org, profile, who, name, query)
    for answer in (
        api.post(JOBS, {"profile_id": profile, "options": options}),
        api.post(f"{JOBS}/{job['id']}/retry"),
    ):
        assert answer.status_code == 422
        assert list(answer.json_body["errors"]) == refused
    profiles.save_query(api.org, profile, who, "tickets", QUERY)
    assert api.post(f"{JOBS}/{job['id']}/retry").status_code == 201


def test_an_idempotency_key_makes_one_retry(api: Api) -> None:
    job = started(api)
    end(api, job["id"], "cancelled")
    sent = {"Idempotency-Key": "once"}
    first, second = (api.request("POST", f"{JOBS}/{job['id']}/retry", {}, sent) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json_body["job"]["id"] == second.json_body["job"]["id"]


def test_absent_jobs_are_404(api: Api) -> None:
    absent = "0190f3a0-0000-7000-8000-00000000beef"
    assert api.post(f"{JOBS}/{absent}/retry").status_code == 404
    assert api.get(f"{JOBS}/{absent}/errors").status_code == 404


def _line(number: int, row: int) -> dict[str, Any]:
    """Every other row failed."""
    line = {"row": row, "ext": f"{number}-{row}", "action": "created", "id": "x"}
    wrong = {"action": "failed", "reason": "invalid", "field": "email", "message": "email: is required"}
    return line | wrong if row % 2 else line


def failing(api: Api, rows: dict[str, list[int]]) -> dict[str, Any]:
    """A job whose chunks have so many failed rows each, among others."""
    made = started(api)
    note(api, made["id"], types=list(rows), origins={})
    job = jobs.get(api.org, made["id"])
    for name, counted in rows.items():
        for number, failed in enumerate(counted):
            lines = [_line(number, row) for row in range(2 * failed)]
            item = {
                "parts": [ledger.write(job, name, number, lines)],
                "state": chunks.DONE,
                "counts": ledger.counts(lines),
                "reasons": ledger.reasons(lines),
            }
            dynamo.put("state", keys.chunk(api.org, job["id"], name, number), item)
    return made


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_failed_rows_come_in_pages_by_number_and_by_cursor(api: Api, size: int) -> None:
    job = failing(api, {"agents": [3, 0, 2], "tickets": [4]})
    whole = api.get(f"{JOBS}/{job['id']}/errors", per_page=100).json_body
    places = [(row["target_type"], row["chunk"], row["row"]) for row in whole["data"]]
    assert places == [
        *(("agents", 0, row) for row in (1, 3, 5)), *(("agents", 2, row) for row in (1, 3)),
        *(("tickets", 0, row) for row in (1, 3, 5, 7)),
    ]  # fmt: skip
    assert whole["summary"] == {"agents": {"invalid": 5}, "tickets": {"invalid": 4}}
    assert whole["meta"] == {"current_page": 1, "per_page": 100, "total": 9}
    assert {word: whole["data"][0][word] for word in ("external_id", "field", "reason", "message")} == {
        "external_id": "0-1", "field": "email", "reason": "invalid", "message": "email: is required",
    }  # fmt: skip
    by_page, by_cursor, cursor = [], [], {}
    for page in range(1, 11):
        by_page += api.get(f"{JOBS}/{job['id']}/errors", per_page=size, page=page).json_body["data"]
    while True:
        answer = api.get(f"{JOBS}/{job['id']}/errors", per_page=size, **cursor).json_body
        by_cursor += answer["data"]
        if not answer["next_cursor"]:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert by_page == by_cursor == whole["data"]


def test_errors_of_one_type_and_of_the_job(api: Api) -> None:
    job = failing(api, {"agents": [3], "tickets": [1]})
    only = api.get(f"{JOBS}/{job['id']}/errors", target_type="tickets").json_body
    assert ([row["target_type"] for row in only["data"]], only["summary"]) == (["tickets"], {"tickets": {"invalid": 1}})
    refused = api.get(f"{JOBS}/{job['id']}/errors", target_type="leads")
    assert (refused.status_code, list(refused.json_body["errors"])) == (422, ["target_type"])
    for cursor in ("x", "bm8="):
        refused = api.get(f"{JOBS}/{job['id']}/errors", cursor=cursor)
        assert (refused.status_code, list(refused.json_body["errors"])) == (422, ["cursor"])
    reasons = [{"code": "job_timeout", "message": "The job has reached its timeout of 60 seconds"}]
    end(api, job["id"], "failed", errors=reasons)
    assert api.get(f"{JOBS}/{job['id']}/errors").json_body["errors"] == reasons
