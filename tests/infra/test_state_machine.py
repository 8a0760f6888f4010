"""The state machine's text: only what AWS accepts and ministack does not silently ignore; every road ends in finish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from chalicelib import errors
from infra.local import deploy

State = dict[str, Any]

AWS_ERRORS = {
    # Step Functions Developer Guide, "Handling errors in Step Functions workflows" and the Lambda integration's page
    "States.ALL",
    "States.Timeout",
    "States.ItemReaderFailed",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    # what Lambda itself reports: out of time, process gone (out of memory)
    "Sandbox.Timedout",
    "Runtime.ExitError",
}

COMMON = {"Type", "Comment", "InputPath", "OutputPath", "Next", "End"}
FIELDS = {
    "Task": COMMON | {"Resource", "Parameters", "ResultSelector", "ResultPath", "TimeoutSeconds", "Retry", "Catch"},
    "Pass": COMMON | {"Parameters", "ResultPath", "Result"},
    "Choice": {"Type", "Comment", "InputPath", "OutputPath", "Choices", "Default"},
    "Wait": COMMON | {"Seconds", "SecondsPath"},
    "Succeed": {"Type", "Comment", "InputPath", "OutputPath"},
    "Map": COMMON
    | {"Label", "ItemReader", "ItemSelector", "ItemProcessor", "MaxConcurrency", "ToleratedFailurePercentage"}
    | {"ResultPath", "Retry", "Catch"},
}
"""No ItemBatcher, no ResultWriter, no ...Path form of a limit: ministack ignores them."""

RETRY_FIELDS = {"ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxAttempts", "JitterStrategy"}
"""No MaxDelaySeconds: ministack ignores it, and the delays must stay short without it."""


def levels(machine: State) -> Iterator[tuple[str, State]]:
    """(path, definition with StartAt and States) of the machine and of every map's inside."""
    yield "", machine
    for name, state in machine["States"].items():
        if state["Type"] == "Map":
            for path, inner in levels(state["ItemProcessor"]):
                yield f"{name}/{path}", inner


def states(machine: State) -> Iterator[tuple[str, State]]:
    for path, level in levels(machine):
        for name, state in level["States"].items():
            yield f"{path}{name}", state


def successors(state: State) -> set[str]:
    """Where a state can lead."""
    found = {state[key] for key in ("Next", "Default") if key in state}
    found |= {choice["Next"] for choice in state.get("Choices", [])}
    return found | {catcher["Next"] for catcher in state.get("Catch", [])}


def reachable(level: State, start: str, without: str | None = None) -> set[str]:
    """The states one can come to, not going through `without`."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in seen and name != without:
            seen.add(name)
            waiting += successors(level["States"][name])
    return seen


def test_every_field_is_one_we_know_both_clouds_honour(machine: State) -> None:
    assert machine.keys() == {"Comment", "StartAt", "States"}
    for name, state in states(machine):
        assert state.keys() <= FIELDS[state["Type"]], name
        for retrier in state.get("Retry", []):
            assert retrier.keys() <= RETRY_FIELDS, name
        for catcher in state.get("Catch", []):
            assert catcher.keys() == {"ErrorEquals", "ResultPath", "Next"}, name


def test_every_state_leads_on_and_can_be_reached(machine: State) -> None:
    for path, level in levels(machine):
        assert reachable(level, level["StartAt"]) == level["States"].keys(), path
        for name, state in level["States"].items():
            assert len(name) <= 80
            assert state["Type"] in ("Choice", "Succeed") or "Next" in state, f"{path}{name}"


def test_errors_are_named_as_they_are_raised(machine: State) -> None:
    ours = {errors.Retryable.__name__, errors.Fatal.__name__}  # all that steps let out: tests/steps/test_guard.py
    for name, state in states(machine):
        for rule in state.get("Retry", []) + state.get("Catch", []):
            assert set(rule["ErrorEquals"]) <= AWS_ERRORS | ours, name
            assert rule["ErrorEquals"] == ["States.ALL"] or "States.ALL" not in rule["ErrorEquals"], name


def test_every_task_is_repeated_after_what_passes_and_the_delays_stay_bounded(machine: State) -> None:
    tasks = {name: state for name, state in states(machine) if state["Type"] == "Task"}
    assert len(tasks) == 7
    for name, state in tasks.items():
        repeated = {error for retrier in state["Retry"] for error in retrier["ErrorEquals"]}
        assert {"Retryable", "Lambda.TooManyRequestsException", "Sandbox.Timedout", "Runtime.ExitError"} <= repeated, (
            name
        )
        for retrier in state["Retry"]:
            rate, attempts = retrier["BackoffRate"], retrier["MaxAttempts"]
            assert retrier["IntervalSeconds"] * rate ** (attempts - 1) <= 300, name


def test_tasks_wait_longer_than_their_lambdas_live(machine: State) -> None:
    config = json.loads((deploy.ROOT / ".chalice" / "config.json").read_text())
    for name, state in states(machine):
        if state["Type"] == "Task":
            function = state["Resource"].removeprefix("${").removesuffix("Function}").lower()
            assert state["TimeoutSeconds"] > config["lambda_functions"][function]["lambda_timeout"], name


def test_every_failure_at_the_top_goes_to_finish(machine: State) -> None:
    for name, state in machine["States"].items():
        if state["Type"] in ("Task", "Map") and name != "Finish":
            assert state["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Failed"}], name
    assert machine["States"]["Failed"]["Next"] == "Finish"


def test_no_road_ends_without_finish(machine: State) -> None:
    ends = {name for name, state in machine["States"].items() if state["Type"] in ("Succeed", "Fail") or "End" in state}
    assert ends == {"Done"}
    assert not ends & reachable(machine, machine["StartAt"], without="Finish")


def test_maps_hand_nothing_back_and_tolerate_nothing(machine: State) -> None:
    maps = {name: state for name, state in machine["States"].items() if state["Type"] == "Map"}
    assert maps.keys() == {"Read", "Settle", "Apply"}
    for name, state in maps.items():
        inside = state["ItemProcessor"]
        assert state["ResultPath"] is None, name
        assert state["ToleratedFailurePercentage"] == 0, name
        assert state["MaxConcurrency"] == "${Concurrency}", name
        assert inside["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, name
        ends = [inner for inner in inside["States"].values() if inner["Type"] == "Succeed"]
        assert ends == [{"Type": "Succeed", "OutputPath": None}], name
        assert not any(inner["Type"] == "Map" for inner in inside["States"].values()), name


def test_a_step_with_work_left_is_called_again(machine: State) -> None:
    for name, state in machine["States"].items():
        for task, inner in state.get("ItemProcessor", {}).get("States", {}).items():
            if inner["Type"] == "Task":
                choice = state["ItemProcessor"]["States"][inner["Next"]]
                assert choice["Choices"] == [{"Variable": "$.step.state", "StringEquals": "more", "Next": task}], name


def test_chunks_carry_ids_and_bounds_only(machine: State) -> None:
    ids = {"org.$", "job.$", "type.$", "chunk.$"}
    selected = {
        name: state["ItemSelector"]["item"].keys() for name, state in machine["States"].items() if "Label" in state
    }
    assert selected == {"Read": ids | {"low.$", "high.$", "rows.$", "raw.$"}, "Settle": ids, "Apply": ids}
