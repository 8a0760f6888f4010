"""A template whose key some rows lack, or that is no integer: the job fails and names it, and nothing is imported."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from chalicelib import keys
from infra.local.stack import Stack
from tests.conftest import Database
from tests.deployed.tenant import Tenant

SOURCE = """
CREATE TABLE people (id int, ref int, place float8, name text);
INSERT INTO people SELECT n, nullif(n % 2, 0) * n, n + 0.7, 'Person ' || n FROM generate_series(1, 40) AS n;
"""

SENTENCES = {
    "ref": (
        "key_missing",
        "rows of agents whose key people.ref is null: 20; "
        "choose a key that is never null, or leave these rows out by a filter",
    ),
    "place": (
        "key_not_integer",
        "the key people.place of agents is of type double precision: "
        "it has to be smallint, integer, bigint, or numeric declared without decimals",
    ),
    "name": (
        "key_not_integer",
        "the key people.name of agents is of type text: "
        "it has to be smallint, integer, bigint, or numeric declared without decimals",
    ),
}


@pytest.fixture
def tenant(deployed: Stack, empty_db: Database) -> Tenant:
    with psycopg.connect(empty_db.dsn, autocommit=True) as source:
        source.execute(SOURCE)
    return Tenant(deployed, empty_db)


def test_no_row_is_lost_by_its_key_without_a_word(tenant: Tenant) -> None:
    for column, expected in SENTENCES.items():
        fields = [
            {"source": column, "target": "external_id"},
            {"source": "name", "target": "name"},
            {"source": "name", "target": "email"},
        ]
        query = {"base_table": "people", "fields": fields}
        body = {"name": f"By {column}", "queries": {"agents": query}}
        made = tenant.api.post("/api/import/templates", body)["template"]
        tenant.api.put(f"/api/import/profiles/{tenant.profile}/template", {"template_id": made["id"]})
        job = tenant.wait(tenant.start())
        assert job["status"] == "failed"
        assert [(error["code"], error["message"]) for error in job["errors"]] == [expected]
        assert (job["estimated_total"], job["records_imported"]) == (0, 0)
    assert list(tenant.api.pages("/api/records/agents")) == []


def test_keys_beyond_what_a_double_can_tell_apart_are_all_read(
    deployed: Stack, tenant: Tenant, empty_db: Database
) -> None:
    """Ids of clocks and of hashes: bounds pass the machine as text, so no reader of JSON can round them."""
    with psycopg.connect(empty_db.dsn, autocommit=True) as source:
        source.execute(
            """CREATE TABLE large (id bigint, mail text);
            INSERT INTO large SELECT 9223372036854775807 - n, n || '@large.example' FROM generate_series(0, 1400) n"""
        )
    fields = [{"source": "id", "target": "external_id"}, {"source": "mail", "target": "name"}]
    query = {"base_table": "large", "fields": [*fields, {"source": "mail", "target": "email"}]}
    made = tenant.api.post("/api/import/templates", {"name": "Large", "queries": {"agents": query}})["template"]
    tenant.api.put(f"/api/import/profiles/{tenant.profile}/template", {"template_id": made["id"]})
    job = tenant.wait(tenant.start())
    assert (job["status"], job["estimated_total"], job["records_imported"]) == ("completed", 1401, 1401)
    bounds = [piece for chunk in manifest(deployed, tenant, job["id"]) for piece in (chunk["low"], chunk["high"])]
    assert [bounds[0], bounds[-1]] == [str(2**63 - 1401), str(2**63 - 1)]
    assert len(bounds) == 4


def manifest(deployed: Stack, tenant: Tenant, job: str) -> list[dict[str, Any]]:
    """What the map is given: the chunks of the agents."""
    prefix = keys.type_objects(tenant.org, job, "agents")
    bucket, store = deployed.environment()["WHARF_BUCKET"], deployed.client("s3")
    found = store.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/extract.json")["Contents"]
    chunks: list[dict[str, Any]] = json.load(store.get_object(Bucket=bucket, Key=found[0]["Key"])["Body"])
    return chunks
