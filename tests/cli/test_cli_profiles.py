"""`wharf profiles`, `wharf login`, `wharf doctor`: what is sent, and where secrets may stand."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest

from cli import access
from tests.cli.conftest import TOKEN, Api, Wharf

ID = "6f0a3c1e-7f0b-4c57-9a38-3b5b0f6f2d11"
PROFILE = {
    "id": ID,
    "name": "Production",
    "database_type": "postgresql",
    "host": "db.example.com",
    "port": 5432,
    "database": "freescout",
    "username": "reader",
    "ssl_mode": "prefer",
    "description": None,
    "notes": None,
    "template": {"id": "t", "name": "FreeScout Platform", "platform": "freescout"},
    "last_test_result": {"success": False, "message": "Connection failed: x", "error": "Connection refused"},
    "last_tested_at": "2026-01-01T10:00:00Z",
}
FIELDS = {"--name": "Production", "--host": "db.example.com", "--database": "freescout", "--username": "reader"}
CREATE = ["profiles", "create", *(word for pair in FIELDS.items() for word in pair)]


@pytest.fixture(autouse=True)
def known(api: Api) -> None:
    api.on("GET /api/import/profiles", (200, {"data": [PROFILE], "meta": {"total": 1}}))
    api.on(f"GET /api/import/profiles/{ID}", (200, PROFILE))
    saved = {"message": "Import profile created successfully", "profile": PROFILE}
    api.on("POST /api/import/profiles", (201, saved))
    api.on(f"PUT /api/import/profiles/{ID}", (200, saved))


def sent(api: Api) -> dict[str, object]:
    return next(one.body for one in api.asked if one.method in ("POST", "PUT"))


@pytest.mark.parametrize(
    ("arguments", "stdin", "env"),
    [(("--password-stdin",), "s3cret \n", {}), ((), None, {"WHARF_SOURCE_PASSWORD": "s3cret "})],
)
def test_the_password_comes_by_stdin_or_environment(
    wharf: Wharf, api: Api, arguments: tuple[str, ...], stdin: str | None, env: dict[str, str]
) -> None:
    result = wharf(*CREATE, *arguments, stdin=stdin, env=env)
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    assert sent(api)["password"] == "s3cret "
    assert sent(api)["port"] == 5432


def test_no_command_takes_a_password_as_an_argument(wharf: Wharf) -> None:
    for command in ("create", "update"):
        assert wharf("profiles", command, "--password", "x").exit_code == 2


def test_without_a_password_and_without_anybody_to_ask_it_is_misuse(wharf: Wharf, api: Api) -> None:
    result = wharf(*CREATE)
    assert result.exit_code == 2
    assert "--password-stdin" in result.stderr
    assert api.asked == []


def test_an_update_keeps_what_is_not_given(wharf: Wharf, api: Api) -> None:
    wharf("profiles", "update", "Production", "--port", "6432")
    kept = {word: PROFILE[word] for word in ("name", "host", "database", "username", "ssl_mode", "database_type")}
    assert sent(api) == kept | {"port": 6432}


def test_deleting_asks_first(wharf: Wharf, api: Api) -> None:
    assert wharf("profiles", "delete", "Production").exit_code == 2
    api.on(f"DELETE /api/import/profiles/{ID}", (200, {"message": "Import profile deleted successfully"}))
    assert wharf("profiles", "delete", ID, "--yes").exit_code == 0


def test_a_profile_that_is_running_says_so(wharf: Wharf, api: Api) -> None:
    refusal = {"message": "Cannot delete profile with running import jobs", "running_jobs": 1}
    api.on(f"DELETE /api/import/profiles/{ID}", (400, refusal))
    result = wharf("profiles", "delete", ID, "--yes")
    assert (result.exit_code, "running import jobs" in result.stderr) == (1, True)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_failed_connection_test_is_exit_code_1(wharf: Wharf, api: Api, form: tuple[str, ...]) -> None:
    failed = {
        "success": False,
        "message": "Connection failed: could not connect to server",
        "error": "Connection refused",
    }
    api.on(f"POST /api/import/profiles/{ID}/test-connection", (200, {"connection_test": failed}))
    result = wharf("profiles", "test", "production", *form)
    assert result.exit_code == 1
    assert "Connection refused" in result.output


SHOULD_CHANGE = {"code": "can_write", "message": "The user may change 2 of 2 tables: a, b.", "hint": "CREATE ROLE x"}


def stages(*ends: str) -> list[dict[str, Any]]:
    names = ("dns", "tcp", "tls", "auth", "select", "privileges")
    return [
        {
            "name": name,
            "status": end,
            "message": f"About {name}.",
            "hint": f"Mend {name}." if end == "failed" else None,
            "milliseconds": None if end == "skipped" else 7,
        }
        for name, end in zip(names, ends, strict=True)
    ]


def test_a_connection_test_shows_its_stages_and_warnings(wharf: Wharf, api: Api) -> None:
    information = {"version": "PostgreSQL 18.1", "database": "shop", "table_count": 2, "size": "8 MB"}
    passed = {"success": True, "message": "Connection successful", "database_info": information}
    passed |= {"stages": stages("ok", "ok", "skipped", "ok", "ok", "ok"), "warnings": [SHOULD_CHANGE]}
    api.on(f"POST /api/import/profiles/{ID}/test-connection", (200, {"connection_test": passed}))
    result = wharf("profiles", "test", "production")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["tcp", "ok", "About", "tcp.", "7"] in rows
    assert ["tls", "skipped", "About", "tls."] in rows
    assert "PostgreSQL 18.1" in result.stdout
    assert "Warning: The user may change 2 of 2 tables: a, b." in result.stderr
    assert "CREATE ROLE x" in result.stderr


def test_a_failed_connection_test_says_where_and_what_to_do(wharf: Wharf, api: Api) -> None:
    failed = {"success": False, "message": "Connection failed: the server refused the login", "error": "Password wrong"}
    failed |= {"stages": stages("ok", "ok", "ok", "failed", "skipped", "skipped"), "warnings": []}
    api.on(f"POST /api/import/profiles/{ID}/test-connection", (200, {"connection_test": failed}))
    result = wharf("profiles", "test", "production")
    assert result.exit_code == 1
    assert "auth" in result.stdout
    assert "Connection failed: the server refused the login: Password wrong." in " ".join(result.stderr.split())
    assert "Mend auth." in result.stderr


def test_template_options_are_names_and_values(wharf: Wharf, api: Api) -> None:
    api.on(
        "GET /api/import/templates",
        (200, {"data": [{"id": "t1", "name": "FreeScout Platform", "platform": "freescout"}]}),
    )
    configuration = {"queries": {"agents": {}, "tickets": {}}}
    answer = {"message": "Template applied successfully", "profile": PROFILE | {"configuration": configuration}}
    api.on(f"PUT /api/import/profiles/{ID}/template", (200, answer))
    command = ["profiles", "template", "Production", "freescout"]
    result = wharf(*command, "-o", "timezone=Europe/Berlin", "-o", "include_spam=true")
    assert sent(api) == {"template_id": "t1", "options": {"timezone": "Europe/Berlin", "include_spam": True}}
    assert "agents, tickets" in result.stderr
    assert wharf(*command, "-o", "timezone").exit_code == 2


def test_list_and_show_say_how_the_last_test_went(wharf: Wharf) -> None:
    assert wharf("profiles", "list").stdout.splitlines()[1].split() == [
        ID,
        "Production",
        "db.example.com/freesc…",
        "freescout",
        "failed",
    ]
    assert "Connection refused, 2026-01-01 10:00 UTC" in wharf("profiles", "show", "Production").stdout
    assert json.loads(wharf("profiles", "list", "--json").stdout) == [PROFILE]


def test_the_schema_of_one_table(wharf: Wharf, api: Api) -> None:
    column = {"name": "id", "type": "integer", "nullable": False, "primary_key": True}
    tables = [{"name": "users", "row_count": 1200, "columns": [column]}]
    schema = {"schema": {"tables": tables, "relationships": []}, "server_info": {}}
    api.on(f"GET /api/import/profiles/{ID}/schema", (200, schema))
    assert wharf("profiles", "schema", "Production").stdout.split() == [
        "table",
        "rows",
        "columns",
        "users",
        "1,200",
        "1",
    ]
    assert "primary" in wharf("profiles", "schema", "Production", "users").stdout
    assert wharf("profiles", "schema", "Production", "nope").exit_code == 1


def test_login_saves_only_a_token_that_works(wharf: Wharf, api: Api) -> None:
    result = wharf("login", "--token-stdin", stdin=TOKEN + "\n", env={"WHARF_TOKEN": ""})
    assert result.exit_code == 0
    assert access.find(api.url).token == TOKEN
    api.on("GET /api/import/profiles", (401, {"message": "Unauthenticated."}))
    assert wharf("login", "--token-stdin", stdin="whf_wrong\n").exit_code == 1
    assert access.find(api.url).token == TOKEN


def doctor(wharf: Wharf) -> dict[str, str]:
    result = wharf("doctor", "--json")
    found = {one["check"]: one["state"] for one in json.loads(result.stdout)}
    assert (result.exit_code == 1) == ("fail" in found.values())
    return found


def test_doctor_finds_nothing_wrong_where_nothing_is(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/health", (200, {"status": "ok"}))
    assert doctor(wharf) == {"python": "ok", "endpoint": "ok", "clock": "ok", "token": "ok"}


def test_doctor_names_the_one_thing_that_is_wrong(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/health", (200, b"<html>a proxy's page</html>"))
    assert doctor(wharf)["endpoint"] == "fail"
    api.on("GET /api/health", (200, {"status": "ok"}))
    api.on("GET /api/import/profiles", (401, {"message": "Unauthenticated."}))
    assert doctor(wharf)["token"] == "fail"


@pytest.mark.parametrize(("seconds", "state"), [(-1000, "fail"), (1000, "fail"), (200, "ok")])
def test_doctor_compares_the_clocks(seconds: int, state: str) -> None:
    from datetime import UTC, datetime

    from cli.doctor import _clock

    date = formatdate(datetime.now(UTC).timestamp() + seconds, usegmt=True)
    assert _clock(date, datetime.now(UTC)).state == state
    assert _clock("nonsense", datetime.now(UTC)).state == "skip"
