"""An import driven step by step in this process, against the deployed stack in another: what a step costs its Lambda.

The tables, the bucket, the key and the source are real; only the state machine is left out, so that CPU, memory and
calls can be told apart by step. Each deployment is a fresh one and leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from chalicelib import clients, dynamo, jobs, keys, profiles, settings, storage
from cli.access import Access
from cli.client import Client
from infra.local.sample import TEMPLATE_OPTIONS, Sample
from infra.local.stack import Stack, stack

Event = dict[str, Any]
Invoke = Callable[[str, Event], Event]

SECONDS = 800.0
"""What an invocation is told it has left."""


@contextmanager
def deployment(conversations: int) -> Iterator[tuple[Stack, Sample]]:
    """A stack of its own with a help desk of that size; chalicelib in this process works on its tables and bucket."""
    # Not below .wharf: what these benchmarks leave in the cloud would be read and written down at every start.
    state = Path(tempfile.mkdtemp(prefix="wharf-bench-"))
    try:
        with stack(state) as running:
            sample = Sample(running.postgres, state, conversations, seed=1)
            sample.fill()
            # A machine that is not there: no execution may start beside the steps that are driven here.
            machine = running.outputs["StateMachine"] + "-none"
            os.environ |= running.environment() | {"WHARF_STATE_MACHINE": machine}
            clients.client.cache_clear()
            settings.get.cache_clear()
            yield running, sample
    finally:
        shutil.rmtree(state, ignore_errors=True)


def tenant(running: Stack, sample: Sample) -> tuple[Client, str, str]:
    """A new organisation with a profile of the sample: its API, the profile's id, the organisation's."""
    made = running.invoke("bootstrap", {"org": "Benchmark", "name": "Ada", "email": "ada@benchmark.example"})
    api = Client(Access(running.endpoint, made["token"], "benchmark"))
    body = {"name": "Help desk", "database_type": "postgresql", **sample.connection()}
    profile = api.post("/api/import/profiles", body)["profile"]["id"]
    templates = api.get("/api/import/templates")["data"]
    chosen = next(template["id"] for template in templates if template["platform"] == "freescout")
    api.put(f"/api/import/profiles/{profile}/template", {"template_id": chosen, "options": TEMPLATE_OPTIONS})
    return api, profile, made["org"]


def start(org: str, profile: str, **options: Any) -> Event:
    """A job of the profile, pending: {org, job}, as the state machine is given it."""
    execute, jobs.execute = jobs.execute, lambda _job: False
    try:
        user = {"id": "benchmark", "name": "Benchmark"}
        job = jobs.start(org, profiles.get(org, profile), user, options, {})
    finally:
        jobs.execute = execute
    dynamo.delete("state", keys.active_job(org, job["id"]))  # else the sweep misses its execution
    return {"org": org, "job": job["id"]}


def invoke(step: str, event: Event) -> Event:
    """Run a step as its Lambda does."""
    answer: Event = import_module(f"chalicelib.steps.{step}").run(event, now=time.time, remaining=lambda: SECONDS)
    return answer


def drive(ids: Event, run: Invoke = invoke) -> Event:
    """Every step of a job in the order of the state machine; the answer of plan."""
    planned = run("plan", ids)
    for entry in planned["types"]:
        here = ids | {"type": entry["type"]}
        for item in storage.get_json(entry["manifest"]):
            run("extract", here | item)
            run("transform", here | item)
        items = storage.get_json(run("match", here)["manifest"])
        for step in ("decide", "load"):
            for item in items:
                run(step, here | item)
    run("finish", ids)
    return planned
