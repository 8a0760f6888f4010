"""The front door stays light and complete: one zip serves every Lambda."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

import app
from chalicelib.errors import Fatal

HEAVY = (
    "boto3",
    "botocore",
    "psycopg",
    "pydantic",
    "sqlglot",
    "cryptography",
    "rapidfuzz",
    "rich",
    "typer",
    "aws_lambda_powertools",
)


def test_importing_the_front_door_loads_nothing_heavy() -> None:
    code = f"import sys, app; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def context(seconds: float = 42) -> SimpleNamespace:
    return SimpleNamespace(aws_request_id="r-1", get_remaining_time_in_millis=lambda: int(seconds * 1000))


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_a_step_is_given_the_clock_and_the_seconds_left() -> None:
    def step(event: dict[str, object], *, now: object, remaining: object) -> dict[str, object]:
        assert now() > 1_700_000_000
        return {"seconds": remaining()}

    assert app.invoke("plan", step, {}, context(17.5)) == {"seconds": 17.5}


def test_a_step_writes_one_line_with_its_place_and_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"org": "o", "job": "j", "type": "agents", "chunk": 3, "low": 1, "secret": "canary"}
    app.invoke("extract", lambda event, **_: {"state": "done", "canary": 1}, event, context())
    written = line(capsys)
    assert written.pop("seconds") >= 0
    assert {written.pop(name) for name in ("level", "message", "service")} == {"INFO", "step ended", "wharf"}
    assert written.pop("timestamp").startswith("20")
    assert written.pop("cold_start") in (True, False)
    assert written.pop("_aws")["CloudWatchMetrics"][0]["Dimensions"] == [["service", "step"]]
    assert written == {
        "step": "extract",
        "request_id": "r-1",
        "org": "o",
        "job": "j",
        "type": "agents",
        "chunk": 3,
        "state": "done",
    }


def test_a_failed_step_writes_its_class_and_code_and_not_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    def step(event: dict[str, object], **_: object) -> dict[str, object]:
        raise Fatal("canary", code="source_changed")

    with pytest.raises(Fatal):
        app.invoke("load", step, {"org": "o", "job": "j"}, context())
    written = line(capsys)
    assert (written["error"], written["code"]) == ("Fatal", "source_changed")
    assert "canary" not in json.dumps(written)


def test_every_step_of_the_machine_has_its_function() -> None:
    names = {function.name for function in app.app.pure_lambda_functions}
    assert names == {"plan", "extract", "transform", "match", "decide", "load", "finish", "bootstrap"}
    assert [event.name for event in app.app.event_sources] == ["sweep"]


def test_the_map_leads_to_every_declared_route_and_nowhere_else() -> None:
    from pathlib import Path

    from chalicelib import routes
    from chalicelib.paths import ELSEWHERE, PATHS

    files = {path.stem for path in Path(routes.__path__[0]).glob("*.py")} - {"__init__"}
    declared = {
        (name, *place)
        for name in files
        for place in __import__(f"chalicelib.routes.{name}", fromlist=["routes"]).routes.endpoints
    }
    assert {(name, method, path) for path, (name, methods) in PATHS.items() for method in methods} == declared
    served = {(method, path) for path, methods in app.app.routes.items() for method in methods if path != ELSEWHERE}
    assert served == {(method, path) for _, method, path in declared}
    assert all(list(methods) == sorted(methods) for _, methods in PATHS.values())  # as `Allow` shows them
