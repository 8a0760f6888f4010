"""What must be true of an organisation when its jobs have ended, whatever happened on the way.

Its account of what rows should come to shares no code with the product.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from chalicelib import chunks, dynamo, jobs, keys, ledger, progress, statistics
from tests.deployed.faults.source import TEXT, Import, Row

WORDS = ("created", "updated", "skipped", "failed", "unprocessed")

Item = dict[str, Any]


def scan(table: Any, prefix: str) -> list[Item]:
    """Every item of a table whose partition begins so."""
    items: list[Item] = []
    request: dict[str, Any] = {
        "TableName": dynamo.name(table),
        "FilterExpression": "begins_with(pk, :org)",
        "ExpressionAttributeValues": {":org": {"S": prefix}},
    }
    while True:
        answer = dynamo.call("scan", **request)
        items += map(dynamo.decode_item, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            return items
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def stored(org: str) -> tuple[list[Item], dict[str, str], dict[str, str]]:
    """Everything the organisation has in the record store: records, claims (key -> id), links (ext -> id)."""
    items = scan("records", f"O#{org}#")
    kind = {item["pk"] + item["sk"]: item["pk"].split("#")[2] for item in items}
    records = [
        item | {"type": item["pk"].split("#")[3], "ext": item["origin"]["ext"]}
        for item in items
        if kind[item["pk"] + item["sk"]] == "T" and not item.get("deleted")
    ]
    claims = {item["pk"]: item["id"] for item in items if kind[item["pk"] + item["sk"]] == "UQ"}
    links = {item["sk"]: item["id"] for item in items if kind[item["pk"] + item["sk"]] == "LK"}
    return records, claims, links


LOGGED = {"leases", "error", "note", "waiting_for", "waiting_since", "current_type"}
"""Attributes that say who was at work or what went wrong on the way: of an ended job nobody decides by them."""


def snapshot(org: str) -> dict[str, str]:
    """Both tables' items of the organisation, as text that is equal when they are, but for LOGGED.

    A SOURCE# item is true whoever writes it.
    """
    found = {}
    for table in ("state", "records"):
        for item in scan(table, f"O#{org}"):
            kind = item["sk"].split("#")[0]
            if kind == "SOURCE" or (kind == "LOCK" and _is_free(org, item["job"])):
                continue
            told = {name: value for name, value in item.items() if name not in LOGGED}
            found[f"{table} {item['pk']} {item['sk']}"] = json.dumps(told, sort_keys=True)
    return found


def _is_free(org: str, job_id: str) -> bool:
    """A lock that an ended job holds is free."""
    job = dynamo.get("state", keys.job(org, job_id))
    return job is None or jobs.ended(job)


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What became of a snapshot: one line a changed item."""
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def counters(org: str, job_id: str, record_type: str) -> dict[str, int]:
    """The job's counts of a type, as the product reads them; the same when no row of it was ever planned."""
    counted = progress.counts(jobs.get(org, job_id)).get(record_type, {})
    return {word: counted.get(word, 0) for word in ("planned", "extracted", "decided", *WORDS)}


def expected(rows: list[Row]) -> tuple[dict[str, Row], dict[str, str], int]:
    """(owner of each record by external id -> the row it shows, e-mail -> owner, how many are created) of an upsert
    into an empty store.
    """
    owner: dict[str, Row] = {}
    by_email: dict[str, str] = {}
    created = 0
    for row in rows:
        name = row.ext if row.ext in owner else by_email.get(row.email or "", row.ext)
        created += name not in owner
        owner[name] = row
        if row.email:
            by_email[row.email] = name
    return owner, by_email, created


def contents(records: list[Item], claims: dict[str, str], record_type: str, rows: list[Row]) -> list[str]:
    """Whether the store shows these rows of a type: none lost, none doubled, no claim too many."""
    owner, by_email, _ = expected(rows)
    mine = [record for record in records if record["type"] == record_type]
    held = {key: record_id for key, record_id in claims.items() if key.split("#")[3] == record_type}
    found = Counter(record["ext"] for record in mine)
    problems = [f"lost {record_type} {ext}" for ext in owner if not found[ext]]
    problems += [f"doubled {record_type} {ext}" for ext, times in found.items() if times > 1 or ext not in owner]
    for record in mine:
        text = record["data"][TEXT[record_type]]
        if record["ext"] in owner and text != owner[record["ext"]].text:
            problems.append(f"wrong content in {record_type} {record['ext']}")
    ids = {record["sk"] for record in mine}
    problems += [f"orphan claim {key}" for key, record_id in held.items() if record_id not in ids]
    problems += [f"{len(held)} claims for {len(by_email)} keys"] if len(held) != len(by_email) else []
    return problems


def kept_claims(records: list[Item], claims: dict[str, str]) -> list[str]:
    """Whether claims are exactly the keys of the records that are there."""
    due = {
        keys.claim(record["pk"].split("#")[1], record["type"], name, value)[0]: record["sk"]
        for record in records
        for name, value in record.get("keys", [])
    }
    return [f"claim {key}: {due.get(key)} -> {claims.get(key)}" for key in due.keys() | claims.keys()
            if due.get(key) != claims.get(key)]  # fmt: skip


def ledgers(org: str, job: jobs.Job, record_type: str, records: list[Item], *, latest: bool = True) -> list[str]:
    """Whether chunks, ledgers, counters and, for the job that wrote last, the store tell the same."""
    counted = counters(org, job["id"], record_type)
    problems = []
    if sum(counted[word] for word in WORDS) != counted["planned"]:
        problems.append(f"{record_type}: {counted} do not add up")
    by_id = {record["sk"]: record for record in records}
    told: Counter[str] = Counter()
    for number, chunk in sorted(chunks.listing(job, record_type).items()):
        if chunk.get("state") not in (chunks.DONE, chunks.STOPPED):
            problems.append(f"{record_type} chunk {number} is {chunk.get('state')}")
        told.update(chunk.get("counts", {}))
        if not chunk.get("parts"):
            continue
        lines = ledger.read(chunk["parts"])
        if chunk.get("counts") and {k: v for k, v in ledger.counts(lines).items() if v} != {
            k: v for k, v in chunk["counts"].items() if v
        } and not job["dry_run"]:  # fmt: skip
            problems.append(f"{record_type} chunk {number}: counts {chunk['counts']}, ledger {ledger.counts(lines)}")
        if latest:
            for line in ledger.writes(lines):
                mark = ledger.mark(job, record_type, number, line["row"])
                if "write" in line and (by_id.get(line["id"]) or {}).get("by") != mark:
                    problems.append(f"{record_type} chunk {number} row {line['row']}: {line['action']}, not written")
    words = {word: told[word] for word in WORDS if told[word]}
    have = {word: counted[word] for word in WORDS if counted[word]}
    if job["status"] in ("completed", "completed_with_errors") and words != have:
        problems.append(f"{record_type}: chunks say {words}, the job {have}")
    return problems


def numbers(org: str) -> list[str]:
    """Whether the organisation's statistics are those of its jobs: each counted once, with what it created."""
    made = list(jobs.listing(org))
    wrote = [job for job in made if jobs.ended(job) and not job["dry_run"]]
    want = Counter(f"{jobs.shown_status(job)}_jobs" for job in made)
    want["total_jobs"] = len(made)
    want["total_records_imported"] = sum(jobs.total(job, "created") for job in wrote)
    have = statistics.summary(org)
    return [f"statistics: {have[word]} {word}, not {want[word]}" for word in have.keys() - {"average_duration"}
            if word in want and have[word] != want[word]]  # fmt: skip


def at_rest(org: str, job: jobs.Job) -> list[str]:
    """Whether an ended job has let go of everything."""
    problems = [] if jobs.ended(job) else [f"the job is {job['status']}"]
    if jobs.running(org, job["profile"]["id"]):
        problems.append("the profile is locked")
    if dynamo.get("state", keys.active_job(org, job["id"])):
        problems.append("the job is on the active list")
    problems += numbers(org)
    for record_type in TEXT:
        held = dynamo.get("state", keys.type_lock(org, record_type))
        if held and held["job"] == job["id"] and not jobs.ended(job):
            problems.append(f"{record_type} is locked")
    return problems


def audit(
    done: Import, *, counted: dict[str, dict[str, int]] | None = None, status: tuple[str, ...] = ("completed",)
) -> list[str]:
    """What is wrong after an import that ran to its end; nothing when all is right.

    counted: type -> counters, where they are not those of a first upsert into an empty store.
    """
    job = done.job
    records, claims, links = stored(done.org)
    ids = {record["sk"] for record in records}
    problems = at_rest(done.org, job) + kept_claims(records, claims)
    problems += [] if job["status"] in status else [f"the job is {job['status']}: {job['errors']}"]
    problems += [f"link {ext} leads nowhere" for ext, record_id in links.items() if record_id not in ids]
    for record_type in done.types:
        rows = done.rows[record_type]
        problems += contents(records, claims, record_type, rows)
        problems += ledgers(done.org, job, record_type, records)
        _, _, created = expected(rows)
        want = (counted or {}).get(record_type, {"created": created, "updated": len(rows) - created})
        want = {"planned": len(rows), "extracted": len(rows), "decided": len(rows)} | want
        have = {word: rows_ for word, rows_ in counters(done.org, done.job_id, record_type).items() if rows_}
        if have != {word: rows_ for word, rows_ in want.items() if rows_}:
            problems.append(f"{record_type}: {have}, not {want}")
    return problems


def settled(done: Import) -> list[str]:
    """What is wrong after an import that was stopped somewhere: whatever it counted is there, nothing else, and every
    row it planned has one fate.
    """
    job = done.job
    records, claims, links = stored(done.org)
    ids = {record["sk"] for record in records}
    problems = at_rest(done.org, job) + kept_claims(records, claims)
    problems += [f"link {ext} leads nowhere" for ext, record_id in links.items() if record_id not in ids]
    for record_type in job["types"]:
        problems += ledgers(done.org, job, record_type, records)
        made = sum(record["type"] == record_type and record["by"].startswith(job["id"]) for record in records)
        counted = counters(done.org, done.job_id, record_type)
        if not job["dry_run"] and made < counted["created"]:
            problems.append(f"{record_type}: {counted['created']} created, {made} there")
    return problems
