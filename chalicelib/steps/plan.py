"""plan: the profile is frozen into the job, the source is counted and cut into chunks.

In: {org, job}. Out: {state, org, job, bucket, dry_run, types: [{type, manifest, chunks}], count, index}. Of two plans
made at once the first one stored stands, and both answer with it. Refuses a job that has ended or is being cancelled:
`ended`, so that a redrive days later does nothing.
"""

from __future__ import annotations

import json
from typing import Any

from chalicelib import (
    connections,
    dynamo,
    identities,
    jobs,
    keys,
    network,
    plans,
    profiles,
    sessions,
    settings,
    storage,
    targets,
    telemetry,
)
from chalicelib.dynamo import Refused
from chalicelib.errors import Fatal, NotFound
from chalicelib.jobs import Job
from chalicelib.plans import Plan, TypePlan
from chalicelib.sources import postgres
from chalicelib.sql import Query
from chalicelib.steps import Clock, JobEvent, step

CHUNK_ROWS = 1_000
"""Rows of a chunk: about a second of load, 0.5 MB compressed, $0.13 of Step Functions a million rows."""


class Event(JobEvent):
    """The job to plan."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:  # noqa: ARG001
    """Plan the job, unless it has been."""
    job = jobs.get(event["org"], event["job"])
    if job["status"] == "pending":
        try:
            job = jobs.move(job, "running", {"started_at": now()})
        except Refused:
            job = jobs.get(event["org"], event["job"])
    if job["status"] != "running":
        return {"state": "ended"}
    if "plan" not in job:
        job = _freeze(job, _make(job))
    if job["status"] != "running" or "plan" not in job:
        return {"state": "ended"}
    plan = plans.of(job)
    filled = [type_plan for type_plan in plan["types"] if type_plan["chunks"]]
    return {
        "state": "planned",
        "org": job["org"],
        "job": job["id"],
        "bucket": settings.get().bucket,
        "dry_run": job["dry_run"],
        "types": [{word: type_plan[word] for word in ("type", "manifest", "chunks")} for type_plan in filled],
        "count": len(filled),
        "index": 0,
    }


def _make(job: Job) -> Plan:
    try:
        profile = profiles.get(job["org"], job["profile"]["id"])
    except NotFound:
        raise Fatal("The import profile has been deleted", code="profile_missing") from None
    address = network.resolve(profile["host"], profile["port"], allow_loopback=settings.get().allow_loopback)
    with sessions.connect(connections.of(profile), address, statement_timeout_seconds=600) as connection:
        source_id = _confirm_source(profile, postgres.fingerprint(connection))
        queries = profiles.queries(profile, postgres.describe(connection))
        wanted = job["options"].get("selected_types") or list(queries)
        limit = job["options"].get("import_filters", {}).get("limit")
        # In the order of all types, so that two jobs can never wait for each other's types.
        chosen = {name: queries[name] for name in targets.names() if name in queries and name in wanted}
        types = [_cut(job, name, query, connection, limit) for name, query in chosen.items()]
    return {
        "profile": {
            word: profile.get(word)
            for word in ("id", "org", "host", "port", "database", "username", "password", "ssl_mode")
        },
        "source_id": source_id,
        "queries": {name: query.model_dump(mode="json") for name, query in chosen.items()},
        "origins": {name: query.origin for name, query in queries.items()},
        "types": types,
        "policy": jobs.policy(job["mode_config"]),
    }


def _confirm_source(profile: profiles.Profile, fingerprint: str) -> str:
    """The identity of the profile's records; a database other than the one that has to be there stops the job."""
    identity = identities.confirm(profile, fingerprint)
    if identity is None:
        raise Fatal("The profile now leads to another database than the one it imported before", code="source_changed")
    return identity


def _cut(job: Job, record_type: str, query: Query, connection: Any, limit: int | None) -> TypePlan:
    """One scan of the source: exact counts and the bounds of every chunk.

    Bounds are written as text: they pass the state machine, and not all that reads JSON keeps integers beyond 2**53.
    """
    ranges = postgres.plan(connection, query, chunk_rows=CHUNK_ROWS, limit=limit)
    rows = sum(piece.rows for piece in ranges)
    items = [
        {"chunk": number, "low": _text(piece.bounds.low), "high": _text(piece.bounds.high), "rows": piece.rows}
        for number, piece in enumerate(ranges)
    ]
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    manifest = storage.put_json(f"{prefix}/extract", "json", items)
    telemetry.count(rows=rows)
    return {
        "type": record_type,
        "manifest": manifest,
        "chunks": len(items),
        "rows": rows,
    }


def _text(key: tuple[str, ...]) -> str:
    return json.dumps(key, ensure_ascii=False)


def _freeze(job: Job, plan: Plan) -> Job:
    """Put the plan on the job, with what people see of it, in one move; the job as it stands afterwards.

    Of two plans the first stands; a job that is being cancelled takes none.
    """
    source = keys.source(job["org"], plan["source_id"])
    dynamo.put("state", source, {"id": plan["source_id"], "origins": plan["origins"]})  # to look up external ids by
    planned = {f"{type_plan['type']}_planned": type_plan["rows"] for type_plan in plan["types"]}
    values = {
        "plan": plans.freeze(job, plan),
        "types": [type_plan["type"] for type_plan in plan["types"]],
        "origins": plan["origins"],
        "source_id": plan["source_id"],
        "note": None,
        **planned,
    }
    return jobs.set_once(job, "plan", values)
