"""Executions aborted, never begun, begun twice or dead with their cloud: the sweep brings every job to an end."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from chalicelib import dynamo, keys
from cli.failures import ApiError
from infra.local.stack import Stack
from tests.conftest import Database
from tests.deployed.agreement import differences, source_of
from tests.deployed.exactly_once import stored
from tests.deployed.tenant import TYPES, Tenant, fates
from tests.deployed.workings import Event, execution, executions, history

SWEEP: Event = {
    "version": "0",
    "id": "e",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "0",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}
START_GRACE_SECONDS = 60
"""How long a job without an execution is left alone, because it may be about to get one."""


@pytest.fixture
def tenant(deployed: Stack, in_process: None, freescout_db: Database) -> Tenant:
    return Tenant(deployed, freescout_db)


def sweep(deployed: Stack) -> dict[str, int]:
    answer: dict[str, int] = deployed.invoke("sweep", SWEEP)
    return answer


def swept(deployed: Stack, tenant: Tenant, job: str) -> dict[str, Any]:
    """The job after as many sweeps as it takes; workers that were under way may hold leases for a while."""
    deadline = time.monotonic() + 120
    while tenant.status(job)["status"] == "running":
        assert time.monotonic() < deadline, tenant.status(job)
        sweep(deployed)
        time.sleep(0.5)
    found: dict[str, Any] = tenant.api.get(f"/api/import/jobs/{job}")
    return found


def abort(deployed: Stack, job: str) -> None:
    arn = execution(deployed, job)
    deployed.client("stepfunctions").stop_execution(executionArn=arn, error="Operator", cause="stopped by hand")


def locks(tenant: Tenant) -> list[str]:
    """What the organisation's jobs hold: locks of profiles and types, places on the list of active jobs."""
    return [row["pk"] + "/" + row["sk"] for row in _state(tenant) if row["sk"] == "LOCK" or row["pk"] == "ACTIVE"]


def _state(tenant: Tenant) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    request: dict[str, Any] = {"TableName": dynamo.name("state"), "ConsistentRead": True}
    while True:
        answer = dynamo.call("scan", **request)
        found += map(dynamo.decode_item, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return [row for row in found if tenant.org in row["pk"] or row.get("org") == tenant.org]
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def assert_settled(tenant: Tenant, job: dict[str, Any]) -> None:
    """Counters say exactly what happened, nothing is held, and a new start brings the rest."""
    assert {name: fates(job, name) for name in job["records"]} == job["metadata"]["source_counts"]
    assert len(stored(tenant.org)[0]) == job["records_imported"]
    assert locks(tenant) == []
    again = tenant.wait(tenant.start())
    assert again["status"] == "completed"
    assert again["records_imported"] + job["records_imported"] == len(stored(tenant.org)[0])
    assert differences(tenant.org, source_of(tenant.database)) == []


def test_a_job_whose_execution_was_aborted_is_failed_by_the_sweep_with_exact_counters(
    deployed: Stack, tenant: Tenant
) -> None:
    job = tenant.start(batch_size=10)
    tenant.until(job, lambda now: now["records_processed"] >= 60)
    abort(deployed, job)
    ended = swept(deployed, tenant, job)
    assert ended["status"] == "failed"
    assert ended["errors"] == [{"code": "internal", "message": "The import stopped for an unknown reason"}]
    assert ended["records_unprocessed"] > 0
    assert_settled(tenant, ended)


def test_a_cancelled_job_whose_execution_is_gone_is_cancelled_by_the_sweep(deployed: Stack, tenant: Tenant) -> None:
    job = tenant.start(batch_size=10)
    tenant.until(job, lambda now: now["records_processed"] >= 60)
    abort(deployed, job)
    cancelling = threading.Thread(target=tenant.api.post, args=(f"/api/import/jobs/{job}/cancel",))
    cancelling.start()
    while dynamo.get("state", keys.job(tenant.org, job))["status"] == "running":
        time.sleep(0.02)
    ended = swept(deployed, tenant, job)
    cancelling.join()
    assert (ended["status"], ended["errors"]) == ("cancelled", None)
    assert_settled(tenant, ended)


def test_a_job_aborted_before_it_was_planned_is_failed_with_nothing_to_count(deployed: Stack, tenant: Tenant) -> None:
    job = tenant.start()
    abort(deployed, job)
    ended = swept(deployed, tenant, job)
    if "plan" in dynamo.get("state", keys.job(tenant.org, job)):
        assert ended["records_unprocessed"] == ended["estimated_total"]
    assert (ended["status"], ended["records_processed"]) == ("failed", 0)
    assert stored(tenant.org) == ([], {}, {})
    assert locks(tenant) == []


@pytest.fixture
def no_executions(deployed: Stack) -> Any:
    """The API's Lambda cannot start any execution meanwhile: it is told of a state machine that is not there."""
    functions = deployed.client("lambda")
    [api] = [
        one["FunctionName"]
        for page in functions.get_paginator("list_functions").paginate()
        for one in page["Functions"]
        if "APIHandler" in one["FunctionName"]
    ]
    variables = functions.get_function_configuration(FunctionName=api)["Environment"]["Variables"]
    wrong = variables | {"WHARF_STATE_MACHINE": variables["WHARF_STATE_MACHINE"] + "-gone"}
    functions.update_function_configuration(FunctionName=api, Environment={"Variables": wrong})

    def mend() -> None:
        functions.update_function_configuration(FunctionName=api, Environment={"Variables": variables})

    yield mend
    mend()


def test_a_job_whose_execution_never_began_is_started_once_however_many_sweeps_run(
    deployed: Stack, tenant: Tenant, no_executions: Any
) -> None:
    job = tenant.start(selected_types=["agents"])
    item = dynamo.get("state", keys.job(tenant.org, job))
    assert item["status"] == "pending"
    assert tenant.status(job)["status"] == "running"
    with pytest.raises(ApiError) as refused:
        tenant.start()
    assert refused.value.body["running_job"] == job, "it holds its profile's lock all the same"
    no_executions()
    assert sweep(deployed)["started"] == 0, "it may be about to get one"
    assert named(deployed, job) == []
    old = {"then": item["created_at"] - START_GRACE_SECONDS - 1}
    dynamo.update("state", keys.job(tenant.org, job), "SET #created_at = :then", old)
    sweeps = [threading.Thread(target=sweep, args=(deployed,)) for _ in range(4)]
    for one in sweeps:
        one.start()
    for one in sweeps:
        one.join()
    ended = tenant.wait(job)
    assert ended["status"] == "completed"
    assert ended["records"]["agents"]["created"] == ended["estimated_total"] == len(stored(tenant.org)[0]) > 0
    assert named(deployed, job) == [job]
    assert [event["type"] for event in history(deployed, job)].count("ExecutionStarted") == 1
    assert locks(tenant) == []


def named(deployed: Stack, job: str) -> list[str]:
    return [one["name"] for one in executions(deployed) if one["name"] == job]


def execute_again(deployed: Stack, tenant: Tenant, job: str, name: str) -> None:
    """Start an execution with the job's input under another name and wait for its end."""
    states = deployed.client("stepfunctions")
    body = json.dumps({"org": tenant.org, "job": job})
    started = states.start_execution(stateMachineArn=deployed.outputs["StateMachine"], name=name, input=body)
    while states.describe_execution(executionArn=started["executionArn"])["status"] == "RUNNING":
        time.sleep(0.1)
    assert states.describe_execution(executionArn=started["executionArn"])["status"] == "SUCCEEDED"


def everything(deployed: Stack, tenant: Tenant) -> tuple[Any, ...]:
    """All that is kept of the organisation: both tables and the names of its objects."""
    objects = deployed.client("s3").get_paginator("list_objects_v2")
    pages = objects.paginate(Bucket=deployed.outputs["Bucket"], Prefix=f"org/{tenant.org}/")
    names = sorted(one["Key"] for page in pages for one in page.get("Contents", []))
    return sorted(_state(tenant), key=lambda row: (row["pk"], row["sk"])), stored(tenant.org), names


def test_an_ended_job_executed_again_changes_nothing(deployed: Stack, tenant: Tenant) -> None:
    """As a redrive does, days later: for a job that was completed, and for one that failed half-way."""
    completed = tenant.wait(tenant.start(selected_types=["agents", "customer_users"]))["id"]
    failed = tenant.start()
    tenant.until(failed, lambda now: now["records_processed"] >= 60)
    abort(deployed, failed)
    assert swept(deployed, tenant, failed)["status"] == "failed"
    before = everything(deployed, tenant)
    assert len(before[2]) > 10
    for job in (completed, failed):
        execute_again(deployed, tenant, job, f"{job}-again")
        assert everything(deployed, tenant) == before
        assert not [event for event in history(deployed, f"{job}-again") if event["type"] == "MapStateEntered"]
    sweep(deployed)
    assert everything(deployed, tenant) == before


def test_two_executions_of_a_running_job_come_to_one_import(deployed: Stack, tenant: Tenant) -> None:
    job = tenant.start()
    execute_again(deployed, tenant, job, f"{job}-twin")
    ended = tenant.wait(job)
    assert ended["status"] == "completed"
    wanted = source_of(tenant.database)
    assert {name: fates(ended, name) for name in TYPES} == {name: len(rows) for name, rows in wanted.items()}
    assert differences(tenant.org, wanted) == []
    assert locks(tenant) == []
