"""The most memory each step holds, each in a fresh process that works on all its chunks, as a warm Lambda does.

At about 1 KB and about 1 MB a row: ticket notes with texts of that size. `baseline` is a process that has imported the
step and made its clients, and has done nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.driven import Event, deployment, invoke, start, tenant
from benchmarks.extract import MEGABYTE, peak
from benchmarks.source import line
from chalicelib import dynamo, keys, storage
from chalicelib.steps.plan import CHUNK_ROWS
from infra.local.sample import Sample
from infra.local.stack import Stack

SIZES = {"1kb": 700, "1mb": 999_000}
"""Name -> characters of a note's text; with its other fields a row has that much."""

ROWS = {"1kb": 2000, "1mb": 60}
"""Notes of a run: two full chunks, and as many of the widest as make eight chunks."""

KEYED_ROWS = int(os.environ.get("BENCH_MEMORY_KEYED_ROWS", "1000000"))

STEPS = ("plan", "extract", "transform", "match", "decide", "load", "finish")
TYPE = "ticket_notes"
CONVERSATIONS = int(os.environ.get("BENCH_MEMORY_CONVERSATIONS", "1000"))


def main() -> None:
    """Print the figures; with arguments, be one of the processes."""
    if len(sys.argv) > 1:
        print(json.dumps(_work(sys.argv[1], json.loads(sys.argv[2]))))
        return
    baseline = _apart("baseline", [])
    line("memory_baseline", baseline["peak"], "MB", None, "steps imported, clients made, nothing done")
    with deployment(CONVERSATIONS) as (running, sample):
        for size in SIZES:
            _measure(running, sample, size)
        _match_keys(running, sample)


def _measure(running: Stack, sample: Sample, size: str) -> None:
    _widen(sample, SIZES[size], ROWS[size])
    _, profile, org = tenant(running, sample)
    peaks: dict[str, float] = {}

    def run(step: str, events: list[Event]) -> list[Event]:
        found = _apart(step, events)
        peaks[step] = found["peak"]
        answers: list[Event] = found["answers"]
        return answers

    chunks = _drive_by_step(start(org, profile, selected_types=[TYPE]), run)
    for step in STEPS:
        line(f"memory_{step}_{size}", peaks[step], "MB", None, f"{ROWS[size]} rows in {chunks} chunks")


def _match_keys(running: Stack, sample: Sample) -> None:
    """Match alone, over a type with unique keys and as many rows as a large import has: it sees all keys of the run."""
    _, profile, org = tenant(running, sample)
    ids = start(org, profile, selected_types=["customer_users"])
    invoke("plan", ids)
    prefix = keys.type_objects(org, ids["job"], "customer_users")
    for number in range(KEYED_ROWS // CHUNK_ROWS):
        first = number * CHUNK_ROWS
        rows = [[row, str(first + row), [keys.sha256(f"email:{first + row}")]] for row in range(CHUNK_ROWS)]
        stored = storage.put_rows(f"{prefix}/{number:06d}", "keys", rows)
        chunk = {"raw": "none", "rows": CHUNK_ROWS, "accepted": "none", "rejected": None, "keys": stored.key}
        dynamo.put("state", keys.chunk(org, ids["job"], "customer_users", number), chunk)
    peak_mb = _apart("match", [ids | {"type": "customer_users"}])["peak"]
    line("memory_match_keys", peak_mb, "MB", None, f"{KEYED_ROWS:,} rows with a unique key each")


def _drive_by_step(ids: Event, run: Any) -> int:
    """A job of one type, all chunks of a step in one process; how many chunks."""
    (entry,) = run("plan", [ids])[0]["types"]
    here = ids | {"type": entry["type"]}
    events = [here | item for item in storage.get_json(entry["manifest"])]
    run("extract", events)
    run("transform", events)
    (matched,) = run("match", [here])
    settled = [here | item for item in storage.get_json(matched["manifest"])]
    run("decide", settled)
    run("load", settled)
    run("finish", [ids])
    return len(events)


def _widen(sample: Sample, characters: int, rows: int) -> None:
    """Give so many notes a text of that size that does not compress away, and leave no others."""
    with psycopg.connect(sample.dsn, autocommit=True) as connection:
        connection.execute(
            """CREATE TABLE IF NOT EXISTS kept AS SELECT t.id FROM threads t JOIN conversations c
            ON c.id = t.conversation_id WHERE c.state = 2 AND c.status IN (1, 2, 3) AND t.state = 2
            AND t.type IN (1, 2, 3, 8) ORDER BY t.id"""
        )
        connection.execute("DELETE FROM threads WHERE id NOT IN (SELECT id FROM kept ORDER BY id LIMIT %s)", [rows])
        for (thread,) in connection.execute("SELECT id FROM threads").fetchall():
            text = os.urandom(characters // 2).hex()
            connection.execute("UPDATE threads SET body = %s WHERE id = %s", [text, thread])


def _apart(step: str, events: list[Event]) -> Event:
    """Run a step on these events in a process of its own: {peak (MB), answers}."""
    command = [sys.executable, "-m", "benchmarks.memory", step, json.dumps(events)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step}: {done.stderr}")
    found: Event = json.loads(done.stdout.splitlines()[-1])
    return found


def _work(step: str, events: list[Event]) -> Event:
    import app  # noqa: F401 -- what every Lambda holds
    from chalicelib.clients import client

    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    for service in ("dynamodb", "s3"):
        client(service)
    if step == "baseline":
        from chalicelib.steps import decide, extract, finish, load, match, plan, transform  # noqa: F401 -- and the steps'
    answers = [invoke(step, event) for event in events]
    return {"peak": _most(), "answers": answers}


def _most() -> float:
    """The most MB this process has held. On Linux not by getrusage, whose figure a process inherits from its parent."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak() / MEGABYTE
    held = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
    return int(held.split()[1]) / 1024


if __name__ == "__main__":
    main()
