"""What the steps ask of AWS, from botocore's own events: calls, and for each write its partition and write units.

Write units are computed from the items: one a started KB, twice in a transaction, and one more in the index for a child
(Amazon DynamoDB Developer Guide, "DynamoDB item sizes and formats" and "Read and write capacity"). Changes of items in
place, which only the state table has, are taken as the item's size at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chalicelib import clients

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """One item of a write. item_bytes: 0 for a change in place; index: the partition of the index it also goes to."""

    table: str
    partition: str
    sort: str
    item_bytes: int
    transaction: bool
    index: str | None = None

    def units(self, sizes: dict[tuple[str, str], int]) -> int:
        """Write units of the table, the index's left out; sizes: (partition, sort) -> bytes of changed items."""
        size = self.item_bytes or sizes.get((self.partition, self.sort), 1)
        return -(-size // 1024) * (2 if self.transaction else 1)


@dataclass
class Call:
    """One call: service and operation, and what it wrote."""

    service: str
    operation: str
    request: dict[str, Any] = field(repr=False)

    @property
    def written(self) -> list[Written]:
        """The items it wrote or changed."""
        request = self.request
        if self.operation in ("PutItem", "UpdateItem", "DeleteItem"):
            return [_written(request, transaction=False)]
        if self.operation == "TransactWriteItems":
            pairs = (next(iter(item.items())) for item in request["TransactItems"])
            return [_written(operation, transaction=True) for kind, operation in pairs if kind != "ConditionCheck"]
        if self.operation == "BatchExecuteStatement":
            return [_stated(statement) for statement in request["Statements"]]
        return []

    @property
    def least_read_units(self) -> float:
        """Read units of look-ups by key if no item has more than 4 KB: half a unit each, a whole one if consistent."""
        if self.operation == "GetItem":
            return 1.0 if self.request.get("ConsistentRead") else 0.5
        tables = self.request.get("RequestItems", {}) if self.operation == "BatchGetItem" else {}
        return sum(len(one["Keys"]) * (1.0 if one.get("ConsistentRead") else 0.5) for one in tables.values())


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Every call to DynamoDB and S3 in the block, in order."""
    calls: list[Call] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append(Call(model.service_model.service_name, model.name, params))

    events = [clients.client(service).meta.events for service in ("dynamodb", "s3")]
    for emitter in events:
        emitter.register_first("provide-client-params", note, "benchmark")
    try:
        yield calls
    finally:
        for emitter in events:
            emitter.unregister("provide-client-params", note, "benchmark")


def _written(request: dict[str, Any], *, transaction: bool) -> Written:
    item = request.get("Item") or {}
    key = item or request["Key"]
    parent = item.get("parent", {}).get("S")
    return Written(request["TableName"], key["pk"]["S"], key["sk"]["S"], item_bytes(item), transaction, parent)


def _stated(statement: dict[str, Any]) -> Written:
    text, values = statement["Statement"], statement["Parameters"]
    table = re.findall(r'(?:INTO|UPDATE) "([^"]+)"', text)[0]
    if text.startswith("INSERT"):
        names = re.findall(r"'(\w+)': \?", text)
        item = dict(zip(names, values, strict=True))
    else:
        names = re.findall(r'(?:SET |WHERE |AND )"(\w+)" = \?', text)
        item = dict(zip(names, values, strict=True))
    parent = item.get("parent", {}).get("S")
    return Written(table, item["pk"]["S"], item["sk"]["S"], item_bytes(item), transaction=False, index=parent)


def item_bytes(item: Attributes) -> int:
    """The size of an item as DynamoDB counts it; 0 for none."""
    return sum(len(name.encode()) + _bytes(value) for name, value in item.items())


def _bytes(attribute: dict[str, Any]) -> int:
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode("utf-8", "surrogatepass"))
    if kind == "N":
        return -(-len(value.lstrip("-").replace(".", "")) // 2) + 1 + value.startswith("-")
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _bytes(inner) for name, inner in value.items())
    if kind == "L":
        return 3 + sum(1 + _bytes(inner) for inner in value)
    if kind == "SS":
        return sum(len(inner.encode()) for inner in value)
    return 1
