"""A small world for proofs of exactly-once: rows of one type, ready to be decided, and an audit.

The steps run in this process against the deployed tables and bucket; `faults.source` is the larger world, with a real
source in front.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib import chunks, dynamo, jobs, keys, ledger, plans, storage
from chalicelib.sql import Query
from chalicelib.steps import decide, finish, load, match
from tests.deployed.faults.audit import counters, expected, stored
from tests.deployed.faults.calls import Kill, call, insist, killed_at, twice_at_once
from tests.deployed.faults.source import TEXT, Row

__all__ = [
    "TEXT",
    "Kill",
    "Row",
    "World",
    "accepted",
    "audit",
    "call",
    "drive",
    "insist",
    "killed_at",
    "lines",
    "stored",
    "twice_at_once",
]

SOURCE = "source-1"
ORIGINS = {
    "customer_users": "customers",
    "tickets": "conversations",
    "accounts": "accounts",
    "ticket_notes": "threads",
}


def accepted(row: Row, number: int, record_type: str) -> dict[str, Any]:
    """The row as `transform` would have written it."""
    unique = {"email": row.email} if row.email else {}
    refs = {"ticket": row.parent} if row.parent else {}
    data = {TEXT[record_type]: row.text, **unique}
    return {"row": number, "ext": row.ext, "data": data, "refs": refs, "keys": unique, "warnings": []}


@dataclass
class World:
    """One organisation with one job whose rows have been transformed: chunks of rows of one type."""

    record_type: str
    chunks: list[list[Row]]
    mode: dict[str, Any] = field(default_factory=dict)
    org: str = field(default_factory=lambda: f"t-{uuid.uuid4()}")
    job_id: str = field(default_factory=keys.mint_id)

    def prepare(self) -> World:
        """Write what plan, extract and transform would have left behind."""
        plan = self._plan()
        job = {
            "id": self.job_id,
            "org": self.org,
            "number": 1,
            "profile": {"id": "p1", "name": "P", "database_type": "postgresql"},
            "status": "running",
            "dry_run": False,
            "options": {},
            "mode_config": self.mode,
            "created_by": {"id": "u1", "name": "U"},
            "created_at": time.time(),
            "started_at": time.time(),
            "origins": ORIGINS,
            "types": [self.record_type],
            "errors": [],
            "plan": plans.freeze({"id": self.job_id, "org": self.org}, plan),
            f"{self.record_type}_planned": plan["types"][0]["rows"],
        }
        dynamo.put("state", keys.job(self.org, self.job_id), job)
        for number, rows in enumerate(self.chunks):
            dynamo.put(
                "state", keys.chunk(self.org, self.job_id, self.record_type, number), self._transformed(number, rows)
            )
        return self

    def _plan(self) -> plans.Plan:
        listed = [{"chunk": n, "low": 0, "high": 0, "rows": len(rows)} for n, rows in enumerate(self.chunks)]
        names = ("external_id", "email", "name", "title", "content", "ticket")
        table = ORIGINS[self.record_type]
        query = Query.model_validate(
            {
                "name": "test",
                "base_table": table,
                "origin": table,
                "key": "id",
                "fields": [{"source": name, "target": name} for name in names],
                "target_type": self.record_type,
            }
        )
        manifest = storage.put_json(f"{self._prefix}/extract", "json", listed)
        rows = sum(len(rows) for rows in self.chunks)
        return {
            "profile": {},
            "source_id": SOURCE,
            "queries": {self.record_type: query.model_dump(mode="json")},
            "origins": ORIGINS,
            "types": [
                {"type": self.record_type, "manifest": manifest, "chunks": len(listed), "rows": rows, "columns": []}
            ],
            "policy": jobs.policy(self.mode),
        }

    def _transformed(self, number: int, rows: list[Row]) -> dict[str, Any]:
        transformed = [accepted(row, place, self.record_type) for place, row in enumerate(rows)]
        hashed = [[r["row"], r["ext"], [keys.sha256(f"email:{v}") for v in r["keys"].values()]] for r in transformed]
        here = f"{self._prefix}/{number:06d}"
        return {
            "raw": "none",
            "rows": len(rows),
            "accepted": storage.put_rows(here, "accepted", transformed).key,
            "rejected": None,
            "keys": storage.put_rows(here, "keys", hashed).key,
        }

    @property
    def _prefix(self) -> str:
        return keys.type_objects(self.org, self.job_id, self.record_type)

    @property
    def job(self) -> jobs.Job:
        return jobs.get(self.org, self.job_id)

    def again(self, chunks_: list[list[Row]] | None = None) -> World:
        """The same source imported once more, by a new job."""
        return World(self.record_type, chunks_ or self.chunks, self.mode, self.org).prepare()

    def derive(self, ext: str) -> str:
        return keys.record_id(self.org, self.record_type, SOURCE, ORIGINS[self.record_type], ext)


Invoke = Callable[[Callable[..., dict[str, Any]], dict[str, Any]], dict[str, Any]]


def drive(world: World, invoke: Invoke = insist) -> None:
    """match, decide, load, finish, as the state machine drives them."""
    here = {"org": world.org, "job": world.job_id, "type": world.record_type}

    def settle(event: dict[str, Any], **clock: Any) -> dict[str, Any]:
        return {"items": storage.get_json(match.run(event, **clock)["manifest"])}

    settle.stands_for = match.run  # type: ignore[attr-defined]
    items = invoke(settle, here)["items"]
    for run in (decide.run, load.run):
        for item in items:
            invoke(run, here | item)
    invoke(finish.run, {"org": world.org, "job": world.job_id})


def audit(world: World, rows: list[Row], *, counted: dict[str, int] | None = None) -> list[str]:
    """What is wrong with the store after these rows, imported in this order by upsert; nothing when all is right.

    Its own account of what the rows should come to shares no code with the product.
    """
    owner, by_email, created = expected(rows)
    records, claims, _ = stored(world.org)
    problems = []
    found = Counter(record["ext"] for record in records)
    problems += [f"lost {ext}" for ext in owner if not found[ext]]
    problems += [f"doubled {ext}" for ext, times in found.items() if times > 1 or ext not in owner]
    for record in records:
        text = record["data"][TEXT[world.record_type]]
        if record["ext"] in owner and text != owner[record["ext"]].text:
            problems.append(f"wrong content in {record['ext']}")
    ids = {record["sk"] for record in records}
    problems += [f"orphan claim {key}" for key, record_id in claims.items() if record_id not in ids]
    problems += [f"{len(claims)} claims for {len(by_email)} keys"] if len(claims) != len(by_email) else []
    counted = counted or {"created": created, "updated": len(rows) - created}
    have = counters(world.org, world.job_id, world.record_type)
    for word in ("created", "updated", "skipped", "failed", "unprocessed"):
        if have[word] != counted.get(word, 0):
            problems.append(f"{have[word]} {word}, not {counted.get(word, 0)}")
    return problems


def lines(world: World) -> list[dict[str, Any]]:
    """The ledger lines that stand, over all chunks."""
    listed = chunks.listing(world.job, world.record_type)
    return [line for _, chunk in sorted(listed.items()) for line in ledger.read(chunk.get("parts", []))]
