"""AWS as it can be: it throttles, fails, refuses single statements, and loses answers to what it has done.

`stormy` answers single attempts, which botocore repeats; everything else answers whole calls, as after the last of its
attempts. Nothing waits here: back-offs are cut short by `hurried`.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.retries.standard import ExponentialBackoff

from chalicelib import clients
from tests.deployed.faults.calls import Call, _aside, _inside, between, hooked

REFUSALS: dict[str, tuple[tuple[int, str], ...]] = {
    "dynamodb": (
        (400, "ThrottlingException"),
        (400, "ProvisionedThroughputExceededException"),
        (400, "RequestLimitExceeded"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ),
    "s3": ((503, "SlowDown"), (500, "InternalError"), (503, "ServiceUnavailable"), (400, "RequestTimeout")),
    "kms": ((400, "ThrottlingException"), (500, "KMSInternalException"), (503, "ServiceUnavailable")),
}
"""How each service says that now is not the time (its API reference)."""

STATEMENT_CODES = (
    "ConditionalCheckFailed",
    "ItemCollectionSizeLimitExceeded",
    "RequestLimitExceeded",
    "ValidationError",
    "ProvisionedThroughputExceeded",
    "TransactionConflict",
    "ThrottlingError",
    "InternalServerError",
    "ResourceNotFound",
    "AccessDenied",
    "DuplicateItem",
)
"""Every code of BatchStatementError (DynamoDB API reference)."""

CANCELLATION_REASONS = (
    "ConditionalCheckFailed",
    "ItemCollectionSizeLimitExceeded",
    "TransactionConflict",
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
    "ValidationError",
)
"""Every reason of TransactionCanceledException (DynamoDB API reference)."""


@contextmanager
def hurried() -> Iterator[None]:
    """Back-offs last a hundredth of themselves, botocore's none at all."""
    sleep = time.sleep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
        patch.setattr(time, "sleep", lambda seconds: sleep(seconds / 100))
        yield


@contextmanager
def stormy(generator: random.Random, share: float) -> Iterator[Counter[str]]:
    """This share of all attempts goes wrong: half before they have an effect, half after it, the answer lost.

    Both as an error of the service and as a broken connection. Yields what was done, by kind.
    """
    done: Counter[str] = Counter()

    def on_send(request: Any, event_name: str, **_: Any) -> Any:
        if _aside.get() or _inside.get() is None or generator.random() >= share:
            return None
        service = event_name.split(".")[1]
        after, broken = generator.random() < 0.5, generator.random() < 0.3
        done[f"{'lost' if after else 'refused'} {'connection' if broken else 'answer'}"] += 1
        if after:
            clients.client(service)._endpoint.http_session.send(request)
        if broken:
            raise generator.choice([ConnectionClosedError, ReadTimeoutError])(endpoint_url=request.url)
        status, code = generator.choice([(500, "InternalServerError"), (503, "ServiceUnavailable")])
        if not after:
            status, code = generator.choice(REFUSALS[service])
        return _response(request.url, service, status, code)

    with hurried(), ExitStack() as hooks:
        for service in REFUSALS:
            hooks.enter_context(hooked(f"before-send.{service}", on_send))
        yield done


@contextmanager
def given_up(generator: random.Random, share: float) -> Iterator[Counter[str]]:
    """This share of all calls goes wrong for good, all of botocore's attempts made: half of them after their effect."""
    done: Counter[str] = Counter()

    def before(one: Call) -> Any:
        if one.invocation is None or generator.random() >= share / 2:
            return None
        status, code = generator.choice([*REFUSALS[one.service], (0, "broken connection")])
        done[f"{one.service} {code}"] += 1
        if not status:
            raise ConnectionClosedError(endpoint_url=one.request["url"])
        return refusal(code, status)

    def after(one: Call) -> None:
        if one.invocation and one.http.status_code == 200 and generator.random() < share / 2:
            done[f"{one.service} lost answer"] += 1
            raise ReadTimeoutError(endpoint_url=one.request["url"])

    with hurried(), between(before=before, after=after):
        yield done


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body

    def read(self, *_: Any) -> bytes:
        return self._body


def _response(url: str, service: str, status: int, code: str) -> AWSResponse:
    if service == "s3":
        body = f"<Error><Code>{code}</Code><Message>not now</Message></Error>".encode()
    else:
        body = json.dumps({"__type": f"com.amazonaws#{code}", "message": "not now"}).encode()
    return AWSResponse(url, status, {"Content-Type": "application/x-amz-json-1.0"}, _Raw(body))


def refusal(code: str, status: int = 400, **more: Any) -> tuple[Any, dict[str, Any]]:
    """What a `before` hook returns to have a call refused unsent."""
    error = {"Code": code, "Message": "not now"}
    parsed = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return SimpleNamespace(status_code=status, headers={}), parsed


@contextmanager
def statement_answered(index: int, code: str, *, effect: bool, times: int = 1) -> Iterator[Counter[str]]:
    """The statement of that index in a BatchExecuteStatement is answered with a code, with or without its effect.

    times: how often. Yields a count of the calls that were changed.
    """
    changed: Counter[str] = Counter()

    def before(one: Call) -> Any:
        if one.operation != "BatchExecuteStatement" or changed[code] >= times:
            return None
        body = json.loads(one.request["body"])
        if index >= len(body["Statements"]):
            return None
        changed[code] += 1
        one.request["disturbed"] = True
        if not effect:
            del body["Statements"][index]
            one.request["body"] = json.dumps(body).encode()
            if not body["Statements"]:
                return SimpleNamespace(status_code=200, headers={}), {"Responses": []}
        return None

    def after(one: Call) -> None:
        if not one.request.pop("disturbed", False):
            return
        refused = {"Error": {"Code": code, "Message": "not now"}}
        if effect:
            one.answer["Responses"][index] = refused
        else:
            one.answer["Responses"].insert(index, refused)

    with hurried(), between(before=before, after=after):
        yield changed


def undoes_itself(operation: dict[str, Any]) -> bool:
    """Whether what an operation of a transaction does makes its own condition fail the second time."""
    change = operation.get("Update", {}).get("UpdateExpression", "")
    return "ConditionCheck" not in operation and not change.startswith(("ADD #leases", "ADD #writes"))


@contextmanager
def transaction_cancelled(
    index: int, reason: str, *, within: tuple[Any, ...], which: int = 0, effect: bool = False
) -> Iterator[Counter[str]]:
    """The transaction number `which` of these steps is cancelled for its operation of that index.

    effect: it had been executed, and botocore's own second attempt met what the first had done. Then the index counts
    only operations whose condition their own effect undoes: no mere checks, and none of what takes a lease.
    """
    seen: Counter[str] = Counter()

    def reasons_of(one: Call) -> list[dict[str, str]] | None:
        if one.operation != "TransactWriteItems":
            return None
        operations = json.loads(one.request["body"])["TransactItems"]
        places = [at for at in range(len(operations)) if not effect or undoes_itself(operations[at])]
        if effect and not places:
            return None
        seen["transactions"] += 1
        if seen["transactions"] != which + 1 or index >= len(places):
            return None
        seen["cancelled"] += 1
        return [{"Code": reason if at == places[index] else "None"} for at in range(len(operations))]

    def before(one: Call) -> Any:
        reasons = reasons_of(one)
        if reasons is None:
            return None
        if effect:
            one.request["disturbed"] = reasons
            return None
        return refusal("TransactionCanceledException", CancellationReasons=reasons)

    def after(one: Call) -> None:
        reasons = one.request.pop("disturbed", None)
        if reasons:
            one.http.status_code = 400
            one.answer.clear()
            one.answer.update(refusal("TransactionCanceledException", CancellationReasons=reasons)[1])

    with hurried(), between(before=before, after=after, within=within):
        yield seen


@contextmanager
def keys_unprocessed(generator: random.Random, share: float) -> Iterator[Counter[str]]:
    """BatchGetItem leaves this share of the keys it found for later, as it may whenever it likes."""
    left: Counter[str] = Counter()

    def after(one: Call) -> None:
        if one.operation != "BatchGetItem":
            return
        asked = json.loads(one.request["body"])["RequestItems"]
        for table, shape in asked.items():
            later = [key for key in shape["Keys"] if generator.random() < share]
            if not later:
                continue
            left["keys"] += len(later)
            found = one.answer["Responses"].get(table, [])
            kept = [item for item in found if {"pk": item["pk"], "sk": item["sk"]} not in later]
            one.answer["Responses"][table] = kept
            one.answer["UnprocessedKeys"] = {table: {**shape, "Keys": later}}

    with hurried(), between(after=after):
        yield left


@contextmanager
def lost_answers(operation: str, *, times: int = 1, skip: int = 0, retried: bool = True) -> Iterator[Counter[str]]:
    """Calls of an operation have their effect, then the connection breaks.

    retried: botocore sends them again, and what was done meets itself; else the product is told.
    """
    seen: Counter[str] = Counter()

    def due() -> bool:
        seen["calls"] += 1
        return skip < seen["calls"] <= skip + times

    def on_send(request: Any, event_name: str, **_: Any) -> Any:
        service, name = event_name.split(".")[1:]
        if name != operation or _aside.get() or not due():
            return None
        clients.client(service)._endpoint.http_session.send(request)
        raise ConnectionClosedError(endpoint_url=request.url)

    def after(one: Call) -> None:
        if one.operation == operation and due():
            raise ConnectionClosedError(endpoint_url=one.request["url"])

    with hurried(), ExitStack() as hooks:
        if retried:
            hooks.enter_context(hooked("before-send", on_send))
        else:
            hooks.enter_context(between(after=after))
        yield seen
