"""People change, delete and make records while a job writes them: theirs are never overwritten unseen."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import chunks, ledger
from tests.conftest import Database
from tests.deployed.faults.audit import counters, kept_claims, settled, stored
from tests.deployed.faults.calls import Call
from tests.deployed.faults.people import delete, edit, meddling, record, take_key, writes_records
from tests.deployed.faults.source import TEXT, Import, Row, Rows, fill

pytestmark = pytest.mark.usefixtures("undriven")

ROWS: Rows = {
    "customer_users": [Row("1", "a@x"), Row("2", "b@x")],
    "tickets": [Row("1"), Row("2")],
    "ticket_notes": [Row("1", parent="1"), Row("2")],
}
LATER: Rows = {name: [Row(row.ext, row.email, "later", row.parent) for row in rows] for name, rows in ROWS.items()}
TYPES = list(ROWS)


def second(database: Database, record_type: str, rows: Rows = LATER) -> Import:
    """An import whose records are all there and are all to be changed."""
    fill(database, ROWS)
    first = Import(database, ROWS, types=(record_type,)).start()
    first.drive()
    return first.again(rows)


def at_writes(times: int, act: Callable[[], Any]) -> Callable[[Call], None]:
    """Act at the first so many calls that write records."""
    left = itertools.count()

    def at(one: Call) -> None:
        if writes_records(one) and next(left) < times:
            act()

    return at


def fate(world: Import, record_type: str, ext: str) -> dict[str, Any]:
    """The ledger line that stands for a row."""
    listed = chunks.listing(world.job, record_type)
    lines = [line for chunk in listed.values() for line in ledger.read(chunk.get("parts", []))]
    return next(line for line in lines if line["ext"] == ext)


def clean(world: Import) -> None:
    records, claims, _ = stored(world.org)
    assert kept_claims(records, claims) == []
    assert settled(world) == []


@pytest.mark.parametrize("record_type", TYPES)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_record_edited_up_to_three_times_under_the_write_is_written_and_keeps_the_edits(
    tiny_db: Database, record_type: str, times: int
) -> None:
    world = second(tiny_db, record_type)
    notes = itertools.count(1)
    with meddling(at_writes(times, lambda: edit(world, record_type, "1", custom_fields={"note": next(notes)}))):
        world.drive()
    found = record(world, record_type, "1")
    assert found["data"][TEXT[record_type]] == "later"
    assert found["data"]["custom_fields"] == {"note": times}
    assert found["ver"] == 2 + times
    counted = counters(world.org, world.job_id, record_type)
    assert (counted["updated"], counted["failed"]) == (2, 0)
    clean(world)


@pytest.mark.parametrize("record_type", TYPES)
@pytest.mark.parametrize("times", [4, 5])
def test_a_record_edited_again_and_again_fails_its_row_as_a_conflict(
    tiny_db: Database, record_type: str, times: int
) -> None:
    world = second(tiny_db, record_type)
    with meddling(at_writes(times, lambda: edit(world, record_type, "1", **{TEXT[record_type]: "a person's"}))):
        world.drive()
    assert record(world, record_type, "1")["data"][TEXT[record_type]] == "a person's"
    line = fate(world, record_type, "1")
    assert (line["action"], line["reason"]) == ("failed", "conflict")
    assert line["message"] == ("The record was changed by somebody else again and again while it was being imported.")
    assert fate(world, record_type, "2")["action"] == "updated"
    assert world.job["status"] == "completed_with_errors"
    clean(world)


@pytest.mark.parametrize("record_type", TYPES)
def test_an_edit_after_the_write_whose_answer_was_lost_stays(tiny_db: Database, record_type: str) -> None:
    world = second(tiny_db, record_type)
    first = itertools.count()

    def edit_and_die(one: Call) -> None:
        if writes_records(one) and next(first) == 0:
            edit(world, record_type, "1", **{TEXT[record_type]: "a person's"})
            one.die()

    with meddling(edit_and_die, "after"):
        world.drive()
    found = record(world, record_type, "1")
    assert (found["data"][TEXT[record_type]], found["ver"]) == ("a person's", 3)
    assert counters(world.org, world.job_id, record_type)["updated"] == 2
    clean(world)


@pytest.mark.parametrize("record_type", TYPES)
def test_a_record_deleted_under_the_write_comes_back_as_a_new_one(tiny_db: Database, record_type: str) -> None:
    """The source still has the row; what the person had deleted is not in it any more."""
    fill(tiny_db, ROWS)
    first = Import(tiny_db, ROWS, types=(record_type,)).start()
    first.drive()
    edit(first, record_type, "1", custom_fields={"note": "a person's"})
    world = first.again(LATER)
    with meddling(at_writes(1, lambda: delete(world, record_type, "1"))):
        world.drive()
    found = record(world, record_type, "1")
    assert not found.get("deleted")
    assert "custom_fields" not in found["data"]
    counted = counters(world.org, world.job_id, record_type)
    assert (counted["created"], counted["updated"]) == (1, 1)
    clean(world)


@pytest.mark.parametrize("record_type", TYPES)
def test_a_record_deleted_after_the_write_whose_answer_was_lost_stays_deleted(
    tiny_db: Database, record_type: str
) -> None:
    world = second(tiny_db, record_type)
    first = itertools.count()

    def delete_and_die(one: Call) -> None:
        if writes_records(one) and next(first) == 0:
            delete(world, record_type, "1")
            one.die()

    with meddling(delete_and_die, "after"):
        world.drive()
    assert record(world, record_type, "1")["deleted"] is True
    assert counters(world.org, world.job_id, record_type)["updated"] == 2
    records, claims, _ = stored(world.org)
    assert kept_claims(records, claims) == []


def test_a_key_taken_between_decision_and_write_goes_to_the_one_who_has_it(tiny_db: Database) -> None:
    """A new row's address is a person's record by now: the row is recognised by it and linked."""
    fill(tiny_db, ROWS)
    world = Import(tiny_db, ROWS, types=("customer_users",)).start()
    taken: list[str] = []
    with meddling(at_writes(1, lambda: taken.append(take_key(world, "a@x")))):
        world.drive()
    line = fate(world, "customer_users", "1")
    assert (line["action"], line["id"], line["match"]["field"]) == ("updated", taken[0], "email")
    assert record(world, "customer_users", "1") == {}
    records, claims, links = stored(world.org)
    assert links == {"1": taken[0]}
    assert kept_claims(records, claims) == []
    assert len(records) == 2


def test_a_key_taken_before_a_row_could_move_to_it_fails_the_row(tiny_db: Database) -> None:
    moved = {"customer_users": [Row("1", "new@x", "later"), Row("2", "b@x", "later")]}
    world = second(tiny_db, "customer_users", moved)
    with meddling(at_writes(1, lambda: take_key(world, "new@x"))):
        world.drive()
    line = fate(world, "customer_users", "1")
    assert (line["action"], line["reason"]) == ("failed", "duplicate_key")
    assert record(world, "customer_users", "1")["data"]["email"] == "a@x"
    assert fate(world, "customer_users", "2")["action"] == "updated"
    clean(world)


def test_a_key_freed_under_the_write_is_free_again(tiny_db: Database) -> None:
    """Between decision and write the holder of the row's new address is deleted."""
    fill(tiny_db, ROWS)
    first = Import(tiny_db, ROWS, types=("customer_users",)).start()
    first.drive()
    rows = {"customer_users": [Row("3", "c@x"), Row("1", "a@x", "later")]}
    world = first.again(rows)
    with meddling(at_writes(1, lambda: delete(world, "customer_users", "1"))):
        world.drive()
    assert record(world, "customer_users", "1")["data"]["name"] == "later"
    counted = counters(world.org, world.job_id, "customer_users")
    assert (counted["created"], counted["failed"]) == (2, 0)
    clean(world)
