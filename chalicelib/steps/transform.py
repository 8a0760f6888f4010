"""transform: a chunk's raw rows become target records, or rejected rows with the reason.

In: {org, job, type, chunk}. Out: the chunk's `accepted` and `rejected` objects and, where rows could meet, the `keys`
of the accepted ones apart, so that `match` can see the whole run without its records. One bad row rejects one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from chalicelib import chunks, keys, plans, storage, targets, telemetry
from chalicelib.mapping import Mapper, Record
from chalicelib.steps import Clock, extract, step


class Event(extract.Event):
    """What extract was given: a map hands one item to both."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Map and validate the chunk, unless it has been."""
    record_type, number = event["type"], event["chunk"]
    job, chunk = chunks.with_job(event["org"], event["job"], record_type, number, now())
    if "accepted" not in chunk:
        prefix = f"{keys.type_objects(job['org'], job['id'], record_type)}/{number:06d}"
        rejected: list[Record] = []
        accepted = _mapper(job["plan"], record_type).stream(storage.get_batches(chunk["raw"]), rejected)
        met: list[list[Any]] | None = [] if _rows_may_meet(job["plan"], record_type) else None
        values = {
            "accepted": storage.put_rows(prefix, "accepted", _noted(accepted, met)).key,
            "rejected": storage.put_rows(prefix, "rejected", rejected).key if rejected else None,
            "keys": storage.put_rows(prefix, "keys", met).key if met is not None else None,
        }
        telemetry.count(rows=chunk["rows"], rejects=len(rejected))
        chunks.record(job, record_type, number, "accepted", values, counted={})
    return {"state": "done"}


@lru_cache(maxsize=32)
def _mapper(plan_key: str, record_type: str) -> Mapper:
    return Mapper(plans.query(plan_key, record_type), targets.get(record_type))


def _rows_may_meet(plan_key: str, record_type: str) -> bool:
    """Whether rows of different chunks can name the same record: by a unique key, or by an external id that is not
    what the chunks are cut by, value by value. Rows without a key have no such external id either.
    """
    query = plans.query(plan_key, record_type)
    place, external = next((at, field) for at, field in enumerate(query.fields) if field.target == "external_id")
    if targets.get(record_type).UNIQUE_KEYS or [external.source] != query.key or external.transformation:
        return True
    return plans.columns(plan_key, record_type)[place].type not in _ONE_TEXT


_ONE_TEXT = ("smallint", "integer", "bigint", "uuid")
"""Types whose different values have different external ids; texts lose the space around them."""


def _noted(accepted: Iterator[Record], met: list[list[Any]] | None) -> Iterator[Record]:
    """The accepted rows as they pass; where rows may meet, the keys of each are put into the list."""
    for row in accepted:
        if met is not None:
            met.append(_keys(row))
        yield row


def _keys(row: dict[str, Any]) -> list[Any]:
    """[row, external id, hashes of its unique keys]: hashes, so that the file holds nothing personal."""
    return [row["row"], row["ext"], [keys.sha256(f"{field}:{value}") for field, value in row["keys"].items()]]
