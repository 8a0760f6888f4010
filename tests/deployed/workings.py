"""Behind the stack's door: its Lambda workers as processes, its executions as Step Functions tells of them."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from infra.local.deploy import STACK_NAME
from infra.local.stack import Stack

Event = dict[str, Any]


def workers(function: str) -> list[psutil.Process]:
    """The live processes that play a Lambda; function: its name in app.py."""
    name = f"{STACK_NAME}-{function.capitalize()}-"
    return [process for process in psutil.Process().children(recursive=True) if _plays(process).startswith(name)]


def _plays(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("AWS_LAMBDA_FUNCTION_NAME", ""))
    except psutil.Error:
        return ""


def kill(function: str) -> int:
    """SIGKILL every worker of a Lambda, busy or idle; how many there were."""
    found = workers(function)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    return len(found)


def execution(deployed: Stack, name: str) -> str:
    """The ARN of an execution of the import."""
    return f"{deployed.outputs['StateMachine'].replace(':stateMachine:', ':execution:')}:{name}"


def executions(deployed: Stack) -> list[dict[str, Any]]:
    """All executions of the import, without the children of its Maps."""
    pages = deployed.client("stepfunctions").get_paginator("list_executions")
    return [
        one for page in pages.paginate(stateMachineArn=deployed.outputs["StateMachine"]) for one in page["executions"]
    ]


def history(deployed: Stack, name: str) -> Iterator[Event]:
    """Every event of an execution and of the children of its Maps."""
    states = deployed.client("stepfunctions")
    arn = execution(deployed, name)
    runs = [run for page in states.get_paginator("list_map_runs").paginate(executionArn=arn) for run in page["mapRuns"]]
    arns = [arn]
    for run in runs:
        pages = states.get_paginator("list_executions").paginate(mapRunArn=run["mapRunArn"])
        arns += [child["executionArn"] for page in pages for child in page["executions"]]
    for one in arns:
        for page in states.get_paginator("get_execution_history").paginate(executionArn=one):
            yield from page["events"]


def task_failures(deployed: Stack, name: str) -> Counter[tuple[str, str]]:
    """(Lambda, error) -> how often an attempt of a step ended so."""
    found: Counter[tuple[str, str]] = Counter()
    for event in history(deployed, name):
        if details := event.get("taskFailedEventDetails"):
            function = details["resource"].rpartition(f"{STACK_NAME}-")[2].split("-")[0].lower()
            found[function, details["error"]] += 1
    return found


@contextmanager
def hurried(deployed: Stack, scale: float = 0.05) -> Iterator[None]:
    """Waits and pauses before retries of the state machine take this fraction of their time."""
    _configure(deployed, scale)
    try:
        yield
    finally:
        _configure(deployed, 1)


def _configure(deployed: Stack, scale: float) -> None:
    body = json.dumps({"stepfunctions._SFN_WAIT_SCALE": scale}).encode()
    request = urllib.request.Request(f"{deployed.aws_endpoint}/_ministack/config", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["applied"]
