"""`wharf templates` and `wharf jobs list|stats`: what is sent, and what is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cli.conftest import Api, Wharf, job

ID = "6f0a3c1e-7f0b-4c57-9a38-3b5b0f6f2d11"
OWN: dict[str, Any] = {
    "id": ID,
    "name": "Case desk",
    "platform": "casedesk",
    "database_type": "postgresql",
    "description": "Ours",
    "supported_types": ["tickets"],
    "is_system": False,
    "options": [],
    "created_at": "2026-01-01T10:00:00Z",
}
WHOLE = OWN | {
    "queries": {"tickets": {"base_table": "cases", "fields": [{"source": "id", "target": "external_id"}]}},
    "metadata": {},
    "based_on": None,
    "version": 3,
    "created_by": {"id": "u", "name": "Ada"},
    "updated_at": "2026-01-01T10:00:00Z",
}
SENT = {
    word: WHOLE[word]
    for word in ("name", "platform", "database_type", "description", "supported_types", "queries", "metadata")
}
SYSTEM = OWN | {"id": "s", "name": "FreeScout Platform", "platform": "freescout", "is_system": True}


@pytest.fixture(autouse=True)
def known(api: Api) -> None:
    api.on("GET /api/import/templates", (200, {"data": [SYSTEM, OWN]}))
    api.on(f"GET /api/import/templates/{ID}", (200, WHOLE))
    api.on("POST /api/import/templates", (201, {"message": "Template created successfully", "template": WHOLE}))
    api.on(f"PUT /api/import/templates/{ID}", (200, {"message": "Template updated successfully", "template": WHOLE}))
    api.on(f"DELETE /api/import/templates/{ID}", (200, {"message": "Template deleted successfully"}))


def test_the_list_says_whose_a_template_is(wharf: Wharf) -> None:
    for command in (("templates", "list"), ("profiles", "template", "--list")):
        rows = [line.split() for line in wharf(*command).stdout.splitlines()[1:]]
        assert [(row[0], "system" in row, "own" in row) for row in rows] == [
            ("freescout", True, False),
            ("casedesk", False, True),
        ]
    assert json.loads(wharf("templates", "list", "--json").stdout) == [SYSTEM, OWN]


def test_what_is_shown_can_be_edited_and_sent_back(wharf: Wharf, api: Api, tmp_path: Path) -> None:
    shown = wharf("templates", "show", "case desk", "--json")
    assert json.loads(shown.stdout) == WHOLE
    file = tmp_path / "template.json"
    file.write_text(shown.stdout)
    edited = wharf("templates", "edit", "Case desk", str(file))
    assert (edited.exit_code, edited.stdout, edited.stderr) == (0, f"{ID}\n", "Template updated successfully.\n")
    assert (api.asked[-1].method, api.asked[-1].body) == ("PUT", SENT)
    created = wharf("templates", "create", "-", stdin=shown.stdout)
    assert (created.exit_code, created.stdout) == (0, f"{ID}\n")
    assert (api.asked[-1].method, api.asked[-1].body) == ("POST", SENT)
    assert "cases, 1 fields" in wharf("templates", "show", "casedesk").stdout


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_file_that_is_no_object_is_misuse(wharf: Wharf, api: Api, text: str) -> None:
    result = wharf("templates", "create", "-", stdin=text)
    assert (result.exit_code, api.asked) == (2, [])
    assert "is no JSON" in result.stderr


def test_each_fault_of_a_template_is_told(wharf: Wharf, api: Api) -> None:
    refusal = {"message": "Validation failed", "errors": {"name": ["The name has already been taken."]}}
    api.on("POST /api/import/templates", (422, refusal))
    result = wharf("templates", "create", "-", stdin="{}")
    assert result.exit_code == 1
    assert "name: The name has already been taken." in result.stderr


def test_deleting_asks_first(wharf: Wharf, api: Api) -> None:
    assert wharf("templates", "delete", "Case desk").exit_code == 2
    assert all(asked.method == "GET" for asked in api.asked)
    assert wharf("templates", "delete", "Case desk", "--yes").exit_code == 0
    assert (api.asked[-1].method, api.asked[-1].path) == ("DELETE", f"/api/import/templates/{ID}")


def test_a_template_is_deleted_only_when_one_alone_is_meant(wharf: Wharf, api: Api) -> None:
    other = OWN | {"id": ID[:-1] + "2", "name": "freescout", "platform": "casedesk"}
    third = OWN | {"id": ID[:-1] + "3", "name": "CaseDesk", "platform": "other"}
    api.on("GET /api/import/templates", (200, {"data": [SYSTEM, OWN, other, third]}))
    for one in (OWN, other, third):
        api.on(f"DELETE /api/import/templates/{one['id']}", (200, {"message": "Template deleted successfully"}))
    for wanted, meant in (("freescout", other), (ID.upper(), OWN), ("CaseDesk", third), ("other", third)):
        assert wharf("templates", "delete", wanted, "--yes").exit_code == 0
        assert (api.asked[-1].method, api.asked[-1].path) == ("DELETE", f"/api/import/templates/{meant['id']}")
    for wanted, fit in (("casedesk", [OWN, other, third]), ("FREESCOUT", [SYSTEM, other])):
        result = wharf("templates", "delete", wanted, "--yes")
        assert (result.exit_code, api.asked[-1].method) == (1, "GET")
        assert f"{len(fit)} templates are named {wanted!r}." in result.stderr
        assert ", ".join(one["id"] for one in fit) in result.stderr.replace("\n", " ")
    assert "There is no template named 'x'." in wharf("templates", "show", "x").stderr


def test_jobs_are_listed_by_status_name_and_days(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/import/jobs", (200, {"data": [job()], "meta": {"total": 1}}))
    options = (
        "--status",
        "failed",
        "--status",
        "running",
        "--search",
        "desk",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-31",
    )
    assert wharf("jobs", "list", *options).exit_code == 0
    assert parse_qs(urlsplit(api.asked[-1].path).query) == {
        "per_page": ["15"],
        "status": ["failed", "running"],
        "search": ["desk"],
        "date_from": ["2026-01-01"],
        "date_to": ["2026-01-31"],
    }
    api.on("GET /api/import/jobs", (200, {"data": [], "meta": {"total": 0}}))
    assert wharf("jobs", "list", *options).stderr == "No such jobs.\n"


def test_statistics_show_numbers_and_the_newest_jobs(wharf: Wharf, api: Api) -> None:
    counted = {"total": 1025, "completed": 20, "failed": 3, "running": 1, "cancelled": 1}
    answer = {
        "stats": {f"{word}_jobs": number for word, number in counted.items()}
        | {"total_records_imported": 125000, "total_records_failed": 450, "average_duration": 2340},
        "recent_jobs": [
            {
                "id": ID,
                "profile_name": "Production",
                "status": "completed",
                "records_imported": 4850,
                "records_failed": 25,
                "started_at": "2025-08-20T10:00:00Z",
                "completed_at": "2025-08-20T10:45:00Z",
                "duration": 2700,
            }
        ],
    }
    api.on("GET /api/import/jobs/stats", (200, answer))
    result = wharf("jobs", "stats", "--from", "2026-01-01")
    assert dict(re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines()[:8]) == {
        "total": "1,025",
        "completed": "20",
        "failed": "3",
        "cancelled": "1",
        "running": "1",
        "records imported": "125,000",
        "records failed": "450",
        "average duration": "39 min 00 s",
    }
    assert result.stdout.splitlines()[-1].split() == [
        ID,
        "Production",
        "completed",
        "4,850",
        "25",
        "45",
        "min",
        "00",
        "s",
    ]
    assert api.asked[-1].path == "/api/import/jobs/stats?date_from=2026-01-01"
    assert json.loads(wharf("jobs", "stats", "--json").stdout) == answer
