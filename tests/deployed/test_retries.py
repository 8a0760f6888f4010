"""A job that was stopped anywhere is gone on with: in the end the store is that of one clean import, read once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from chalicelib import copies, dynamo, jobs, keys
from chalicelib.errors import Fatal
from chalicelib.steps import finish, load, plan
from tests.conftest import Database
from tests.deployed.faults.audit import at_rest, contents, stored
from tests.deployed.faults.calls import Kill, call, killed_at
from tests.deployed.faults.people import ADA
from tests.deployed.faults.source import SMALL, STEPS, TABLES, Import, Row, fill, killed_while_reading

pytestmark = pytest.mark.usefixtures("undriven")


def shuffled(world: Import, generator: random.Random) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each invocation before finish; the chunks of a type are loaded in any order."""
    loads: list[tuple[Any, dict[str, Any]]] = []
    for run, event in world.steps(world.insist):
        if run is load.run:
            loads.append((run, event))
            continue
        generator.shuffle(loads)
        yield from loads
        loads = []
        yield run, event
    generator.shuffle(loads)
    yield from loads


def stop(world: Import, generator: random.Random, after: int, *, fails: bool) -> bool:
    """Drive the import, end it after so many invocations, the last of which dies somewhere. False: it was through."""
    ending = world.event
    for place, (run, event) in enumerate(shuffled(world, generator)):
        if place == after:
            try:
                with killed_at(generator.randrange(6), generator.choice(["before", "after"]), tuple(STEPS.values())):
                    call(run, event, now=world.clock)
            except Kill:
                pass
            if fails:
                ending |= {"error": {"Error": "Fatal", "Cause": "enough"}}
            else:
                jobs.cancel(world.org, world.job_id, ADA, wait_seconds=0)
            break
        world.insist(run, event)
    world.insist(finish.run, ending)
    return bool(world.job["status"] in ("failed", "cancelled"))


def wrong(world: Import) -> list[str]:
    records, claims, _ = stored(world.org)
    rows = world.rows
    found = [one for name in TABLES for one in contents(records, claims, name, rows.get(name, []))]
    job = world.job
    found += at_rest(world.org, job)
    return found + (
        [] if job["status"] in ("completed", "completed_with_errors") else [f"{job['status']}: {job['errors']}"]
    )


def read(world: Import) -> int:
    """How many rows the source sends until the import is over."""
    with killed_while_reading(0, -1) as sent:
        world.drive()
    return sum(sent)


TENTHS = [tenth if tenth in (2, 6) else pytest.param(tenth, marks=pytest.mark.exhaustive) for tenth in range(10)]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("tenth", TENTHS)
def test_stopped_anywhere_and_gone_on_with(
    tiny_db: Database, generator: random.Random, tenth: int, fails: bool
) -> None:
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    after = tenth * 4 + generator.randrange(4)
    if not stop(world, generator, after, fails=fails):
        return
    again = world.retry()
    again.drive()
    assert wrong(again) == [], f"stopped after {after}"
    assert again.job["retry_of"] == world.job_id


def test_a_retry_of_a_retry_of_a_retry(tiny_db: Database, generator: random.Random) -> None:
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    for _ in range(4):
        if not stop(world, generator, 4 + generator.randrange(10), fails=generator.random() < 0.5):
            break
        world = world.retry()
    else:
        world.drive()
    assert wrong(world) == []


def test_what_was_read_is_not_read_again(tiny_db: Database, generator: random.Random) -> None:
    """Stopped when all is extracted, the source need not even be there; its changes come with the next import."""
    fill(tiny_db, SMALL)
    notes = {"ticket_notes": SMALL["ticket_notes"]}
    whole = read(Import(tiny_db, notes, types=("ticket_notes",)).start())
    world = Import(tiny_db, notes, types=("ticket_notes",)).start()
    assert stop(world, generator, 3, fails=True)
    some = world.retry()
    assert read(some) < whole / 2
    fill(tiny_db, {"ticket_notes": notes["ticket_notes"]})
    other = Import(tiny_db, notes, types=("ticket_notes",)).start()
    assert stop(other, generator, 5, fails=False)
    fill(tiny_db, {"ticket_notes": [row.changed() for row in notes["ticket_notes"]]})
    key = keys.profile(other.org, other.profile)
    dynamo.update("state", key, "SET #port = :port", {"port": 1})
    again = other.retry()
    assert read(again) == 0
    records, claims, _ = stored(again.org)
    assert contents(records, claims, "ticket_notes", notes["ticket_notes"]) == []


def test_an_unplanned_job_and_a_dry_run_start_over(tiny_db: Database, generator: random.Random) -> None:
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    jobs.cancel(world.org, world.job_id, ADA, wait_seconds=0)
    world.insist(finish.run, world.event)
    again = world.retry()
    again.drive()
    assert wrong(again) == []
    dry = Import(tiny_db, SMALL, dry_run=True).start()
    assert stop(dry, generator, 9, fails=True)
    tried = dry.retry()
    tried.drive()
    assert (tried.job["dry_run"], stored(dry.org)[0]) == (True, [])
    assert sum(tried.job[f"{name}_planned"] for name in TABLES) == sum(map(len, SMALL.values()))


def test_what_another_job_has_overtaken_is_read_anew(tiny_db: Database, generator: random.Random) -> None:
    fill(tiny_db, SMALL)
    old = Import(tiny_db, SMALL).start()
    assert stop(old, generator, 8, fails=True)
    newer = {
        name: [Row(row.ext, row.email, f"{row.text} 2", row.parent) for row in rows] for name, rows in SMALL.items()
    }
    newest = old.again(newer)
    newest.drive()
    again = old.retry()
    again.rows = newer
    again.drive()
    assert wrong(again) == []
    assert sum(again.job[f"{name}_planned"] for name in TABLES) == sum(map(len, SMALL.values()))


def test_what_a_copy_of_the_profile_has_overtaken_is_read_anew(tiny_db: Database, generator: random.Random) -> None:
    """Both write the same records."""
    fill(tiny_db, SMALL)
    old = Import(tiny_db, SMALL).start()
    assert stop(old, generator, 8, fails=True)
    _, copy = copies.make(old.org, old.profile, {"id": "u1", "name": "U"}, {})
    newer = {name: [row.changed() for row in rows] for name, rows in SMALL.items()}
    other = old.again(newer, profile=copy["id"])
    other.drive()
    assert other.job["source_id"] == old.job["source_id"]
    again = old.retry()
    again.rows = newer
    again.drive()
    assert wrong(again) == []


def test_another_database_than_the_job_had_read_is_refused(tiny_db: Database, generator: random.Random) -> None:
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    assert stop(world, generator, 2, fails=True)
    key = keys.profile(world.org, world.profile)
    changes = {"source_id": "0" * 32, "fingerprint": "0" * 32}
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in changes)
    dynamo.update("state", key, expression, changes)
    again = world.retry()
    with pytest.raises(Fatal) as stopped:
        call(plan.run, again.event)
    assert stopped.value.code == "source_changed"


def test_rows_of_a_pass_are_gone_on_with(tiny_db: Database, generator: random.Random) -> None:
    """They have no range to be read by again: what was read is all there is."""
    fill(tiny_db, SMALL)
    with psycopg.connect(tiny_db.dsn) as source:
        source.execute("ALTER TABLE conversations DROP CONSTRAINT conversations_pkey")
    world = Import(tiny_db, {"tickets": SMALL["tickets"]}, types=("tickets",))
    world.queries = {name: text.replace('"key": "n", ', "") for name, text in world.queries.items()}
    try:
        world.start()
        assert stop(world, generator, 1, fails=True)
        with psycopg.connect(tiny_db.dsn) as source:
            source.execute("UPDATE conversations SET text = 'changed'")
        again = world.retry()
        again.drive()
        records, claims, _ = stored(again.org)
        assert contents(records, claims, "tickets", SMALL["tickets"]) == []
    finally:
        with psycopg.connect(tiny_db.dsn) as source:
            source.execute("DROP TABLE conversations")
