"""The benchmarks: what they count is right, and each still runs. No figure is judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.calls import Call, item_bytes
from benchmarks.machine import Walk

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("attribute", "size"),
    [
        ({"S": "café"}, 5),
        ({"N": "1234"}, 3),
        ({"N": "-1"}, 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"M": {"a": {"S": "xy"}}}, 3 + 1 + 1 + 2),
        ({"L": [{"S": "x"}, {"S": "yz"}]}, 3 + 2 + 3),
        ({"SS": ["ab", "c"]}, 3),
    ],
)
def test_items_are_as_large_as_dynamodb_says(attribute: dict[str, Any], size: int) -> None:
    assert item_bytes({"name": attribute}) == 4 + size


def test_a_statements_writes_are_seen_with_the_index_they_go_to() -> None:
    text = "INSERT INTO \"records\" VALUE {'pk': ?, 'sk': ?, 'data': ?, 'parent': ?}"
    values = [{"S": "O#o#T#ticket_notes#07"}, {"S": "n1"}, {"S": "x" * 1100}, {"S": "O#o#T#ticket_notes#t1"}]
    changed = 'UPDATE "records" SET "data" = ? SET "ver" = ? WHERE "pk" = ? AND "sk" = ? AND "ver" = ? AND "by" = ?'
    state = [{"S": "y"}, {"N": "2"}, {"S": "p"}, {"S": "s"}, {"N": "1"}, {"S": "b"}]
    statements = [{"Statement": text, "Parameters": values}, {"Statement": changed, "Parameters": state}]
    made, updated = Call("dynamodb", "BatchExecuteStatement", {"Statements": statements}).written
    assert (made.table, made.partition, made.sort, made.index) == (
        "records",
        "O#o#T#ticket_notes#07",
        "n1",
        "O#o#T#ticket_notes#t1",
    )
    assert made.units({}) == 2
    assert (updated.partition, updated.sort, updated.units({})) == ("p", "s", 1)


def test_a_transaction_counts_twice_and_its_checks_are_no_writes() -> None:
    item = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    operations = [
        {"Put": {"TableName": "records", "Item": item}},
        {"ConditionCheck": {"TableName": "state", "Key": item}},
        {"Update": {"TableName": "state", "Key": {"pk": {"S": "j"}, "sk": {"S": "c"}}}},
    ]
    put, update = Call("dynamodb", "TransactWriteItems", {"TransactItems": operations}).written
    assert put.units({}) == 2
    assert update.units({("j", "c"): 3000}) == 6


MACHINE = {
    "StartAt": "Plan",
    "States": {
        "Plan": {
            "Type": "Task",
            "Resource": "${PlanFunction}",
            "Parameters": {"job.$": "$.job"},
            "ResultPath": "$.plan",
            "Next": "More?",
        },
        "More?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.plan.state", "StringEquals": "more", "Next": "Plan"}],
            "Default": "Each",
        },
        "Each": {
            "Type": "Map",
            "ResultPath": None,
            "ItemReader": {"Parameters": {"Key.$": "$.plan.manifest"}},
            "ItemSelector": {"item": {"job.$": "$.job", "chunk.$": "$$.Map.Item.Value.chunk"}},
            "ItemProcessor": {
                "StartAt": "Load",
                "States": {
                    "Load": {
                        "Type": "Task",
                        "Resource": "${LoadFunction}",
                        "InputPath": "$.item",
                        "ResultPath": "$.step",
                        "Next": "Done",
                    },
                    "Done": {"Type": "Succeed", "OutputPath": None},
                },
            },
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}


def test_a_walk_counts_events_transitions_and_children_as_aws_does() -> None:
    given: list[tuple[str, dict[str, Any]]] = []
    answers = iter([{"state": "more"}, {"state": "planned", "manifest": "m"}])

    def task(step: str, event: dict[str, Any]) -> dict[str, Any]:
        given.append((step, event))
        return next(answers) if step == "plan" else {"state": "done"}

    walk = Walk(task, lambda key: [{"chunk": 0}, {"chunk": 1}] if key == "m" else [])
    walk.run(MACHINE, {"job": "j"})
    assert walk.roads == ["Plan", "More?", "Plan", "More?", "Each", "Done"]
    assert walk.events == 2 + 5 + 2 + 5 + 2 + 6 + 2
    assert (walk.children, walk.child_events, walk.transitions) == (2, 2 + 5 + 2, 6 + 2 * 2)
    assert walk.state_bytes == len('{"item":{"job":"j","chunk":0},"step":{"state":"done"}}')
    assert given == [
        ("plan", {"job": "j"}),
        ("plan", {"job": "j"}),
        ("load", {"job": "j", "chunk": 0}),
        ("load", {"job": "j", "chunk": 1}),
    ]


def figures(name: str, **environment: str) -> dict[str, dict[str, Any]]:
    """A benchmark's lines, by name."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line.keys() == {"name", "value", "unit", "ratio", "against"} for line in found)
    return {line["name"]: line for line in found}


def test_the_cost_of_importing_the_application_is_measured() -> None:
    found = figures("imports", BENCH_IMPORT_ROUNDS="1")
    assert found.keys() >= {"import_app", "import_app_heavy_modules"}
    assert found["import_app"]["ratio"] > 0


def test_the_cost_of_a_request_is_measured() -> None:
    found = figures("api", BENCH_API_ROUNDS="1")
    assert found.keys() == {"api_health", "api_job_status", "api_job_status_by_cookie", "api_rate_count"}
    assert found["api_rate_count"]["value"] < found["api_job_status"]["value"]


@pytest.mark.exhaustive
def test_a_large_schema_is_read_in_a_few_statements() -> None:
    found = figures("schema")
    assert found["schema_size"]["value"] == 8000
    assert 1 <= found["schema_queries"]["value"] <= 8


@pytest.mark.exhaustive
def test_a_large_job_is_walked_through_with_a_real_ones_answers() -> None:
    found = figures("job", BENCH_JOB_CONVERSATIONS="60")
    assert found["history_events"]["value"] < 2000
    assert found["state_bytes"]["value"] <= 8192
    assert found["history_children"]["value"] >= 3000
    assert found["partition_record_shard"]["value"] < 1000
    assert found["job_records_write_units"]["value"] > 1_000_000
