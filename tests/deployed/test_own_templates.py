"""An import by a template of the organisation's own, from a database that is no help desk; and its statistics."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from tests.conftest import Database
from tests.deployed.tenant import Tenant

SOURCE = """
CREATE TABLE people (id int PRIMARY KEY, "Full Name" text, full_name text, mail text);
CREATE TABLE "order" (id bigint PRIMARY KEY, "Subject" text, person_id int, state int, opened timestamp);
INSERT INTO people SELECT n, 'x', 'Person ' || n, 'p' || n || '@case.example' FROM generate_series(1, 40) AS n;
INSERT INTO "order" SELECT n, 'Case ' || n, 1 + n % 40, n % 4, '2024-01-01'::timestamp + n * interval '1 day'
FROM generate_series(1, 200) AS n;
"""

QUERIES: dict[str, Any] = {
    "customer_users": {
        "base_table": "people",
        "fields": [
            {"source": "id", "target": "external_id"},
            {"source": "full_name", "target": "name"},
            {"source": "mail", "target": "email", "transformation": "email"},
        ],
    },
    "tickets": {
        "base_table": "order",
        "joins": [{"type": "INNER", "table": "people", "on": "people.id = order.person_id"}],
        "fields": [
            {"source": "order.id", "target": "external_id"},
            {"source": "order.Subject", "target": "title"},
            {"source": "people.id", "target": "customer"},
            {"source": "people.mail", "target": "custom_fields.asked_by"},
        ],
        "filters": [
            {"field": "state", "operator": "IN", "value": [1, 2]},
            {"field": "order.opened", "operator": ">=", "value": "2024-02-01"},
            {"field": "people.mail", "operator": "LIKE", "value": "p%@case.example"},
        ],
    },
}


@pytest.fixture
def tenant(deployed: Stack, empty_db: Database) -> Tenant:
    with psycopg.connect(empty_db.dsn, autocommit=True) as source:
        source.execute(SOURCE)
    return Tenant(deployed, empty_db)


@pytest.mark.accepts("SV-061", "SV-140", "SV-142", "SV-143")
def test_a_database_of_ones_own_is_imported_by_a_template_of_ones_own(tenant: Tenant, empty_db: Database) -> None:
    made = tenant.api.post("/api/import/templates", {"name": "Case desk", "queries": QUERIES})["template"]
    profile = tenant.profile
    applied = tenant.api.put(f"/api/import/profiles/{profile}/template", {"template_id": made["id"]})["profile"]
    assert list(applied["configuration"]["queries"]) == ["customer_users", "tickets"]
    tenant.api.delete(f"/api/import/templates/{made['id']}")

    job = tenant.wait(tenant.start())

    assert (job["status"], job["errors"]) == ("completed", None)
    with psycopg.connect(empty_db.dsn) as source:
        wanted = source.execute(
            """SELECT o.id::text, "Subject", full_name, mail FROM "order" o JOIN people p ON p.id = person_id
               WHERE state IN (1, 2) AND opened >= '2024-02-01' ORDER BY o.id"""
        ).fetchall()
    assert 50 < len(wanted) < 100
    assert job["metadata"]["source_counts"] == {"customer_users": 40, "tickets": len(wanted)}
    assert job["records_imported"] == 40 + len(wanted)
    people = {record["id"]: record for record in tenant.api.pages("/api/records/customer_users")}
    tickets = list(tenant.api.pages("/api/records/tickets"))
    assert sorted(
        (
            ticket["external_id"],
            ticket["title"],
            people[ticket["customer_id"]]["name"],
            ticket["custom_fields"]["asked_by"],
        )
        for ticket in tickets
    ) == sorted(wanted)

    again = tenant.wait(tenant.start())

    assert again["records_skipped"] == again["records_processed"] == job["records_processed"]
    answer = tenant.api.get("/api/import/jobs/stats", date_from=job["created_at"][:10])
    numbers = answer["stats"]
    assert (numbers["total_jobs"], numbers["completed_jobs"], numbers["running_jobs"]) == (2, 2, 0)
    assert (numbers["total_records_imported"], numbers["total_records_failed"]) == (40 + len(wanted), 0)
    assert numbers["average_duration"] == round((job["duration"] + again["duration"]) / 2)
    assert [shown["id"] for shown in answer["recent_jobs"]] == [again["id"], job["id"]]
    listed = tenant.api.get("/api/import/jobs", status=["completed", "failed"], search="help", per_page=1)
    assert ([shown["id"] for shown in listed["data"]], listed["meta"]["total"]) == ([again["id"]], 2)
    page = tenant.api.get("/api/import/jobs", per_page=1, cursor=listed["next_cursor"])
    assert [shown["id"] for shown in page["data"]] == [job["id"]]
