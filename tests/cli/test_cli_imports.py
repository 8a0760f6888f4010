"""`wharf import run` and `wharf jobs`: what is asked for, what is shown, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import TOKEN, Api, Wharf, job

ID = job()["id"]
PROFILE = {"id": "6f0a3c1e-7f0b-4c57-9a38-3b5b0f6f2d11", "name": "Production"}


@pytest.fixture(autouse=True)
def started(api: Api) -> None:
    api.on("GET /api/import/profiles", (200, {"data": [PROFILE], "meta": {"total": 1}}))
    api.on("POST /api/import/jobs", (201, {"message": "ok", "job": job(status="running")}))
    ends(api)


def ends(api: Api, **values: object) -> None:
    done = job(**values)
    api.on(f"GET /api/import/jobs/{ID}/status", (200, {"job_id": ID, **done}))
    api.on(f"GET /api/import/jobs/{ID}", (200, done))
    failed = {"data": [{"error_message": "Duplicate entry found for key 'email'."}], "meta": {"total": 1}}
    api.on("GET /api/import/analytics/records", (200, failed))


def sent(api: Api) -> object:
    return next(one.body for one in api.asked if one.method == "POST")


def test_asks_for_what_the_options_say(wharf: Wharf, api: Api) -> None:
    options = {"-p": "Production", "--limit": "5", "--mode": "create", "--types": "agents,tickets"}
    wharf("import", "run", "--dry-run", "-t", "accounts", *(word for pair in options.items() for word in pair))
    assert sent(api) == {
        "profile_id": PROFILE["id"],
        "options": {
            "dry_run": True,
            "selected_types": ["accounts", "agents", "tickets"],
            "import_filters": {"limit": 5},
        },
        "mode_config": {"import_mode": "create"},
    }


def test_leaves_defaults_to_the_api(wharf: Wharf, api: Api) -> None:
    wharf("import", "run", "-p", "Production")
    assert sent(api) == {"profile_id": PROFILE["id"], "options": {}}


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"records_failed": 0}, 0),
        ({"records_failed": 1}, 3),
        ({"status": "failed", "records_failed": 0}, 1),
        ({"status": "cancelled", "records_failed": 0}, 1),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_exit_code_tells_how_it_ended(
    wharf: Wharf, api: Api, values: dict[str, object], code: int, form: tuple[str, ...]
) -> None:
    ends(api, **values)
    assert wharf("import", "run", "-p", "Production", *form).exit_code == code
    assert wharf("jobs", "watch", ID, *form).exit_code == code


def test_the_summary_has_every_type_a_total_and_reasons(wharf: Wharf) -> None:
    result = wharf("import", "run", "-p", "Production")
    assert [line.split() for line in result.stdout.splitlines()[:4]] == [
        ["type", "rows", "created", "updated", "skipped", "failed"],
        ["agents", "2", "1", "0", "1", "0"],
        ["tickets", "10", "9", "0", "0", "1"],
        ["total", "12", "10", "0", "1", "1"],
    ]
    assert "1  Duplicate entry found for key 'email'." in result.stdout
    assert "Completed with 1 failed rows. 12 rows in 3 s, 4 rows/s." in result.stdout


def test_progress_never_mixes_with_data(wharf: Wharf) -> None:
    result = wharf("import", "run", "-p", "Production", "--json")
    assert json.loads(result.stdout)["id"] == ID
    assert "started" in result.stderr


def test_no_wait_prints_the_id_alone(wharf: Wharf, api: Api) -> None:
    result = wharf("import", "run", "-p", "Production", "--no-wait")
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    assert not [one for one in api.asked if "status" in one.path]


def test_a_job_that_is_running_already_is_named(wharf: Wharf, api: Api) -> None:
    refusal = {"message": "An import job is already running on this profile", "code": "job_running"}
    api.on("POST /api/import/jobs", (400, refusal))
    result = wharf("import", "run", "-p", "Production")
    assert result.exit_code == 1
    assert "already running" in result.stderr


def test_a_profile_nobody_has_is_said_before_anything_starts(wharf: Wharf, api: Api) -> None:
    result = wharf("import", "run", "-p", "Produktion")
    assert result.exit_code == 1
    assert "no profile named 'Produktion'" in result.stderr
    assert not [one for one in api.asked if one.method == "POST"]


def test_two_profiles_of_one_name_need_an_id(wharf: Wharf, api: Api) -> None:
    both = [PROFILE, PROFILE | {"id": "7f0a3c1e-7f0b-4c57-9a38-3b5b0f6f2d11"}]
    api.on("GET /api/import/profiles", (200, {"data": both, "meta": {"total": 2}}))
    result = wharf("import", "run", "-p", "Production")
    assert result.exit_code == 1
    assert PROFILE["id"] in result.stderr


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_go_on(api: Api) -> None:
    api.on(f"GET /api/import/jobs/{ID}/status", (200, {"job_id": ID, **job(status="running")}))
    code = "from cli.main import main; main()"
    command = [sys.executable, "-c", code, "import", "run", "-p", "Production"]
    environment = {**os.environ, "WHARF_ENDPOINT": api.url, "WHARF_TOKEN": TOKEN}
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not any("status" in one.path for one in api.asked):
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    out, said = started.communicate(timeout=10)
    assert started.returncode == 130
    assert out == ""
    assert f"wharf jobs cancel {ID}" in said
    assert not [one for one in api.asked if "cancel" in one.path]


def test_jobs_without_an_id_means_the_newest(wharf: Wharf, api: Api) -> None:
    api.on("GET /api/import/jobs", (200, {"data": [job()], "meta": {"total": 1}}))
    assert ID in wharf("jobs", "show").stdout
    api.on("GET /api/import/jobs", (200, {"data": [], "meta": {"total": 0}}))
    assert wharf("jobs", "watch").exit_code == 1


def test_cancel_waits_until_the_workers_have_let_go(wharf: Wharf, api: Api) -> None:
    api.on(f"POST /api/import/jobs/{ID}/cancel", (200, {"message": "ok", "job": job(status="running")}))
    ends(api, status="cancelled")
    result = wharf("jobs", "cancel", ID)
    assert result.exit_code == 0
    assert "Cancelled." in result.stderr


def test_errors_of_the_job_are_shown(wharf: Wharf, api: Api) -> None:
    ends(api, status="failed", errors=[{"message": "Authentication failed", "code": "authentication_failed"}])
    assert "Authentication failed" in wharf("jobs", "show", ID).stdout
