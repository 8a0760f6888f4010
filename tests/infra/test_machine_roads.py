"""The state machine's roads, run in the embedded cloud with scripted steps: what is called, how often, with what."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.local import cloud, deploy
from infra.local.processes import choose_port

JOBS = ("plain", "dry", "ended", "unplanned", "long", "shaky", "killed", "queued", "cancelled", "broken")

ALL = {"plan": 1, "extract": 4, "transform": 4, "match": 3, "decide": 4, "load": 4, "finish": 1}
"""One agent's chunk, none of an empty type, three of tickets."""


@dataclass
class Roads:
    """Every job's execution, ended, and the calls it made."""

    calls: list[dict[str, Any]]
    executions: dict[str, dict[str, Any]]

    def of(self, job: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["job"] == job]

    def counts(self, job: str) -> Counter[str]:
        return Counter(call["step"] for call in self.of(job))


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roads]:
    root, state = tmp_path_factory.mktemp("scripted"), tmp_path_factory.mktemp("cloud")
    calls = state / "calls"
    calls.touch()
    script = Path(__file__).with_name("scripted_app.py.txt").read_text()
    (root / "app.py").write_text(script.replace("@CALLS@", str(calls)))
    (root / "chalicelib").mkdir()
    for name in ("infra", ".chalice"):
        (root / name).symlink_to(deploy.ROOT / name)
    port = choose_port(None, purpose="the embedded cloud")
    running = cloud.run(state / "cloud", port, log=state / "cloud.log", SFN_WAIT_SCALE="0.05")
    try:
        outputs = deploy.deploy(running, state, root=root)
        executions = run_all(running.client("stepfunctions"), outputs["StateMachine"])
        yield Roads([json.loads(line) for line in calls.read_text().splitlines()], executions)
    finally:
        running.stop()


def run_all(client: Any, machine: str) -> dict[str, dict[str, Any]]:
    """Run the jobs one after another: on few cores, that keeps to a handful of warm workers."""
    executions = {}
    for job in JOBS:
        start = {"stateMachineArn": machine, "name": job, "input": json.dumps({"org": "o", "job": job})}
        arn = client.start_execution(**start)["executionArn"]
        deadline = time.monotonic() + 60
        while (execution := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        executions[job] = execution
    return executions


def test_every_execution_ends_well_since_finish_tells_the_outcome(roads: Roads) -> None:
    assert {job: execution["status"] for job, execution in roads.executions.items()} == dict.fromkeys(JOBS, "SUCCEEDED")
    assert all(roads.counts(job)["finish"] >= 1 for job in JOBS)


def test_a_plain_job_goes_through_every_step_of_every_type_in_order(roads: Roads) -> None:
    assert roads.counts("plain") == ALL
    order = [(call.get("type"), call["step"]) for call in roads.of("plain")]
    first = {place: order.index(place) for place in dict.fromkeys(order)}
    assert sorted(first, key=first.__getitem__) == [
        (None, "plan"),
        *[("agents", step) for step in ("extract", "transform", "match", "decide", "load")],
        ("empty", "match"),
        *[("tickets", step) for step in ("extract", "transform", "match", "decide", "load")],
        (None, "finish"),
    ]


def test_steps_are_given_ids_and_bounds_and_nothing_else(roads: Roads) -> None:
    given = {call["step"]: call for call in roads.of("plain") if call.get("chunk") in (None, 2)}
    ids = {"org": "o", "job": "plain", "type": "tickets"}
    assert given["plan"] == {"step": "plan", "org": "o", "job": "plain"}
    assert given["extract"] == {"step": "extract", **ids, "chunk": 2, "low": None, "high": 2, "rows": 1, "raw": None}
    assert given["transform"] == given["extract"] | {"step": "transform"}
    assert given["match"] == {"step": "match", **ids}
    assert given["decide"] == {"step": "decide", **ids, "chunk": 2}
    assert given["load"] == {"step": "load", **ids, "chunk": 2}
    assert given["finish"] == {"step": "finish", "org": "o", "job": "plain"}


def test_a_dry_run_ends_after_decide(roads: Roads) -> None:
    assert roads.counts("dry") == {step: times for step, times in ALL.items() if step != "load"}


@pytest.mark.parametrize("job", ["ended", "cancelled"])
def test_a_job_that_is_over_goes_to_finish_without_an_error(roads: Roads, job: str) -> None:
    assert roads.counts(job)["decide"] == 0
    assert "error" not in roads.of(job)[-1]


def test_a_step_with_work_left_is_called_again_with_the_same_input(roads: Roads) -> None:
    assert roads.counts("long") == {**ALL, "extract": 12}


def test_what_is_retryable_is_tried_again(roads: Roads) -> None:
    assert roads.counts("shaky") == {**ALL, "extract": 12}


def test_a_worker_that_died_is_replaced_and_its_step_repeated(roads: Roads) -> None:
    assert roads.counts("killed") == {**ALL, "extract": 5}


def test_a_job_waits_for_a_type_that_another_job_is_writing(roads: Roads) -> None:
    assert roads.counts("queued") == {**ALL, "match": 9, "finish": 3}


def test_a_fatal_step_is_not_repeated_and_its_class_name_reaches_finish(roads: Roads) -> None:
    assert roads.counts("unplanned") == {"plan": 1, "finish": 1}
    assert roads.of("unplanned")[-1]["error"]["Error"] == "Fatal"


def test_a_chunk_that_failed_for_good_leads_to_finish_and_no_further_type(roads: Roads) -> None:
    last = roads.of("broken")[-1]
    assert last["step"] == "finish"
    assert last["error"]["Error"] == "States.ExceedToleratedFailureThreshold"
    assert len([call for call in roads.of("broken") if call["step"] == "decide" and call["chunk"] == 1]) == 1
    assert not [call for call in roads.of("broken") if call["step"] == "load" and call["type"] == "tickets"]
