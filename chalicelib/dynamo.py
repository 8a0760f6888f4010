"""Reading and writing DynamoDB items in plain Python values.

In and out: dicts of str, int, float, bool, None, list, dict, and sets of str (read back as a sorted list). The
codec is our own because boto3's turns every number into Decimal and costs five times as much on the hot path.
Throttling is retried by botocore; what is left comes out as `Retryable`. A refused condition is an answer, not an
error: see `Refused`.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from chalicelib import settings
from chalicelib.clients import client
from chalicelib.errors import Retryable
from chalicelib.keys import Key

CONFLICT_ATTEMPTS = 12
"""Tries against other transactions on the same item. All workers of a job count on its item; in a simulation of 40 of
them, 5 tries without chance in the waits ended one task in five, 12 with it one in fifty, to be tried again whole."""

Table = Literal["state", "records"]
Item = dict[str, Any]
Operation = tuple[Literal["Put", "Update", "Delete", "ConditionCheck"], dict[str, Any]]
"""One part of a transaction: what it is, and what an `..._operation` made."""

BATCH_GET_KEYS = 100
"""Most keys of one BatchGetItem (AWS API reference)."""


class Refused(Exception):
    """A condition did not hold: an expected answer, caught where the condition was set.

    item: what stands there instead, None when nothing does. reasons: a transaction's, one an operation.
    """

    def __init__(self, item: Item | None = None, reasons: list[str] | None = None) -> None:
        super().__init__("condition refused")
        self.item = item
        self.reasons = reasons or []


class Unacceptable(Exception):
    """The service will never take this request: a value is too large, too deep or out of range for it."""


def name(table: Table) -> str:
    """The deployed name of a table."""
    return settings.get().state_table if table == "state" else settings.get().records_table


def encode(value: Any) -> dict[str, Any]:
    """One Python value as a DynamoDB attribute value."""
    kind = type(value)
    if kind is str:
        return {"S": value}
    if kind is bool:
        return {"BOOL": value}
    if kind is int:
        return {"N": str(value)}
    if value is None:
        return {"NULL": True}
    if kind is dict:
        return {"M": {key: encode(inner) for key, inner in value.items()}}
    if kind in (list, tuple):
        return {"L": [encode(inner) for inner in value]}
    if kind is float:
        return {"N": repr(value)}
    if kind in (set, frozenset):
        return {"SS": sorted(value)}
    raise TypeError(f"cannot store a {kind.__name__}")


def decode(attribute: dict[str, Any]) -> Any:
    """The Python value of one attribute. Whole numbers come back as int, others as float."""
    for kind, value in attribute.items():
        if kind in ("S", "BOOL"):
            return value
        if kind == "N":
            return int(value) if value.lstrip("-").isdigit() else float(value)
        if kind == "M":
            return {key: decode(inner) for key, inner in value.items()}
        if kind == "L":
            return [decode(inner) for inner in value]
        if kind in ("SS", "NS"):
            return sorted(value)
    return None


def holds(number: float) -> bool:
    """Whether a number attribute can hold it: 38 digits, and sizes from 1e-130 up to 1e126 (AWS developer guide)."""
    if isinstance(number, int):
        return abs(number) < 10**38
    return number == 0 or 1e-130 <= abs(number) < 1e126


def encode_item(item: Item) -> dict[str, Any]:
    """A whole item, ready to send."""
    return {key: encode(value) for key, value in item.items()}


def decode_item(item: dict[str, Any]) -> Item:
    """A whole item, as read."""
    return {key: decode(value) for key, value in item.items()}


def key_of(key: Key) -> dict[str, Any]:
    """A key, ready to send."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def get(table: Table, key: Key, *, consistent: bool = True) -> Item | None:
    """One item, or None."""
    answer = call("get_item", TableName=name(table), Key=key_of(key), ConsistentRead=consistent)
    return decode_item(answer["Item"]) if "Item" in answer else None


def put(
    table: Table, key: Key, item: Item, *, condition: str | None = None, values: dict[str, Any] | None = None
) -> None:
    """Write a whole item. Raises Refused when the condition does not hold.

    An item under a new id needs none: it would only refuse the second sending of a write whose answer was lost.
    """
    call("put_item", **put_operation(table, key, item, condition=condition, values=values))


def update(
    table: Table,
    key: Key,
    expression: str,
    values: dict[str, Any] | None = None,
    *,
    condition: str | None = None,
) -> Item:
    """Change an item (or make it) and return it as it is now. Raises Refused. `#x` in expressions means attribute x."""
    operation = update_operation(table, key, expression, values, condition=condition)
    answer = call("update_item", **operation, ReturnValues="ALL_NEW")
    return decode_item(answer["Attributes"])


def delete(table: Table, key: Key, *, condition: str | None = None, values: dict[str, Any] | None = None) -> None:
    """Remove an item. Raises Refused."""
    call("delete_item", **delete_operation(table, key, condition=condition, values=values))


def put_operation(
    table: Table, key: Key, item: Item, *, condition: str | None = None, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A put as an operation of a transaction."""
    whole = {"TableName": name(table), "Item": encode_item({"pk": key[0], "sk": key[1], **item})}
    return whole | _expressions("", condition, values)


def update_operation(
    table: Table, key: Key, expression: str, values: dict[str, Any] | None = None, *, condition: str | None = None
) -> dict[str, Any]:
    """An update as an operation of a transaction."""
    whole = {"TableName": name(table), "Key": key_of(key), "UpdateExpression": expression}
    return whole | _expressions(expression, condition, values)


def delete_operation(
    table: Table, key: Key, *, condition: str | None = None, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A delete as an operation of a transaction."""
    return {"TableName": name(table), "Key": key_of(key)} | _expressions("", condition, values)


def check_operation(table: Table, key: Key, condition: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """A condition on an item the transaction does not change."""
    return {"TableName": name(table), "Key": key_of(key)} | _expressions("", condition, values)


def _expressions(expression: str, condition: str | None, values: dict[str, Any] | None) -> dict[str, Any]:
    """Placeholders for every `#name` used: all our attribute names go through them, reserved words included."""
    parts: dict[str, Any] = {}
    words = f"{expression} {condition or ''}".replace("(", " ").replace(")", " ").replace(",", " ").replace(".", " ")
    names = {word: word[1:] for word in words.split() if word.startswith("#")}
    if names:
        parts["ExpressionAttributeNames"] = names
    if values:
        parts["ExpressionAttributeValues"] = {f":{key}": encode(value) for key, value in values.items()}
    if condition:
        parts["ConditionExpression"] = condition
        parts["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return parts


def transact(operations: Iterable[Operation]) -> None:
    """All of the operations or none, at most 100.

    Raises Refused with one reason an operation ("None", "ConditionalCheckFailed", ...) when a condition did not
    hold, Retryable when other transactions were in the way every time. A request that botocore sends again because its
    answer was lost bears the same token: the service then tells what it had done instead of refusing it.
    """
    items = [{kind: operation} for kind, operation in operations]
    for attempt in range(CONFLICT_ATTEMPTS):
        try:
            call("transact_write_items", TransactItems=items, ClientRequestToken=str(uuid.uuid4()))
        except Refused as refused:
            if "ConditionalCheckFailed" in refused.reasons or not _in_the_way(refused.reasons):
                raise
            step_aside(attempt)
        else:
            return
    raise Retryable("the items are being changed by somebody else", code="transaction_conflict")


def step_aside(attempt: int) -> None:
    """Wait at random, at most a second and the longer the more attempts: everybody who was refused tries again."""
    time.sleep(random.random() * min(1.0, 0.02 * 2**attempt))  # noqa: S311 -- no secret


def _in_the_way(reasons: list[str]) -> bool:
    return bool(reasons) and set(reasons) <= {
        "None",
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    }


def query(
    table: Table,
    partition: str,
    *,
    prefix: str = "",
    between: tuple[str, str] | None = None,
    after: Key | None = None,
    newest_first: bool = False,
    limit: int | None = None,
    consistent: bool = False,
    index: str | None = None,
    attributes: tuple[str, ...] = (),
) -> Iterator[Item]:
    """Items of one partition in sort-key order, read page by page as the caller goes on.

    prefix: only sort keys that begin so. between: only those from the first to the second, both included. after: start
    behind this item. limit: size of a page, not of the answer. attributes: the ones to bring; none means all. index: a
    keys-only index whose partition attribute bears the index's own name; brings keys.
    """
    if between and between[0] > between[1]:
        return
    names = {"#pk": index or "pk"}
    condition, values = "#pk = :pk", {":pk": {"S": partition}}
    if prefix:
        names["#sk"] = "sk"
        condition += " AND begins_with(#sk, :prefix)"
        values[":prefix"] = {"S": prefix}
    if between:
        names["#sk"] = "sk"
        condition += " AND #sk BETWEEN :low AND :high"
        values |= {":low": {"S": between[0]}, ":high": {"S": between[1]}}
    request: dict[str, Any] = {
        "TableName": name(table),
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": not newest_first,
        "ConsistentRead": consistent,
    }
    if attributes:
        request["ProjectionExpression"] = ", ".join(f"#{word}" for word in attributes)
        names |= {f"#{word}": word for word in attributes}
    if index:
        request["IndexName"] = index
    if limit:
        request["Limit"] = limit
    if after:
        request["ExclusiveStartKey"] = key_of(after) | ({index: {"S": partition}} if index else {})
    while True:
        answer = call("query", **request)
        yield from map(decode_item, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def batch_get(
    table: Table, keys: Iterable[Key], *, consistent: bool = False, attributes: tuple[str, ...] = ()
) -> dict[Key, Item]:
    """The items that exist, by key, 100 a call. `attributes` names the ones to bring; none means all."""
    wanted = list(dict.fromkeys(keys))
    found: dict[Key, Item] = {}
    table_name = name(table)
    shape: dict[str, Any] = {"ConsistentRead": consistent}
    if attributes:
        shape["ProjectionExpression"] = "#pk, #sk, " + ", ".join(f"#{word}" for word in attributes)
        shape["ExpressionAttributeNames"] = {f"#{word}": word for word in ("pk", "sk", *attributes)}
    for start in range(0, len(wanted), BATCH_GET_KEYS):
        request = {table_name: {"Keys": [key_of(key) for key in wanted[start : start + BATCH_GET_KEYS]], **shape}}
        for attempt in range(8):
            answer = call("batch_get_item", RequestItems=request)
            for raw in answer["Responses"].get(table_name, []):
                item = decode_item(raw)
                found[item["pk"], item["sk"]] = item
            request = answer.get("UnprocessedKeys") or {}
            if not request:
                break
            step_aside(attempt)
        else:
            raise Retryable("DynamoDB kept keys unprocessed", code="throttled")
    return found


def call(operation: str, **request: Any) -> dict[str, Any]:
    """One call with the service's errors sorted into ours."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pydantic_core import PydanticSerializationError

    method: Callable[..., dict[str, Any]] = getattr(client("dynamodb"), operation)
    for attempt in range(CONFLICT_ATTEMPTS):
        try:
            return method(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionConflictException":
                raise _sorted(error) from error
            step_aside(attempt)
        except PydanticSerializationError:
            raise Unacceptable("a text is no Unicode: it has half of a surrogate pair") from None
        except BotoCoreError as error:
            raise Retryable(f"DynamoDB cannot be reached: {type(error).__name__}", code="unavailable") from error
    raise Retryable("the item is being changed by transactions", code="transaction_conflict")


def _sorted(error: Any) -> Exception:
    """A refusal by the service as one of ours; what no program can mend stays as it is."""
    code = error.response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        item = error.response.get("Item")
        return Refused(decode_item(item) if item else None, ["ConditionalCheckFailed"])
    if code == "TransactionCanceledException":
        return Refused(reasons=[reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])])
    if code == "ValidationException":
        return Unacceptable(error.response["Error"].get("Message", ""))
    if code in _TRANSIENT:
        return Retryable(f"DynamoDB answered {code}", code="throttled")
    return error if isinstance(error, Exception) else RuntimeError(code)


_TRANSIENT = {
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionInProgressException",
}
