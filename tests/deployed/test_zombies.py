"""A worker that was given up comes back, from any of its calls: it changes nothing any more."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest

from chalicelib import jobs, storage
from chalicelib.errors import Fatal, Retryable
from chalicelib.steps import decide, finish, load, match, plan
from tests.conftest import Database
from tests.deployed.faults.audit import audit, changes, counters, settled, snapshot
from tests.deployed.faults.calls import Call, Frozen, between, call
from tests.deployed.faults.deaths import MOMENTS, NAMES
from tests.deployed.faults.people import ADA, writes_records
from tests.deployed.faults.source import STEPS, Import, Row, Rows, fill

pytestmark = pytest.mark.usefixtures("undriven")

ROWS: Rows = {
    "customer_users": [Row("1", "a@x"), Row("2", "b@x"), Row("3", "a@x", "later")],
    "tickets": [Row("1", parent="1"), Row("2"), Row("2", text="later")],
    "ticket_notes": [Row("1", parent="1"), Row("2", parent="2"), Row("3")],
}
NEWER: Rows = {name: [row.changed() for row in rows] for name, rows in ROWS.items()}

MEANWHILE = ("completed", "imported again", "cancelled", "failed")
"""What becomes of the job while one of its workers is frozen."""


def one(database: Database, record_type: str, rows: Rows = ROWS) -> Import:
    """A new organisation's import of one type."""
    fill(database, rows)
    return Import(database, rows, types=(record_type,)).start()


def up_to(world: Import, name: str) -> dict[str, Any]:
    """Drive the import until a step is next, and say with which event: its last chunk's, which has moved rows."""
    if name == "plan":
        return world.event
    planned = world.insist(plan.run, world.event)
    listed = planned["types"][0]
    here = world.event | {"type": listed["type"]}
    items = storage.get_json(listed["manifest"])
    for step in ("extract", "transform"):
        for item in items[:-1] if name == step else items:
            world.insist(STEPS[step], here | item)
        if name == step:
            return here | items[-1]
    if name == "match":
        return here
    items = storage.get_json(world.insist(match.run, here)["manifest"])
    for step in (decide.run, load.run):
        for item in items[:-1] if NAMES[step] == name else items:
            world.insist(step, here | item)
        if NAMES[step] == name:
            return here | items[-1]
    return world.event


def let_pass(world: Import, what: str, zombie: Frozen) -> Import:
    """Bring the job to an end without the frozen worker; the import that wrote last.

    Where the end has to wait for his lease, he is let go: no Lambda outlives that.
    """

    def patient(run: Any, event: dict[str, Any]) -> dict[str, Any]:
        while run is finish.run:
            answer = call(run, event)
            if answer["state"] != "waiting":
                return answer
            zombie.let_go()
        return world.insist(run, event)

    over = jobs.ended(world.job)  # when the worker is finish, and was frozen behind the job's end
    if what == "cancelled" and not over:
        jobs.cancel(world.org, world.job_id, ADA, wait_seconds=0)
    if what == "failed" and not over:
        jobs.move(world.job, "failing")
    world.drive(patient)
    if what != "imported again":
        return world
    again = world.again({name: NEWER[name] for name in NEWER})
    again.drive()
    return again


def haunt(database: Database, record_type: str, name: str, place: tuple[int, str], what: str) -> bool:
    """One worker frozen at one place, let go when its job has ended. False when there was no such place."""
    world = one(database, record_type)
    event = up_to(world, name)
    where = f"{name} of {record_type} frozen {place[1]} call {place[0]}, {what} meanwhile"
    with Frozen(STEPS[name], event, *place) as zombie:
        if not zombie.reached:
            return False
        last = let_pass(world, what, zombie)
        before = snapshot(world.org)
        zombie.let_go()
    assert zombie.error is None or isinstance(zombie.error, Retryable | Fatal), f"{where}: {zombie.error!r}"
    changed = changes(before, snapshot(world.org))
    if name == "match":  # how an ended job would have grouped its rows, set for the first time, is nobody's business
        changed = [line for line in changed if " TYPE#" not in line or ": None -> " not in line]
    assert changed == [], where
    if what == "completed":
        assert audit(world) == [], where
    elif what == "imported again":
        assert audit(last, counted={record_type: {"updated": len(NEWER[record_type])}}) == [], where
    else:
        assert settled(world) == [], where
    return True


STEP_NAMES = ("plan", "extract", "transform", "match", "decide", "load", "finish")


@pytest.mark.parametrize("name", STEP_NAMES)
def test_a_zombie_from_anywhere_changes_nothing(tiny_db: Database, generator: random.Random, name: str) -> None:
    """A sample: one place of each step, in a type that is drawn as well."""
    record_type, what = generator.choice(list(ROWS)), generator.choice(MEANWHILE)
    while not haunt(tiny_db, record_type, name, (generator.randrange(12), generator.choice(MOMENTS)), what):
        pass


@pytest.mark.parametrize("what", ["cancelled", "failed"])
def test_a_plan_whose_job_has_ended_does_not_say_which_database_the_profile_imports(
    tiny_db: Database, what: str
) -> None:
    """Between reading the job and connecting: of a profile that has imported nothing, any database will still do."""
    assert haunt(tiny_db, "tickets", "plan", (1, "after"), what)


def test_of_two_plans_the_first_stored_stands(tiny_db: Database) -> None:
    """One looked before the source grew and came back after the other's plan was stored: both answer with that."""
    world = one(tiny_db, "tickets")
    with Frozen(plan.run, world.event, _last_call(tiny_db)) as late:
        assert late.reached
        rows = {"tickets": [*ROWS["tickets"], Row("3"), Row("4"), Row("5")]}
        fill(tiny_db, rows)
        planned = call(plan.run, world.event)
    assert late.answer == planned
    world.rows = rows
    world.drive()
    assert audit(world) == []


def _last_call(database: Database) -> int:
    """Which call of a plan stores it: the last one that changes the job."""
    world = one(database, "tickets")
    changing: list[int] = []

    def note(call_: Call) -> None:
        if call_.operation == "UpdateItem":
            changing.append(call_.number)

    with between(before=note, within=(plan.run,)):
        call(plan.run, world.event)
    return changing[-1]


@pytest.mark.parametrize("record_type", list(ROWS))
def test_finish_waits_for_a_worker_that_may_still_write(tiny_db: Database, record_type: str) -> None:
    """Cancelled while a worker is about to write: the job ends only when he has let go, and counts what he wrote."""
    world = one(tiny_db, record_type)
    event = up_to(world, "load")
    with Frozen(STEPS["load"], event, first_write(tiny_db, record_type)) as worker:
        assert worker.reached
        jobs.cancel(world.org, world.job_id, ADA, wait_seconds=0)
        assert call(finish.run, world.event) == {"state": "waiting"}
        assert world.job["status"] == "cancelling"
        before = counters(world.org, world.job_id, record_type)["created"]
        worker.let_go()
    assert worker.error is None
    world.drive()
    assert world.job["status"] == "cancelled"
    assert settled(world) == []
    assert counters(world.org, world.job_id, record_type)["created"] > before


def first_write(database: Database, record_type: str) -> int:
    """Which of load's calls is the first that writes records."""
    world = one(database, record_type)
    event = up_to(world, "load")
    writes: list[int] = []

    def note(call_: Call) -> None:
        if writes_records(call_):
            writes.append(call_.number)

    with between(before=note, within=(STEPS["load"],)):
        world.insist(STEPS["load"], event)
    return writes[0]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STEP_NAMES)
@pytest.mark.parametrize("record_type", ["customer_users", "tickets"])
def test_a_zombie_from_every_call_changes_nothing(
    tiny_db: Database, generator: random.Random, record_type: str, name: str
) -> None:
    """What happens meanwhile, and whether before the call or after its effect, is drawn for each."""
    for index in count():
        place = (index, generator.choice(MOMENTS))
        if not haunt(tiny_db, record_type, name, place, generator.choice(MEANWHILE)):
            break
    assert index > 2
