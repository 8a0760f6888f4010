"""Which permissions AWS would ask for each call, and what a policy grants: IAM for those it is not enforced by.

A recorder stands at botocore's `request-created` event and writes down, for the function that is running, what its
calls need: action, resource, and the condition keys a statement may look at. The evaluator knows what our policies use
(Allow, wildcards, four condition operators) and refuses everything else, so nothing is granted by not being understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3

from infra.local.cloud import REGION
from infra.local.stack import Stack

ACCOUNT = "000000000000"

Template = dict[str, Any]
Body = dict[str, Any]


@dataclass(frozen=True)
class Need:
    """One permission a call takes. keys: the condition keys the request has."""

    action: str
    resource: str
    keys: frozenset[tuple[str, str]] = frozenset()


# --- what calls need


@dataclass
class Names:
    """ARNs of the deployed stack's resources, by logical id. stack: its name, as the policies' ARNs have it."""

    arns: dict[str, str]
    stack: str

    def through(self, service: str, *actions: str) -> Iterator[Need]:
        """What the service does with the stack's key in the caller's name."""
        keys = frozenset({("kms:ViaService", f"{service}.{REGION}.amazonaws.com")})
        yield from (Need(f"kms:{action}", self.arns["DataKey"], keys) for action in actions)


def names(deployed: Stack, machine: str) -> Names:
    """machine: ARN of the state machine this process starts; its name tells what the policies call the stack."""
    outputs = deployed.outputs
    tables = {
        name: f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{outputs[name]}" for name in ("StateTable", "RecordsTable")
    }
    bucket = {"Bucket": f"arn:aws:s3:::{outputs['Bucket']}"}
    key = {"DataKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{outputs['DataKey']}"}
    return Names({**tables, **bucket, **key}, machine.rpartition(":")[2].removesuffix("-import"))


PLAIN = {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"}
IN_TRANSACTION = {
    # DynamoDB Developer Guide, "Transactions: IAM": each operation by its own action
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
PARTIQL = re.compile(r'(INSERT INTO|UPDATE|DELETE FROM|SELECT .* FROM) "([^"]+)"')
IN_PARTIQL = {"INSERT INTO": "Insert", "UPDATE": "Update", "DELETE FROM": "Delete"}


def of_dynamodb(operation: str, body: Body, names: Names) -> Iterator[Need]:
    """By table and index; reading and writing an encrypted table takes Decrypt (DynamoDB Developer Guide,
    "Encryption at rest: usage notes": the table key is decrypted in the caller's name)."""

    def on(action: str, table: str, index: str | None = None) -> Need:
        arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}" + (f"/index/{index}" if index else "")
        return Need(f"dynamodb:{action}", arn)

    yield from names.through("dynamodb", "Decrypt")
    if operation in PLAIN:
        yield on(operation, body["TableName"], body.get("IndexName"))
    elif operation == "BatchGetItem":
        yield from (on(operation, table) for table in body["RequestItems"])
    elif operation == "TransactWriteItems":
        for item in body["TransactItems"]:
            yield from (on(IN_TRANSACTION[kind], one["TableName"]) for kind, one in item.items())
    elif operation == "BatchExecuteStatement":
        for one in body["Statements"]:
            verb, table = PARTIQL.match(one["Statement"]).groups()  # type: ignore[union-attr]
            yield on(f"PartiQL{IN_PARTIQL.get(verb, 'Select')}", table)
    else:
        raise AssertionError(f"nobody has said what dynamodb {operation} needs: say it here")


def of_s3(operation: str, request: Any, names: Names) -> Iterator[Need]:
    """By object (Service Authorization Reference, Amazon S3); bucket keys and SSE-KMS as in the S3 User Guide."""
    arn = f"arn:aws:s3:::{unquote(urlsplit(request.url).path.lstrip('/'))}"
    if operation == "GetObject":
        yield Need("s3:GetObject", arn)
        yield from names.through("s3", "Decrypt")
    elif operation == "PutObject":
        yield Need("s3:PutObject", arn)
        if "x-amz-tagging" in request.headers:
            yield Need("s3:PutObjectTagging", arn)
        yield from names.through("s3", "GenerateDataKey")
    else:
        raise AssertionError(f"nobody has said what s3 {operation} needs: say it here")


def of_kms(operation: str, body: Body, names: Names) -> Iterator[Need]:
    assert body["KeyId"] in names.arns["DataKey"]
    context = body.get("EncryptionContext", {}).items()
    yield Need(
        f"kms:{operation}",
        names.arns["DataKey"],
        frozenset((f"kms:EncryptionContext:{name}", value) for name, value in context),
    )


def of_states(operation: str, body: Body, names: Names) -> Iterator[Need]:
    yield Need(f"states:{operation}", body.get("stateMachineArn") or body["executionArn"])


@dataclass
class Recorder:
    """What each function has needed. Calls while no function is running are the test's own."""

    names: Names
    needs: dict[str, set[Need]] = field(default_factory=dict)
    function: str | None = None
    interruptions: dict[tuple[str, str], Callable[[], object]] = field(default_factory=dict)
    """(function, operation) -> what happens once, just before such a call goes out: races that need further calls."""

    @contextmanager
    def running(self, function: str) -> Iterator[None]:
        """Calls made inside are the function's; it is named as in the template."""
        before, self.function = self.function, function
        try:
            yield
        finally:
            self.function = before

    def note(self, request: Any, operation_name: str, event_name: str, **_: Any) -> None:
        if self.function is None:
            return
        interrupt = self.interruptions.pop((self.function, operation_name), None)
        if interrupt:
            interrupt()
        service = event_name.split(".")[1]
        if service == "s3":
            found = of_s3(operation_name, request, self.names)
        else:
            of = {"dynamodb": of_dynamodb, "kms": of_kms, "sfn": of_states}[service]
            found = of(operation_name, json.loads(request.data), self.names)
        self.needs.setdefault(self.function, set()).update(found)


@contextmanager
def recording(names: Names) -> Iterator[Recorder]:
    """On every client made from now on, of whatever service."""
    recorder = Recorder(names)
    boto3.setup_default_session()
    boto3.DEFAULT_SESSION.events.register("request-created", recorder.note)
    try:
        yield recorder
    finally:
        boto3.setup_default_session()


# --- what policies grant


@dataclass(frozen=True)
class Grant:
    """A statement of a function's policy, its resources resolved."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: str

    def allows(self, need: Need) -> bool:
        return (
            any(fnmatchcase(need.action, action) for action in self.actions)
            and any(fnmatchcase(need.resource, resource) for resource in self.resources)
            and all(_holds(*one, dict(need.keys)) for one in json.loads(self.conditions).items())
        )


def _holds(operator: str, wanted: dict[str, Any], keys: dict[str, str]) -> bool:
    """One condition operator (IAM User Guide, "Condition operators"): all of its keys must match."""
    for key, value in wanted.items():
        values = value if isinstance(value, list) else [value]
        if operator == "Null":
            if (key not in keys) != (values == ["true"]):
                return False
        elif operator in ("StringLike", "StringEquals"):
            if not any(fnmatchcase(keys.get(key, ""), one) for one in values):
                return False
        else:
            raise AssertionError(f"nobody has said what {operator} means: say it here")
    return True


def grants(template: Template, function: str, names: Names) -> list[Grant]:
    """The statements of the function's role."""
    role = template["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"][0]
    found = []
    for policy in template["Resources"][role]["Properties"]["Policies"]:
        for one in policy["PolicyDocument"]["Statement"]:
            assert one["Effect"] == "Allow"
            assert one.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}
            resources = tuple(_resolved(value, names) for value in _listed(one["Resource"]))
            conditions = json.dumps(one.get("Condition", {}))
            found.append(Grant(one["Sid"], tuple(_listed(one["Action"])), resources, conditions))
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resolved(value: Any, names: Names) -> str:
    if isinstance(value, str):
        return value
    if "Fn::GetAtt" in value:
        return names.arns[value["Fn::GetAtt"][0]]
    known = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": names.stack}
    known |= {f"{name}.Arn": arn for name, arn in names.arns.items()}
    return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], value["Fn::Sub"])
