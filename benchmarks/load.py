"""Loading decided rows: the client's CPU against boto3's floor, calls and write units.

The floor is what one would write without Wharf: the very same requests, with new keys, made beforehand as dicts, sent
through a plain boto3 client in a loop. Both sides speak to the embedded cloud in another process, so its CPU does not
count; they alternate by type. A type is loaded into a new organisation each round.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.calls import Call, Written, recorded
from benchmarks.driven import Event, deployment, drive, invoke, start, tenant
from benchmarks.source import line
from chalicelib import settings, targets
from infra.local.sample import Sample
from infra.local.stack import Stack

CONVERSATIONS = int(os.environ.get("BENCH_LOAD_CONVERSATIONS", "2500"))
ROUNDS = int(os.environ.get("BENCH_LOAD_ROUNDS", "3"))
TYPES = ("tickets", "ticket_notes", "customer_users")
"""Plain, plain with the index of children, and with a unique key."""


def main() -> None:
    """Print the figures."""
    with deployment(CONVERSATIONS) as (running, sample):
        ours: dict[str, list[float]] = defaultdict(list)
        floor: dict[str, list[float]] = defaultdict(list)
        for turn in range(ROUNDS + 1):
            spent, calls = _load(running, sample)
            for name in TYPES:
                seconds = _floor(calls[name], f"F{turn}")
                if turn:  # the first one warms both up
                    ours[name].append(spent[name])
                    floor[name].append(seconds)
        for name in TYPES:
            _cpu(name, calls[name], min(ours[name]), min(floor[name]))
            _calls(name, calls[name])
            _units(name, calls[name])
        _again(running, sample)


def _load(running: Stack, sample: Sample) -> tuple[dict[str, float], dict[str, list[Call]]]:
    """A whole import into a new organisation: CPU seconds of its loads, and what they asked for, by type."""
    _, profile, org = tenant(running, sample)
    spent: Counter[str] = Counter()
    asked: dict[str, list[Call]] = defaultdict(list)

    def run(step: str, event: Event) -> Event:
        if step != "load":
            return invoke(step, event)
        with recorded() as calls:
            began = time.process_time()
            answer = invoke(step, event)
            spent[event["type"]] += time.process_time() - began
        asked[event["type"]] += calls
        return answer

    drive(start(org, profile), run)
    return dict(spent), asked


def _floor(calls: list[Call], mark: str) -> float:
    """CPU seconds of sending the same writes under other keys through a plain client."""
    import boto3
    from botocore.config import Config

    client = boto3.client("dynamodb", config=Config(parameter_validation=False))
    send = {
        "BatchExecuteStatement": client.batch_execute_statement,
        "TransactWriteItems": client.transact_write_items,
    }
    requests = [(send[call.operation], _moved(call.request, mark)) for call in _writing(calls)]
    began = time.process_time()
    for method, request in requests:
        method(**request)
    return time.process_time() - began


def _writing(calls: Iterable[Call]) -> list[Call]:
    """The calls that write records."""
    records = settings.get().records_table
    return [call for call in calls if any(written.table == records for written in call.written)]


def _moved(request: dict[str, Any], mark: str) -> dict[str, Any]:
    """The same request for an organisation of another name; a token, which stands for one request, is left out."""
    text = json.dumps({name: value for name, value in request.items() if name != "ClientRequestToken"})
    moved: dict[str, Any] = json.loads(text.replace('"O#', f'"O#{mark}'))
    if "TransactItems" in moved:  # what is only looked at is not there under another name
        moved["TransactItems"] = [one for one in moved["TransactItems"] if "ConditionCheck" not in one]
    return moved


def _rows(calls: list[Call], name: str) -> int:
    """How many records the calls created or changed."""
    written = (written for call in _writing(calls) for written in call.written)
    return sum(f"#T#{name}#" in one.partition for one in written)


def _cpu(name: str, calls: list[Call], ours: float, floor: float) -> None:
    rows = _rows(calls, name)
    against = f"the same requests, made beforehand, by plain boto3: {floor / rows * 1e6:.0f} µs"
    line(f"load_cpu_{name}", ours / rows * 1e6, "µs CPU a row", ours / floor, against)


def _calls(name: str, calls: list[Call]) -> None:
    rows, writing = _rows(calls, name), _writing(calls)
    if targets.get(name).UNIQUE_KEYS:
        bound = [call for call in writing if call.operation == "TransactWriteItems"]
        line(f"load_rows_a_call_{name}", _rows(bound, name) / len(bound), "rows a transaction", None, "one claim a row")
    else:
        line(f"load_calls_{name}", len(writing) / (rows / 25), "writing calls per 25 rows")
    line(f"load_all_calls_{name}", len(calls) / (rows / 25), "calls per 25 rows", None, "with chunk, lease and ledger")


def _units(name: str, calls: list[Call]) -> None:
    """Write units a record; apart for records of at most 1 KB, since DynamoDB counts started ones."""
    whole, small = Counter[str](), Counter[str]()
    for group in _groups(name, calls):
        made = [one for one in group if f"#T#{name}#" in one.partition]
        spent = sum(one.units({}) + (one.index is not None) for one in group)
        found = {"units": spent, "rows": len(made), "bytes": sum(one.item_bytes for one in made)}
        whole.update(found)
        if all(one.item_bytes <= 1024 for one in made):
            small.update(found)
    mean = f"{whole['bytes'] / whole['rows']:.0f} bytes each"
    line(f"load_write_units_{name}", whole["units"] / whole["rows"], "write units a row", None, mean)
    if small["rows"]:
        each = f"{small['rows']} rows up to 1 KB"
        line(f"load_write_units_1kb_{name}", small["units"] / small["rows"], "write units a row", None, each)


def _groups(name: str, calls: list[Call]) -> Iterator[list[Written]]:
    """What was written together: a record with its claims, or a record alone where the type has no unique key."""
    for call in _writing(calls):
        if call.operation == "TransactWriteItems":
            group: list[Written] = []
            for one in call.written:
                if f"#T#{name}#" in one.partition and group:
                    yield group
                    group = []
                group.append(one)
            yield group
        elif not targets.get(name).UNIQUE_KEYS:
            yield from ([one] for one in call.written)


def _again(running: Stack, sample: Sample) -> None:
    """The same source imported twice: what the second import writes to the records table."""
    _, profile, org = tenant(running, sample)
    drive(start(org, profile))
    with recorded() as calls:
        drive(start(org, profile))
    written = [one for call in _writing(calls) for one in call.written]
    line("load_again", float(len(written)), "writes to the records table", None, "the same source once more")


if __name__ == "__main__":
    main()
