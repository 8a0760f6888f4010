"""A job is cancelled, or fails, at any of its calls: what it counts is what it did, and afterwards it does nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from chalicelib import jobs, storage
from chalicelib.steps import plan
from tests.conftest import Database
from tests.deployed.faults.audit import WORDS, changes, counters, settled, snapshot, stored
from tests.deployed.faults.calls import Call, between, call, insist, killed_at
from tests.deployed.faults.people import cancel, fail, meddling
from tests.deployed.faults.source import SMALL, STEPS, Import, Row, Rows, fill

pytestmark = pytest.mark.usefixtures("undriven")

CHANGED: Rows = {name: [row.changed() for row in rows] for name, rows in SMALL.items()}
FINAL = {"cancel": "cancelled", "fail": "failed"}
MOMENTS = ("before", "after")


def stopped_at(world: Import, index: int, moment: str, stop: Callable[[Import], None]) -> None:
    """Drive the job; somebody stops it at the call of that index. What is said at the end stays true."""
    where = f"{stop.__name__} {moment} call {index}"

    def act(one: Call) -> None:
        if one.number == index:
            stop(world)

    with meddling(act, moment):
        world.drive()
    job = world.job
    assert job["status"] in (FINAL[stop.__name__], "completed"), where
    assert settled(world) == [], where
    records, _, _ = stored(world.org)
    for record_type in job["types"]:
        counted = counters(world.org, world.job_id, record_type)
        assert sum(counted[word] for word in WORDS) == counted["planned"] == len(world.rows[record_type]), where
        marked = [record for record in records if record["type"] == record_type and world.job_id in record["by"]]
        first_time = [record for record in marked if record["ver"] == 1]
        assert len(first_time) == counted["created"], f"{where}: {record_type} {counted}"
    before = snapshot(world.org)
    redrive(world)
    assert changes(before, snapshot(world.org)) == [], where


def redrive(world: Import) -> None:
    """Every step of the job once more, with every event it ever had."""
    assert insist(plan.run, world.event) == {"state": "ended"}
    for record_type in world.job["types"]:
        here = world.event | {"type": record_type}
        planned = next(item for item in _plan(world) if item["type"] == record_type)
        items = storage.get_json(planned["manifest"])
        for item in [*items, {"chunk": len(items), "low": None, "high": '["0"]', "rows": 0, "raw": None}]:
            for name in ("extract", "transform", "decide", "load"):
                assert call(STEPS[name], here | item) == {"state": "stopped"}
        assert call(STEPS["match"], here) == {"state": "stopped"}
    for more in ({}, {"error": {"Error": "Fatal"}}):
        assert call(STEPS["finish"], world.event | more) == {"state": "done"}


def _plan(world: Import) -> list[dict[str, str]]:
    found: list[dict[str, str]] = storage.get_json(world.job["plan"])["types"]
    return found


@pytest.mark.parametrize("end", ["completed", "cancelled", "failed", "completed_with_errors"])
def test_a_redrive_of_an_ended_job_changes_nothing(tiny_db: Database, end: str) -> None:
    rows = SMALL | {"tickets": [*SMALL["tickets"], Row("9", text="")]} if end == "completed_with_errors" else SMALL
    fill(tiny_db, rows)
    world = Import(tiny_db, rows).start()
    stop = {"cancelled": cancel, "failed": fail}.get(end)

    def act(one: Call) -> None:
        if stop and one.step is STEPS["load"] and one.operation == "BatchExecuteStatement":
            stop(world)

    with meddling(act):
        world.drive()
    assert world.job["status"] == end
    before = snapshot(world.org)
    redrive(world)
    assert changes(before, snapshot(world.org)) == []


def _calls(database: Database) -> int:
    fill(database, SMALL)
    with killed_at(None) as calls:
        world = Import(database, SMALL).start()
        calls.clear()
        world.drive()
    return calls.total()


def _sample(database: Database, generator: random.Random, times: int) -> None:
    """First imports and updates, each stopped once, anywhere."""
    total = _calls(database)
    for _ in range(times):
        fill(database, SMALL)
        stop, moment = generator.choice([cancel, fail]), generator.choice(MOMENTS)
        world = Import(database, SMALL).start()
        if generator.random() < 0.3:
            world.drive()
            world = world.again(CHANGED)
        stopped_at(world, generator.randrange(total), moment, stop)


def test_stopped_at_any_call(tiny_db: Database, generator: random.Random) -> None:
    _sample(tiny_db, generator, 4)


@pytest.mark.exhaustive
def test_stopped_at_many_calls(tiny_db: Database, generator: random.Random) -> None:
    _sample(tiny_db, generator, 20)


@pytest.mark.exhaustive
@pytest.mark.parametrize("record_type", ["customer_users", "ticket_notes"])
def test_stopped_at_every_call_of_decide_and_load(
    tiny_db: Database, generator: random.Random, record_type: str
) -> None:
    """Where records are written: every call; how, and whether before it or after its effect, is drawn for each."""
    writing = (STEPS["decide"], STEPS["load"])
    numbers: list[int] = []
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL, types=(record_type,)).start()

    def note(one: Call) -> None:
        if one.step in writing:
            numbers.append(one.number)

    with between(before=note):
        world.drive()
    assert len(numbers) > 15
    for number in numbers:
        world = Import(tiny_db, SMALL, types=(record_type,)).start()
        stopped_at(world, number, generator.choice(MOMENTS), generator.choice([cancel, fail]))


def test_nobody_waits_for_a_job_that_never_began(tiny_db: Database) -> None:
    """Cancelled before its plan: it has no rows to speak of, and the next one may begin."""
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    cancel(world)
    world.drive()
    assert world.job["status"] == "cancelled"
    assert settled(world) == []
    assert jobs.running(world.org, world.profile) is None
    again = world.again()
    again.drive()
    assert again.job["status"] == "completed"
