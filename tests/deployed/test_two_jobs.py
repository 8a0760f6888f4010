"""Two jobs on the same source, the same types and the same records: as if one had come after the other."""

from __future__ import annotations

import random
from functools import partial

import pytest

from chalicelib import dynamo, jobs, keys, progress
from chalicelib.steps import match, plan
from tests.conftest import Database
from tests.deployed.faults.audit import at_rest, audit, contents, counters, kept_claims, ledgers, stored
from tests.deployed.faults.calls import Turns, call, twice_at_once
from tests.deployed.faults.source import SMALL, TABLES, Import, Row, Rows, fill

pytestmark = pytest.mark.usefixtures("undriven")

TYPES = tuple(TABLES)


def rival(world: Import, **changes: object) -> Import:
    """Another profile of the organisation on the same database, and its job."""
    return Import(world.database, world.rows, org=world.org, **changes).start()  # type: ignore[arg-type]


def interleaved(database: Database, generator: random.Random, first: tuple[str, ...], second: tuple[str, ...]) -> None:
    """Both run, one call at a time, in an order drawn by chance; the audit is that of one after the other."""
    fill(database, SMALL)
    one = Import(database, SMALL, types=first).start()
    other = rival(one, types=second)
    turns = Turns(generator, ["one", "other"])
    turns.run({"one": one.drive, "other": other.drive})
    records, claims, links = stored(one.org)
    ids = {record["sk"] for record in records}
    assert kept_claims(records, claims) == []
    assert [ext for ext, target in links.items() if target not in ids] == []
    for world in (one, other):
        assert at_rest(world.org, world.job) == []
        assert world.job["status"] == "completed", world.job["errors"]
    for record_type in TYPES:
        ran = [world for world in (one, other) if record_type in world.types]
        if not ran:
            continue
        rows = SMALL[record_type]
        assert contents(records, claims, record_type, rows) == [], record_type
        fates = [counters(world.org, world.job_id, record_type) for world in ran]
        owners = len({record["sk"] for record in records if record["type"] == record_type})
        assert sum(counted["created"] for counted in fates) == owners, fates
        for world, counted in zip(ran, fates, strict=True):
            assert ledgers(world.org, world.job, record_type, records, latest=False) == []
            assert counted["created"] in (0, owners), "two jobs wrote the type at once"
            assert counted["failed"] == counted["unprocessed"] == 0


def subset(generator: random.Random) -> tuple[str, ...]:
    return tuple(sorted(generator.sample(TYPES, generator.randint(1, 3)), key=TYPES.index))


def test_two_jobs_interleaved_come_out_as_one_after_the_other(tiny_db: Database, generator: random.Random) -> None:
    interleaved(tiny_db, generator, TYPES, TYPES)


@pytest.mark.exhaustive
def test_two_jobs_with_any_types_never_wait_for_each_other_for_ever(
    tiny_db: Database, generator: random.Random
) -> None:
    for _ in range(12):
        interleaved(tiny_db, generator, subset(generator), subset(generator))


def test_the_second_job_waits_and_says_for_whom(tiny_db: Database) -> None:
    fill(tiny_db, SMALL)
    one = Import(tiny_db, SMALL, types=("tickets",)).start()
    other = rival(one, types=("tickets",))
    for world in (one, other):
        call(plan.run, world.event)
    here = {"type": "tickets"}
    assert call(match.run, one.event | here)["state"] == "empty"  # nothing has been read
    assert call(match.run, other.event | here) == {"state": "waiting", "seconds": 5}
    shown = progress.operation(other.job)
    assert shown == f"Waiting for job {one.job_id}, which is writing the same kind of records"
    held = dynamo.get("state", keys.type_lock(one.org, "tickets"))
    assert held
    assert held["job"] == one.job_id


@pytest.mark.parametrize("record_type", TYPES)
def test_every_step_invoked_twice_at_once(tiny_db: Database, record_type: str) -> None:
    rows: Rows = {record_type: SMALL[record_type]}
    fill(tiny_db, rows)
    world = Import(tiny_db, rows, types=(record_type,)).start()
    world.drive(twice_at_once)
    assert audit(world) == []
    again = world.again({record_type: [row.changed() for row in rows[record_type]]})
    again.drive(twice_at_once)
    assert audit(again, counted={record_type: {"updated": len(rows[record_type])}}) == []


def test_late_duplicates_of_every_event_change_nothing(tiny_db: Database, generator: random.Random) -> None:
    """While the job still runs: each event comes once more, later, at any place."""
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    past: list[partial[object]] = []

    def repeating(run: object, event: dict[str, object]) -> dict[str, object]:
        answer = world.insist(run, event)
        past.append(partial(world.insist, run, event))
        for again in generator.sample(past, min(2, len(past))):
            again()
        return answer

    world.drive(repeating)
    assert audit(world) == []
    assert jobs.ended(world.job)


def test_the_same_rows_again_are_unchanged(tiny_db: Database) -> None:
    rows: Rows = {"tickets": [Row("1"), Row("2")]}
    fill(tiny_db, rows)
    one = Import(tiny_db, rows, types=("tickets",)).start()
    one.drive()
    other = rival(one, types=("tickets",))
    other.drive()
    assert counters(other.org, other.job_id, "tickets")["skipped"] == 2
