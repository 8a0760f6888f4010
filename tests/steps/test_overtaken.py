"""Workers that were thought dead: what they still hold in their hands is refused when others have gone on."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from chalicelib import chunks, configurations, dynamo, edits, jobs, keys, ledger, plans, storage, writing
from chalicelib.errors import Fatal, Retryable
from chalicelib.jobs import Job
from chalicelib.preconditions import IfMatch
from chalicelib.steps import decide, finish, load, match, sweep
from tests.moto_cloud import cloud

__all__ = ["cloud"]

TYPE = "customer_users"
WHO = {"id": "u", "name": "U"}
CLOCK: dict[str, Any] = {"now": time.time, "remaining": lambda: 300.0}


class World:
    """A job with one chunk of customers that has been transformed."""

    def __init__(self, *emails: str) -> None:
        self.org = str(uuid.uuid4())
        dynamo.put("state", keys.profile(self.org, "p1"), {"id": "p1"})
        profile = {"id": "p1", "name": "P", "database_type": "postgresql"}
        job = jobs.start(self.org, profile, WHO, {}, {})
        self.id = job["id"]
        self.event: Any = {"org": self.org, "job": self.id, "type": TYPE, "chunk": 0}
        self.objects = keys.type_objects(self.org, self.id, TYPE)
        planned = {"plan": self._plan(job, len(emails)), "types": [TYPE], f"{TYPE}_planned": len(emails)}
        jobs.set_once(job, "plan", planned | {"origins": {TYPE: "people"}})
        rows = [
            {"row": n, "ext": str(n), "data": {"email": mail, "name": "n"}, "refs": {}, "keys": {"email": mail}}
            for n, mail in enumerate(emails)
        ]
        accepted = storage.put_rows(f"{self.objects}/000000", "accepted", rows).key
        self.record(0, "accepted", raw="x", rows=len(rows), accepted=accepted, rejected=None, keys=None)

    def _plan(self, job: Job, rows: int) -> str:
        fields = [{"source": name, "target": name} for name in ("external_id", "email", "name")]
        query = configurations.Query.model_validate({"base_table": "people", "fields": fields})
        listed = [{"chunk": 0, "low": 1, "high": 9, "rows": rows}]
        manifest = storage.put_json(f"{self.objects}/extract", "json", listed)
        plan: plans.Plan = {
            "profile": {},
            "source_id": "s",
            "queries": {TYPE: configurations.built(query, TYPE).model_dump(mode="json")},
            "origins": {TYPE: "people"},
            "types": [{"type": TYPE, "manifest": manifest, "chunks": 1, "rows": rows}],
            "policy": jobs.policy({}),
        }
        return plans.freeze(job, plan)

    def record(self, number: int, marker: str, **values: Any) -> None:
        chunks.record(self.job, TYPE, number, marker, values, counted={})

    @property
    def job(self) -> Job:
        return jobs.get(self.org, self.id)

    def counts(self) -> dict[str, int]:
        return {word: self.job[f"{TYPE}_{word}"] for word in jobs.COUNTERS if self.job.get(f"{TYPE}_{word}")}

    def lines(self) -> list[tuple[str, str | None]]:
        found = ledger.read(chunks.get(self.job, TYPE, 0)["parts"])
        return [(line["action"], line.get("id")) for line in found]

    def own(self, ext: str) -> dict[str, Any] | None:
        derived = keys.record_id(self.org, TYPE, "s", "people", ext)
        return dynamo.get("records", keys.record(self.org, TYPE, derived))

    def person(self, email: str) -> str:
        """Somebody else's record with this address."""
        record_id = str(uuid.uuid4())
        origin = {"source": "z", "table": "t", "ext": "1", "at": None}
        item = {"data": {"email": email}, "refs": {}, "hash": "h", "ver": 1, "by": "old", "origin": origin}
        dynamo.put("records", keys.record(self.org, TYPE, record_id), item | {"keys": [["email", email]]})
        dynamo.put("records", keys.claim(self.org, TYPE, "email", email), {"id": record_id})
        return record_id

    def give(self, record_id: str, email: str) -> None:
        edits.change(self.org, WHO, TYPE, record_id, IfMatch("*"), {"email": email})


@pytest.mark.parametrize("ended", ["closed", "completed", "decided anew"])
def test_a_forgotten_worker_takes_no_key_that_is_free_again(
    cloud: None, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    """A is about to claim e@x. A person takes it, B finds it taken and goes on, the person gives it back."""
    world = World("e@x")
    decide.run(world.event, **CLOCK)
    other = world.person("p@x")
    apply, meanwhile = writing.apply, []

    def slow(*arguments: Any) -> None:
        if not meanwhile:
            meanwhile.append(ended)
            world.give(other, "e@x")
            if ended == "decided anew":  # B has written its part and not yet closed the chunk
                lines = [line | {"action": "failed", "reason": "conflict"} for line in _read(world)]
                parts = chunks.get(world.job, TYPE, 0)["parts"]
                chunks.add_part(world.job, TYPE, 0, parts, ledger.write(world.job, TYPE, 0, lines))
            else:
                load.run(world.event, **CLOCK)
            if ended == "completed":
                finish.run({"org": world.org, "job": world.id}, **CLOCK)
            world.give(other, "q@x")
        apply(*arguments)

    monkeypatch.setattr(writing, "apply", slow)
    with pytest.raises(Retryable) as refused:
        load.run(world.event, **CLOCK)
    assert refused.value.code == "raced"
    assert world.own("0") is None
    assert dynamo.get("records", keys.claim(world.org, TYPE, "email", "e@x")) is None
    if ended != "decided anew":
        assert world.lines() == [("updated", other)]
        assert world.counts() == {"updated": 1}


def _read(world: World) -> list[dict[str, Any]]:
    return ledger.read(chunks.get(world.job, TYPE, 0)["parts"])


def rival(monkeypatch: pytest.MonkeyPatch, world: World, row: int) -> None:
    """Somebody adds a part of this row just before the one that is about to be added."""
    add, done = chunks.add_part, []

    def late(job: Job, record_type: str, number: int, parts: list[str], key: str) -> list[str]:
        if not done:
            done.append(row)
            line = next(line for line in ledger.read(parts) if line["row"] == row)
            add(job, record_type, number, parts, ledger.write(job, record_type, number, [line]))
        return add(job, record_type, number, parts, key)

    monkeypatch.setattr(chunks, "add_part", late)


def test_finish_counts_no_part_that_it_has_not_checked(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("a@x", "b@x")
    decide.run(world.event, **CLOCK)
    jobs.move(world.job, "cancelling")
    rival(monkeypatch, world, 0)
    with pytest.raises(Retryable):
        finish.run({"org": world.org, "job": world.id}, **CLOCK)
    assert finish.run({"org": world.org, "job": world.id}, **CLOCK) == {"state": "done"}
    assert (world.job["status"], world.counts()) == ("cancelled", {"unprocessed": 2})


def test_a_row_that_fits_nowhere_is_not_lost_to_a_rivals_part(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("a@x", "b@x")
    decide.run(world.event, **CLOCK)
    rival(monkeypatch, world, 1)
    apply = writing.apply

    def picky(portion: list[writing.Write], outcome: writing.Outcome, standing: Any) -> None:
        outcome.unfit += [write.line for write in portion if write.line["row"] == 0]
        fitting = [write for write in portion if write.line["row"] != 0]
        if fitting:
            apply(fitting, outcome, standing)

    monkeypatch.setattr(writing, "apply", picky)
    with pytest.raises(Retryable):
        load.run(world.event, **CLOCK)
    assert load.run(world.event, **CLOCK) == {"state": "done"}
    assert world.counts() == {"created": 1, "failed": 1}
    assert world.own("0") is None


def test_match_settles_nothing_once_the_job_is_being_stopped(cloud: None) -> None:
    """`finish` counts rows by whether they have moved: it must not change between two of its passes."""
    world = World("a@x", "b@x")
    read = {"raw": "x", "rows": 2, "accepted": "k", "rejected": None, "keys": None}
    world.record(1, "accepted", **read)
    world.record(2, "group", group="g", rows=2)
    for number in (0, 1):
        world.record(number, "moved", moved="m", moved_rows=1)
    running = world.job
    jobs.move(running, "cancelling")
    left = iter([300.0, 0.0])
    assert finish.run({"org": world.org, "job": world.id}, now=time.time, remaining=lambda: next(left)) == {
        "state": "more"
    }
    with pytest.raises(chunks.Stopping):
        match._stand(running, TYPE, {"manifest": "late"})
    assert finish.run({"org": world.org, "job": world.id}, **CLOCK) == {"state": "done"}
    assert world.counts() == {"unprocessed": 4}


def test_a_job_that_cannot_be_finished_is_told(
    cloud: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from chalicelib import clients, settings, telemetry

    world, healthy = World("a@x"), World("b@x")
    monkeypatch.setattr(sweep, "_execution", lambda job: "ABORTED")
    clients.client("s3").delete_object(Bucket=settings.get().bucket, Key=world.job["plan"])
    plans.load.cache_clear()
    with pytest.raises(Fatal) as stuck, telemetry.invocation("step", "sweep"):
        sweep.run({}, **CLOCK)
    assert (stuck.value.code, stuck.value.message) == ("stuck", "1 jobs hold their locks and cannot be finished")
    assert healthy.job["status"] == "failed"
    told = [line for line in capfd.readouterr().err.splitlines() if "job cannot be finished" in line]
    assert len(told) == 1
    assert world.id in told[0]
    assert '"object_missing"' in told[0]
