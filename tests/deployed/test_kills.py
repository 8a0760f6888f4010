"""Workers die at every AWS call of every step, before it is sent and after its effect: nothing is lost or doubled."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import Any

import pytest

from chalicelib import dynamo, jobs, keys
from chalicelib.errors import BadRequest
from chalicelib.steps import sweep
from tests.conftest import Database
from tests.deployed.faults.audit import audit
from tests.deployed.faults.calls import Kill, Step, call, killed_at
from tests.deployed.faults.deaths import NAMES, OnAndOn, Once
from tests.deployed.faults.source import SMALL, STEPS, Import, Row, Rows, fill, killed_while_reading

pytestmark = pytest.mark.usefixtures("undriven")

CHUNK_STEPS = ("extract", "transform", "decide", "load")

DEATHS = 24
"""Chunks of each type: more than any step that works on a chunk has places to die at."""


def many() -> Rows:
    """So many rows that each type has more chunks than a step has places to die at; one in four meets its neighbour
    in the chunk, one in fifty a row far away.
    """
    rows: Rows = {"customer_users": [], "tickets": [], "ticket_notes": []}
    for n in range(2 * DEATHS):
        email = None if n % 5 == 0 else "far@x" if n % 25 == 1 else f"{n - n % 4 if n % 4 == 2 else n}@x"
        rows["customer_users"].append(Row(str(n), email, f"c{n}"))
        rows["tickets"].append(Row("0" if n == 30 else str(n), text=f"t{n}", parent=str(n)))
        rows["ticket_notes"].append(Row(str(n + 1), text=f"n{n}", parent=str(n % 7) if n % 6 else None))
    return rows


def changed(rows: Rows) -> Rows:
    return {name: [row.changed() for row in some] for name, some in rows.items()}


def fates(word: str, rows: Rows) -> dict[str, dict[str, int]]:
    return {name: {word: len(some)} for name, some in rows.items()}


def test_each_step_of_each_chunk_dies_once_at_every_place(tiny_db: Database) -> None:
    rows = many()
    fill(tiny_db, rows)
    reaper = Once(CHUNK_STEPS)
    world = Import(tiny_db, rows).start()
    with reaper.at_work() as deaths:
        world.drive(partial(reaper.invoke, world))
    assert audit(world) == [], deaths
    assert reaper.covered(world) == []
    assert deaths.total() > 120


@pytest.mark.exhaustive(ci=True)
def test_each_step_of_each_chunk_of_an_update_dies_once_at_every_place(tiny_db: Database) -> None:
    rows = many()
    fill(tiny_db, rows)
    first = Import(tiny_db, rows).start()
    first.drive()
    world = first.again(changed(rows))
    reaper = Once(CHUNK_STEPS)
    with reaper.at_work() as deaths:
        world.drive(partial(reaper.invoke, world))
    assert audit(world, counted=fates("updated", rows)) == [], deaths
    assert reaper.covered(world) == []


def test_every_invocation_dies_at_each_of_its_calls_in_turn(tiny_db: Database) -> None:
    fill(tiny_db, SMALL)
    reaper = OnAndOn()
    world = Import(tiny_db, SMALL).start()
    with reaper.at_work() as deaths:
        world.drive(partial(reaper.invoke, world))
    assert audit(world) == [], deaths
    assert {death.split()[0] for death in deaths} == {*CHUNK_STEPS, "plan", "match", "finish"}


@pytest.mark.exhaustive(ci=True)
def test_every_invocation_of_an_update_dies_at_each_of_its_calls_in_turn(tiny_db: Database) -> None:
    fill(tiny_db, SMALL)
    first = Import(tiny_db, SMALL).start()
    first.drive()
    world = first.again(changed(SMALL))
    reaper = OnAndOn()
    with reaper.at_work() as deaths:
        world.drive(partial(reaper.invoke, world))
    assert audit(world, counted=fates("updated", SMALL)) == [], deaths


def _once(database: Database, generator: random.Random, times: int) -> None:
    """An import killed once at any of its calls, and another one that updates it, killed as well."""
    fill(database, SMALL)
    steps = tuple(STEPS.values())
    with killed_at(None, within=steps) as calls:
        Import(database, SMALL).start().drive()
    for _ in range(times):
        index, other = (generator.randrange(calls.total()) for _ in range(2))
        moment = generator.choice(["before", "after"])
        where = f"killed {moment} call {index}, then {other}"
        fill(database, SMALL)
        world = Import(database, SMALL).start()
        with killed_at(index, moment, steps):
            world.drive()
        assert audit(world) == [], where
        again = world.again(changed(SMALL))
        with killed_at(other, moment, steps):
            again.drive()
        assert audit(again, counted=fates("updated", SMALL)) == [], where


def test_killed_once_anywhere(tiny_db: Database, generator: random.Random) -> None:
    _once(tiny_db, generator, 2)


@pytest.mark.exhaustive(ci=True)
def test_killed_once_anywhere_many_times(tiny_db: Database, generator: random.Random) -> None:
    _once(tiny_db, generator, 10)


@pytest.mark.parametrize("after_rows", [0, 1])
def test_killed_between_two_rows_of_a_read(tiny_db: Database, after_rows: int) -> None:
    """In each statement that plan and extract ask the source, attempt after attempt."""
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL, types=("customer_users",)).start()
    deaths: Counter[str] = Counter()

    def dying(run: Step, event: dict[str, Any]) -> dict[str, Any]:
        for statement in range(20):
            try:
                with killed_while_reading(after_rows, statement):
                    return call(run, event, now=world.clock)
            except Kill:
                deaths[NAMES[run]] += 1
        raise AssertionError("it never gets through")

    world.drive(dying)
    assert audit(world) == []
    assert deaths["plan"] > 4, deaths
    assert deaths["extract"] == 3, deaths


def _start_dies(database: Database, index: int, moment: str) -> None:
    """A start that dies leaves a job or nothing; what it leaves is brought to its end by the sweep or by a retry."""
    world = Import(database, {"tickets": SMALL["tickets"]}, types=("tickets",))
    world.profile = world._profile()
    try:
        with killed_at(index, moment):
            world.start()
    except Kill:
        pass
    holder = jobs.running(world.org, world.profile)
    listed = [job for org, job in jobs.active() if org == world.org]
    assert listed == ([holder] if holder else []), "a job that nobody would ever look at"
    if holder:
        with pytest.raises(BadRequest) as refused:
            world.start()
        assert refused.value.extra == {"running_job": holder}
        world.job_id = holder
        if world.job["status"] == "pending":
            sweep.run({}, now=lambda: world.clock() + 100, remaining=lambda: 300.0)
    else:
        world.start()
    world.drive()
    assert audit(world) == [], f"start killed {moment} call {index}"
    assert not dynamo.get("state", keys.profile_lock(world.org, world.profile))


@pytest.mark.exhaustive(ci=True)
def test_a_start_that_dies_leaves_a_job_or_nothing(tiny_db: Database) -> None:
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL, types=("tickets",))
    world.profile = world._profile()
    with killed_at(None) as calls:
        world.start()
    for index in range(calls.total()):
        for moment in ("before", "after"):
            _start_dies(tiny_db, index, moment)
