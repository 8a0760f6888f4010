"""Everything the deployed stack has said, kept or runs with, and a search through it for a text in any dress."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from infra.local.deploy import STACK_NAME
from infra.local.stack import Stack
from tests.deployed.workings import history


@dataclass(frozen=True)
class Place:
    """One thing that was looked at: its kind, which one, and its bytes."""

    kind: str
    name: str
    content: bytes


def forms(text: str) -> set[bytes]:
    """What a text of letters and digits looks like when it is encoded: as it is, backwards, in hex, in base64.

    Percent, JSON and shell escapes leave letters and digits alone. In base64 what stands before decides between three
    spellings; the outer letters depend on the neighbours and are left off.
    """
    plain = text.encode()
    found = {plain, plain[::-1], plain.hex().encode(), plain.hex().upper().encode(), text.encode("utf-16-le")}
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + plain)
        found.add(coded[4 if before else 0 : -4])
    return found


def hits(text: str, places: Iterable[Place]) -> list[str]:
    """Where the text stands in any form: "kind name (form)"."""
    wanted = forms(text)
    return [
        f"{place.kind} {place.name} ({form.decode(errors='replace')})"
        for place in places
        for form in wanted
        if form in place.content
    ]


def everything(deployed: Stack, orgs: list[str], executions: list[str]) -> list[Place]:
    """All places but what the caller has recorded himself (answers, output). orgs: whose objects are read from S3."""
    return [
        *_logs(deployed),
        *_executions(deployed, executions),
        *_tables(deployed),
        *_objects(deployed, [f"org/{org}/" for org in orgs]),
        *_stack(deployed),
        *_processes(),
    ]


def _logs(deployed: Stack) -> Iterator[Place]:
    """CloudWatch's groups, its metrics, and what the cloud's own processes wrote to files."""
    logs = deployed.client("logs")
    for group in (one for page in logs.get_paginator("describe_log_groups").paginate() for one in page["logGroups"]):
        name = group["logGroupName"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name):
            for number, event in enumerate(page["events"]):
                yield Place("log", f"{name} {number}", event["message"].encode())
    for page in deployed.client("cloudwatch").get_paginator("list_metrics").paginate():
        yield Place("metric", "list", json.dumps(page["Metrics"], default=str).encode())
    for file in (deployed.state / "logs").glob("*.log"):
        yield Place("log", str(file.name), file.read_bytes())


def _executions(deployed: Stack, names: list[str]) -> Iterator[Place]:
    """Input, output and every event of executions, the children of their Maps included; and the bus's rules."""
    for name in names:
        for event in history(deployed, name):
            yield Place("execution", f"{name} {event['id']}", json.dumps(event, default=str).encode())
    events = deployed.client("events")
    for rule in events.list_rules()["Rules"]:
        targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        yield Place("events", rule["Name"], json.dumps([rule, targets], default=str).encode())


def _tables(deployed: Stack) -> Iterator[Place]:
    dynamodb = deployed.client("dynamodb")
    for output in ("StateTable", "RecordsTable"):
        for page in dynamodb.get_paginator("scan").paginate(TableName=deployed.outputs[output]):
            for item in page["Items"]:
                name = f"{item['pk']['S']} {item['sk']['S']}"
                yield Place(output, name, json.dumps(item, default=_readable, ensure_ascii=False).encode())


def _readable(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _objects(deployed: Stack, prefixes: list[str]) -> Iterator[Place]:
    """Names, tags and contents of the organisations' objects, unpacked, and of everything outside their bucket."""
    s3 = deployed.client("s3")
    for bucket in (one["Name"] for one in s3.list_buckets()["Buckets"]):
        for prefix in prefixes if bucket == deployed.outputs["Bucket"] else [""]:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for one in page.get("Contents", []):
                    body = s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
                    tags = s3.get_object_tagging(Bucket=bucket, Key=one["Key"])["TagSet"]
                    content = b"\0".join([*unpacked(body), json.dumps(tags).encode(), one["Key"].encode()])
                    yield Place("object", f"{bucket}/{one['Key']}", content)


def unpacked(body: bytes) -> Iterator[bytes]:
    """The bytes, and what they hold when they are compressed."""
    yield body
    if body.startswith(b"\x1f\x8b"):
        yield gzip.decompress(body)
    elif body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            yield from map(archive.read, archive.namelist())


def _stack(deployed: Stack) -> Iterator[Place]:
    """The template as deployed, its parameters, outputs and events, and the functions' configuration."""
    cloudformation = deployed.client("cloudformation")
    for name in ("get_template", "describe_stacks", "describe_stack_events", "list_stack_resources"):
        answer = getattr(cloudformation, name)(StackName=STACK_NAME)
        yield Place("template", name, json.dumps(answer, default=str).encode())
    for page in deployed.client("lambda").get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            yield Place("function", function["FunctionName"], json.dumps(function, default=str).encode())


def _processes() -> Iterator[Place]:
    """Command line and environment of everything this process has started: keepers, cloud, workers, databases."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            content = json.dumps([process.cmdline(), process.environ()], ensure_ascii=False)
            yield Place("process", f"{process.pid} {process.name()}", content.encode())
