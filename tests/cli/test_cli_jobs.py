"""`wharf jobs retry` and `wharf jobs errors`."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Api, Wharf
from tests.cli.test_cli_imports import ID, job

NEW = "0190f3a0-0000-7000-8000-00000000beef"
ROWS: list[dict[str, Any]] = [
    {"id": str(n), "target_type": "tickets", "chunk": 0, "row": n, "external_id": f"e{n}", "field": "title",
     "reason": "invalid", "message": "title: is required"}
    for n in range(3)
]  # fmt: skip


def errors(api: Api, rows: list[dict[str, Any]], **more: Any) -> None:
    meta = {"current_page": 1, "per_page": 15, "total": len(rows)}
    answer = {"job_id": ID, "errors": [], "summary": {}, "data": rows, "meta": meta, "next_cursor": None}
    api.on(f"GET /api/import/jobs/{ID}/errors", (200, answer | more))


def test_a_retry_is_watched_to_its_end(wharf: Wharf, api: Api) -> None:
    api.on(f"POST /api/import/jobs/{ID}/retry", (201, {"message": "ok", "job": job(id=NEW, status="running")}))
    api.on(f"GET /api/import/jobs/{NEW}/status", (200, job(job_id=NEW, status="completed")))
    api.on(f"GET /api/import/jobs/{NEW}", (200, job(id=NEW, status="completed")))
    api.on("GET /api/import/analytics/records", (200, {"data": [], "meta": {"total": 0}}))
    result = wharf("jobs", "retry", ID)
    assert result.exit_code == wharf("jobs", "watch", NEW).exit_code, result.output
    assert f"Job {NEW} goes on with {ID}." in result.stderr
    assert [one.path for one in api.asked if one.method == "POST"] == [f"/api/import/jobs/{ID}/retry"]
    result = wharf("jobs", "retry", ID, "--detach", "--json")
    assert json.loads(result.stdout)["id"] == NEW


def test_failed_rows_are_listed_with_what_is_wrong(wharf: Wharf, api: Api) -> None:
    errors(api, ROWS, summary={"tickets": {"invalid": 3}}, errors=[{"code": "job_timeout", "message": "Too long"}])
    result = wharf("jobs", "errors", ID, "--type", "tickets")
    assert result.exit_code == 0, result.output
    for word in ("Too long (job_timeout)", "tickets: 3 invalid", "e1", "title: is required"):
        assert word in result.stdout
    assert all("target_type=tickets" in one.path for one in api.asked)
    shown = json.loads(wharf("jobs", "errors", ID, "--json").stdout)
    assert (shown["data"], shown["summary"]) == (ROWS, {"tickets": {"invalid": 3}})


def test_what_there_is_more_of_is_said(wharf: Wharf, api: Api) -> None:
    errors(api, ROWS)
    assert "2 of 3 rows; more with --limit." in wharf("jobs", "errors", ID, "--limit", "2").stderr
    errors(api, [])
    assert "No row failed." in wharf("jobs", "errors", ID).stderr
