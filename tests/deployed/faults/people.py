"""Everybody but the import: people who change and delete records, and whoever stops a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from chalicelib import dynamo, jobs, keys
from chalicelib.dynamo import Refused
from chalicelib.errors import BadRequest
from tests.deployed.faults.calls import Call, aside, between
from tests.deployed.faults.source import STEPS, Import

ADA = {"id": "u1", "name": "Ada"}
"""Whoever it is."""


def record(world: Import, record_type: str, ext: str) -> dict[str, Any]:
    """What a source row's own record is now; empty when there is none."""
    return dynamo.get("records", keys.record(world.org, record_type, world.derive(record_type, ext))) or {}


def edit(world: Import, record_type: str, ext: str, **data: Any) -> None:
    """As a person does: other data, a higher version, the mark of the last import left as it is."""
    held = record(world, record_type, ext)
    values = {"data": held["data"] | data, "ver": held["ver"] + 1}
    dynamo.update("records", (held["pk"], held["sk"]), "SET #data = :data, #ver = :ver", values)


def delete(world: Import, record_type: str, ext: str) -> None:
    """As a person does: a tombstone with a higher version stays, the record's unique keys are free."""
    held = record(world, record_type, ext)
    changed = {"deleted": True, "ver": held["ver"] + 1}
    freed = [keys.claim(world.org, record_type, name, value) for name, value in held.get("keys", [])]
    setting = "SET #deleted = :deleted, #ver = :ver"
    entomb = dynamo.update_operation("records", (held["pk"], held["sk"]), setting, changed)
    dynamo.transact([("Update", entomb), *(("Delete", dynamo.delete_operation("records", claim)) for claim in freed)])


def take_key(world: Import, email: str) -> str:
    """A person makes a record of her own with this address, by a row of no source; its id."""
    org, record_type = world.org, "customer_users"
    record_id = keys.record_id(org, record_type, "people", "people", email)
    item = {
        "data": {"name": "a person's", "email": email},
        "refs": {},
        "ver": 1,
        "by": "a person",
        "hash": None,
        "keys": [["email", email]],
        "origin": {"source": "people", "table": "people", "ext": email, "at": None},
    }
    free = "attribute_not_exists(#pk)"
    claim = keys.claim(org, record_type, "email", email)
    dynamo.transact(
        [
            ("Put", dynamo.put_operation("records", keys.record(org, record_type, record_id), item, condition=free)),
            ("Put", dynamo.put_operation("records", claim, {"id": record_id}, condition=free)),
        ]
    )
    return record_id


def cancel(world: Import) -> None:
    """A person cancels the job, if it still runs, and does not wait."""
    with suppress(BadRequest):
        jobs.cancel(world.org, world.job_id, ADA, wait_seconds=0)


def fail(world: Import) -> None:
    """The job is to end as failed, if it still runs."""
    with suppress(Refused):
        jobs.move(world.job, "failing")


def writes_records(one: Call) -> bool:
    """Whether the call is one by which load writes records (its transactions on chunks and leases are not)."""
    body = one.request["body"]
    if one.step is not STEPS["load"] or one.operation not in ("BatchExecuteStatement", "TransactWriteItems"):
        return False
    return b"UPDATE" in body or b"INSERT" in body or b"#T#" in body


@contextmanager
def meddling(act: Callable[[Call], Any], moment: str = "before", *, within: tuple[Any, ...] = ()) -> Iterator[None]:
    """Somebody acts at calls of the import, before they are sent or after their effect; his own calls are his own."""

    def at(one: Call) -> None:
        with aside():
            act(one)

    with between(before=at if moment == "before" else None, after=at if moment == "after" else None, within=within):
        yield
