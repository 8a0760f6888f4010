"""load: a chunk's ledger is applied to the record store; any repeat finds its own marks and changes nothing.

In: {org, job, type, chunk}. Out: the chunk DONE with the counts of its ledger; `more` when time ran out.

Every write is conditional on the state the ledger expects. After a refusal it looks: the record bears this very row's
mark, so the write had happened and only the answer was lost; or a person changed the record meanwhile, then the row is
decided anew into the next part of the ledger, three times at most.

Types without unique keys: 25 conditional PartiQL statements a call, one plain write unit per KB. Writes that claim or
free a unique key: one transaction over record and claims, so a claim never stands without its record.
"""

from __future__ import annotations

import time
from typing import Any

from chalicelib import chunks, keys, ledger, plans, progress, records, writing
from chalicelib.decisions import Line
from chalicelib.jobs import Job
from chalicelib.steps import RESERVE_SECONDS, Clock, Event, step
from chalicelib.steps.decide import accepted, close, settle

ATTEMPTS = 3
"""Times a row is decided anew because somebody changed its record; then it fails as a conflict."""

BATCH_ROWS = 100
"""Rows written together when the job does not say."""

CHECK_EVERY_SECONDS = 2.0
"""How soon a worker notices that its job is being cancelled."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Apply the chunk's ledger and close it."""
    record_type, number = event["type"], event["chunk"]
    job, chunk = chunks.with_job(event["org"], event["job"], record_type, number)
    if chunk.get("state") == chunks.DONE:
        return {"state": "done"}
    lease = chunks.take_lease(job, record_type, number, now() + remaining())
    applier = Applier(job, record_type, number, list(chunk["parts"]), now=now, remaining=remaining)
    try:
        lines = applier.run()
        if lines is not None and close(job, record_type, number, chunks.DONE, applier.parts, lines, lease):
            lease = ""  # given back with the chunk
    finally:
        if lease:
            chunks.drop_lease(job, record_type, number, lease)
    return {"state": "more" if lines is None else "done"}


class Applier:
    """One worker's pass over a chunk's ledger."""

    def __init__(
        self, job: Job, record_type: str, number: int, parts: list[str], *, now: Clock, remaining: Clock
    ) -> None:
        self.job, self.type, self.number, self.parts = job, record_type, number, parts
        self.now, self.remaining = now, remaining
        self.scope = plans.scope(job, record_type)
        self.checked = time.monotonic()

    def run(self) -> list[Line] | None:
        """Apply until nothing is refused. The lines that stand, or None when time ran out: what is applied stays."""
        lines = ledger.read(self.parts)
        pending = list(ledger.writes(lines))
        for attempt in range(ATTEMPTS + 1):
            refused = self._apply(pending)
            if refused is None:
                return None
            if not refused:
                break
            pending = self._decide_anew(lines, refused, last=attempt == ATTEMPTS)
            lines = ledger.read(self.parts)
        return lines

    def _apply(self, pending: list[Line]) -> list[Line] | None:
        """Write what is pending; the lines whose record was not as expected, or None when time ran out."""
        refused: list[Line] = []
        for batch in writing.batches(
            [self._write(line) for line in pending], self.job["options"].get("batch_size", BATCH_ROWS)
        ):
            if not self._go_on():
                return None
            refused += writing.apply(batch)
        return refused

    def _write(self, line: Line) -> writing.Write:
        mark = ledger.mark(self.job, self.type, self.number, line["row"])
        return writing.prepare(line, self.scope, mark, progress.timestamp(self.now()))

    def _go_on(self) -> bool:
        """Whether there is time and the job still runs. Raises Stopping when it does not."""
        if time.monotonic() - self.checked > CHECK_EVERY_SECONDS:
            self.checked = time.monotonic()
            if not chunks.is_running(self.job):
                raise chunks.Stopping
        return self.remaining() > RESERVE_SECONDS

    def _decide_anew(self, lines: list[Line], refused: list[Line], *, last: bool) -> list[Line]:
        """A further part for the refused rows and those folded into them; the writes it leads to."""
        rows = {line["row"] for line in refused}
        rows |= {line["row"] for line in lines if line.get("with") in rows}
        if last:
            anew = [_conflict(line) for line in lines if line["row"] in rows]
        else:
            chunk = chunks.get(self.job, self.type, self.number)
            again = accepted(self.job, self.type, chunk, rows)
            anew = settle(self.job, self.type, again, consistent=True)
        key = ledger.write(self.job, self.type, self.number, anew)
        self.parts = chunks.add_part(self.job, self.type, self.number, self.parts, key)
        standing = ledger.read(self.parts)
        return [line for line in ledger.writes(standing) if line["row"] in rows]


def _conflict(line: Line) -> Line:
    kept = {word: line[word] for word in ("row", "src", "ext", "id", "warnings") if word in line}
    message = "The record was changed by somebody else again and again while it was being imported."
    return kept | {"action": "failed", "reason": "conflict", "message": message}


def outcomes(job: Job, record_type: str, number: int, lines: list[Line]) -> list[Line]:
    """What a stopped chunk's ledger has come to: each line as it is, or `unprocessed` where its write never happened.

    Reads every record the ledger was to write, so it is asked for once, when no worker holds the chunk any more.
    """
    scope = plans.scope(job, record_type)
    writes = [
        writing.prepare(line, scope, ledger.mark(job, record_type, number, line["row"]), None)
        for line in lines
        if "write" in line
    ]
    links = {
        keys.link(scope.org, record_type, scope.source_id, scope.origins[record_type], line["ext"]): line["row"]
        for line in lines
        if "link" in line and "write" not in line
    }
    found = records.find([*(write.key for write in writes), *links], consistent=True)
    applied = {write.line["row"] for write in writes if found.get(write.key, {}).get("by") == write.mark}
    applied |= {row for key, row in links.items() if key in found}
    return [line if _happened(line, applied) else _unprocessed(line) for line in lines]


def _happened(line: Line, applied: set[int]) -> bool:
    if "write" in line or "link" in line:
        return line["row"] in applied
    return "with" not in line or line["with"] in applied


def _unprocessed(line: Line) -> Line:
    kept = {word: line[word] for word in ("row", "src", "ext", "warnings") if word in line}
    return kept | {"action": "unprocessed", "reason": "stopped"}
