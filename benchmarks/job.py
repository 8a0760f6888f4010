"""A job of 1,000,000 rows over all types: history, state, children; and how often each partition is written.

A real import of a small help desk is driven step by step and every call noted. Then the state machine is walked with
the answers those steps gave, its types blown up to a million rows in the same proportions. What a chunk's steps wrote
to each partition is multiplied by the 40 workers that do it at once.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.calls import Call, item_bytes, recorded
from benchmarks.driven import Event, deployment, drive, invoke, start, tenant
from benchmarks.machine import Walk
from benchmarks.source import line
from chalicelib import dynamo, keys, settings, storage
from chalicelib.steps.plan import CHUNK_ROWS

ROWS = 1_000_000
WORKERS = 40
"""The template's default of Concurrency."""

CONVERSATIONS = int(os.environ.get("BENCH_JOB_CONVERSATIONS", "2500"))
MACHINE = Path(__file__).parent.parent / "infra" / "statemachines" / "import.asl.json"

BY_CHUNK = ("extract", "transform", "decide", "load")
ALONE = ("claim", "children_of_a_parent")

Place = tuple[str, str]
"""(step, record type), the type "" where a step is for the whole job."""


@dataclass
class Seen:
    """What a job's steps did: answers, calls and CPU seconds by step and type."""

    answers: dict[Place, Event] = field(default_factory=dict)
    calls: dict[Place, list[list[Call]]] = field(default_factory=lambda: defaultdict(list))
    seconds: Counter[Place] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    sizes: dict[tuple[str, str], int] = field(default_factory=dict)


def main() -> None:
    """Print the figures."""
    with deployment(CONVERSATIONS) as (running, sample):
        _, profile, org = tenant(running, sample)
        drive(start(org, profile))  # warm
        _, profile, org = tenant(running, sample)
        seen = _watched(start(org, profile))
    _history(seen)
    _partitions(seen)
    _asked(seen)


def _watched(ids: Event) -> Seen:
    seen = Seen()

    def run(step: str, event: Event) -> Event:
        place = step, event.get("type", "")
        with recorded() as calls:
            began = time.process_time()
            answer = invoke(step, event)
            seen.seconds[place] += time.process_time() - began
        seen.calls[place].append(calls)
        seen.answers[place] = answer
        return answer

    planned = drive(ids, run)
    for entry in planned["types"]:
        seen.rows[entry["type"]] = sum(item["rows"] for item in storage.get_json(entry["manifest"]))
    for partition in (keys.job(ids["org"], ids["job"])[0], keys.chunk(ids["org"], ids["job"], "x", 0)[0]):
        for item in dynamo.query("state", partition):
            seen.sizes[item["pk"], item["sk"]] = item_bytes(dynamo.encode_item(item))
    return seen


def _history(seen: Seen) -> None:
    """Walk the machine with a plan of a million rows."""
    scale = ROWS / sum(seen.rows.values())
    chunks = {name: math.ceil(rows * scale / CHUNK_ROWS) for name, rows in seen.rows.items()}
    planned = json.loads(json.dumps(seen.answers["plan", ""]))
    for entry in planned["types"]:
        entry["chunks"] = chunks[entry["type"]]

    def task(step: str, given: Event) -> Event:
        return planned if step == "plan" else seen.answers.get((step, given.get("type", "")), {"state": "done"})

    def items_of(key: str) -> list[Event]:
        name = next(name for name in chunks if f"/{name}/" in key)
        key = '["9000000000"]'
        item = {"low": key, "high": key, "rows": CHUNK_ROWS, "raw": None}
        return [{"chunk": number, **item} for number in range(chunks[name])]

    walk = Walk(task, items_of)
    org, job = planned["org"], planned["job"]
    walk.run(json.loads(MACHINE.read_text()), {"org": org, "job": job})
    against = f"a job of {ROWS:,} rows, {sum(chunks.values()):,} chunks of {len(chunks)} types; AWS allows 25,000"
    line("history_events", walk.events, "events of the parent", None, against)
    line("history_child_events", walk.child_events, "events of the longest child")
    line("state_bytes", walk.state_bytes, "bytes at the largest transition", None, "AWS allows 262,144")
    line("history_children", walk.children, "child executions", None, f"{walk.items:,} at most in one map")
    line("transitions", walk.transitions, "state transitions", None, "parent and children, what AWS charges for")


def _partitions(seen: Seen) -> None:
    """Writes to the hottest partition of each kind while each worker does one chunk, the one that writes most to it."""
    hottest: dict[str, tuple[int, str]] = {}
    for (step, record_type), invocations in seen.calls.items():
        if step in BY_CHUNK:
            for calls in invocations:
                for partition, count in _by_partition(calls).items():
                    where = count, f"{step} of {record_type}"
                    hottest[_kind(partition)] = max(hottest.get(_kind(partition), (0, "")), where)
    for kind, (count, where) in sorted(hottest.items()):
        if kind in ALONE:  # other workers are at other rows
            line(f"partition_{kind}", count, "writes", None, f"one chunk's {where}")
        elif kind != "record_shard":
            line(f"partition_{kind}", count * WORKERS, "writes", None, f"{WORKERS} chunks at once, {where}")
    shards: Counter[int] = Counter()
    for row in range(WORKERS * CHUNK_ROWS):
        shards[keys.record_shard(keys.record_id("org", "tickets", "source", "conversations", str(row)))] += 1
    against = f"{WORKERS} chunks at once, rows by their ids, each written once"
    line("partition_record_shard", max(shards.values()), "writes", None, against)


def _by_partition(calls: list[Call]) -> Counter[str]:
    """How often each partition was written, an index's with it."""
    counted: Counter[str] = Counter()
    for one in (written for call in calls for written in call.written):
        counted[one.partition] += 1
        if one.index:
            counted[f"index {one.index}"] += 1
    return counted


def _kind(partition: str) -> str:
    if partition.startswith("index "):
        return "children_of_a_parent"
    organisation, _, rest = partition.removeprefix("O#").partition("#")
    assert organisation
    kinds = {"": "organisation_and_its_jobs", "J": "chunks_of_a_job", "T": "record_shard", "UQ": "claim"}
    return (kinds | {"LK": "link_shard"}).get(rest.split("#")[0], rest.split("#")[0])


def _asked(seen: Seen) -> None:
    """What the chunks of a million rows ask of AWS, types mixed as in the sample; once a job or type is left out."""
    rows = sum(seen.rows.values())
    asked: Counter[str] = Counter()
    records = settings.get().records_table
    invocations = (calls for (step, _), all_ in seen.calls.items() if step in BY_CHUNK for calls in all_)
    for call in (call for calls in invocations for call in calls):
        asked[f"{call.service}_{call.operation}"] += 1
        asked["read_units"] += call.least_read_units
        for one in call.written:
            table = "records" if one.table == records else "state"
            asked[f"{table}_write_units"] += one.units(seen.sizes) + (one.index is not None)
    for name, count in sorted(asked.items()):
        line(f"job_{name}", count / rows * ROWS, "per 1,000,000 rows", None, f"{rows} rows in the sample's proportions")
    for step in dict.fromkeys(step for step, _ in seen.seconds):
        spent = sum(seconds for (name, _), seconds in seen.seconds.items() if name == step)
        line(f"job_cpu_{step}", spent / rows * ROWS, "CPU seconds per 1,000,000 rows")


if __name__ == "__main__":
    main()
