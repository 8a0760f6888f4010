"""decide: what becomes of each row of a chunk, written to its ledger before anything is done.

In: {org, job, type, chunk}. Out: the chunk's ledger, its first part. Decided once: the loser of a race, or a retry,
uses the winner's. A dry run ends here; what it shows is this ledger.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from chalicelib import chunks, dynamo, keys, ledger, plans, records, storage, targets, telemetry
from chalicelib.chunks import Chunk
from chalicelib.decisions import Line, Row, Scope, Standing, decide
from chalicelib.jobs import Job
from chalicelib.steps import ChunkEvent, Clock, step
from chalicelib.steps.match import in_index


class Event(ChunkEvent):
    """A chunk that has been read, or one that `match` has made."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Decide the chunk, unless it has been."""
    record_type, number = event["type"], event["chunk"]
    job, chunk = chunks.with_job(event["org"], event["job"], record_type, number, now())
    if "parts" not in chunk:
        settled = settle(job, record_type, accepted(job, record_type, chunk))
        telemetry.count(rows=len(settled), rejects=sum(line["action"] == "failed" for line in settled))
        lines = settled + _rejected(chunk)
        lines.sort(key=lambda line: line["row"])
        values = {"parts": [ledger.write(job, record_type, number, lines)], "decided_at": now()}
        chunk = chunks.record(job, record_type, number, "parts", values, counted={"decided": len(lines)})
    if job["dry_run"]:
        close(job, record_type, number, chunks.DONE, chunk["parts"], ledger.read(chunk["parts"]))
    return {"state": "done"}


def close(
    job: Job, record_type: str, number: int, state: str, parts: list[str], lines: list[Line], lease: str | None = None
) -> bool:
    """End the chunk with the counts of its ledger: the lines that stand after these parts."""
    counted = ledger.counts(lines)
    values = {"counts": counted, "reasons": ledger.reasons(lines)}
    return chunks.close(job, record_type, number, state, values, counted=counted, parts=len(parts), lease=lease)


def accepted(job: Job, record_type: str, chunk: Chunk, wanted: set[int] | None = None) -> list[Row]:
    """The chunk's accepted rows in source order, without those that moved away, or only the wanted ones."""
    if "group" in chunk:
        rows = _gathered(job, record_type, storage.get_rows(chunk["group"]))
    else:
        gone = set(storage.get_rows(chunk["moved"])) if "moved" in chunk else set()
        rows = [row for row in storage.get_rows(chunk["accepted"]) if row["row"] not in gone]
    return rows if wanted is None else [row for row in rows if row["row"] in wanted]


def _gathered(job: Job, record_type: str, places: list[list[int]]) -> list[Row]:
    """The rows of an extra chunk, numbered anew; `src` says where each was read."""
    wanted: dict[int, set[int]] = {}
    for number, row in places:
        wanted.setdefault(number, set()).add(row)
    read = {
        number: {
            row["row"]: row
            for row in storage.get_rows(chunks.get(job, record_type, number)["accepted"])
            if row["row"] in rows
        }
        for number, rows in wanted.items()
    }
    return [read[number][row] | {"row": index, "src": [number, row]} for index, (number, row) in enumerate(places)]


def _rejected(chunk: Chunk) -> list[Line]:
    if not chunk.get("rejected"):
        return []
    return [
        {
            "row": row["row"],
            "ext": row["ext"],
            "action": "failed",
            "reason": "invalid",
            "field": row["errors"][0]["field"],
            "message": "; ".join(f"{error['field']}: {error['reason']}" for error in row["errors"]),
        }
        for row in storage.get_rows(chunk["rejected"])
    ]


def settle(job: Job, record_type: str, rows: list[Row], *, consistent: bool = False) -> list[Line]:
    """Look up what the rows' records are now and decide. `consistent` when a refused write has to be decided anew.

    Large texts are moved to S3 here, before the ledger is written, so that ledger and item hold the same.
    """
    scope = plans.scope(job, record_type)
    standing = look_up(job, scope, rows, consistent=consistent)
    lines = decide(rows, standing, scope)
    changing = [line["write"]["before"] for line in lines if line.get("write", {}).get("before")]
    if changing:  # only these are read whole: most rows of most imports are new or unchanged
        whole = records.find([(before["pk"], before["sk"]) for before in changing], consistent=consistent)
        standing.records |= {record["sk"]: record for record in whole.values()}
        lines = decide(rows, standing, scope)
    for line in lines:
        if "write" in line:
            line["write"]["data"] = records.offload(job["org"], line["write"]["data"])
    return lines


def look_up(job: Job, scope: Scope, rows: list[Row], *, consistent: bool) -> Standing:
    """What the store holds for the rows, records without their content, and what their references lead to."""
    org, record_type = scope.org, scope.record_type
    own = {keys.record(org, record_type, scope.derive(row["ext"])): row for row in rows}
    claims = {
        keys.claim(org, record_type, field, value): (field, value)
        for row in rows
        for field, value in row["keys"].items()
    }
    found = records.find_marks([*own, *claims], consistent=consistent)
    origin = scope.origins[record_type]
    links = {
        keys.link(org, record_type, scope.source_id, origin, row["ext"]): row["ext"]
        for key, row in own.items()
        if targets.get(record_type).UNIQUE_KEYS and (key not in found or found[key].get("deleted"))
    }
    linked = records.find(links, consistent=True)  # nothing would refuse a second record of a row that has one
    standing = Standing(
        claims={claims[key]: held["id"] for key, held in found.items() if key in claims},
        links={links[key]: link["id"] for key, link in linked.items()},
        parents=_parents(job, scope, rows, consistent=consistent),
        in_run=lambda external_id: in_index(_run_index(job["org"], job["id"], record_type), external_id),
    )
    standing.records = {record["sk"]: record for key, record in found.items() if key in own}
    others = {*standing.claims.values(), *standing.links.values()} - set(standing.records)
    more = records.find_marks([keys.record(org, record_type, other) for other in others], consistent=consistent)
    standing.records |= {record["sk"]: record for record in more.values()}
    return standing


def _parents(job: Job, scope: Scope, rows: list[Row], *, consistent: bool) -> dict[tuple[str, str], str]:
    """The references that lead to a record: in the store, by a link, or, in a dry run, made by this very run."""
    named = {scope.names(name, value) for row in rows for name, value in row["refs"].items()}
    wanted = {
        (record_type, external_id): keys.record(scope.org, record_type, scope.derive(external_id, record_type))
        for record_type, external_id in named
    }
    found = records.find_live(wanted.values(), consistent=consistent)
    if not consistent:  # an orphan is only said to be one after a consistent look
        found |= records.find_live([key for key in wanted.values() if key not in found], consistent=True)
    leads = {target: key[1] for target, key in wanted.items() if key in found}
    missing = {
        keys.link(scope.org, record_type, scope.source_id, scope.origins[record_type], external_id): (
            record_type,
            external_id,
        )
        for record_type, external_id in wanted.keys() - leads.keys()
        if targets.get(record_type).UNIQUE_KEYS and record_type in scope.origins
    }
    linked = {
        missing[key]: keys.record(scope.org, missing[key][0], link["id"])
        for key, link in records.find(missing, consistent=True).items()
    }
    there = records.find_live(linked.values(), consistent=True)  # what it was linked to may have been deleted
    leads |= {target: key[1] for target, key in linked.items() if key in there}
    if job["dry_run"]:
        for record_type in {record_type for record_type, _ in wanted.keys() - leads.keys()} & set(job["types"]):
            made = _planned(job["org"], job["id"], record_type)
            leads |= {
                target: made[target[1]] for target in wanted if target[0] == record_type and target[1] in made
            } | leads
    return leads


@lru_cache(maxsize=4)
def _planned(org: str, job_id: str, record_type: str) -> dict[str, str]:
    """External id -> record id for every row a dry run would bring; its type has been decided before this one."""
    job = {"org": org, "id": job_id}
    return {
        line["ext"]: line["id"]
        for chunk in chunks.listing(job, record_type).values()
        for line in ledger.read(chunk.get("parts", []))
        if line["action"] != "failed" and "id" in line
    }


@lru_cache(maxsize=2)
def _run_index(org: str, job_id: str, record_type: str) -> bytes:
    settled = dynamo.get("state", keys.job_type(org, job_id, record_type)) or {}
    return storage.get(settled["index"]) if settled.get("index") else b""
