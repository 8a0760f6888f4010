"""What a job froze when it was planned: the profile as it was, the queries, and how the source was cut.

Editing a profile never changes a running job: every step reads this document, never the profile. It is immutable, so
a warm worker reads it once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypedDict

from chalicelib import keys, storage, targets
from chalicelib.decisions import Scope
from chalicelib.jobs import Job
from chalicelib.sql import Column, Query


class Item(TypedDict):
    """One chunk of a manifest. low, high: see sql.Bounds, each a JSON array of its columns' texts. rows: how many were
    counted. raw: the S3 key of the rows, where they have been read already; then there are no bounds.
    """

    chunk: int
    low: str | None
    high: str | None
    rows: int
    raw: str | None


class TypePlan(TypedDict):
    """One record type: its name, the S3 key of its manifest (of Items), how many chunks and rows that lists, and what
    columns the rows had.
    """

    type: str
    manifest: str
    chunks: int
    rows: int
    columns: list[Column]


class Plan(TypedDict):
    """profile: connection fields, the password still encrypted. source_id: what its records' ids derive from.

    queries: type -> query configuration. origins: type -> where its external ids come from, also for types that are
    not part of this job. types: in the order they are imported. policy: see jobs.policy.
    """

    profile: dict[str, Any]
    source_id: str
    queries: dict[str, dict[str, Any]]
    origins: dict[str, str]
    types: list[TypePlan]
    policy: dict[str, str]


def listed(job: Job, record_type: str, items: list[Item], columns: list[Column]) -> TypePlan:
    """A type of a plan, its manifest stored."""
    prefix = keys.type_objects(job["org"], job["id"], record_type)
    return {
        "type": record_type,
        "manifest": storage.put_json(f"{prefix}/extract", "json", items),
        "chunks": len(items),
        "rows": sum(item["rows"] for item in items),
        "columns": columns,
    }


def freeze(job: Job, plan: Plan) -> str:
    """Store a plan and return its key."""
    return storage.put_json(f"{keys.job_objects(job['org'], job['id'])}/plan", "json", plan)


@lru_cache(maxsize=8)
def load(key: str) -> Plan:
    """The plan at a key. The key comes from the tenant's own job item."""
    plan: Plan = storage.get_json(key)
    return plan


def of(job: Job) -> Plan:
    """The job's plan."""
    return load(job["plan"])


@lru_cache(maxsize=32)
def query(key: str, record_type: str) -> Query:
    """A type's query, parsed once a worker."""
    return Query.model_validate(load(key)["queries"][record_type])


@lru_cache(maxsize=32)
def columns(key: str, record_type: str) -> list[Column]:
    """What columns a type's rows had when the job was planned."""
    found = next(type_plan["columns"] for type_plan in load(key)["types"] if type_plan["type"] == record_type)
    return [Column(*column) for column in found]


def scope(job: Job, record_type: str) -> Scope:
    """What the decisions of a type's chunks have in common."""
    plan, target = of(job), targets.get(record_type)
    return Scope(
        org=job["org"],
        record_type=record_type,
        source_id=plan["source_id"],
        origins=plan["origins"],
        mapped=query(job["plan"], record_type).mapped,
        policy=plan["policy"],
        references=target.REFERENCES,
        parent=target.PARENT,
    )
