"""Workers of the deployed stack killed in the middle of their work, by SIGKILL: nothing is lost, nothing is doubled."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from chalicelib import chunks, dynamo, jobs, keys
from infra.local.freescout.generate import generate
from infra.local.postgres import Postgres
from infra.local.stack import Stack
from tests.conftest import Database, database
from tests.deployed.agreement import differences, source_of
from tests.deployed.exactly_once import stored
from tests.deployed.tenant import TYPES, Tenant, fates
from tests.deployed.workings import hurried, kill, task_failures

CONVERSATIONS = 150

DEADLY = ("decide", "load")
"""Where a death could lose or double something: the steps that decide and write."""


@pytest.fixture(scope="module")
def desk(postgres_server: Postgres) -> Database:
    """A help desk of these tests' own, large enough for chunks that take a while."""
    found = database(postgres_server, "deaths")
    generate(found.dsn, CONVERSATIONS, seed=11)
    return found


class Killer(threading.Thread):
    """Waits for each step it was told of to be at work in the job, and kills its workers a moment later."""

    def __init__(self, org: str, job: str, plan: list[tuple[str, str, float]]) -> None:
        """plan: (record type, step, seconds into its work)."""
        super().__init__(daemon=True)
        self.org, self.job, self.plan = org, job, list(plan)
        self.killed = 0

    def run(self) -> None:
        while self.plan:
            if jobs.ended(found := jobs.get(self.org, self.job)):
                return
            for one in list(self.plan):
                record_type, step, seconds = one
                if at_work(found, record_type, step):
                    time.sleep(seconds)
                    self.killed += kill(step)
                    self.plan.remove(one)
            time.sleep(0.03)


def at_work(job: jobs.Job, record_type: str, step: str) -> bool:
    """Whether a worker of the step has, or is about to have, a chunk of the type in hand."""
    if "plan" not in job:
        return False
    open_chunks = [chunk for chunk in chunks.listing(job, record_type).values() if chunk.get("state") != chunks.DONE]
    if step == "load":
        return any(chunk.get("leases") for chunk in open_chunks)
    settled = dynamo.get("state", keys.job_type(job["org"], job["id"], record_type)) or {}
    return "manifest" in settled and any("parts" not in chunk for chunk in open_chunks)


def drawn(generator: random.Random, kills: int) -> list[tuple[str, str, float]]:
    """Deaths spread over types and steps, never more of one than the state machine forgives."""
    places = [(name, step) for name in ("customer_users", "tickets", "ticket_notes") for step in DEADLY]
    return [(*place, generator.uniform(0, 0.3)) for place in generator.sample(places, kills)]


def deadly_import(tenant: Tenant, plan: list[tuple[str, str, float]]) -> tuple[dict[str, Any], Killer]:
    job = tenant.start()
    killer = Killer(tenant.org, job, plan)
    killer.start()
    ended = tenant.wait(job)
    killer.join(10)
    return ended, killer


def assert_exact(tenant: Tenant, job: dict[str, Any]) -> None:
    """Source, store, claims and counters agree."""
    wanted = source_of(tenant.database)
    assert differences(tenant.org, wanted) == []
    assert {name: fates(job, name) for name in TYPES} == {name: len(rows) for name, rows in wanted.items()}
    assert (job["records_skipped"], job["records_failed"], job["records_unprocessed"]) == (0, 0, 0)
    assert job["records_imported"] == len(stored(tenant.org)[0])


def die_and_be_exact(deployed: Stack, desk: Database, generator: random.Random, kills: int) -> None:
    """An import with deaths. Where all of them came too late to meet anybody at work, another one."""
    for _ in range(5):
        tenant, plan = Tenant(deployed, desk), drawn(generator, kills)
        with hurried(deployed):
            job, _ = deadly_import(tenant, plan)
        died = task_failures(deployed, job["id"])
        assert job["status"] == "completed", (plan, job["errors"], died)
        assert {error for _, error in died} <= {"Runtime.ExitError"}, died
        assert_exact(tenant, job)
        if died:
            return
    raise AssertionError("nobody was killed at work")


def test_workers_killed_while_they_decide_and_write_lose_and_double_nothing(
    deployed: Stack, in_process: None, desk: Database, generator: random.Random
) -> None:
    die_and_be_exact(deployed, desk, generator, 4)


@pytest.mark.exhaustive
@pytest.mark.parametrize("turn", range(20))
def test_workers_killed_again_and_again(
    deployed: Stack, in_process: None, desk: Database, generator: random.Random, turn: int
) -> None:
    die_and_be_exact(deployed, desk, generator, 6)
