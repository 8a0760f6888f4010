"""Least privilege, both ways: each function may make every call it makes, and may do nothing it never does.

The embedded cloud does not enforce IAM. So everything runs in this process on the deployed tables, bucket and key, what
each function calls is written down, and held against the policy the template gives it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chalice.test import Client

import app
from chalicelib import clients, settings
from chalicelib.paths import ELSEWHERE
from chalicelib.steps import plan
from infra.local.stack import Stack
from tests import conftest
from tests.deployed.faults import source
from tests.deployed.policies import Need, Recorder, grants, names, recording
from tests.deployed.tour import Tour

FUNCTIONS = ("APIHandler", "Bootstrap", "Plan", "Extract", "Transform", "Match", "Decide", "Load", "Finish", "Sweep")

RUNTIME = {"logs:CreateLogStream", "logs:PutLogEvents"}
"""What Lambda itself does with a function's role, whatever the function does."""

SPARE = {
    # The others have it for what they put into S3.
    ("Bootstrap", "kms:GenerateDataKey"): "DynamoDB's guide names it among what users of a customer managed key need",
}
"""(function, action) -> why it is granted though nothing here comes to it."""


@dataclass
class Toured:
    recorder: Recorder
    visited: set[tuple[str, str]]
    template: dict[str, Any]
    lines: list[dict[str, Any]]

    def needs(self, function: str) -> set[Need]:
        return self.recorder.needs[function]


@pytest.fixture(scope="module")
def toured(deployed: Stack, in_process: None) -> Iterator[Toured]:
    states = deployed.client("stepfunctions")
    nothing = '{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}'
    role = "arn:aws:iam::000000000000:role/none"
    machine = states.create_state_machine(name="tour-import", definition=nothing, roleArn=role)["stateMachineArn"]
    os.environ["WHARF_STATE_MACHINE"] = machine  # in_process puts it back
    settings.get.cache_clear()
    template = json.loads((deployed.state / "build" / "out" / "sam.json").read_text())
    written = io.StringIO()
    whole, plan.CHUNK_ROWS = plan.CHUNK_ROWS, source.CHUNK_ROWS
    with recording(names(deployed, machine)) as recorder, Client(app.app) as client:
        clients.client.cache_clear()
        tour = Tour(recorder, conftest.database(deployed.postgres, "policies"), client)
        with contextlib.redirect_stderr(written):
            tour.go()
    plan.CHUNK_ROWS = whole
    yield Toured(recorder, tour.visited, template, [json.loads(line) for line in written.getvalue().splitlines()])
    clients.client.cache_clear()


def test_the_tour_comes_by_every_route_and_every_function(toured: Toured) -> None:
    routes = {(method, path) for path, methods in app.app.routes.items() for method in methods if path != ELSEWHERE}
    missing = sorted(f"{method} {path}" for method, path in routes - toured.visited if path != ELSEWHERE)
    assert missing == [], "nobody has looked what these routes may do: call them in tests/deployed/tour.py"
    functions = {
        name for name, one in toured.template["Resources"].items() if one["Type"] == "AWS::Serverless::Function"
    }
    assert functions == set(FUNCTIONS) == toured.recorder.needs.keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_call_is_allowed(toured: Toured, function: str) -> None:
    granted = grants(toured.template, function, toured.recorder.names)
    denied = {need for need in toured.needs(function) if not any(grant.allows(need) for grant in granted)}
    assert sorted(f"{need.action} on {need.resource}" for need in denied) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_is_allowed_that_is_never_done(toured: Toured, function: str) -> None:
    idle = set()
    for grant in grants(toured.template, function, toured.recorder.names):
        used = {need for need in toured.needs(function) if grant.allows(need)}
        idle |= {(grant.sid, action) for action in grant.actions if action not in {need.action for need in used}}
        for resource in grant.resources if used else ():
            alone = {need for need in used if _is(need.resource, resource)}
            assert alone, f"{grant.sid}: {resource} is never touched"
    unexplained = {f"{sid}: {action}" for sid, action in idle if action not in RUNTIME | _spared(function)}
    assert not unexplained, f"granted and never used: {', '.join(sorted(unexplained))}"
    assert _spared(function) <= {action for _, action in idle}, "it is used after all: no reason is needed"


def _is(resource: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), resource) is not None


def _spared(function: str) -> set[str]:
    return {action for name, action in SPARE if name == function}


def test_a_policy_with_less_and_one_with_more_are_noticed(toured: Toured) -> None:
    template = json.loads(json.dumps(toured.template))
    for statement in template["Resources"]["LoadRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
        if statement["Sid"] == "Records":
            statement["Action"] = [action for action in statement["Action"] if action != "dynamodb:PartiQLInsert"]
    granted = grants(template, "Load", toured.recorder.names)
    denied = {need.action for need in toured.needs("Load") if not any(grant.allows(need) for grant in granted)}
    assert denied == {"dynamodb:PartiQLInsert"}
    elsewhere = Need("dynamodb:PartiQLInsert", toured.recorder.names.arns["StateTable"])
    bare = Need("kms:Decrypt", toured.recorder.names.arns["DataKey"])
    for need in (elsewhere, bare):
        assert not any(grant.allows(need) for grant in grants(toured.template, "Load", toured.recorder.names))


def test_what_was_written_down_is_documented_and_tells_nothing(toured: Toured) -> None:
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert {name for line in toured.lines for name in line} <= documented
    steps = [line for line in toured.lines if "step" in line]
    counted = {line["step"] for line in steps if line.get("rows")}
    assert counted == {"plan", "extract", "transform", "match", "decide", "load", "finish", "sweep"}
    assert {line["step"] for line in steps if line.get("bytes")} >= counted
    text = json.dumps(toured.lines)
    for secret in ("a@x", "ada@", "first", "edited", "postgres", "127.0.0.1", "whf_", "long "):
        assert secret not in text, secret
