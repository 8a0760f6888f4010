"""`wharf query`: what is sent, what is shown, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Api, Wharf

ID = "6f0a3c1e-7f0b-4c57-9a38-3b5b0f6f2d11"
PATH = f"/api/import/profiles/{ID}"
QUERY: dict[str, Any] = {
    "base_table": "cases",
    "fields": [{"source": "cases.id", "target": "external_id"}, {"source": "LOWER(t)", "target": "title"}],
    "target_type": "tickets",
}
SQL = 'SELECT "cases"."id" AS "external_id"\nFROM "cases"'
VALID = {"valid": True, "generated_sql": SQL, "estimated_records": 1200, "warnings": ["cases has no key."],
         "errors": [], "fields": {}, "columns": {}}  # fmt: skip
ROWS = {"sample_data": [{"external_id": 1, "title": "x\x1b[31m", "tags": ["a"]}], "rejected": [
    {"row": 0, "external_id": "1", "errors": [{"field": "title", "reason": "is required"}]}]}  # fmt: skip
PREVIEWED = ROWS | {"estimated_records": 3, "generated_query": SQL, "columns": ["external_id"], "warnings": ["Slow."]}


@pytest.fixture(autouse=True)
def known(api: Api) -> None:
    shown = {"id": ID, "name": "Shop", "configuration": {"queries": {"tickets": QUERY}}}
    api.on(f"GET {PATH}", (200, shown))
    api.on("GET /api/import/profiles", (200, {"data": [{"id": ID, "name": "Shop"}], "next_cursor": None}))
    api.on(f"POST {PATH}/builder/validate", (200, VALID))
    api.on(f"POST {PATH}/preview-query", (200, PREVIEWED))
    saved = {"id": ID, "has_custom_queries": True, "configuration": {}, "version": 2}
    api.on(f"POST {PATH}/queries", (200, {"message": "Query saved successfully", "profile": saved}))
    api.on(f"DELETE {PATH}/queries/tickets", (200, {"message": "Query deleted successfully", "profile": saved}))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "query.json"
    path.write_text(json.dumps(QUERY))
    return str(path)


def test_a_valid_query_shows_its_sql_and_warnings(wharf: Wharf, api: Api, file: str) -> None:
    found = wharf("query", "validate", "Shop", "--file", file)
    assert (found.exit_code, found.stdout.strip()) == (0, SQL)
    assert "About 1,200 rows." in found.stderr
    assert "Warning: cases has no key." in found.stderr
    assert api.asked[-1].body == QUERY
    assert json.loads(wharf("query", "validate", "Shop", "-f", file, "--json").stdout) == VALID


def test_an_invalid_query_fails_with_its_reasons(wharf: Wharf, api: Api, file: str) -> None:
    wrong = VALID | {"valid": False, "generated_sql": None, "errors": ["The base_table is no table of the database."]}
    api.on(f"POST {PATH}/builder/validate", (200, wrong))
    found = wharf("query", "validate", ID, "-f", file)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "The base_table is no table of the database." in found.stderr
    found = wharf("query", "validate", ID, "-f", file, "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (1, wrong)


def test_a_file_that_is_no_query_is_not_sent(wharf: Wharf, api: Api, tmp_path: Path) -> None:
    for text in ("{", "[1]"):
        path = tmp_path / "wrong.json"
        path.write_text(text)
        found = wharf("query", "save", ID, "-f", str(path))
        assert (found.exit_code, "JSON" in found.stderr) == (2, True)
    assert [one for one in api.asked if one.method == "POST"] == []


def test_a_preview_shows_rows_and_those_that_would_be_rejected(wharf: Wharf, api: Api, file: str) -> None:
    found = wharf("query", "preview", ID, "-f", file, "--limit", "3")
    assert found.exit_code == 0
    assert "external_id" in found.stdout
    assert '["a"]' in found.stdout
    assert "\x1b" not in found.stdout
    assert "row 1 would be rejected: title is required" in found.stderr
    assert "Warning: Slow." in found.stderr
    assert api.asked[-1].body == QUERY | {"limit": 3}


def test_without_a_file_everything_the_profile_imports_is_previewed(wharf: Wharf, api: Api) -> None:
    part = ROWS | {
        "query": {"sql": SQL, "estimated_count": 3},
        "errors": {},
        "field_mapping": {},
        "applied_filters": [],
    }
    broken = part | {"sample_data": [], "rejected": [], "errors": {"fields.0.source": ["It is gone."]}}
    api.on(f"GET {PATH}/preview", (200, {"tickets": part, "agents": broken}))
    found = wharf("query", "preview", ID, "--type", "tickets")
    assert found.exit_code == 0
    assert "tickets: about 3 rows" in found.stderr
    assert "fields.0.source: It is gone." in found.stderr
    assert api.asked[-1].path.endswith("/preview?limit=10&query_type=tickets")
    assert json.loads(wharf("query", "preview", ID, "--json").stdout) == {"tickets": part, "agents": broken}


def test_a_query_is_saved_shown_and_forgotten(wharf: Wharf, api: Api, file: str) -> None:
    found = wharf("query", "save", "Shop", "-f", file)
    assert (found.exit_code, api.asked[-1].body) == (0, QUERY)
    assert "Query saved successfully." in found.stderr
    assert "LOWER(t)" in wharf("query", "show", ID).stdout
    assert json.loads(wharf("query", "show", ID, "--type", "tickets", "--json").stdout) == QUERY
    assert wharf("query", "show", ID, "--type", "agents").exit_code == 1
    found = wharf("query", "delete", ID, "tickets", "--yes")
    assert (found.exit_code, api.asked[-1].method) == (0, "DELETE")
    assert "Query deleted successfully." in found.stderr


def test_suggestions_come_with_their_reasons(wharf: Wharf, api: Api) -> None:
    join = {
        "type": "LEFT",
        "table": "people",
        "on": "people.id = cases.person_id",
        "confidence": 1.0,
        "reason": "A key.",
    }
    mapping = {
        "source": "cases.id",
        "target": "external_id",
        "transformation": "direct",
        "confidence": 0.9,
        "reason": "R.",
    }
    table = {"table": "cases", "confidence": 0.75, "reason": "Named so."}
    found = {"base_tables": {"tickets": [table]}, "joins": [join], "mappings": {"tickets": [mapping]}}
    api.on(f"GET {PATH}/builder/suggestions", (200, found))
    shown = wharf("query", "suggest", ID, "--table", "cases", "--type", "tickets")
    assert shown.exit_code == 0
    assert api.asked[-1].path.endswith("/builder/suggestions?base_table=cases&target_type=tickets")
    for said in ("100%", "90%", "75%", "cases.id → external_id", "A key."):
        assert said in shown.stdout
    assert json.loads(wharf("query", "suggest", ID, "--json").stdout) == found
