"""Every function is watched, and what alarms and dashboard look at is what the code really emits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.test import Client

import app
from chalicelib import errors, telemetry
from chalicelib.steps import RESERVE_SECONDS
from infra import package

Template = dict[str, Any]
Line = dict[str, Any]
Metric = tuple[str, frozenset[str]]

AWS = {
    # CloudWatch's documentation of each service: metric -> the dimensions it is published with
    "AWS/Lambda": (
        {"Errors", "Throttles", "Duration", "Invocations", "ConcurrentExecutions"},
        [{"FunctionName"}],
    ),
    "AWS/States": (
        {"ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"}
        | {"ExecutionThrottled"},
        [{"StateMachineArn"}],
    ),
    "AWS/ApiGateway": ({"Count", "4XXError", "5XXError", "Latency", "IntegrationLatency"}, [{"ApiName"}]),
    "AWS/DynamoDB": (
        {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ReadThrottleEvents", "WriteThrottleEvents"},
        [{"TableName"}, {"TableName", "GlobalSecondaryIndexName"}],
    ),
}

SEARCH = re.compile(r"""SEARCH\('\{Wharf,([\w,]+)\} MetricName="(\w+)" service="\$\{AWS::StackName\}"', '\w+', 300\)""")


def functions(template: Template) -> dict[str, dict[str, Any]]:
    return of_type(template, "AWS::Serverless::Function")


def alarms(template: Template) -> dict[str, dict[str, Any]]:
    return of_type(template, "AWS::CloudWatch::Alarm")


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == kind}


def dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in alarm["Dimensions"]}


@pytest.fixture(scope="module")
def body() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((package.ROOT / "infra" / "dashboard.json").read_text())
    return found


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str]) -> list[Line]:
    """A line of every function, each with all it can count, and of a request, an unknown path and an error."""
    names = [function.name for function in app.app.pure_lambda_functions] + ["sweep"]
    context = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 1000)
    event = {"org": "o", "job": "j", "type": "tickets", "chunk": 1}

    def step(*_: Any, **__: Any) -> Line:
        telemetry.count(rows=1, bytes=1, rejects=1, throttles=1)
        return {"state": "done"}

    def failing(*_: Any, **__: Any) -> Line:
        raise KeyError

    capsys.readouterr()
    for name in names:
        app.invoke(name, step, event, context)
    with pytest.raises(errors.Fatal):
        app.invoke("load", failing, event, context)
    with Client(app.app) as client:
        for path in ("/api/health", "/api/import/jobs", "/api/elsewhere"):
            client.http.get(path)
    with telemetry.invocation("resource", "jobs", request_id="r"):
        telemetry.count(throttles=1, uncounted=1)
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def metrics(lines: list[Line]) -> set[Metric]:
    found = set()
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):  # a warning has none
            assert directive["Namespace"] == "Wharf"
            for named in directive["Dimensions"]:
                assert all(line[name] for name in named)
                found |= {(metric["Name"], frozenset(named)) for metric in directive["Metrics"]}
    return found


def longest_usual(name: str, timeout: int) -> float:
    """Seconds a function may take before somebody is told: a step that hands on its work does so later than others."""
    source = package.ROOT / "chalicelib" / "steps" / f"{name.lower()}.py"
    if not source.exists() or "RESERVE_SECONDS" not in source.read_text():
        return timeout * 0.9
    handed_on = timeout - RESERVE_SECONDS
    usual = timeout - 5
    assert handed_on + 5 <= usual < timeout, name
    return usual


def test_every_function_is_watched_for_errors_throttling_and_its_time_out(template: Template) -> None:
    watched = {
        (dimensions(alarm)["FunctionName"]["Ref"], alarm["MetricName"]): alarm
        for alarm in alarms(template).values()
        if alarm["Namespace"] == "AWS/Lambda"
    }
    for name, function in functions(template).items():
        assert watched[name, "Errors"]["Threshold"] in (1, 5), name
        assert watched[name, "Throttles"]["Threshold"] == 1, name
        assert watched[name, "Duration"]["Threshold"] == longest_usual(name, function["Timeout"]) * 1000, name
        assert watched[name, "Duration"]["Statistic"] == "Maximum", name
    assert watched["Sweep", "Invocations"]["TreatMissingData"] == "breaching"
    assert watched["Sweep", "Invocations"]["Period"] == 1800


def test_every_alarm_says_what_it_is_about_and_goes_to_the_topic(template: Template) -> None:
    for name, alarm in alarms(template).items():
        assert alarm["AlarmActions"] == [{"Ref": "Alarms"}], name
        assert alarm["AlarmDescription"].endswith("."), name
        assert alarm["TreatMissingData"] == ("breaching" if name == "SweepMissing" else "notBreaching"), name
    subscription = template["Resources"]["AlarmsByEmail"]
    assert subscription["Condition"] == "HasAlarmEmail"
    assert subscription["Properties"]["Endpoint"] == {"Ref": "AlarmEmail"}
    assert template["Parameters"]["AlarmEmail"]["Default"] == ""


def test_the_machine_the_api_and_every_table_are_watched(template: Template) -> None:
    found = {(alarm["MetricName"], json.dumps(dimensions(alarm))) for alarm in alarms(template).values()}
    machine = json.dumps({"StateMachineArn": {"Ref": "ImportMachine"}})
    assert {(name, machine) for name in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionThrottled")} <= found
    assert ("5XXError", json.dumps({"ApiName": "wharf"})) in found
    assert template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["info"]["title"] == "wharf"
    for name, table in of_type(template, "AWS::DynamoDB::Table").items():
        for kind in ("ReadThrottleEvents", "WriteThrottleEvents"):
            assert (kind, json.dumps({"TableName": {"Ref": name}})) in found, name
        for index in table.get("GlobalSecondaryIndexes", []):
            named = {"TableName": {"Ref": name}, "GlobalSecondaryIndexName": index["IndexName"]}
            assert ("WriteThrottleEvents", json.dumps(named)) in found, index


def test_every_alarm_looks_at_a_metric_that_is_emitted_with_these_dimensions(
    template: Template, emitted: list[Line]
) -> None:
    ours = metrics(emitted)
    steps = {line["step"] for line in emitted if "step" in line}
    for name, alarm in alarms(template).items():
        named = dimensions(alarm)
        if alarm["Namespace"] != "Wharf":
            known, sets = AWS[alarm["Namespace"]]
            assert alarm["MetricName"] in known, name
            assert named.keys() in sets, name
            continue
        assert (alarm["MetricName"], frozenset(named)) in ours, name
        assert named["service"] == {"Ref": "AWS::StackName"}, name
        assert named["step"] in steps, name
    environment = template["Globals"]["Function"]["Environment"]["Variables"]
    assert environment["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def shown(body: dict[str, Any]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """(namespace, metric, dimensions) of every line of every widget."""
    for widget in body["widgets"]:
        for entry in widget["properties"]["metrics"]:
            if isinstance(entry[0], dict):
                names, metric = SEARCH.fullmatch(entry[0]["expression"]).groups()  # type: ignore[union-attr]
                yield "Wharf", metric, frozenset(names.split(","))
            else:
                yield entry[0], entry[1], frozenset(entry[2::2])


def test_the_dashboard_shows_every_metric_that_is_emitted_and_no_other(
    body: dict[str, Any], emitted: list[Line]
) -> None:
    ours = {(metric, names) for namespace, metric, names in shown(body) if namespace == "Wharf"}
    assert ours == metrics(emitted)
    assert {(name, frozenset({"service", kind})) for kind, all_ in telemetry.METRICS.items() for name in all_} == ours
    for namespace, metric, names in shown(body):
        if namespace != "Wharf":
            known, sets = AWS[namespace]
            assert metric in known
            assert set(names) in sets


def test_the_dashboard_names_every_function_and_table(body: dict[str, Any], template: Template) -> None:
    text = json.dumps(body)
    for name in (*functions(template), *of_type(template, "AWS::DynamoDB::Table"), "ImportMachine"):
        assert f'"${{{name}}}"' in text, name
    assert template["Resources"]["Dashboard"]["Properties"]["DashboardBody"].keys() == {"Fn::Sub"}
    assert json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]) == body


# --- what is documented


PAGE = (Path(package.ROOT) / "docs" / "observability.md").read_text()


def rows(heading: str) -> list[list[str]]:
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line for line in section[1].splitlines() if line.startswith("| ")]  # type: ignore[index]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines][1:]


def test_every_field_that_is_emitted_is_documented(emitted: list[Line]) -> None:
    documented = {row[0].strip("` ") for row in rows("A line")}
    fields = {name for line in emitted for name in line}
    assert fields - documented == set()
    only_there = {"user", "profile", "record", "template", "logger"}  # of a signed-in request; of what a library says
    assert documented - fields == only_there


def test_every_metric_is_documented_with_its_dimension_and_unit() -> None:
    documented = {
        (metric.strip("` "), dimension.strip("` "), unit)
        for metric, by, unit, *_ in rows("Metrics")
        for dimension in by.split(", ")
    }
    assert documented == {
        (name, dimension, telemetry.UNITS[name]) for dimension, names in telemetry.METRICS.items() for name in names
    }


def test_every_alarm_is_documented(template: Template) -> None:
    words = {word for row in rows("Alarms") for word in re.findall(r"`([\w<>]+)`", row[0])}
    expected = {word for word in words if "<" not in word}
    for name in functions(template):
        expected |= {word.replace("<function>", name) for word in words if "<" in word}
    assert expected == alarms(template).keys()
    assert f"{len(alarms(template))} alarms" in PAGE
