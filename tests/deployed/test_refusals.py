"""AWS throttles, fails, refuses single statements and loses answers: the import is late, never wrong."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import pytest

from chalicelib import access, jobs, profiles
from chalicelib.steps import load
from tests.conftest import Database
from tests.deployed.faults.answers import (
    CANCELLATION_REASONS,
    STATEMENT_CODES,
    given_up,
    keys_unprocessed,
    lost_answers,
    statement_answered,
    stormy,
    transaction_cancelled,
)
from tests.deployed.faults.audit import audit, counters, settled
from tests.deployed.faults.calls import between
from tests.deployed.faults.source import SMALL, STEPS, Import, Row, Rows, fill

pytestmark = pytest.mark.usefixtures("undriven")

CHANGED: Rows = {name: [row.changed() for row in rows] for name, rows in SMALL.items()}
UPDATED = {name: {"updated": len(rows)} for name, rows in SMALL.items()}

HOPELESS = {"AccessDenied", "ItemCollectionSizeLimitExceeded", "ResourceNotFound"}
"""Codes that no repetition mends: the job fails, and says what it did."""

REFUSED_ROW = {"ValidationError"}
"""Codes that say that this one record can never be stored: its row fails alone."""


def test_what_a_storm_is_made_of(tiny_db: Database, generator: random.Random) -> None:
    """Every kind of disturbance happens, so the storms below mean something."""
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    with stormy(generator, 0.2) as done:
        world.drive()
    assert set(done) == {"lost answer", "lost connection", "refused answer", "refused connection"}


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_a_share_of_all_attempts_goes_wrong(tiny_db: Database, generator: random.Random, share: float) -> None:
    _weather(tiny_db, generator, share)


@pytest.mark.exhaustive
@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_many_storms(tiny_db: Database, generator: random.Random, share: float) -> None:
    for _ in range(2):
        _weather(tiny_db, generator, share)


def _weather(database: Database, generator: random.Random, share: float) -> None:
    fill(database, SMALL)
    world = Import(database, SMALL).start()
    with stormy(generator, share) as done:
        world.drive()
    assert audit(world) == [], done
    again = world.again(CHANGED)
    with stormy(generator, share) as done:
        again.drive()
    assert audit(again, counted=UPDATED) == [], done


def test_a_share_of_all_calls_fails_for_good(tiny_db: Database, generator: random.Random) -> None:
    """botocore has given up: the step ends with what the state machine tries again."""
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    with given_up(generator, 0.08) as done:
        world.drive()
    assert audit(world) == [], done
    assert {kind.split()[0] for kind in done} >= {"dynamodb", "s3"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("share", [0.03, 0.08])
def test_many_calls_fail_for_good(tiny_db: Database, generator: random.Random, share: float) -> None:
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    with given_up(generator, share) as done:
        world.drive()
    assert audit(world) == [], done
    again = world.again(CHANGED)
    with given_up(generator, share) as done:
        again.drive()
    assert audit(again, counted=UPDATED) == [], done


def test_keys_left_unprocessed_are_asked_for_again(tiny_db: Database, generator: random.Random) -> None:
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL).start()
    with keys_unprocessed(generator, 0.4) as left:
        world.drive()
    assert audit(world) == []
    again = world.again(CHANGED)
    with keys_unprocessed(generator, 0.4) as left:
        again.drive()
    assert audit(again, counted=UPDATED) == []
    assert left["keys"] > 20


TICKETS: Rows = {"tickets": [Row(str(n), text=f"t{n}") for n in range(5)]}
FEW: Rows = {"tickets": [Row(row.ext, text=f"{row.text} 2") for row in TICKETS["tickets"]]}


def statements(database: Database, index: int, code: str, *, effect: bool, update: bool) -> None:
    """A job of five tickets in three chunks, one statement of it answered with a code."""
    fill(database, TICKETS)
    world = Import(database, TICKETS, types=("tickets",)).start()
    if update:
        world.drive()
        world = world.again(FEW)
    with statement_answered(index, code, effect=effect) as changed:
        world.drive()
    where = f"{code} at statement {index}, {'after' if effect else 'without'} its effect"
    assert changed[code] == 1, where
    word = "updated" if update else "created"
    if code in HOPELESS:
        assert world.job["status"] == "failed", where
        assert settled(world) == [], where
        assert world.job["errors"], where
    elif code in REFUSED_ROW:
        counted = counters(world.org, world.job_id, "tickets")
        assert (counted[word], counted["failed"], world.job["status"]) == (4, 1, "completed_with_errors"), where
        assert world.job["reasons"]["tickets"]["failed:record_refused"] == 1, where
    else:
        assert audit(world, counted={"tickets": {word: 5}}) == [], where


@pytest.mark.parametrize("effect", [False, True], ids=["unexecuted", "executed"])
@pytest.mark.parametrize("code", STATEMENT_CODES)
def test_a_statement_is_answered_with_each_code(
    tiny_db: Database, generator: random.Random, code: str, effect: bool
) -> None:
    if (code in HOPELESS | REFUSED_ROW or code == "DuplicateItem") and effect:
        pytest.skip("says that there was no effect")
    statements(tiny_db, generator.randrange(2), code, effect=effect, update=code != "DuplicateItem")


@pytest.mark.exhaustive
@pytest.mark.parametrize("update", [False, True], ids=["new", "changed"])
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("code", STATEMENT_CODES)
def test_a_statement_at_every_index_is_answered_with_each_code(
    tiny_db: Database, code: str, index: int, update: bool
) -> None:
    for effect in (False, True) if code not in HOPELESS | REFUSED_ROW else (False,):
        statements(tiny_db, index, code, effect=effect, update=update)


CUSTOMERS: Rows = {"customer_users": [Row("1", "a@x"), Row("2", "b@x"), Row("3", "c@x"), Row("4", "a@x", "later")]}
MOVED: Rows = {"customer_users": [row.changed() for row in CUSTOMERS["customer_users"]]}


def cancelled(database: Database, reason: str, index: int, which: int, *, step: str = "load", effect: bool) -> bool:
    """An import that moves keys, one of a step's transactions cancelled; False when there was no such one."""
    fill(database, CUSTOMERS)
    first = Import(database, CUSTOMERS, types=("customer_users",)).start()
    first.drive()
    world = first.again(MOVED)
    with transaction_cancelled(index, reason, within=(STEPS[step],), which=which, effect=effect) as seen:
        world.drive()
    where = f"{reason} for operation {index} of transaction {which} of {step}, effect: {effect}"
    if not seen["cancelled"]:
        assert audit(world, counted={"customer_users": {"updated": 4}}) == [], where
        return False
    counted = counters(world.org, world.job_id, "customer_users")
    if reason in PASSING or effect:
        assert audit(world, counted={"customer_users": {"updated": 4}}) == [], where
    else:  # said without a cause, it may cost rows or the job; but never quietly
        assert settled(world) == [], where
        assert world.job["status"] == "failed" or not counted["unprocessed"], where
        assert world.job["status"] != "completed" or counted["updated"] == 4, where
    return True


PASSING = ("TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError")


@pytest.mark.parametrize("reason", PASSING)
def test_a_transaction_meets_others(tiny_db: Database, generator: random.Random, reason: str) -> None:
    """In load: the lease, records with claims, or closing the chunk."""
    assert cancelled(tiny_db, reason, generator.randrange(2), generator.randrange(4), effect=False)


LIKELY = [("load", reason) for reason in CANCELLATION_REASONS]
LIKELY += [(step, why) for step in ("extract", "transform", "match", "decide") for why in ("TransactionConflict",)]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("step", "reason"), LIKELY)
def test_every_transaction_is_cancelled_for_each_reason(
    tiny_db: Database, generator: random.Random, step: str, reason: str
) -> None:
    """At its first operation, and at any other."""
    which = 0
    while cancelled(tiny_db, reason, 0, which, step=step, effect=False):
        cancelled(tiny_db, reason, generator.randrange(1, 4), which, step=step, effect=False)
        which += 1
    assert which


@pytest.mark.exhaustive
@pytest.mark.parametrize("step", ["extract", "decide", "load", "finish"])
def test_every_transaction_meets_its_own_effect(tiny_db: Database, step: str) -> None:
    """The answer was lost, botocore sent it again, and its conditions met what it had done itself."""
    which = 0
    while cancelled(tiny_db, "ConditionalCheckFailed", 0, which, step=step, effect=True):
        which += 1
    assert which


OPERATIONS = ("TransactWriteItems", "BatchExecuteStatement", "UpdateItem", "PutItem", "DeleteItem", "PutObject")


@pytest.mark.parametrize("retried", [True, False], ids=["sent-again", "given-up"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_to_a_write_is_lost_once(
    tiny_db: Database, generator: random.Random, operation: str, retried: bool
) -> None:
    """Three in a row from any on; of a start, too: what was done meets itself."""
    fill(tiny_db, SMALL)
    world = Import(tiny_db, SMALL)
    skip = 0 if operation in ("DeleteItem", "UpdateItem") else generator.randrange(3)  # there are few of them
    world.profile = world._profile()
    if not retried:
        world.start()
    with lost_answers(operation, times=3, skip=skip, retried=retried) as seen:
        if retried:
            world.start()
        world.drive()
    assert audit(world) == [], f"{operation} after {skip} calls"
    assert seen["calls"] > skip


def test_a_start_whose_answer_was_lost_is_a_start(tiny_db: Database) -> None:
    """botocore sends the transaction again; the lock it then meets is the job's own."""
    fill(tiny_db, TICKETS)
    world = Import(tiny_db, TICKETS, types=("tickets",))
    world.profile = world._profile()
    with lost_answers("TransactWriteItems") as seen:
        world.start()
    assert seen["calls"] > 1
    assert jobs.running(world.org, world.profile) == world.job_id
    world.drive()
    assert audit(world) == []


def test_what_is_made_under_a_new_id_does_not_meet_itself() -> None:
    """The profile and the line about it, in one transaction; the organisation, its user and the token."""
    org, user = str(uuid.uuid4()), {"id": "u1", "name": "U"}
    with lost_answers("TransactWriteItems", times=1) as seen:
        made = profiles.create(org, user, {"name": "P", "password": None})
    assert seen["calls"] == 2
    assert profiles.get(org, made["id"])["name"] == "P"
    with lost_answers("PutItem", times=3):
        access.bootstrap("Org", "Ada", "ada@example.com")


def test_the_largest_calls_are_made_of_many_writes(tiny_db: Database) -> None:
    """What the tests above disturb is what a real import sends: several statements a call."""
    rows: Rows = {"tickets": [Row(str(n)) for n in range(8)]}
    fill(tiny_db, rows)
    sizes: list[int] = []

    def before(one: Any) -> None:
        if one.operation == "BatchExecuteStatement":
            sizes.append(len(json.loads(one.request["body"])["Statements"]))

    with between(before=before, within=(load.run,)):
        Import(tiny_db, rows, types=("tickets",)).start().drive()
    assert max(sizes) >= 2
