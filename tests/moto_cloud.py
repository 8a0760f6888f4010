"""AWS in process, by moto, for tests of single modules: tables, bucket, key and a state machine that does nothing."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import moto.dynamodb.models
import pytest
from moto import mock_aws
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from chalicelib import clients, settings

_KEY = {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "BillingMode": "PAY_PER_REQUEST",
}

_WITH_CHILDREN = {
    **_KEY,
    "AttributeDefinitions": [
        *_KEY["AttributeDefinitions"],
        {"AttributeName": "parent", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "parent",
            "KeySchema": [
                {"AttributeName": "parent", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}
"""As `infra/resources.yaml` declares the records table."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[None]:
    """An account, empty at the module's start, and settings that point at it. Tests keep apart by organisation."""
    with pytest.MonkeyPatch.context() as monkeypatch, mock_aws():
        monkeypatch.setattr(DynamoDBBackend, "transact_write_items", _transact)
        monkeypatch.setattr(moto.dynamodb.models, "copy", SimpleNamespace(deepcopy=_copied))
        for kind in (Table, Item):
            monkeypatch.setattr(kind, "instances_tracked", deque(maxlen=0))
        _furnish(monkeypatch)
        _forget()
        yield
    _forget()


# moto copies a whole table for each operation of a transaction, and keeps every copy of a table or item, of its answers
# too, as long as it lasts. To take a transaction back, one copy of the partitions it writes is enough.

_transact_write_items = DynamoDBBackend.transact_write_items
_transaction = threading.local()


def _transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    operations = [operation for item in transact_items for operation in item.values()]
    _transaction.written = {DynamoType((one.get("Item") or one["Key"])["pk"]) for one in operations}
    _transaction.copies = {}
    _transact_write_items(backend, transact_items)


def _copied(one: Any) -> Any:
    if not isinstance(one, Table):
        return copy.deepcopy(one)
    if one.name not in _transaction.copies:
        kept = _transaction.copies[one.name] = copy.copy(one)
        written = {key: copy.deepcopy(one.items[key]) for key in _transaction.written & one.items.keys()}
        kept.items = copy.copy(one.items)
        kept.items.update(written)
    return _transaction.copies[one.name]


def _furnish(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "WHARF_STATE_TABLE": "state",
        "WHARF_RECORDS_TABLE": "records",
        "WHARF_BUCKET": "wharf-test",
        "WHARF_ALLOW_LOOPBACK": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    dynamodb = boto3.client("dynamodb")
    dynamodb.create_table(TableName="state", **_KEY)
    dynamodb.create_table(TableName="records", **_WITH_CHILDREN)
    boto3.client("s3").create_bucket(
        Bucket="wharf-test", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
    machine = boto3.client("stepfunctions").create_state_machine(
        name="import",
        definition='{"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": true}}}',
        roleArn="arn:aws:iam::123456789012:role/import",
    )
    monkeypatch.setenv("WHARF_KMS_KEY", key)
    monkeypatch.setenv("WHARF_STATE_MACHINE", machine["stateMachineArn"])


def _forget() -> None:
    clients.client.cache_clear()
    settings.get.cache_clear()
