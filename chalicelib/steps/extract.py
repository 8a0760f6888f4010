"""extract: one key range of the source, read once and kept.

In: {org, job, type, chunk, low, high, rows, raw}. Out: the chunk's `raw` object, each row as an array in the order of
the query's fields; `plan` may have written it already. From here on the source is never asked again for these rows, so
every retry of every later step sees the same bytes, whatever happens in the source meanwhile.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from chalicelib import chunks, connections, keys, network, plans, sessions, settings, storage, telemetry
from chalicelib.jobs import Job
from chalicelib.sources import postgres
from chalicelib.sql import Bounds
from chalicelib.steps import ChunkEvent, Clock, step
from chalicelib.storage import Stored


class Event(ChunkEvent):
    """One of the manifest's items, see plans.Item."""

    low: str | None
    high: str | None
    rows: int
    raw: str | None


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Read the range into the chunk, unless it has been."""
    record_type, number = event["type"], event["chunk"]
    job, chunk = chunks.with_job(event["org"], event["job"], record_type, number, now())
    if "raw" not in chunk:
        raw = Stored(event["raw"], event["rows"]) if event["raw"] else _read(job, event)
        telemetry.count(rows=raw.rows)
        values = {"raw": raw.key, "rows": raw.rows}
        chunks.record(job, record_type, number, "raw", values, counted={"extracted": raw.rows})
    return {"state": "done"}


def _read(job: Job, event: Event) -> Stored:
    """The rows of the range as they are now; where the job has a limit, no more than were planned."""
    plan, record_type = plans.of(job), event["type"]
    profile = plan["profile"]
    address = network.resolve(profile["host"], profile["port"], allow_loopback=settings.get().allow_loopback)
    limited = job["options"].get("import_filters", {}).get("limit")
    with sessions.connect(connections.of(profile), address) as connection:
        batches = postgres.read(
            connection,
            plans.query(job["plan"], record_type),
            Bounds(_key(event["low"]), _key(event["high"]) or ()),
            columns=plans.columns(job["plan"], record_type),
            limit=event["rows"] if limited else None,
        )
        prefix = f"{keys.type_objects(job['org'], job['id'], record_type)}/{event['chunk']:06d}"
        return storage.put_rows(prefix, "raw", chain.from_iterable(batches))


def _key(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))
