"""Imports and people on the same records: no edit is overwritten unseen, and what was deleted can come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import chunks, dynamo, keys, ledger
from chalicelib.steps import load
from infra.local.stack import Stack
from tests.conftest import Database
from tests.deployed.faults.audit import counters, kept_claims, stored
from tests.deployed.faults.calls import Kill, call, killed_at
from tests.deployed.faults.source import Import, Row, fill
from tests.deployed.people import Person, trail

pytestmark = pytest.mark.usefixtures("undriven")

TYPE = "customer_users"
PEOPLE = [Row("1", "a@x"), Row("2", "b@x"), Row("3")]


def imported(database: Database, rows: list[Row], record_type: str = TYPE) -> Import:
    """A first import of these rows, done."""
    fill(database, {record_type: rows})
    world = Import(database, {record_type: rows}, (record_type,)).start()
    world.drive()
    return world


def again(world: Import, rows: list[Row], before_load: Callable[[], Any] | None = None) -> Import:
    """The source imported once more; `before_load` happens when all is decided and nothing is written."""
    [record_type] = world.types
    later = world.again({record_type: rows})
    meanwhile = [before_load] if before_load else []

    def invoke(run: Any, event: dict[str, Any]) -> dict[str, Any]:
        if run is load.run and meanwhile:
            meanwhile.pop()()
        return later.insist(run, event)

    later.drive(invoke)
    assert later.job["status"].startswith("completed"), later.job["errors"]
    return later


def of(world: Import, ext: str) -> dict[str, Any]:
    """What stands in a row's own place, a tombstone too."""
    [record_type] = world.types
    return dynamo.get("records", keys.record(world.org, record_type, world.derive(record_type, ext))) or {}


def shown(world: Import) -> dict[str, str]:
    """External id -> text of the records that are there; claims are their keys exactly."""
    found, claims, _ = stored(world.org)
    assert kept_claims(found, claims) == []
    return {record["ext"]: record["data"].get("name", record["data"].get("title")) for record in found}


def counted(world: Import) -> dict[str, int]:
    [record_type] = world.types
    words = ("created", "updated", "skipped", "failed")
    have = counters(world.org, world.job_id, record_type)
    return {word: have[word] for word in words if have[word]}


def holder(world: Import, email: str) -> str | None:
    held = dynamo.get("records", keys.claim(world.org, TYPE, "email", email))
    return held["id"] if held else None


def anew(world: Import) -> int:
    """Times that rows of a chunk were decided anew."""
    [record_type] = world.types
    return sum(len(chunk["parts"]) - 1 for chunk in chunks.listing(world.job, record_type).values())


def lines(world: Import) -> list[dict[str, Any]]:
    [record_type] = world.types
    return [line for chunk in chunks.listing(world.job, record_type).values() for line in ledger.read(chunk["parts"])]


def failure(world: Import) -> tuple[str, str, str, str]:
    """The one row that failed: external id, reason, message, and the record that is in its way."""
    [line] = [line for line in lines(world) if line["action"] == "failed"]
    return line["ext"], line["reason"], line["message"], line["duplicate_of"]


@pytest.mark.parametrize(("record_type", "field"), [(TYPE, "name"), ("tickets", "title")])
def test_an_edit_stays_until_the_source_row_itself_changes(
    deployed: Stack, tiny_db: Database, record_type: str, field: str
) -> None:
    rows = [Row("1"), Row("2")]
    world = imported(tiny_db, rows, record_type)
    person = Person(deployed, world.org)
    place = world.derive(record_type, "1")
    edited = person.change(record_type, place, **{field: "a person's", "custom_fields": {"mine": True}})
    assert edited["version"] == 2
    second = again(world, rows)
    assert counted(second) == {"skipped": 2}
    assert (shown(second), of(second, "1")["ver"]) == ({"1": "a person's", "2": "first"}, 2)
    third = again(second, [Row("1", text="the source's"), Row("2")])
    assert counted(third) == {"updated": 1, "skipped": 1}
    assert shown(third) == {"1": "the source's", "2": "first"}
    assert (of(third, "1")["ver"], of(third, "1")["data"]["custom_fields"]) == (3, {"mine": True})


def test_an_edited_record_stays_though_its_old_address_is_anothers_by_now(deployed: Stack, tiny_db: Database) -> None:
    world = imported(tiny_db, PEOPLE)
    person = Person(deployed, world.org)
    first, third = world.derive(TYPE, "1"), world.derive(TYPE, "3")
    person.change(TYPE, first, email="new@x")
    person.change(TYPE, third, email="a@x")
    later = again(world, PEOPLE)
    assert (counted(later), shown(later).keys()) == ({"skipped": 3}, {"1", "2", "3"})
    assert (holder(later, "new@x"), holder(later, "a@x")) == (first, third)


@pytest.mark.parametrize(("record_type", "field"), [(TYPE, "phone"), ("tickets", "category")])
def test_an_edit_between_decision_and_write_is_never_overwritten_unseen(
    deployed: Stack, tiny_db: Database, record_type: str, field: str
) -> None:
    world = imported(tiny_db, [Row("1"), Row("2")], record_type)
    person = Person(deployed, world.org)
    place = world.derive(record_type, "1")
    rows = [Row("1", text="changed"), Row("2")]
    later = again(world, rows, lambda: person.change(record_type, place, **{field: "mine"}))
    record = of(later, "1")
    assert (record["data"][field], record["ver"], shown(later)["1"]) == ("mine", 3, "changed")
    assert (counted(later), anew(later)) == ({"updated": 1, "skipped": 1}, 1)


def test_an_address_a_person_takes_between_decision_and_write_fails_the_row_that_has_it(
    deployed: Stack, tiny_db: Database
) -> None:
    world = imported(tiny_db, PEOPLE)
    person = Person(deployed, world.org)
    third = world.derive(TYPE, "3")
    rows = [*PEOPLE, Row("4", "d@x")]
    later = again(world, rows, lambda: person.change(TYPE, third, email="D@x"))
    assert holder(later, "d@x") == third
    assert shown(later).keys() == {"1", "2", "3"}
    assert counted(later) == {"skipped": 3, "failed": 1}
    assert failure(later) == ("4", "duplicate_key", "Duplicate entry found for key 'email'.", third)


def test_what_was_deleted_comes_again_with_its_claim(deployed: Stack, tiny_db: Database) -> None:
    world = imported(tiny_db, PEOPLE)
    person = Person(deployed, world.org)
    first = world.derive(TYPE, "1")
    person.delete(TYPE, first)
    assert shown(world).keys() == {"2", "3"}
    assert (holder(world, "a@x"), of(world, "1")["ver"]) == (None, 2)
    later = again(world, PEOPLE)
    assert counted(later) == {"created": 1, "skipped": 2}
    assert (holder(later, "a@x"), shown(later)["1"]) == (first, "first")
    record = of(later, "1")
    assert record["ver"] == 3
    assert record.keys() == {"pk", "sk", "data", "refs", "hash", "ver", "by", "origin", "keys"}
    assert counted(again(later, PEOPLE)) == {"skipped": 3}
    assert trail(world.org) == [("record.deleted", f"{TYPE}/{first}", [])]


def test_what_was_deleted_of_a_type_without_keys_comes_again(deployed: Stack, tiny_db: Database) -> None:
    world = imported(tiny_db, [Row("1"), Row("2")], "tickets")
    Person(deployed, world.org).delete("tickets", world.derive("tickets", "1"))
    later = again(world, [Row("1"), Row("2")])
    assert (counted(later), shown(later)) == ({"created": 1, "skipped": 1}, {"1": "first", "2": "first"})
    record = of(later, "1")
    assert (record["ver"], record.keys() & {"deleted", "expires"}) == (3, set())


def test_an_address_that_was_free_meanwhile_may_be_anothers_when_it_comes_again(
    deployed: Stack, tiny_db: Database
) -> None:
    world = imported(tiny_db, PEOPLE)
    person = Person(deployed, world.org)
    third = world.derive(TYPE, "3")
    person.delete(TYPE, world.derive(TYPE, "1"))
    person.change(TYPE, third, email="a@x")
    later = again(world, [Row("1", "a@x", "later"), *PEOPLE[1:]])
    assert (holder(later, "a@x"), shown(later).keys()) == (third, {"2", "3"})
    assert counted(later) == {"skipped": 2, "failed": 1}
    assert failure(later) == ("1", "duplicate_key", "Duplicate entry found for key 'email'.", third)


@pytest.mark.parametrize("still_there", [True, False])
def test_a_row_linked_to_a_deleted_record_has_a_record_again(
    deployed: Stack, tiny_db: Database, still_there: bool
) -> None:
    """Row 4 had the address of row 2 and became its record. Row 2 may still be in the source, or be gone there too."""
    rows = [*PEOPLE, Row("4", "b@x", "later")]
    world = imported(tiny_db, rows)
    second = world.derive(TYPE, "2")
    assert stored(world.org)[2] == {"4": second}
    Person(deployed, world.org).delete(TYPE, second)
    left = rows if still_there else [rows[0], rows[2], rows[3]]
    later = again(world, left)
    owner = "2" if still_there else "4"
    assert shown(later) == {"1": "first", "3": "first", owner: "later"}
    assert holder(later, "b@x") == later.derive(TYPE, owner)
    assert counted(again(later, left)) == {"skipped": len(left)}


def test_a_reference_by_a_link_to_a_deleted_record_is_open_until_there_is_one_again(
    deployed: Stack, tiny_db: Database
) -> None:
    """Ticket 1 belongs to customer 4, whose row had become the record of row 2."""
    rows = {TYPE: [*PEOPLE, Row("4", "b@x")], "tickets": [Row("1", parent="4")]}
    fill(tiny_db, rows)
    world = Import(tiny_db, rows, (TYPE, "tickets")).start()
    world.drive()
    second, ticket = world.derive(TYPE, "2"), world.derive("tickets", "1")
    place = f"/api/records/tickets/{ticket}"
    person = Person(deployed, world.org)
    assert person.ask("GET", place).body["customer_id"] == second
    person.delete(TYPE, second)
    assert person.ask("GET", place).body["customer_id"] == second, "kept as it is"
    world.again(types=("tickets",)).drive()
    told = person.ask("GET", place).body
    assert (told["customer_id"], told["unresolved"]) == (None, {"customer": "4"})
    world.again().drive()
    told = person.ask("GET", place).body
    assert (told["customer_id"], "unresolved" in told) == (second, False)
    assert person.ask("GET", f"/api/records/{TYPE}/{second}").status == 200


def test_a_deletion_between_decision_and_write_is_seen(deployed: Stack, tiny_db: Database) -> None:
    world = imported(tiny_db, PEOPLE)
    person = Person(deployed, world.org)
    first = world.derive(TYPE, "1")
    rows = [Row("1", "a@x", "changed"), *PEOPLE[1:]]
    later = again(world, rows, lambda: person.delete(TYPE, first))
    assert (counted(later), anew(later)) == ({"created": 1, "skipped": 2}, 1)
    assert (shown(later)["1"], of(later, "1")["ver"], holder(later, "a@x")) == ("changed", 3, first)


def test_a_deletion_between_effect_and_retry_stays(deployed: Stack, tiny_db: Database) -> None:
    """The worker dies when the records are written; the retry sees by the tombstone's mark that they had been."""
    fill(tiny_db, {"tickets": [Row("1"), Row("2")]})
    world = Import(tiny_db, {"tickets": [Row("1"), Row("2")]}, ("tickets",)).start()
    person = Person(deployed, world.org)
    waiting = [True]

    def invoke(run: Any, event: dict[str, Any]) -> dict[str, Any]:
        if run is load.run and waiting:
            for index in range(20):
                with pytest.raises(Kill), killed_at(index, "after", (load.run,)):
                    call(run, event)
                if of(world, "1"):
                    break
            waiting.clear()
            person.delete("tickets", world.derive("tickets", "1"))
        return world.insist(run, event)

    world.drive(invoke)
    assert (counted(world), shown(world)) == ({"created": 2}, {"2": "first"})
    assert (of(world, "1")["ver"], "data" in of(world, "1")) == (2, False)
    assert [line["action"] for line in lines(world)] == ["created", "created"]
