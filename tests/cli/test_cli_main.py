"""The command as a whole: exit codes, streams, help, completion."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Api, Wharf, job

NEVER = "http://127.0.0.1:9"


def test_help_names_every_room_and_the_exit_codes(wharf: Wharf) -> None:
    result = wharf("--help")
    assert result.exit_code == 0
    for word in ("profiles", "import", "jobs", "records", "login", "admin", "doctor", "130 interrupted"):
        assert word in result.output


def test_the_version_needs_nothing_else(wharf: Wharf) -> None:
    result = wharf("--version", env={"WHARF_ENDPOINT": ""})
    assert (result.exit_code, result.stdout.split()[0]) == (0, "wharf")


def test_a_room_pays_only_for_itself() -> None:
    code = "import sys; from cli.main import app; print([m for m in sys.modules if m in ('urllib3', 'boto3')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [("jobz",), ("jobs", "lst"), ("import", "run"), ("jobs", "list", "--limit", "0"), ("--nope",)]
)
def test_misuse_is_exit_code_2(wharf: Wharf, arguments: tuple[str, ...]) -> None:
    result = wharf(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_no_token_is_exit_code_2_and_says_how(wharf: Wharf) -> None:
    result = wharf("jobs", "list", env={"WHARF_TOKEN": ""})
    assert result.exit_code == 2
    assert "WHARF_TOKEN" in result.stderr


def test_an_unreachable_endpoint_is_exit_code_1_in_one_sentence(wharf: Wharf) -> None:
    result = wharf("--endpoint", NEVER, "jobs", "list")
    assert result.exit_code == 1
    assert f"Cannot reach {NEVER}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_refusal_shows_each_field_and_the_request_id(wharf: Wharf, api: Api) -> None:
    body = {"message": "Validation failed", "errors": {"port": ["The port must be an integer."]}}
    api.on("GET /api/import/jobs", (422, body, {"X-Request-Id": "req-9"}))
    result = wharf("jobs", "list")
    assert result.exit_code == 1
    for text in ("Validation failed", "port: The port must be an integer.", "req-9"):
        assert text in result.stderr


def test_what_the_server_says_cannot_drive_the_terminal(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/import/jobs", (400, {"message": "\x1b]0;owned\x07[bold]x[/bold] \u202egpj"}))
    result = wharf("jobs", "list")
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr
    assert "\u202e" not in result.stderr
    assert "[bold]x[/bold]" in result.stderr


def test_data_on_stdout_is_plain_without_a_terminal(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/import/jobs", (200, {"data": [job()], "meta": {"total": 1}}))
    result = wharf("jobs", "list")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "Production" in result.stdout
    assert result.stderr == ""


def test_completion_knows_rooms_and_commands() -> None:
    variables = {"_WHARF_COMPLETE": "complete_bash", "COMP_WORDS": "wharf jobs ", "COMP_CWORD": "2"}
    code = "from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **variables}
    )
    assert done.stdout.split() == ["list", "stats", "show", "watch", "cancel", "retry", "errors"]
