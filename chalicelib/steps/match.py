"""match: rows of the whole run that name the same record are brought together.

In: {org, job, type}. Out: {state, manifest, seconds}: the chunks to decide, that there are none (`empty`), or when to
ask again. Takes the type's lock first, so one job at a time decides and writes records of a type; `waiting` while
another has it.

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

from chalicelib import chunks, dynamo, jobs, keys, locks, plans, storage, tallies, telemetry
from chalicelib.dynamo import Refused
from chalicelib.jobs import Job
from chalicelib.steps import STOPPED, Clock, TypeEvent, running, step

EXTRA_CHUNK_ROWS = 1_000
"""Rows of an extra chunk, but for one group that is larger by itself."""

Place = tuple[int, int]
"""(chunk, row)."""


class Event(TypeEvent):
    """The type whose chunks have all been read."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Settle which chunks are decided, unless it has been."""
    job = running(event, now)
    org, record_type = job["org"], event["type"]
    if not job["dry_run"]:
        other = locks.take_type(org, record_type, job["id"])
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
    return {"state": "ready" if settled["chunks"] else "empty", "manifest": settled["manifest"]}


def wait_seconds(waited: float) -> int:
    """When to ask for the lock again: a tenth of what has been waited, 5 s to 5 min.

    Each asking costs the execution about ten of its 25,000 history events, so a wait may last for days.
    """
    return int(min(300, max(5, waited / 10)))


def _settle(job: Job, record_type: str) -> dict[str, Any]:
    listed = chunks.listing(job, record_type)
    read = {number: chunk for number, chunk in listed.items() if "accepted" in chunk}
    keyed = {number: chunk["keys"] for number, chunk in sorted(read.items()) if chunk["keys"]}
    names = Names(_links(job, record_type) if keyed else {}, plans.scope(job, record_type).derive)
    for number, stored in keyed.items():
        names.add(number, storage.get_rows(stored))
    telemetry.count(rows=len(names.rows))
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    extra = _freeze(job, record_type, pack(names.groups(), max(read, default=-1) + 1))
    _move(job, record_type, extra)
    decided = [{"chunk": number} for number in (*(number for number, chunk in read.items() if chunk["rows"]), *extra)]
    manifest = storage.put_json(f"{prefix}/decide", "json", decided)
    index = storage.put_bytes(f"{prefix}/index", "hashes", names.index()) if keyed else None
    return _stand(job, record_type, {"manifest": manifest, "chunks": len(decided), "index": index})


def _stand(job: Job, record_type: str, values: dict[str, Any]) -> dict[str, Any]:
    """Keep what is settled, unless something is. Returns what stands. Raises Stopping when the job does not run:
    `finish` counts a chunk's rows by whether they have been moved, which must not change under it.
    """
    key = keys.job_type(job["org"], job["id"], record_type)
    expression = "SET " + ", ".join(f"#{word} = if_not_exists(#{word}, :{word})" for word in values)
    change = dynamo.update_operation("state", key, expression, values)
    try:
        dynamo.transact([("Update", change), tallies.gate(job["org"], job["id"], 0)])
    except Refused:
        raise chunks.Stopping from None
    return dynamo.get("state", key) or {}


def _freeze(job: Job, record_type: str, extra: dict[int, list[Place]]) -> dict[int, list[Place]]:
    """The grouping that stands: the first one made. A repeat may see other links; half of each would lose rows."""
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    key = storage.put_json(f"{prefix}/groups", "json", list(extra.items()))
    stands = _stand(job, record_type, {"groups": key})
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


class Names:
    """What the rows of a run answer to, as 64-bit hashes: some forty bytes a row, however long the texts are.

    links: external id -> record id, for rows linked to another row's record. derive: external id -> the record id it
    derives.
    """

    def __init__(self, links: dict[str, str], derive: Callable[[str], str]) -> None:
        self.links, self.derive = links, derive
        self.chunks, self.rows = array("I"), array("I")  # the place of each row
        self.hashes, self.owners = array("Q"), array("I")  # a name, and which of the rows answers to it
        self.answering = array("Q")  # what the index holds

    def add(self, chunk: int, rows: list[list[Any]]) -> None:
        """Add a chunk's [row, external id, key hashes]; chunks come in the order of their numbers."""
        for row, external_id, unique_keys in rows:
            hashes = [_short(f"ext:{external_id}"), *map(_short, unique_keys)]
            self.answering.append(_short(external_id))
            if self.links:
                hashes.append(_short(f"record:{self.derive(external_id)}"))
            linked = self.links.get(external_id)
            if linked:  # both: what it is linked to may have been deleted, then it is its own record again
                hashes.append(_short(f"record:{linked}"))
                self.answering.append(hashes[-1])
            self.hashes.extend(hashes)
            self.owners.extend([len(self.rows)] * len(hashes))
            self.chunks.append(chunk)
            self.rows.append(row)

    def groups(self) -> list[list[Place]]:
        """Groups of rows that may meet and do not all stand in one chunk, each in source order."""
        parent = array("I", range(len(self.rows)))

        def root(row: int) -> int:
            while parent[row] != row:
                parent[row] = parent[parent[row]]
                row = parent[row]
            return row

        shared = {left for left, right in pairwise(sorted(self.hashes)) if left == right}
        seen: dict[int, int] = {}
        for name, owner in zip(self.hashes, self.owners, strict=True):
            if name in shared:
                first, second = sorted((root(seen.setdefault(name, owner)), root(owner)))
                parent[second] = first
        members: dict[int, list[int]] = {}
        for row in range(len(parent)):
            top = root(row)
            if top != row:
                members.setdefault(top, [top]).append(row)
        spanning = (rows for _, rows in sorted(members.items()) if len({self.chunks[row] for row in rows}) > 1)
        return [[(self.chunks[row], self.rows[row]) for row in rows] for rows in spanning]

    def index(self) -> bytes:
        """The run's external ids, and the records its rows are linked to, as sorted 64-bit hashes: 8 bytes each."""
        return array("Q", sorted(self.answering)).tobytes()


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


def in_index(index: bytes, external_id: str) -> bool:
    """Whether a row with this external id, or one linked to "record:<id>", is part of the run."""
    hashes = memoryview(index).cast("Q")
    wanted = _short(external_id)
    at = bisect_left(hashes, wanted)
    return at < len(hashes) and hashes[at] == wanted


def _short(name: str) -> int:
    return int(keys.sha256(name)[:16], 16)
