"""A world for proofs of exactly-once: rows ready to be decided, a way to kill at any AWS call, and an audit.

The steps run in this process against the deployed tables and bucket, so a kill can be put before any call is sent and
after any call has had its effect. The kill is a BaseException: botocore retries Exceptions.
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chalicelib import chunks, clients, dynamo, jobs, keys, ledger, plans, storage
from chalicelib.errors import Retryable
from chalicelib.sql import Query
from chalicelib.steps import decide, finish, load, match

SOURCE = "source-1"
ORIGINS = {
    "customer_users": "customers",
    "tickets": "conversations",
    "accounts": "accounts",
    "ticket_notes": "threads",
}
TEXT = {"customer_users": "name", "tickets": "title", "ticket_notes": "content"}
"""The field a row's text goes to."""


class Kill(BaseException):
    """The worker is gone."""


@dataclass
class Row:
    """A source row as the audit knows it: external id, unique key (customers), a text to tell versions, and for a
    note the ticket it belongs to."""

    ext: str
    email: str | None = None
    text: str = "first"
    ticket: str | None = None

    def accepted(self, number: int, record_type: str) -> dict[str, Any]:
        unique = {"email": self.email} if self.email else {}
        refs = {"ticket": self.ticket} if self.ticket else {}
        data = {TEXT[record_type]: self.text, **unique}
        return {"row": number, "ext": self.ext, "data": data, "refs": refs, "keys": unique, "warnings": []}


@dataclass
class World:
    """One organisation with one job whose rows have been transformed: chunks of rows of one type."""

    record_type: str
    chunks: list[list[Row]]
    mode: dict[str, Any] = field(default_factory=dict)
    org: str = field(default_factory=lambda: f"t-{uuid.uuid4()}")
    job_id: str = field(default_factory=jobs.mint_id)

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
            "types": [{"type": self.record_type, "manifest": manifest, "chunks": len(listed), "rows": rows}],
            "policy": jobs.policy(self.mode),
        }

    def _transformed(self, number: int, rows: list[Row]) -> dict[str, Any]:
        accepted = [row.accepted(place, self.record_type) for place, row in enumerate(rows)]
        hashed = [[r["row"], r["ext"], [keys.sha256(f"email:{v}") for v in r["keys"].values()]] for r in accepted]
        here = f"{self._prefix}/{number:06d}"
        return {
            "raw": "none",
            "rows": len(rows),
            "accepted": storage.put_rows(here, "accepted", accepted).key,
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


_inside = threading.local()


def call(run: Callable[..., dict[str, Any]], event: dict[str, Any]) -> dict[str, Any]:
    """Invoke a step as Lambda would, with plenty of time."""
    _inside.step = getattr(run, "stands_for", run)
    try:
        return run(event, now=time.time, remaining=lambda: 300.0)
    finally:
        _inside.step = None


def insist(run: Callable[..., dict[str, Any]], event: dict[str, Any]) -> dict[str, Any]:
    """Invoke a step until it answers, as the state machine does after a worker's death or a Retryable."""
    for _ in range(20):
        try:
            answer = call(run, event)
        except (Kill, Retryable):
            continue
        if answer.get("state") in ("more", "waiting"):
            continue
        return answer
    raise AssertionError("the step never came to an answer")


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


def twice_at_once(run: Callable[..., dict[str, Any]], event: dict[str, Any]) -> dict[str, Any]:
    """Two invocations of the same event at the same moment; both must come to an answer."""
    answers: list[dict[str, Any]] = []
    gate = threading.Barrier(2)

    def worker() -> None:
        gate.wait()
        answers.append(insist(run, event))

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    return answers[0]


@contextmanager
def killed_at(
    index: int | None, moment: str = "before", within: tuple[Callable[..., Any], ...] = ()
) -> Iterator[Counter[str]]:
    """Count AWS calls and die once, at the call of that index: before it is sent, or after its effect.

    within: count only the calls of these steps; none named means all.
    """
    calls: Counter[str] = Counter()
    numbers = itertools.count()
    dead = threading.Event()
    current = threading.local()

    def before(model: Any, **_: Any) -> None:
        current.number = None
        if within and getattr(_inside, "step", None) not in within:
            return
        calls[model.name] += 1
        current.number = next(numbers)
        if moment == "before" and current.number == index and not dead.is_set():
            dead.set()
            raise Kill

    def after(model: Any, **_: Any) -> None:
        if moment == "after" and current.number == index and not dead.is_set():
            dead.set()
            raise Kill

    events = [clients.client(service).meta.events for service in ("dynamodb", "s3")]
    for emitter in events:
        emitter.register("before-call", before, "kill-before")
        emitter.register("after-call", after, "kill-after")
    try:
        yield calls
    finally:
        for emitter in events:
            emitter.unregister("before-call", before, "kill-before")
            emitter.unregister("after-call", after, "kill-after")


def stored(org: str) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, str]]:
    """Everything the organisation has in the record store: records, claims (key -> id), links (ext -> id)."""
    items: list[dict[str, Any]] = []
    request: dict[str, Any] = {
        "TableName": dynamo.name("records"),
        "FilterExpression": "begins_with(pk, :org)",
        "ExpressionAttributeValues": {":org": {"S": f"O#{org}#"}},
    }
    while True:
        answer = dynamo.call("scan", **request)
        items += map(dynamo.decode_item, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            break
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    kind = {item["pk"] + item["sk"]: item["pk"].split("#")[2] for item in items}
    records = [
        item | {"type": item["pk"].split("#")[3], "ext": item["origin"]["ext"]}
        for item in items
        if kind[item["pk"] + item["sk"]] == "T" and not item.get("deleted")
    ]
    claims = {item["pk"]: item["id"] for item in items if kind[item["pk"] + item["sk"]] == "UQ"}
    links = {item["sk"]: item["id"] for item in items if kind[item["pk"] + item["sk"]] == "LK"}
    return records, claims, links


def audit(world: World, rows: list[Row], *, counted: dict[str, int] | None = None) -> list[str]:
    """What is wrong with the store after these rows, imported in this order by upsert; nothing when all is right.

    Its own account of what the rows should come to shares no code with the product.
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
    job = world.job
    for word in ("created", "updated", "skipped", "failed", "unprocessed"):
        have = job.get(f"{world.record_type}_{word}", 0)
        if have != counted.get(word, 0):
            problems.append(f"{have} {word}, not {counted.get(word, 0)}")
    return problems


def lines(world: World) -> list[dict[str, Any]]:
    """The ledger lines that stand, over all chunks."""
    listed = chunks.listing(world.job, world.record_type)
    return [line for _, chunk in sorted(listed.items()) for line in ledger.read(chunk.get("parts", []))]
