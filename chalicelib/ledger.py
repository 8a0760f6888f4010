"""The ledger of a chunk: what was decided for each row, written to S3 before anything is done.

A write-ahead log. Part 0 is the decision; a later part holds only the lines that came out differently when the ledger
was applied. The last line of a row is the one that stands. Parts are immutable; which parts count, and in which
order, is on the chunk item. A line:

    row          number of the row in its chunk, from 0
    src          [chunk, row] it was read in, for rows that `match` moved into another chunk
    ext          the row's external id in its source
    action       created | updated | skipped | failed | unprocessed
    reason       why, as a word: changed, unchanged, exists, duplicate, not_found, invalid, duplicate_key, conflict,
                 record_refused, stopped; none on created rows
    message      why, for people; only on failed rows
    field        the first field at fault; only on failed rows of which one is
    id           the record
    match        how a record of another row was recognised: {field, confidence, why}
    duplicate_of that record, or the one that holds the row's unique key
    link         record the row's external id is to be linked to from now on
    with         the row whose write carries this row's
    warnings     what was odd and did not stop the row
    write        the record's one write: data, refs, hash, keys, keys to claim and to free, state expected, before-image
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

from chalicelib import chunks, keys, progress, storage
from chalicelib.chunks import Chunk
from chalicelib.decisions import Line
from chalicelib.jobs import COUNTERS, Job


def write(job: Job, record_type: str, number: int, lines: list[Line]) -> str:
    """Store one part and return its S3 key. The same lines give the same key."""
    return storage.put_rows(
        f"{keys.type_objects(job['org'], job['id'], record_type)}/{number:06d}", "ledger", lines
    ).key


def read(parts: list[str]) -> list[Line]:
    """The line that stands for each row, in row order."""
    lines: dict[int, Line] = {}
    for part in parts:
        lines |= {line["row"]: line for line in storage.get_rows(part)}
    return [lines[row] for row in sorted(lines)]


def counts(lines: list[Line]) -> dict[str, int]:
    """Rows by action, every action present."""
    counted = Counter(line["action"] for line in lines)
    return {action: counted[action] for action in COUNTERS}


def reasons(lines: list[Line]) -> dict[str, int]:
    """Rows by "action:reason", and how many carry a warning."""
    counted = Counter(f"{line['action']}:{line['reason']}" for line in lines if "reason" in line)
    warned = sum("warnings" in line for line in lines)
    return dict(counted) | ({"warnings": warned} if warned else {})


def mark(job: Job, record_type: str, number: int, row: int) -> str:
    """The name of an import row, as the record it wrote last bears it in `by`."""
    return f"{job['id']}#{record_type}#{number}#{row}"


def import_records(
    job: Job, *, record_type: str | None = None, action: str | None = None, page: int = 1, per_page: int = 25
) -> tuple[list[dict[str, Any]], int]:
    """One page of the job's rows as the import API shows them, and how many there are in all.

    In the order of types, chunks and rows. Chunks in front of the page are skipped by their counts, unread.
    """
    wanted = [record_type] if record_type else job["types"]
    total, start = 0, (page - 1) * per_page
    shown: list[dict[str, Any]] = []
    for name in wanted:
        for number, chunk in sorted(chunks.listing(job, name).items()):
            counted = chunk.get("counts")
            if not counted or not chunk.get("parts"):
                continue
            rows = counted.get(action, 0) if action else sum(counted.values())
            if total + rows > start and len(shown) < per_page:
                lines = [line for line in read(chunk["parts"]) if not action or line["action"] == action]
                first = max(0, start - total)
                shown += [
                    _show(job, name, number, chunk, line) for line in lines[first : first + per_page - len(shown)]
                ]
            total += rows
    return shown, total


Place = tuple[int, int, int]
"""Where a row of a job stands: type, chunk and row."""


def failures(
    job: Job, *, record_type: str | None, start: int, behind: Place | None, size: int
) -> tuple[list[dict[str, Any]], int, int]:
    """Some of a job's failed rows, how many are before them, and how many there are in all.

    In the order of types, chunks and rows; from the start-th on, or from behind a place. Only chunks that such rows are
    taken from are read.
    """
    total, start = 0, 0 if behind else start
    shown: list[dict[str, Any]] = []
    for index, name in enumerate(job["types"]):
        listed = chunks.listing(job, name) if record_type in (None, name) else {}
        for number, chunk in sorted(listed.items()):
            rows = chunk.get("counts", {}).get("failed", 0) if chunk.get("parts") else 0
            if rows and behind and (index, number) < behind[:2]:
                start = total + rows
            elif rows and ((total + rows > start and len(shown) < size) or (behind and (index, number) == behind[:2])):
                lines = [line for line in read(chunk["parts"]) if line["action"] == "failed"]
                if behind and (index, number) == behind[:2]:
                    start = total + sum(line["row"] <= behind[2] for line in lines)
                first = max(0, start - total)
                shown += [_show_failure(job, name, number, line) for line in lines[first : first + size - len(shown)]]
            total += rows
    return shown, start, total


def summary(job: Job, record_type: str | None = None) -> dict[str, dict[str, int]]:
    """type -> reason -> failed rows, of the chunks that have ended."""
    found: dict[str, Counter[str]] = {}
    for name in job["types"] if record_type is None else [record_type]:
        for chunk in chunks.listing(job, name).values():
            for reason, rows in chunk.get("reasons", {}).items():
                if reason.startswith("failed:"):
                    found.setdefault(name, Counter())[reason.removeprefix("failed:")] += rows
    return {name: dict(counted) for name, counted in found.items()}


def _show_failure(job: Job, record_type: str, number: int, line: Line) -> dict[str, Any]:
    chunk, row = line.get("src", (number, line["row"]))
    return {
        "id": row_id(job, record_type, number, line["row"]),
        "target_type": record_type,
        "chunk": chunk,
        "row": row,
        "external_id": line.get("ext"),
        "field": line.get("field"),
        "reason": line.get("reason"),
        "message": line.get("message"),
    }


def _show(job: Job, record_type: str, number: int, chunk: Chunk, line: Line) -> dict[str, Any]:
    detection = job["mode_config"].get("duplicate_detection", {})
    match = line.get("match")
    return {
        "id": row_id(job, record_type, number, line["row"]),
        "import_job_id": job["id"],
        "import_profile_id": job["profile"]["id"],
        "source_table": job.get("origins", {}).get(record_type),
        "source_identifier": line.get("ext"),
        "source_hash": line.get("write", {}).get("hash"),
        "target_type": record_type,
        "target_id": line.get("id"),
        "import_action": line["action"],
        "import_mode": job["mode_config"].get("import_mode", "upsert"),
        "reason": line.get("reason"),
        "matching_rules": {
            "strategy": detection.get("strategy", "exact"),
            "primary_fields": detection.get("primary_fields", []),
            "confidence_threshold": detection.get("confidence_threshold", 85),
        },
        "matching_fields": {match["field"]: {"confidence": match["confidence"], "why": match["why"]}} if match else {},
        "duplicate_of": line.get("duplicate_of"),
        "error_message": line.get("message"),
        "warnings": line.get("warnings", []),
        "created_at": progress.timestamp(chunk.get("decided_at")),
    }


def row_id(job: Job, record_type: str, number: int, row: int) -> str:
    """An import row's UUID (version 8, RFC 9562): job number, type, chunk and row, so one look finds the row."""
    place = job["number"] << 56 | job["types"].index(record_type) << 48 | number << 24 | row
    high, low = place >> 62, place & 0x3FFFFFFFFFFFFFFF
    return str(uuid.UUID(int=(high >> 12) << 80 | 0x8 << 76 | (high & 0xFFF) << 64 | 0b10 << 62 | low))


def place_of(row_id: str) -> Place:
    """The place in an import row's UUID. Raises ValueError for what is no UUID."""
    value = uuid.UUID(row_id).int
    place = ((value >> 80) << 12 | value >> 64 & 0xFFF) << 62 | value & 0x3FFFFFFFFFFFFFFF
    return place >> 48 & 0xFF, place >> 24 & 0xFFFFFF, place & 0xFFFFFF


def writes(lines: list[Line]) -> Iterator[Line]:
    """The lines that change the store: a record's write or a link."""
    return (line for line in lines if "write" in line or "link" in line)
