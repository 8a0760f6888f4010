"""The core promise, proven: 0 lost, 0 doubled, 0 orphan claims, counters exact, whatever dies and whenever."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from chalicelib import chunks as chunk_items
from chalicelib import dynamo, keys, records, storage
from chalicelib.steps import decide, finish, load, match
from tests.deployed.exactly_once import (
    SOURCE,
    TEXT,
    Kill,
    Row,
    World,
    accepted,
    audit,
    call,
    drive,
    insist,
    killed_at,
    lines,
    stored,
    twice_at_once,
)
from tests.deployed.faults.answers import stormy
from tests.deployed.faults.calls import Frozen

KEYED = [
    [Row("1", "a@x"), Row("2", "b@x"), Row("3"), Row("4", "b@x", "later"), Row("5", "e@x")],
    [Row("6", "a@x", "across"), Row("7", "g@x"), Row("8"), Row("1", "a@x", "again")],
]
"""Duplicate keys inside a chunk (2, 4) and across chunks (1, 6), and one row twice (1)."""

PLAIN = [
    [Row("1"), Row("2"), Row("3"), Row("2", text="inside"), Row("5")],
    [Row("6"), Row("1", text="across"), Row("8")],
]


pytestmark = pytest.mark.usefixtures("in_process")


def rows_of(world: World) -> list[Row]:
    return [row for chunk in world.chunks for row in chunk]


@pytest.mark.parametrize(("record_type", "chunks"), [("customer_users", KEYED), ("tickets", PLAIN)])
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((decide.run, load.run), id="decide-load", marks=pytest.mark.exhaustive(ci=True)),
        pytest.param((match.run, finish.run), id="match-finish", marks=pytest.mark.exhaustive(ci=True)),
    ],
)
def test_killed_at_every_call_before_and_after_its_effect(
    record_type: str, chunks: list[list[Row]], steps: Any
) -> None:
    with killed_at(None, within=steps) as calls:
        world = World(record_type, chunks).prepare()
        drive(world)
    assert audit(world, rows_of(world)) == []
    assert calls.total() > 20
    for moment in ("before", "after"):
        for index in range(calls.total()):
            world = World(record_type, chunks).prepare()
            with killed_at(index, moment, steps):
                drive(world)
            assert audit(world, rows_of(world)) == [], f"killed {moment} call {index}"


@pytest.mark.exhaustive(ci=True)
@pytest.mark.parametrize(("record_type", "chunks"), [("customer_users", KEYED), ("tickets", PLAIN)])
def test_update_killed_at_many_calls(record_type: str, chunks: list[list[Row]], generator: random.Random) -> None:
    """A second import that changes, claims and frees; its counters and contents are as exact as the first one's."""
    changed = [[Row(row.ext, row.email and f"new-{row.email}", f"{row.text} 2") for row in rows] for rows in chunks]
    with killed_at(None) as calls:
        world = World(record_type, chunks).prepare()
        drive(world)
        second = world.again(changed)
        calls.clear()
        drive(second)
    expected = {"updated": len(rows_of(second))}
    assert audit(second, rows_of(second), counted=expected) == []
    for index in generator.sample(range(calls.total()), 12):
        moment = generator.choice(["before", "after"])
        world = World(record_type, chunks).prepare()
        drive(world)
        second = world.again(changed)
        with killed_at(index, moment):
            drive(second)
        assert audit(second, rows_of(second), counted=expected) == [], f"killed {moment} call {index}"


@pytest.mark.parametrize(("record_type", "chunks"), [("customer_users", KEYED), ("tickets", PLAIN)])
def test_every_step_invoked_twice_at_once(record_type: str, chunks: list[list[Row]]) -> None:
    for _ in range(3):
        world = World(record_type, chunks).prepare()
        drive(world, twice_at_once)
        assert audit(world, rows_of(world)) == []


@pytest.mark.parametrize(("record_type", "chunks"), [("customer_users", KEYED), ("tickets", PLAIN)])
def test_the_same_source_again_writes_nothing(record_type: str, chunks: list[list[Row]]) -> None:
    world = World(record_type, chunks).prepare()
    drive(world)
    before = stored(world.org)
    again = world.again()
    with killed_at(None) as calls:
        drive(again)
    assert stored(world.org) == before
    assert calls["BatchExecuteStatement"] == 0
    assert audit(again, rows_of(again), counted={"skipped": len(rows_of(again))}) == []


def edit(world: World, ext: str, **data: Any) -> None:
    """As a person does: other data, a higher version, the mark of the last import left as it is."""
    key = keys.record(world.org, world.record_type, world.derive(ext))
    held = dynamo.get("records", key) or {}
    values = {"data": held["data"] | data, "ver": held["ver"] + 1}
    dynamo.update("records", key, "SET #data = :data, #ver = :ver", values)


def of(world: World, ext: str) -> dict[str, Any]:
    return dynamo.get("records", keys.record(world.org, world.record_type, world.derive(ext))) or {}


@pytest.mark.parametrize("record_type", ["customer_users", "tickets"])
def test_a_persons_edit_between_decision_and_write_is_seen_and_decided_anew(record_type: str) -> None:
    world = World(record_type, [[Row("1"), Row("2")]]).prepare()
    drive(world)
    changed = world.again([[Row("1", text="changed"), Row("2")]])
    event = {"org": changed.org, "job": changed.job_id, "type": record_type}
    call(match.run, event)
    call(decide.run, event | {"chunk": 0})
    edit(changed, "1", notes="a person's")
    drive(changed)
    assert audit(changed, [Row("1", text="changed"), Row("2")], counted={"updated": 1, "skipped": 1}) == []
    record = of(changed, "1")
    assert (record["data"]["notes"], record["ver"]) == ("a person's", 3)
    assert len(chunk_items.get(changed.job, record_type, 0)["parts"]) == 2


@pytest.mark.parametrize("record_type", ["customer_users", "tickets"])
def test_a_persons_edit_between_effect_and_retry_stays(record_type: str) -> None:
    world = World(record_type, [[Row("1"), Row("2")]]).prepare()
    event = {"org": world.org, "job": world.job_id, "type": record_type}
    call(match.run, event)
    call(decide.run, event | {"chunk": 0})
    with killed_at(3, "after", (load.run,)) as calls, suppress(Kill):
        call(load.run, event | {"chunk": 0})
    assert calls["BatchExecuteStatement"] == 1, "killed after the records were written"
    edit(world, "1", **{TEXT[record_type]: "a person's"})
    drive(world)
    assert of(world, "1")["data"][TEXT[record_type]] == "a person's"
    assert world.job[f"{record_type}_created"] == 2
    assert len(chunk_items.get(world.job, record_type, 0)["parts"]) == 1


def test_rows_that_no_record_can_hold_fail_alone() -> None:
    """A list of 500 KB goes to S3; nesting deeper than DynamoDB takes fails its row and no other."""
    record_type = "customer_users"
    world = World(record_type, [[Row("1", "a@x"), Row("2", "b@x"), Row("3")]]).prepare()
    chunk = chunk_items.get(world.job, record_type, 0)
    rows = storage.get_rows(chunk["accepted"])
    rows[0]["data"]["emails"] = ["x" * 1000] * 500
    deep: Any = "bottom"
    for _ in range(40):
        deep = {"d": deep}
    rows[1]["data"]["custom_fields"] = deep
    stored_again = storage.put_rows(f"test/{world.org}", "accepted", rows).key
    key = keys.chunk(world.org, world.job_id, record_type, 0)
    dynamo.update("state", key, "SET #accepted = :accepted", {"accepted": stored_again})
    drive(world)
    by_row = {line["row"]: line for line in lines(world)}
    assert [by_row[row]["action"] for row in range(3)] == ["created", "failed", "created"]
    assert by_row[1]["reason"] == "record_refused"
    found, claims, _ = stored(world.org)
    assert {record["ext"] for record in found} == {"1", "3"}
    assert len(claims) == 1
    whole = records.show(next(record for record in found if record["ext"] == "1"), whole=True)
    assert len(whole["emails"]) == 500
    assert world.job["status"] == "completed_with_errors"


def test_match_repeated_with_other_links_keeps_every_row(generator: random.Random) -> None:
    """It dies while it moves rows; meanwhile a link appears that would group them otherwise."""
    rows = [[Row("1", "a@x"), Row("2", "b@x")], [Row("3", "a@x"), Row("4", "d@x")]]
    with killed_at(None, within=(match.run,)) as calls:
        world = World("customer_users", rows).prepare()
        drive(world)
    for index in generator.sample(range(calls.total()), 6):
        world = World("customer_users", rows).prepare()
        event = {"org": world.org, "job": world.job_id, "type": "customer_users"}
        with killed_at(index, "after", (match.run,)), suppress(Kill):
            call(match.run, event)
        link = keys.link(world.org, "customer_users", SOURCE, "customers", "4")
        dynamo.put("records", link, {"id": world.derive("2")})
        drive(world)
        assert len(lines(world)) == 4, f"killed after call {index}"
        counted = [world.job.get(f"customer_users_{word}", 0) for word in ("created", "updated", "failed")]
        assert sum(counted) == 4, f"killed after call {index}"


def test_a_linked_row_that_loses_its_key_stays_with_its_record() -> None:
    world = World("customer_users", [[Row("1", "a@x"), Row("2", "a@x", "second")]]).prepare()
    drive(world)
    again = world.again([[Row("1", "a@x"), Row("2", text="without")]])
    drive(again)
    found, _, links = stored(again.org)
    assert [record["ext"] for record in found] == ["1"]
    assert links == {"2": found[0]["sk"]}
    assert again.job["customer_users_updated"] == 2


def test_a_child_that_moves_to_another_parent_stays_one_record() -> None:
    """FreeScout merges conversations: the note is the same row, under another ticket."""
    world = World("ticket_notes", [[Row("1", parent="10"), Row("2", parent="10"), Row("3")]]).prepare()
    drive(world)
    first, second = (keys.record_id(world.org, "tickets", SOURCE, "conversations", ext) for ext in ("10", "20"))
    assert _children(world, first) == {"1", "2"}
    moved = world.again([[Row("1", parent="20"), Row("2"), Row("3", parent="10")]])
    drive(moved)
    assert audit(moved, rows_of(moved), counted={"updated": 3}) == []
    assert (_children(world, first), _children(world, second)) == ({"3"}, {"1"})


def _children(world: World, ticket: str) -> set[str]:
    found, _ = records.children(world.org, "ticket_notes", ticket)
    return {record["origin"]["ext"] for record in found}


class Naive:
    """How a loader is written when nobody thinks of death: random ids, look then put, add one a row."""

    def __init__(self, record_type: str, chunks: list[list[Row]]) -> None:
        self.world = World(record_type, chunks).prepare()

    def step(self, event: dict[str, Any], **_: Any) -> dict[str, Any]:
        """As a step, so that everything that befalls steps befalls it."""
        self.load()
        return {"state": "done"}

    def load(self) -> None:
        world = self.world
        for row in rows_of(world):
            record_id = str(uuid.uuid4())
            claim = keys.claim(world.org, world.record_type, "email", row.email or "")
            held = dynamo.get("records", claim) if row.email else None
            word = "updated" if held else "created"
            record_id = held["id"] if held else record_id
            data = accepted(row, 0, world.record_type)["data"]
            item = {"origin": {"ext": row.ext}, "data": data}
            dynamo.put("records", keys.record(world.org, world.record_type, record_id), item)
            if row.email and not held:
                dynamo.put("records", claim, {"id": record_id})
            dynamo.update(
                "state", keys.job(world.org, world.job_id), f"ADD #{world.record_type}_{word} :one",
                {"one": 1},
            )  # fmt: skip


def stormed(naive: Naive, generator: random.Random) -> None:
    with stormy(generator, 0.6):
        insist(naive.step, {})


def haunted(naive: Naive, generator: random.Random) -> None:
    with Frozen(naive.step, {}, generator.randrange(8)):
        insist(naive.step, {})


def doubled(naive: Naive, _: random.Random) -> None:
    twice_at_once(naive.step, {})


def test_negative_control_a_naive_loader_turns_red(generator: random.Random) -> None:
    """The same harness over a naive loader: were it green there, it would prove nothing here."""
    red = runs = 0
    for record_type, chunks in (
        ("customer_users", [[Row("1", "a@x"), Row("2", "b@x"), Row("3", "c@x"), Row("4", "d@x")]]),
        ("tickets", [[Row("1"), Row("2"), Row("3"), Row("4")]]),
    ):
        naive = Naive(record_type, chunks)
        with killed_at(None) as calls:
            insist(naive.step, {})
        assert audit(naive.world, rows_of(naive.world)) == []
        for index in range(calls.total()):
            for moment in ("before", "after"):
                naive = Naive(record_type, chunks)
                with killed_at(index, moment):
                    insist(naive.step, {})
                runs += 1
                red += bool(audit(naive.world, rows_of(naive.world)))
        for disturb in (stormed, haunted, doubled):
            assert any(disturbed(Naive(record_type, chunks), disturb, generator) for _ in range(5)), disturb.__name__
    assert red >= 0.9 * runs, f"{red} of {runs}"


def disturbed(naive: Naive, disturb: Callable[[Naive, random.Random], None], generator: random.Random) -> bool:
    """Whether the disturbance shows. One alone may pass by what matters."""
    disturb(naive, generator)
    return bool(audit(naive.world, rows_of(naive.world)))


def test_insist_is_what_the_state_machine_does() -> None:
    """A step that dies is called again with the very same event."""
    seen = []

    def dying(event: dict[str, Any], **_: Any) -> dict[str, Any]:
        seen.append(event)
        if len(seen) < 3:
            raise Kill
        return {"state": "done"}

    assert insist(dying, {"chunk": 1}) == {"state": "done"}
    assert seen == [{"chunk": 1}] * 3
