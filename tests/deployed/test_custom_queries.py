"""A database nobody has a template for: explored, suggested, tried, saved, imported, reconciled row by row."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from infra.local.stack import Stack
from tests.builder.conftest import SHOP
from tests.conftest import Database
from tests.deployed.tenant import Tenant

QUERIES: list[dict[str, Any]] = [
    {
        "base_table": '"Back Office"."Staff.List"',
        "fields": [
            {"source": '"Id"', "target": "external_id"},
            {"source": '"Full Name"', "target": "name"},
            {"source": "LOWER(mail)", "target": "email", "transformation": "custom"},
        ],
        "target_type": "agents",
    },
    {
        "base_table": "emails",
        "joins": [
            {
                "type": "RIGHT",
                "table": "customers",
                "on": "emails.customer_id = customers.id",
                "condition": "emails.type = 'work'",
            }
        ],
        "fields": [
            {"source": "customers.id", "target": "external_id", "transformation": "direct"},
            {"source": "CONCAT(customers.first_name, ' ', customers.last_name)", "target": "name"},
            {"source": "COALESCE(emails.address, customers.email)", "target": "email"},
            {"source": "customers.created_at", "target": "created_at"},
            {"source": "customers.preferences", "target": "preferences"},
            {"source": "customers.active", "target": "is_active"},
        ],
        "target_type": "customer_users",
    },
    {
        "base_table": "sales.orders",
        "joins": [{"type": "INNER", "table": "customers", "leftColumn": "customer_id", "rightColumn": "id"}],
        "fields": [
            {"source": "CONCAT_WS('-', tenant, number)", "target": "external_id"},
            {"source": "subject", "target": "title"},
            {
                "source": "CASE WHEN state = 'lost' THEN 'closed' ELSE state::text END",
                "target": "status",
                "transformation": "case_when",
            },
            {"source": "ROUND(seconds / 60.0)", "target": "custom_fields.minutes", "transformation": "math"},
            {"source": "opened", "target": "created_at"},
            {"source": "customer_id", "target": "customer"},
        ],
        "filters": [
            {"field": "state", "operator": "NOT IN", "value": ["pending"]},
            {"field": "price", "operator": "BETWEEN", "value": 5, "value2": 50.5},
        ],
        "target_type": "tickets",
    },
    {
        "base_table": "sales.open_orders",
        "joins": [
            {
                "type": "INNER",
                "table": "sales.notes",
                "on": "notes.tenant = open_orders.tenant AND notes.number = open_orders.number",
            }
        ],
        "fields": [
            {"source": "notes.id", "target": "external_id"},
            {"source": "notes.body", "target": "content"},
            {"source": "CONCAT_WS('-', notes.tenant, notes.number)", "target": "ticket"},
        ],
        "filters": [{"field": "open_orders.price", "operator": "BETWEEN", "value": 5, "value2": 50.5}],
        "target_type": "ticket_notes",
    },
]

EXPECTED = {
    "agents": 'SELECT "Id"::text, "Full Name", lower(mail) FROM "Back Office"."Staff.List"',
    "customer_users": """SELECT c.id::text, c.first_name || ' ' || c.last_name, coalesce(e.address, c.email),
        to_char(c.created_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), (c.preferences ->> 'n')::int, c.active
        FROM customers c LEFT JOIN emails e ON e.customer_id = c.id AND e.type = 'work'""",
    "tickets": """SELECT tenant || '-' || number, subject,
        CASE state::text WHEN 'lost' THEN 'closed' ELSE state::text END,
        to_char(opened AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), customer_id::text
        FROM sales.orders WHERE state <> 'pending' AND price BETWEEN 5 AND 50.5 AND customer_id IS NOT NULL""",
    "ticket_notes": """SELECT n.id::text, n.body, n.tenant || '-' || n.number FROM sales.notes n
        JOIN sales.orders o USING (tenant, number) WHERE o.state = 'open' AND o.price BETWEEN 5 AND 50.5""",
}
"""The same in SQL of the test's own."""


@pytest.fixture
def tenant(deployed: Stack, empty_db: Database) -> Tenant:
    with psycopg.connect(empty_db.dsn, autocommit=True) as source:
        source.execute(SHOP.encode())
    return Tenant(deployed, empty_db)


def explore(tenant: Tenant, database: Database) -> str:
    """The path of a profile whose queries were suggested, tried and saved."""
    api, where = tenant.api, database.connection
    body = {"name": "Shop", "database_type": "postgresql", "host": where.host, "port": where.port}
    body |= {"database": where.database, "username": where.username, "password": where.password}
    path = f"/api/import/profiles/{api.post('/api/import/profiles', body)['profile']['id']}"
    tables = {table["name"]: table for table in api.get(f"{path}/builder/tables")["tables"]}
    assert tables["orders"]["primary_key"] == ["tenant", "number"]
    suggested = api.get(f"{path}/builder/suggestions", base_table="sales.orders", target_type="tickets")
    assert suggested["joins"][0]["on"] == "customers.id = orders.customer_id"
    assert {"external_id", "title"} <= {one["target"] for one in suggested["mappings"]["tickets"]}
    for query in QUERIES:
        validated = api.post(f"{path}/builder/validate", query)
        assert validated["valid"], validated["errors"]
        shown = api.post(f"{path}/preview-query", query | {"limit": 100})
        assert shown["generated_query"] == validated["generated_sql"]
        assert shown["rejected"] == []
        saved = api.post(f"{path}/queries", query)["profile"]
        assert {word: saved["configuration"][word] for word in query} == query
    assert list(api.get(f"{path}/preview", limit=5)) == [query["target_type"] for query in QUERIES]
    return path


def imported(tenant: Tenant) -> dict[str, list[tuple[Any, ...]]]:
    """What the record store holds, as EXPECTED tells it."""
    found = {name: list(tenant.api.pages(f"/api/records/{name}")) for name in EXPECTED}
    ids = {record["id"]: record["external_id"] for records in found.values() for record in records}
    had: dict[str, list[tuple[Any, ...]]] = {
        "agents": [(one["external_id"], one["name"], one["email"]) for one in found["agents"]],
        "customer_users": [
            (
                one["external_id"],
                one["name"],
                one["email"],
                one["created_at"],
                one["preferences"]["n"],
                one["is_active"],
            )
            for one in found["customer_users"]
        ],
        "tickets": [
            (one["external_id"], one["title"], one["status"], one["created_at"], ids[one["customer_id"]])
            for one in found["tickets"]
        ],
        "ticket_notes": [(one["external_id"], one["content"], ids[one["ticket_id"]]) for one in found["ticket_notes"]],
    }
    return {name: sorted(rows) for name, rows in had.items()}


@pytest.mark.accepts("SV-062", "SV-070", "SV-077", "SV-080", "SV-082", "SV-086", "SV-087", "SV-088", "SV-089")
def test_any_database_is_explored_mapped_previewed_and_imported(tenant: Tenant, empty_db: Database) -> None:
    path = explore(tenant, empty_db)
    profile = path.rpartition("/")[2]

    job = tenant.wait(tenant.start(profile))

    assert (job["status"], job["errors"]) == ("completed", None)
    with psycopg.connect(empty_db.dsn) as source:
        wanted = {name: sorted(source.execute(text.encode()).fetchall()) for name, text in EXPECTED.items()}
    assert {name: len(rows) for name, rows in wanted.items()} == job["metadata"]["source_counts"]
    assert min(map(len, wanted.values())) > 3
    assert job["records_imported"] == sum(map(len, wanted.values()))
    assert imported(tenant) == wanted

    again = tenant.wait(tenant.start(profile))
    assert (again["records_imported"], again["records_updated"], again["records_failed"]) == (0, 0, 0)
    assert again["records_skipped"] == job["records_imported"]

    with psycopg.connect(empty_db.dsn, autocommit=True) as source:
        source.execute("ALTER TABLE sales.orders RENAME subject TO headline")
    gone = tenant.wait(tenant.start(profile))
    assert gone["status"] == "failed"
    [error] = gone["errors"]
    assert error["code"] == "source_changed"
    assert "The query of tickets does not fit the source: The fields.1.source" in error["message"]
    assert "subject" in error["message"]
