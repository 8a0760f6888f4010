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

from chalicelib import chunks, jobs, keys, ledger, plans, progress, records, telemetry, writing
from chalicelib.decisions import Line
from chalicelib.errors import Retryable
from chalicelib.jobs import Job
from chalicelib.steps import RESERVE_SECONDS, ChunkEvent, Clock, step
from chalicelib.steps.decide import accepted, close, settle

ATTEMPTS = 3
"""Times a row is decided anew because somebody changed its record; then it fails as a conflict."""

BATCH_ROWS = 100
"""Rows written together when the job does not say."""

CHECK_EVERY_SECONDS = 2.0
"""How soon a worker notices that its job is being cancelled."""


class Event(ChunkEvent):
    """A chunk with a ledger."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Apply the chunk's ledger and close it."""
    record_type, number = event["type"], event["chunk"]
    job, chunk = chunks.with_job(event["org"], event["job"], record_type, number, now())
    if chunk.get("state") == chunks.DONE:
        return {"state": "done"}
    lease = chunks.take_lease(job, record_type, number, now() + remaining())
    applier = Applier(job, record_type, number, list(chunk["parts"]), now=now, remaining=remaining)
    try:
        lines = applier.run()
        if lines is not None and close(job, record_type, number, chunks.DONE, applier.parts, lines, lease):
            lease = ""  # given back with the chunk
    except writing.Overtaken:
        raise Retryable("another worker has gone on with the chunk", code="raced") from None
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
            outcome = self._apply(pending)
            if outcome is None:
                return None
            pending, known = [], self.parts
            if outcome.unfit and not self._amend([_failed(line, UNFIT) for line in _with_folded(lines, outcome.unfit)]):
                raise Retryable("another worker has gone on with the chunk", code="raced")
            if outcome.refused:
                rows = _with_folded(lines, outcome.refused)
                pending = self._decide_anew(rows, last=attempt == ATTEMPTS)
            if self.parts != known:
                lines = ledger.read(self.parts)
            if not pending:
                break
        if pending:
            raise Retryable("another worker is deciding the same rows anew", code="raced")
        return lines

    def _apply(self, pending: list[Line]) -> writing.Outcome | None:
        """Write what is pending; what could not be, or None when time ran out."""
        outcome = writing.Outcome()
        imported_at = progress.timestamp(self.now())
        writes = [writing.prepare(line, self.scope, self._mark(line), imported_at) for line in pending]
        standing = chunks.standing(self.job, self.type, self.number, len(self.parts))
        for batch in writing.batches(writes, self.job["options"].get("batch_size", BATCH_ROWS)):
            if not self._go_on():
                return None
            writing.apply(batch, outcome, standing)
            telemetry.count(rows=len(batch))
        return outcome

    def _mark(self, line: Line) -> str:
        return ledger.mark(self.job, self.type, self.number, line["row"])

    def _go_on(self) -> bool:
        """Whether there is time and the job still runs. Raises Stopping when it does not."""
        if time.monotonic() - self.checked > CHECK_EVERY_SECONDS:
            self.checked = time.monotonic()
            if not jobs.is_running(self.job):
                raise chunks.Stopping
        return self.remaining() > RESERVE_SECONDS

    def _decide_anew(self, lines: list[Line], *, last: bool) -> list[Line]:
        """A further part for rows that were refused; the writes it leads to."""
        rows = {line["row"] for line in lines}
        if last:
            anew = [_failed(line, CONFLICT) for line in lines]
        else:
            chunk = chunks.get(self.job, self.type, self.number)
            anew = settle(self.job, self.type, accepted(self.job, self.type, chunk, rows), consistent=True)
        self._amend(anew)
        return [line for line in ledger.writes(ledger.read(self.parts)) if line["row"] in rows]

    def _amend(self, lines: list[Line]) -> bool:
        """Add a part to the ledger. False where another worker has been faster: then its part stands."""
        telemetry.count(rejects=sum(line["action"] == "failed" for line in lines))
        key = ledger.write(self.job, self.type, self.number, lines)
        known = self.parts
        self.parts = chunks.add_part(self.job, self.type, self.number, known, key)
        return self.parts == [*known, key]


def _with_folded(lines: list[Line], carriers: list[Line]) -> list[Line]:
    """The lines, and those whose rows they carry."""
    rows = {line["row"] for line in carriers}
    return [line for line in lines if line["row"] in rows or line.get("with") in rows]


CONFLICT = {
    "reason": "conflict",
    "message": "The record was changed by somebody else again and again while it was being imported.",
}
UNFIT = {"reason": "record_refused", "message": "The record is too large or too deeply nested to be stored."}


def _failed(line: Line, why: dict[str, str]) -> Line:
    kept = {word: line[word] for word in ("row", "src", "ext", "id", "warnings") if word in line}
    return kept | {"action": "failed", **why}


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
        keys.link(scope.org, record_type, scope.source_id, scope.origins[record_type], line["ext"]): line
        for line in lines
        if "link" in line and "write" not in line
    }
    found = records.find([*(write.key for write in writes), *links], consistent=True)
    applied = {write.line["row"] for write in writes if found.get(write.key, {}).get("by") == write.mark}
    linked = {line["row"] for key, line in links.items() if found.get(key, {}).get("id") == line["link"]}
    return [line if _happened(line, applied, linked) else _unprocessed(line) for line in lines]


def _happened(line: Line, applied: set[int], linked: set[int]) -> bool:
    if "write" in line:
        return line["row"] in applied
    return ("link" not in line or line["row"] in linked) and ("with" not in line or line["with"] in applied)


def _unprocessed(line: Line) -> Line:
    kept = {word: line[word] for word in ("row", "src", "ext", "warnings") if word in line}
    return kept | {"action": "unprocessed", "reason": "stopped"}
