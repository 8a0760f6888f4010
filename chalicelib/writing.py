"""Conditional writes to the record store, in as few calls as the service allows.

In: ledger lines that write. Out: the lines whose record was not as expected, and those no record can hold. A write
that had happened before counts as done: the record bears its mark. Nothing here decides; `load` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from chalicelib import dynamo, keys, records, targets
from chalicelib.decisions import Line, Scope
from chalicelib.dynamo import Operation, Refused
from chalicelib.errors import Fatal, Retryable
from chalicelib.keys import Key

STATEMENTS = 25
"""Most statements of one BatchExecuteStatement (AWS API reference)."""

OPERATIONS = 100
"""Most operations of one TransactWriteItems (AWS API reference)."""

IDLE_ATTEMPTS = 7
"""Tries in a row without a single statement through before the step gives up: a table that is being throttled takes
some of a call's statements every time, and giving up would write the whole chunk again."""

REQUEST_BYTES = 3_000_000
"""A request's size is kept below the 4 MB of a transaction (AWS API reference)."""

_TRANSIENT = {
    "InternalServerError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingError",
    "TransactionConflict",
}


@dataclass(frozen=True)
class Write:
    """One record's write: where, what, on what condition, and what goes with it in the same transaction.

    mark: the import row, as `by`. item: the record as it will be; None when only a link is written.
    expect: the state to find, None for nothing there. drops: attributes the record is to lose.
    beside: claims and links, written in the same transaction.
    """

    line: Line
    key: Key
    mark: str
    item: dict[str, Any] | None
    expect: dict[str, Any] | None
    drops: tuple[str, ...]
    beside: tuple[Operation, ...]

    @property
    def plain(self) -> bool:
        """Whether it can go without a transaction."""
        return self.item is not None and not self.beside


def prepare(line: Line, scope: Scope, mark: str, imported_at: str | None) -> Write:
    """A ledger line as a write."""
    write = line.get("write")
    record_id = line["id"]
    beside = _link(line, scope)
    if write is None:
        return Write(line, keys.record(scope.org, scope.record_type, record_id), mark, None, None, (), tuple(beside))
    before = write["before"]
    revives = bool(before and before.get("deleted"))
    item = {
        "data": write["data"],
        "refs": write["refs"],
        "hash": write["hash"],
        "ver": (write["expect"] or {"ver": 0})["ver"] + 1,
        "by": mark,
        "origin": before["origin"] if before and not revives else _origin(line, scope, imported_at),
    }
    parent = records.listed_below(scope.org, scope.record_type, write["refs"])
    if parent:
        item["parent"] = parent
    if write["keys"] or targets.get(scope.record_type).UNIQUE_KEYS:
        item["keys"] = write["keys"]
    beside += [records.claim(scope.org, scope.record_type, record_id, *key) for key in write["claim"]]
    beside += [records.free(scope.org, scope.record_type, record_id, *key) for key in write["free"]]
    key = keys.record(scope.org, scope.record_type, record_id)
    drops = (("deleted", "expires") if revives else ()) + (("parent",) if scope.parent and not parent else ())
    return Write(line, key, mark, item, write["expect"], drops, tuple(beside))


def _origin(line: Line, scope: Scope, imported_at: str | None) -> dict[str, Any]:
    table = scope.origins[scope.record_type]
    return {"source": scope.source_id, "table": table, "ext": line["ext"], "at": imported_at}


def _link(line: Line, scope: Scope) -> list[Operation]:
    if "link" not in line:
        return []
    origin = scope.origins[scope.record_type]
    key = keys.link(scope.org, scope.record_type, scope.source_id, origin, line["ext"])
    return [("Put", dynamo.put_operation("records", key, {"id": line["link"]}))]


class Overtaken(Exception):
    """The ledger that is being applied is not the one that stands: another worker has gone on with the chunk."""


def batches(writes: list[Write], rows: int) -> Iterator[list[Write]]:
    """The writes in calls' portions: plain ones together, transactions together, records before mere links.

    rows: most rows of a portion, the job's `batch_size`; the service's own limits are below most values of it.
    """
    plain = [write for write in writes if write.plain]
    bound = [write for write in writes if write.item and write.beside]
    links = [write for write in writes if write.item is None]
    yield from _portions(plain, rows, STATEMENTS, lambda _write: 1)
    yield from _portions(bound, rows, OPERATIONS - 1, lambda write: 1 + len(write.beside))
    yield from _portions(links, rows, OPERATIONS - 1, lambda write: len(write.beside))


def _portions(writes: list[Write], rows: int, room: int, weigh: Any) -> Iterator[list[Write]]:
    portion: list[Write] = []
    weight = size = 0
    for write in writes:
        bytes_ = _bytes(write)
        full = len(portion) == rows or weight + weigh(write) > room or size + bytes_ > REQUEST_BYTES
        if portion and full:
            yield portion
            portion, weight, size = [], 0, 0
        portion.append(write)
        weight += weigh(write)
        size += bytes_
    if portion:
        yield portion


def _bytes(write: Write) -> int:
    return 500 + sum(map(records.most_bytes, write.item["data"].values())) if write.item else 500


@dataclass
class Outcome:
    """What did not get written. refused: the record was not as expected. unfit: the service can never hold it."""

    refused: list[Line] = field(default_factory=list)
    unfit: list[Line] = field(default_factory=list)


def apply(portion: list[Write], outcome: Outcome, standing: Operation) -> None:
    """Write one portion; what could not be written is added to the outcome, everything else stands in the store.

    standing: refused when the ledger is not the one that stands any more; raises Overtaken then. It goes with every
    transaction, for a claim that was refused may be free again by the time a forgotten worker comes to it. The
    conditions of plain writes never hold again: versions only rise, and what was deleted leaves a tombstone.
    """
    try:
        plain = portion[0].plain
        doubtful = _execute(portion, outcome) if plain else _transact(portion, outcome, standing)
    except dynamo.Unacceptable:
        if len(portion) == 1:
            outcome.unfit.append(portion[0].line)
            return
        for single in portion:  # one of them spoils the call for all
            apply([single], outcome, standing)
        return
    if doubtful:
        found = records.find([one.key for one in doubtful], consistent=True)
        outcome.refused += [one.line for one in doubtful if found.get(one.key, {}).get("by") != one.mark]


def _execute(portion: list[Write], outcome: Outcome) -> list[Write]:
    """25 conditional statements in one call; each is answered on its own. Returns those that were refused."""
    refused: list[Write] = []
    waiting = portion
    attempt = idle = 0
    while idle < IDLE_ATTEMPTS:
        answer = dynamo.call("batch_execute_statement", Statements=[_statement(write) for write in waiting])
        again: list[Write] = []
        for write, response in zip(waiting, answer["Responses"], strict=True):
            code = response.get("Error", {}).get("Code")
            if code in ("ConditionalCheckFailed", "DuplicateItem"):
                refused.append(write)
            elif code == "ValidationError":
                outcome.unfit.append(write.line)
            elif code in _TRANSIENT:
                again.append(write)
            elif code:
                raise Fatal(f"DynamoDB refused a record: {code}", code="record_refused")
        if not again:
            return refused
        idle = idle + 1 if len(again) == len(waiting) else 0
        waiting = again
        dynamo.step_aside(attempt)
        attempt += 1
    raise Retryable("DynamoDB kept refusing statements for load", code="throttled")


def _statement(write: Write) -> dict[str, Any]:
    item = dict(write.item or {})
    pk, sk = ({"S": part} for part in write.key)
    values = [dynamo.encode(item[name]) for name in item]
    names = tuple(item)
    if write.expect is None:
        return {"Statement": _insert(names), "Parameters": [pk, sk, *values]}
    state = [dynamo.encode(write.expect["ver"]), dynamo.encode(write.expect["by"])]
    return {"Statement": _update(names, write.drops), "Parameters": [*values, pk, sk, *state]}


@cache
def _insert(names: tuple[str, ...]) -> str:
    fields = ", ".join(f"'{name}': ?" for name in ("pk", "sk", *names))
    return f'INSERT INTO "{dynamo.name("records")}" VALUE {{{fields}}}'


@cache
def _update(names: tuple[str, ...], drops: tuple[str, ...]) -> str:
    changes = " ".join([*(f'SET "{name}" = ?' for name in names), *(f'REMOVE "{name}"' for name in drops)])
    table = dynamo.name("records")
    return f'UPDATE "{table}" {changes} WHERE "pk" = ? AND "sk" = ? AND "ver" = ? AND "by" = ?'


def _transact(portion: list[Write], outcome: Outcome, standing: Operation) -> list[Write]:
    """Records with their claims, all in one transaction. Those that spoil it are split out, the others tried again."""
    refused: list[Write] = []
    waiting = portion
    while waiting:
        operations = [(operation, write) for write in waiting for operation in _operations(write)]
        try:
            dynamo.transact([standing, *(operation for operation, _ in operations)])
        except Refused as answer:
            if answer.reasons[0] == "ConditionalCheckFailed":
                raise Overtaken from None
            why = {
                id(write): reason
                for (_, write), reason in zip(operations, answer.reasons[1:], strict=True)
                if reason in ("ConditionalCheckFailed", "ValidationError")
            }
            if not why:
                raise Fatal(f"DynamoDB refused a transaction: {set(answer.reasons)}", code="record_refused") from None
            refused += [write for write in waiting if why.get(id(write)) == "ConditionalCheckFailed"]
            outcome.unfit += [write.line for write in waiting if why.get(id(write)) == "ValidationError"]
            waiting = [write for write in waiting if id(write) not in why]
        else:
            break
    return refused


def _operations(write: Write) -> Iterator[Operation]:
    if write.item is not None:
        if write.expect is None:
            put = dynamo.put_operation("records", write.key, write.item, condition="attribute_not_exists(#pk)")
        else:
            condition = "#ver = :ver AND #by = :by"
            put = dynamo.put_operation("records", write.key, write.item, condition=condition, values=write.expect)
        yield "Put", put
    yield from write.beside
