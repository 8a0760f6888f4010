"""`wharf profiles duplicate`, `wharf profiles source`, and a start that asks which database it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Api, Wharf

ID = "6f0a3c1e-7f0b-4c57-9a38-3b5b0f6f2d11"
COPY = "0b1f1f0a-7f0b-4c57-9a38-3b5b0f6f2d22"
PROFILE = {"id": ID, "name": "Production"}
CHANGED = {
    "message": "The profile leads to another database than the one it imported before.",
    "code": "source_changed",
    "known_source": {
        "host": "old.example.com",
        "port": 5432,
        "database": "desk",
        "fingerprint": "a" * 32,
        "confirmed_at": "2026-01-31T10:00:00Z",
    },
    "found_source": {"host": "new.example.com", "port": 6432, "database": "desk", "fingerprint": "b" * 32},
}
QUESTION = f"""\
Error: The profile leads to another database than the one it imported before.
  imported before: old.example.com:5432/desk, 2026-01-31 10:00 UTC
  there now:       new.example.com:6432/desk
  The same data, moved; its rows meet the records they have:
    wharf profiles source {ID} same-data --fingerprint {"b" * 32}
  Another source; its rows make records of their own:
    wharf profiles source {ID} new-source --fingerprint {"b" * 32}
"""


@pytest.fixture(autouse=True)
def known(api: Api) -> None:
    api.on("GET /api/import/profiles", (200, {"data": [PROFILE], "meta": {"total": 1}}))
    api.on(f"GET /api/import/profiles/{ID}", (200, PROFILE))


def sent(api: Api) -> Any:
    return next(one.body for one in api.asked if one.method == "POST")


def test_a_start_on_another_database_shows_both_and_the_two_answers(wharf: Wharf, api: Api) -> None:
    api.on("POST /api/import/jobs", (409, CHANGED))
    result = wharf("import", "run", "-p", "Production")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", QUESTION)


def test_with_json_the_question_is_data(wharf: Wharf, api: Api) -> None:
    api.on("POST /api/import/jobs", (409, CHANGED))
    result = wharf("import", "run", "-p", ID, "--json")
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (1, CHANGED, QUESTION)


def test_what_a_server_calls_itself_is_shown_and_not_obeyed(wharf: Wharf, api: Api) -> None:
    hostile = CHANGED | {
        "known_source": {"fingerprint": "a"},
        "found_source": {**CHANGED["found_source"], "host": "x\x1b[2J"},
    }
    api.on("POST /api/import/jobs", (409, hostile))
    result = wharf("import", "run", "-p", ID)
    assert "\x1b" not in result.stderr
    assert "imported before: not known any more\n" in result.stderr


def test_another_refusal_of_a_start_is_no_question(wharf: Wharf, api: Api) -> None:
    api.on("POST /api/import/jobs", (400, {"message": "An import job is already running", "code": "job_running"}))
    result = wharf("import", "run", "-p", ID, "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: An import job is already running\n")


@pytest.mark.parametrize(("word", "decision"), [("same-data", "same_data"), ("new-source", "new_source")])
def test_the_answer_goes_with_the_database_it_is_about(wharf: Wharf, api: Api, word: str, decision: str) -> None:
    settled = {"message": "Import source confirmed successfully", "source": CHANGED["found_source"], "profile": PROFILE}
    api.on(f"POST /api/import/profiles/{ID}/source", (200, settled))
    result = wharf("profiles", "source", "Production", word, "--fingerprint", "b" * 32)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Import source confirmed successfully.\n"
    assert sent(api) == {"decision": decision, "fingerprint": "b" * 32}
    api.asked.clear()
    result = wharf("profiles", "source", ID, word, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, CHANGED["found_source"])
    assert sent(api) == {"decision": decision}


def test_an_answer_that_came_too_late_asks_again(wharf: Wharf, api: Api) -> None:
    api.on(f"POST /api/import/profiles/{ID}/source", (409, CHANGED))
    result = wharf("profiles", "source", ID, "same-data", "--fingerprint", "c" * 32)
    assert (result.exit_code, result.stderr) == (1, QUESTION)


def test_there_are_two_answers(wharf: Wharf, api: Api) -> None:
    assert wharf("profiles", "source", ID, "perhaps").exit_code == 2
    assert api.asked == []


def test_duplicating_prints_the_copys_id(wharf: Wharf, api: Api) -> None:
    copy = {"id": COPY, "name": "Production - Copy"}
    answer = {
        "message": "Import profile duplicated successfully",
        "original_profile": PROFILE,
        "duplicate_profile": copy,
    }
    api.on(f"POST /api/import/profiles/{ID}/duplicate", (201, answer))
    result = wharf("profiles", "duplicate", "Production")
    assert (result.exit_code, result.stdout) == (0, f"{COPY}\n")
    assert result.stderr == "Import profile duplicated successfully.\n"
    assert sent(api) == {}
    api.asked.clear()
    result = wharf("profiles", "duplicate", ID, "--name", "Test", "--description", "", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, copy)
    assert sent(api) == {"name": "Test", "description": ""}
