"""match: rows of the whole run that name the same record are brought together.

In: {org, job, type}. Out: {state, manifest, seconds}: the chunks to decide, or when to ask again. Takes the type's
lock first, so one job at a time decides and writes records of a type; `waiting` while another has it.

Rows that share a unique key, an external id or a linked record form a group. Groups of one chunk stay there; rows of
groups that span chunks move into extra chunks, whole groups at a time and in source order, so what comes out never
depends on which worker was first. It works on 64-bit hashes; two keys that share a hash by chance only meet in one
chunk, where they are compared in full.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from chalicelib import chunks, dynamo, jobs, keys, plans, storage, telemetry
from chalicelib.jobs import Job
from chalicelib.steps import STOPPED, Clock, TypeEvent, running, step

EXTRA_CHUNK_ROWS = 1_000
"""Rows of an extra chunk, but for one group that is larger by itself."""

Place = tuple[int, int]
"""(chunk, row)."""


class Event(TypeEvent):
    """The type whose chunks have all been read."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:  # noqa: ARG001
    """Settle which chunks are decided, unless it has been."""
    job = running(event)
    org, record_type = job["org"], event["type"]
    if not job["dry_run"]:
        other = jobs.take_type_lock(org, record_type, job["id"])
        if other:
            since = job.get("waiting_since") or now()
            jobs.describe(job, {"waiting_for": other, "waiting_since": since})
            return {"state": "waiting", "seconds": wait_seconds(now() - since)}
        if job.get("waiting_for"):
            jobs.describe(job, {"waiting_for": None, "waiting_since": None})
    settled = dynamo.get("state", keys.job_type(org, job["id"], record_type))
    if settled is None or "manifest" not in settled:
        settled = _settle(job, record_type)
    if not jobs.is_running(job):
        return STOPPED
    return {"state": "ready", "manifest": settled["manifest"]}


def wait_seconds(waited: float) -> int:
    """When to ask for the lock again: a tenth of what has been waited, 5 s to 5 min.

    Each asking costs the execution about ten of its 25,000 history events, so a wait may last for days.
    """
    return int(min(300, max(5, waited / 10)))


def _settle(job: Job, record_type: str) -> dict[str, Any]:
    listed = chunks.listing(job, record_type)
    read = {number: chunk for number, chunk in listed.items() if "accepted" in chunk}
    keyed = {number: storage.get_rows(chunk["keys"]) for number, chunk in read.items() if chunk["keys"]}
    telemetry.count(rows=sum(map(len, keyed.values())))
    links = _links(job, record_type) if keyed else {}
    groups = group(keyed, links, plans.scope(job, record_type).derive) if keyed else []
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    extra = _freeze(job, record_type, pack(groups, max(read, default=-1) + 1))
    _move(job, record_type, extra)
    manifest = storage.put_json(
        f"{prefix}/decide",
        "json",
        [{"chunk": number} for number in (*(number for number, chunk in read.items() if chunk["rows"]), *extra)],
    )
    index = storage.put_bytes(f"{prefix}/index", "hashes", run_index(keyed, links)) if keyed else None
    values = {"manifest": manifest, "index": index}
    expression = ", ".join(f"#{word} = if_not_exists(#{word}, :{word})" for word in values)
    return dynamo.update("state", keys.job_type(job["org"], job["id"], record_type), f"SET {expression}", values)


def _freeze(job: Job, record_type: str, extra: dict[int, list[Place]]) -> dict[int, list[Place]]:
    """The grouping that stands: the first one made. A repeat may see other links; half of each would lose rows."""
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    key = storage.put_json(f"{prefix}/groups", "json", list(extra.items()))
    expression = "SET #groups = if_not_exists(#groups, :groups)"
    stands = dynamo.update("state", keys.job_type(job["org"], job["id"], record_type), expression, {"groups": key})
    return {number: [(c, r) for c, r in members] for number, members in storage.get_json(stands["groups"])}


def _links(job: Job, record_type: str) -> dict[str, str]:
    """Where rows of this source went when not to their own record; few, so all are read."""
    plan = plans.of(job)
    origin = plan["origins"][record_type]
    partitions = (
        keys.link_partition(job["org"], record_type, plan["source_id"], origin, shard)
        for shard in range(keys.LINK_SHARDS)
    )
    found = (link for partition in partitions for link in dynamo.query("records", partition, consistent=True))
    return {link["sk"]: link["id"] for link in found}


def group(keyed: dict[int, list[list[Any]]], links: dict[str, str], derive: Callable[[str], str]) -> list[list[Place]]:
    """Groups of rows that may meet and do not all stand in one chunk, each in source order.

    keyed: chunk -> [row, external id, key hashes]. links: external id -> record id, for rows linked to another
    row's record. derive: external id -> the record id it derives.
    """
    places: list[Place] = []
    hashes, owners = array("Q"), array("L")
    for number in sorted(keyed):
        for row, external_id, unique_keys in keyed[number]:
            names = [f"ext:{external_id}", *unique_keys]
            if links:
                names.append(f"record:{links.get(external_id) or derive(external_id)}")
            for name in names:
                hashes.append(_short(name))
                owners.append(len(places))
            places.append((number, row))
    parent = array("L", range(len(places)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    for left, right in pairwise(order):
        if hashes[left] == hashes[right]:
            first, second = sorted((root(owners[left]), root(owners[right])))
            parent[second] = first
    members: dict[int, list[Place]] = {}
    for index in range(len(places)):
        top = root(index)
        if top != index:
            members.setdefault(top, [places[top]]).append(places[index])
    return [group for _, group in sorted(members.items()) if len({number for number, _ in group}) > 1]


def pack(groups: Iterable[list[Place]], first: int) -> dict[int, list[Place]]:
    """Groups laid into extra chunks numbered from `first`, none split."""
    extra: dict[int, list[Place]] = {}
    number = first
    for members in groups:
        if extra.get(number) and len(extra[number]) + len(members) > EXTRA_CHUNK_ROWS:
            number += 1
        extra.setdefault(number, []).extend(members)
    return extra


def _move(job: Job, record_type: str, extra: dict[int, list[Place]]) -> None:
    """Tell the extra chunks which rows they have and the others which they have lost."""
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    lost: dict[int, list[int]] = {}
    for number, members in extra.items():
        for chunk, row in members:
            lost.setdefault(chunk, []).append(row)
        stored = storage.put_rows(f"{prefix}/{number:06d}", "group", members)
        values = {"group": stored.key, "rows": stored.rows}
        chunks.record(job, record_type, number, "group", values, counted={})
    for number, rows in lost.items():
        stored = storage.put_rows(f"{prefix}/{number:06d}", "moved", sorted(rows))
        values = {"moved": stored.key, "moved_rows": stored.rows}
        chunks.record(job, record_type, number, "moved", values, counted={})


def _owned(external_id: str, links: dict[str, str]) -> Iterable[str]:
    """What a row answers for: itself, and the record it is linked to."""
    return (external_id, f"record:{links[external_id]}") if external_id in links else (external_id,)


def run_index(keyed: dict[int, list[list[Any]]], links: dict[str, str]) -> bytes:
    """The run's external ids, and the records its rows are linked to, as sorted 64-bit hashes: 8 bytes each."""
    names = (name for rows in keyed.values() for row in rows for name in _owned(row[1], links))
    return array("Q", sorted(map(_short, names))).tobytes()


def in_index(index: bytes, external_id: str) -> bool:
    """Whether a row with this external id, or one linked to "record:<id>", is part of the run."""
    hashes = memoryview(index).cast("Q")
    wanted = _short(external_id)
    at = bisect_left(hashes, wanted)
    return at < len(hashes) and hashes[at] == wanted


def _short(name: str) -> int:
    return int(keys.sha256(name)[:16], 16)
