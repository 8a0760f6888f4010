"""Keys of any kind through the deployed machine: every row is read once, and one that cannot be a record says why."""

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


@pytest.fixture
def tenant(deployed: Stack, empty_db: Database) -> Tenant:
    with psycopg.connect(empty_db.dsn, autocommit=True) as source:
        source.execute(SOURCE)
    return Tenant(deployed, empty_db)


def test_no_row_is_lost_by_its_key(tenant: Tenant) -> None:
    """Key -> what comes: half of the rows have no `ref`, which is also their external id."""
    for column, (created, failed) in {"ref": (20, 20), "place": (40, 0), "name": (40, 0), "": (40, 0)}.items():
        fields = [
            {"source": column or "id", "target": "external_id"},
            {"source": "name", "target": "name"},
            {"source": f"'{column or 'no'}' || id", "target": "email"},
        ]
        query = {"base_table": "people", "fields": fields} | ({"key": column} if column else {})
        made = tenant.api.post("/api/import/templates", {"name": f"By {column}", "queries": {"agents": query}})[
            "template"
        ]
        profile = tenant.add_profile()
        tenant.api.put(f"/api/import/profiles/{profile}/template", {"template_id": made["id"]})
        job = tenant.wait(tenant.start(profile, dry_run=True))
        assert (job["status"], job["estimated_total"]) == ("completed", 40), job["errors"]
        assert (job["records_imported"], job["records_failed"]) == (created, failed), column
        errors = tenant.api.get(f"/api/import/jobs/{job['id']}/errors", per_page=1)
        assert errors["summary"] == ({"agents": {"invalid": failed}} if failed else {})
        assert [(row["field"], row["message"]) for row in errors["data"]] == (
            [("external_id", "external_id: is required")] if failed else []
        )


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
    query = {"base_table": "large", "key": "id", "fields": [*fields, {"source": "mail", "target": "email"}]}
    made = tenant.api.post("/api/import/templates", {"name": "Large", "queries": {"agents": query}})["template"]
    tenant.api.put(f"/api/import/profiles/{tenant.profile}/template", {"template_id": made["id"]})
    job = tenant.wait(tenant.start())
    assert (job["status"], job["estimated_total"], job["records_imported"]) == ("completed", 1401, 1401)
    chunks = manifest(deployed, tenant, job["id"])
    last = [str(2**63 - 1 - 401), str(2**63 - 1)]
    assert [chunk["high"] for chunk in chunks] == [f'["{key}"]' for key in last]
    assert [chunk["low"] for chunk in chunks] == [None, f'["{last[0]}"]']


def manifest(deployed: Stack, tenant: Tenant, job: str) -> list[dict[str, Any]]:
    """What the map is given: the chunks of the agents."""
    prefix = keys.type_objects(tenant.org, job, "agents")
    bucket, store = deployed.environment()["WHARF_BUCKET"], deployed.client("s3")
    found = store.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/extract.json")["Contents"]
    chunks: list[dict[str, Any]] = json.load(store.get_object(Bucket=bucket, Key=found[0]["Key"])["Body"])
    return chunks
