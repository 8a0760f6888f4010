"""extract: one key range of the source, read once and kept.

In: {org, job, type, chunk, low, high}. Out: the chunk's `raw` object, each row as an array in the order of the query's
fields. From here on the source is never asked again for these rows, so every retry of every later step sees the same
bytes, whatever happens in the source meanwhile.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from chalicelib import chunks, connections, keys, network, plans, sessions, settings, storage, telemetry
from chalicelib.sources import postgres
from chalicelib.sql import Bounds
from chalicelib.steps import ChunkEvent, Clock, step


class Event(ChunkEvent):
    """low, high: inclusive bounds of the query's key, each a JSON array of its columns' texts. rows: how many `plan`
    counted there, some time ago.
    """

    low: str
    high: str
    rows: int


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:  # noqa: ARG001
    """Read the range into the chunk, unless it has been."""
    record_type, number = event["type"], event["chunk"]
    job, chunk = chunks.with_job(event["org"], event["job"], record_type, number)
    if "raw" not in chunk:
        plan = plans.of(job)
        query = plans.query(job["plan"], record_type)
        address = network.resolve(
            plan["profile"]["host"], plan["profile"]["port"], allow_loopback=settings.get().allow_loopback
        )
        with sessions.connect(connections.of(plan["profile"]), address) as connection:
            batches = postgres.read(connection, query, _bounds(event))
            prefix = f"{keys.type_objects(job['org'], job['id'], record_type)}/{number:06d}"
            raw = storage.put_rows(prefix, "raw", chain.from_iterable(batches))
        telemetry.count(rows=raw.rows)
        values = {"raw": raw.key, "rows": raw.rows}
        chunks.record(job, record_type, number, "raw", values, counted={"extracted": raw.rows})
    return {"state": "done"}


def _bounds(event: Event) -> Bounds:
    return Bounds(tuple(json.loads(event["low"])), tuple(json.loads(event["high"])))
