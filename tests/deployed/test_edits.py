"""Edits by people against the deployed tables: races of real threads, and deaths at every call."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from typer.testing import CliRunner

from chalicelib import dynamo, edits, keys, records
from chalicelib.errors import Conflict, Invalid, NotFound, PreconditionFailed, RequestError
from chalicelib.preconditions import IfMatch, tag
from cli.main import app as command
from infra.local.stack import Stack
from tests.deployed.faults.answers import lost_answers
from tests.deployed.faults.audit import kept_claims, scan, stored
from tests.deployed.faults.calls import Kill, killed_at
from tests.deployed.people import Person, trail

pytestmark = pytest.mark.usefixtures("in_process")

TYPE = "customer_users"
USER = {"id": "u1", "name": "Ada"}
STAR = IfMatch("*")


def given(org: str, ext: str, *, record_type: str = TYPE, email: str | None = None, **data: Any) -> str:
    """A record as an import leaves it, with its claim. Returns its id."""
    record_id = keys.record_id(org, record_type, "s", record_type, ext)
    held = [("email", email)] if email else []
    fields = data | ({"email": email} if email else {})
    origin = {"source": "s", "table": record_type, "ext": ext, "at": "2026-01-01T10:00:00Z"}
    item = {"origin": origin, "data": fields, "refs": {}, "ver": 1, "by": "j#t#0#0", "hash": "0", "keys": held}
    put = dynamo.put_operation("records", keys.record(org, record_type, record_id), item)
    dynamo.transact([("Put", put), *(records.claim(org, record_type, record_id, *key) for key in held)])
    return record_id


def change(org: str, record_id: str, version: int | None, **sent: Any) -> records.Record:
    seen = IfMatch(tag(version)) if version else STAR
    return edits.change(org, USER, TYPE, record_id, seen, sent)


def remove(org: str, record_id: str, version: int | None) -> None:
    edits.remove(org, USER, TYPE, record_id, IfMatch(tag(version)) if version else STAR, now=datetime.now(UTC))


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each work answers, or the refusal it meets, all begun at one moment in threads of their own."""
    gate = threading.Barrier(len(works))
    answers: list[Any] = [None] * len(works)

    def worker(place: int) -> None:
        gate.wait()
        try:
            answers[place] = works[place]()
        except RequestError as error:
            answers[place] = error

    threads = [threading.Thread(target=worker, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def consistent(org: str) -> list[str]:
    """What is wrong with the store: claims are exactly the keys, and each version after the first has its line."""
    found, claims, _ = stored(org)
    everything = scan("records", f"O#{org}#T#")
    raised = sum(item["ver"] - 1 for item in everything)
    lines = len(trail(org))
    return kept_claims(found, claims) + ([] if raised == lines else [f"{raised} changes, {lines} audit lines"])


def test_tombstones_expire_by_themselves(deployed: Stack) -> None:
    table = deployed.client("dynamodb").describe_time_to_live(TableName=deployed.outputs["RecordsTable"])
    assert table["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_a_record_is_read_changed_and_deleted_through_the_front(deployed: Stack) -> None:
    person = Person(deployed)
    record_id = given(person.org, "1", name="Jane", email="jane@x")
    place = f"/api/records/{TYPE}/{record_id}"
    seen = person.ask("GET", place)
    assert (seen.status, seen.headers["ETag"]) == (200, '"1"')
    assert person.ask("PATCH", place, {"email": "new@x"}).body["code"] == "precondition_required"
    changed = person.ask("PATCH", place, {"email": "new@x"}, seen.headers["ETag"])
    assert (changed.status, changed.headers["ETag"], changed.body["email"]) == (200, '"2"', "new@x")
    stale = person.ask("DELETE", place, None, seen.headers["ETag"])
    assert (stale.status, stale.body["code"], stale.body["version"]) == (412, "stale_version", 2)
    other = person.ask("OPTIONS", place)
    assert (other.status, other.headers["Allow"]) == (405, "DELETE, GET, PATCH")
    assert person.ask("DELETE", place, None, changed.headers["ETag"]).status == 200
    assert person.ask("GET", place).status == 404
    assert consistent(person.org) == []
    assert trail(person.org) == [
        ("record.updated", f"{TYPE}/{record_id}", ["email"]),
        ("record.deleted", f"{TYPE}/{record_id}", []),
    ]


def test_the_command_edits_and_deletes_on_the_version_it_saw(deployed: Stack) -> None:
    person = Person(deployed)
    record_id = given(person.org, "1", name="Jane", email="jane@x", phone="1")
    place = ["records", "edit", TYPE, record_id]

    def wharf(*arguments: str) -> Any:
        env = {"WHARF_ENDPOINT": deployed.endpoint, "WHARF_TOKEN": person.token}
        return CliRunner().invoke(command, list(arguments), env=env, prog_name="wharf")

    done = wharf(*place, "email=new@x", "is_active:=false", "--null", "phone")
    assert (done.exit_code, done.stdout) == (0, f"{record_id}\n")
    record = records.get(person.org, TYPE, record_id)
    assert (record["data"], record["ver"]) == ({"name": "Jane", "email": "new@x", "is_active": False}, 2)
    refused = wharf(*place, "is_active=false", "version:=9")
    assert refused.exit_code == 1
    assert "is_active: The is_active field must be true or false." in refused.stderr
    assert "version: The version field cannot be changed." in refused.stderr
    assert wharf("records", "delete", TYPE, record_id, "--yes").exit_code == 0
    assert wharf("records", "delete", TYPE, record_id, "--yes").stderr == f"Error: No {TYPE} found.\n"
    assert consistent(person.org) == []


def test_of_many_edits_of_one_version_through_the_front_one_wins(deployed: Stack) -> None:
    person = Person(deployed)
    record_id = given(person.org, "1", name="Jane")
    place = f"/api/records/{TYPE}/{record_id}"
    for version in range(1, 5):
        works = [partial(person.ask, "PATCH", place, {"name": f"{version}.{n}"}, tag(version)) for n in range(8)]
        answers = at_once(*works)
        assert Counter(answer.status for answer in answers) == {200: 1, 412: 7}
        assert {answer.body["version"] for answer in answers} == {version + 1}
        [winner] = [answer.body["name"] for answer in answers if answer.status == 200]
        assert person.ask("GET", place).body["name"] == winner
    assert consistent(person.org) == []


def test_of_many_edits_and_deletions_of_one_version_one_wins() -> None:
    ends: Counter[str] = Counter()
    for _ in range(6):
        org = f"t-{uuid.uuid4()}"
        record_id = given(org, "1", name="Jane", email="jane@x")
        works = [partial(change, org, record_id, 1, name=f"n{n}", email=f"{n}@x") for n in range(6)]
        works += [partial(remove, org, record_id, 1)] * 6
        answers = at_once(*works)
        refused = [answer for answer in answers if isinstance(answer, RequestError)]
        assert len(refused) == 11
        assert {type(answer) for answer in refused} <= {PreconditionFailed, NotFound}
        left = dynamo.get("records", keys.record(org, TYPE, record_id)) or {}
        assert left["ver"] == 2
        assert consistent(org) == []
        ends["deleted" if "deleted" in left else "changed"] += 1
    assert ends.total() == 6


def test_edits_of_whatever_stands_all_stand() -> None:
    """`If-Match: *` is conditional on what was read all the same: no edit of another field is lost."""
    org = f"t-{uuid.uuid4()}"
    record_id = given(org, "1", name="Jane")
    fields = ("phone", "company", "job_title", "address")
    answers = at_once(*[partial(change, org, record_id, None, **{name: name}) for name in fields])
    assert [answer for answer in answers if isinstance(answer, RequestError)] == []
    record = records.get(org, TYPE, record_id)
    assert (record["data"], record["ver"]) == ({"name": "Jane"} | {name: name for name in fields}, 5)
    assert consistent(org) == []


def test_of_two_who_take_one_address_at_once_one_gets_it() -> None:
    for _ in range(10):
        org = f"t-{uuid.uuid4()}"
        ids = [given(org, str(n), name="N", email=f"old{n}@x") for n in range(4)]
        answers = at_once(*[partial(change, org, one, 1, email="Wanted@x") for one in ids])
        refused = [answer for answer in answers if isinstance(answer, RequestError)]
        assert [type(answer) for answer in refused] == [Conflict] * 3
        assert {answer.message for answer in refused} == {"Duplicate entry found for key 'email'."}
        held = dynamo.get("records", keys.claim(org, TYPE, "email", "wanted@x")) or {}
        assert [one for one in ids if records.get(org, TYPE, one)["ver"] == 2] == [held["id"]]
        assert consistent(org) == []


def test_an_address_that_is_given_up_and_taken_at_once_is_never_two_peoples() -> None:
    for number in range(10):
        org = f"t-{uuid.uuid4()}"
        first, second = (given(org, str(n), name="N", email=f"{n}@x") for n in range(2))
        gives_up = partial(remove, org, first, 1) if number % 2 else partial(change, org, first, 1, email="2@x")
        gave_up, took = at_once(gives_up, partial(change, org, second, 1, email="0@x"))
        assert not isinstance(gave_up, RequestError)
        assert isinstance(took, Conflict) or took["data"]["email"] == "0@x"
        assert consistent(org) == []


def test_a_record_deleted_while_another_comes_to_refer_to_it() -> None:
    ends: Counter[bool] = Counter()
    for _ in range(10):
        org = f"t-{uuid.uuid4()}"
        account, person = given(org, "1", record_type="accounts", name="A"), given(org, "1", name="N")
        gone = partial(edits.remove, org, USER, "accounts", account, STAR, now=datetime.now(UTC))
        _, refers = at_once(gone, partial(change, org, person, 1, account_id=account))
        if isinstance(refers, RequestError):
            assert isinstance(refers, Invalid)
            assert refers.errors == {"account_id": ["The account_id is the id of no record of accounts."]}
        assert (records.get(org, TYPE, person)["ver"] == 1) == isinstance(refers, Invalid)
        assert consistent(org) == []
        ends[isinstance(refers, Invalid)] += 1
    assert ends.total() == 10


def rich_change(org: str, record_id: str) -> None:
    """An edit that does all there is to do: a claim taken and freed, a reference, a text that goes to S3."""
    version = records.get(org, TYPE, record_id)["ver"]
    account = keys.record_id(org, "accounts", "s", "accounts", "1")
    change(org, record_id, version, email="new@x", account_id=account, address="ü" * 400_000)


def scene() -> tuple[str, str]:
    org = f"t-{uuid.uuid4()}"
    given(org, "1", record_type="accounts", name="A")
    return org, given(org, "1", name="Jane", email="jane@x")


def test_an_edit_killed_at_every_call_and_repeated() -> None:
    here = scene()
    with killed_at(None) as calls:
        rich_change(*here)
    assert calls["TransactWriteItems"] == calls["PutObject"] == 1
    for moment in ("before", "after"):
        for index in range(calls.total()):
            org, record_id = scene()
            with killed_at(index, moment), pytest.raises(Kill):
                rich_change(org, record_id)
            assert consistent(org) == [], f"killed {moment} call {index}"
            rich_change(org, record_id)
            record = records.get(org, TYPE, record_id)
            assert (record["ver"], record["keys"]) == (2, [["email", "new@x"]]), f"killed {moment} call {index}"
            assert records.show(record, whole=True)["address"] == "ü" * 400_000
            assert consistent(org) == []


def test_a_deletion_killed_at_every_call_and_repeated() -> None:
    here = scene()
    with killed_at(None) as calls:
        remove(*here, version=1)
    assert calls == {"GetItem": 1, "TransactWriteItems": 1}
    for moment in ("before", "after"):
        for index in range(calls.total()):
            org, record_id = scene()
            with killed_at(index, moment), pytest.raises(Kill):
                remove(org, record_id, 1)
            assert consistent(org) == [], f"killed {moment} call {index}"
            had_happened = moment == "after" and index == 1
            if had_happened:
                with pytest.raises(NotFound):
                    remove(org, record_id, 1)
            else:
                remove(org, record_id, 1)
            left = dynamo.get("records", keys.record(org, TYPE, record_id)) or {}
            assert (left["ver"], "deleted" in left, "data" in left) == (2, True, False)
            assert stored(org)[1] == {}
            assert consistent(org) == []


def test_an_edit_whose_answer_is_lost_is_not_mistaken_for_another_persons() -> None:
    """It is sent again with the same token, and the service tells what it had done."""
    org, record_id = scene()
    with lost_answers("TransactWriteItems") as seen:
        assert change(org, record_id, 1, name="New")["ver"] == 2
    assert seen["calls"] >= 2
    assert records.get(org, TYPE, record_id)["data"]["name"] == "New"
    assert consistent(org) == []


def test_what_no_item_can_hold_is_refused_and_nothing_changes() -> None:
    org, record_id = scene()
    deep: Any = "bottom"
    for _ in range(40):
        deep = {"d": deep}
    with pytest.raises(Invalid) as refused:
        change(org, record_id, 1, email="new@x", custom_fields=json.loads(json.dumps(deep)))
    assert (refused.value.status, refused.value.code) == (422, "record_refused")
    assert refused.value.message == "The record is too large or too deeply nested to be stored."
    assert records.get(org, TYPE, record_id)["ver"] == 1
    assert consistent(org) == []
