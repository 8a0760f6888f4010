"""plan: the profile is frozen into the job, the source is counted and cut into chunks. Rows that no key can cut are
read here and now, in one go, and written as chunks.

In: {org, job}. Out: {state, org, job, bucket, dry_run, types: [{type, manifest, chunks}], count, index}. Of two plans
made at once the first one stored stands, and both answer with it. Refuses a job that has ended or is being cancelled:
`ended`, so that a redrive days later does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from chalicelib import (
    chunks,
    configured,
    connections,
    identities,
    jobs,
    keys,
    narrowing,
    network,
    plans,
    profiles,
    ranges,
    records,
    remains,
    sessions,
    settings,
    storage,
    targets,
    telemetry,
)
from chalicelib.dynamo import Refused
from chalicelib.errors import Fatal, NotFound, Retryable
from chalicelib.jobs import Job
from chalicelib.plans import Item, Plan, TypePlan
from chalicelib.ranges import CHUNK_BYTES, Cut
from chalicelib.sources import postgres
from chalicelib.sql import Query
from chalicelib.steps import RESERVE_SECONDS, Clock, JobEvent, step

CHUNK_ROWS = 1_000
"""Rows of a chunk: about a second of load, 0.5 MB compressed, $0.13 of Step Functions a million rows."""


LOOK_EVERY_CHUNKS = 20
"""How soon a long pass notices that its job has been stopped: a second or two."""


class Event(JobEvent):
    """The job to plan."""


@step
def run(event: Event, *, now: Clock, remaining: Clock) -> dict[str, Any]:
    """Plan the job, unless it has been."""
    job = jobs.get(event["org"], event["job"])
    if job["status"] == "pending":
        try:
            job = jobs.move(job, "running", {"started_at": now()})
        except Refused:
            job = jobs.get(event["org"], event["job"])
    if job["status"] != "running":
        return {"state": "ended"}
    jobs.confirm_in_time(job, now())
    if "plan" not in job:
        job = _freeze(job, _make(job, remaining))
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


def _make(job: Job, remaining: Clock) -> Plan:
    try:
        profile = profiles.get(job["org"], job["profile"]["id"])
    except NotFound:
        raise Fatal("The import profile has been deleted", code="profile_missing") from None
    if "retry_of" in job and (parent := remains.origin(jobs.get(job["org"], job["retry_of"]))):
        return _rest(job, parent, profile)
    _confirm_queries(job, profile)
    filters = job["options"].get("import_filters", {})
    limit = filters.get("limit")
    with _connected(profile) as connection:
        source_id = _confirm_source(job, profile, postgres.fingerprint(connection))
        queries = configured.queries(profile, postgres.describe(connection))
        wanted = job["options"].get("selected_types") or list(queries)
        # In the order of all types, so that two jobs can never wait for each other's types.
        chosen = {name: queries[name] for name in targets.names() if name in queries and name in wanted}
        types: list[TypePlan] = []
        for name, query in chosen.items():
            cut = _planned(connection, query, filters)
            types.append(_cut(job, cut, _left(job, cut, connection, limit, remaining)))
            chosen[name] = cut.query
    return {
        "profile": _connection(profile),
        "source_id": source_id,
        "queries": {name: query.model_dump(mode="json") for name, query in chosen.items()},
        "origins": {name: query.origin for name, query in queries.items()},
        "types": types,
        "policy": jobs.policy(job["mode_config"]),
    }


def _confirm_queries(job: Job, profile: profiles.Profile) -> None:
    """Raise Fatal when the profile has lost, since the start, what the job was to import."""
    types = configured.types(profile)
    gone = [name for name in job["options"].get("selected_types") or () if name not in types]
    if gone or not types:
        said = f"The profile no longer has a query of {', '.join(gone) or 'any type'}"
        raise Fatal(said, code="query_missing")


def _rest(job: Job, parent: Job, profile: profiles.Profile) -> Plan:
    """What the parent has left, by the connection the profile has now. Raises Fatal when that leads elsewhere."""
    plan, reads = remains.plan(parent, job, _connection(profile))
    source_id = profile["source_id"]
    if reads:
        with _connected(profile) as connection:
            source_id = _confirm_source(job, profile, postgres.fingerprint(connection))
    if source_id != plan["source_id"]:
        raise Fatal("The profile now leads to another database than the job that is retried", code="source_changed")
    telemetry.count(rows=sum(type_plan["rows"] for type_plan in plan["types"]))
    return plan


def _connected(profile: profiles.Profile) -> sessions.Session:
    address = network.resolve(profile["host"], profile["port"], allow_loopback=settings.get().allow_loopback)
    return sessions.connect(connections.of(profile), address, statement_timeout_seconds=600)


def _connection(profile: profiles.Profile) -> dict[str, Any]:
    words = ("id", "org", "host", "port", "database", "username", "password", "ssl_mode")
    return {word: profile.get(word) for word in words}


def _planned(connection: sessions.Session, query: Query, filters: dict[str, Any]) -> Cut:
    """The query's rows, cut: those the job asks for by the time they were made."""
    begin, end = filters.get("date_from"), filters.get("date_to")
    if begin or end:
        kinds = {column.name: column.type for column in ranges.columns(connection, ranges.orderly(connection, query))}
        query = narrowing.narrowed(query, kinds.get(narrowing.FIELD), begin, end)
    try:
        return postgres.plan(connection, query, chunk_rows=CHUNK_ROWS, limit=filters.get("limit"))
    except Fatal as error:
        if (begin or end) and error.state in narrowing.UNREADABLE:
            raise narrowing.unreadable(query) from None
        raise


def _confirm_source(job: Job, profile: profiles.Profile, fingerprint: str) -> str:
    """The identity of the profile's records; a database other than the one that has to be there stops the job."""
    identity = identities.confirm(profile, fingerprint, jobs.still_running(job))
    if identity is None:
        if not jobs.is_running(job):
            raise chunks.Stopping
        raise Fatal("The profile now leads to another database than the one it imported before", code="source_changed")
    return identity


def _cut(job: Job, cut: Cut, left: list[Item]) -> TypePlan:
    """The type's manifest: the ranges in the order of the key, and behind them what was read in one go.

    Bounds are written as text: they pass the state machine, and not all that reads JSON keeps integers beyond 2**53.
    """
    ranges = [
        Item(chunk=number, low=_text(part.bounds.low), high=_text(part.bounds.high), rows=part.rows, raw=None)
        for number, part in enumerate(cut.ranges)
    ]
    found = plans.listed(job, cut.query.target_type, [*ranges, *left], cut.columns)
    telemetry.count(rows=found["rows"])
    return found


def _text(key: tuple[str, ...] | None) -> str | None:
    return None if key is None else json.dumps(key, ensure_ascii=False)


def _left(job: Job, cut: Cut, connection: sessions.Session, limit: int | None, remaining: Clock) -> list[Item]:
    """The rows that no range holds, read now, in one statement: each chunk holds what the source had at one moment.

    Every pass writes objects of its own, and only those of the plan that stands are ever looked at, so a repeated plan
    never mixes two. Raises Fatal when there is not the time.
    """
    if cut.rest == 0:
        return []
    record_type = cut.query.target_type
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    connection.rollback()  # the time a statement may take is said when a transaction begins
    connection.timeout_seconds = max(1.0, remaining() - RESERVE_SECONDS)
    most = None if limit is None else limit if cut.rest is None else cut.rest
    batches = postgres.read(connection, cut.query, columns=cut.columns, unkeyed=cut.rest is not None, limit=most)
    items: list[Item] = []
    try:
        for number, rows in enumerate(_chunked(batches), len(cut.ranges)):
            raw = storage.put_rows(f"{prefix}/{number:06d}", "raw", rows).key
            items.append(Item(chunk=number, low=None, high=None, rows=len(rows), raw=raw))
            if number % LOOK_EVERY_CHUNKS == 0 and not jobs.is_running(job):
                raise chunks.Stopping
            if remaining() < RESERVE_SECONDS:
                raise _too_long(record_type, items)
    except Retryable as error:
        raise (_too_long(record_type, items) if error.code == "source_timeout" else error) from None
    return items


def _chunked(batches: Iterable[list[tuple[Any, ...]]]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in chunks of CHUNK_ROWS, and of no more text than wide rows may have."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in chain.from_iterable(batches):
        rows.append(row)
        size += sum(len(value) for value in row if isinstance(value, str))
        if len(rows) == CHUNK_ROWS or size >= CHUNK_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _too_long(record_type: str, items: list[Item]) -> Fatal:
    return Fatal(
        f"the rows of {record_type} that no key can cut are too many to be read in one go: only "
        f"{sum(item['rows'] for item in items)} came in the time there is; choose a key that is unique and never null",
        code="key_needed",
    )


def _freeze(job: Job, plan: Plan) -> Job:
    """Put the plan on the job, with what people see of it, in one move; the job as it stands afterwards.

    Of two plans the first stands; a job that is being cancelled takes none.
    """
    records.note_origins(job["org"], plan["source_id"], plan["origins"])
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
