"""The query builder over a database that is nobody's product: three schemas, keys of two columns, mixed-case names."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from chalice.test import Client

from chalicelib import builder
from infra.local.postgres import Postgres
from tests.conftest import Database, database
from tests.moto_cloud import cloud
from tests.routes.conftest import Api, api, client, stranger

__all__ = ["Client", "api", "client", "cloud", "stranger"]

SHOP = """
CREATE SCHEMA sales; CREATE SCHEMA "Back Office";
CREATE TYPE sales.state AS ENUM ('open', 'pending', 'closed', 'lost');
CREATE DOMAIN mail AS varchar(320);
CREATE TABLE customers (
  id serial PRIMARY KEY, first_name varchar(100), last_name varchar(100) NOT NULL, email mail UNIQUE,
  "Vip Since" date, active boolean NOT NULL DEFAULT true, tags text[], preferences jsonb,
  created_at timestamp NOT NULL DEFAULT '2024-01-01', boss_id int REFERENCES customers (id));
CREATE TABLE emails (id serial PRIMARY KEY, customer_id int NOT NULL, address text NOT NULL, type text NOT NULL,
  UNIQUE (customer_id, type));
CREATE TABLE sales.orders (
  tenant int, number int, customer_id int REFERENCES customers (id), subject text NOT NULL, body text,
  state sales.state NOT NULL, opened timestamptz, seconds int NOT NULL DEFAULT 0, price numeric(10, 2),
  total numeric GENERATED ALWAYS AS (seconds * 2) STORED, valid tstzrange,
  PRIMARY KEY (tenant, number));
CREATE TABLE sales.notes (id bigserial PRIMARY KEY, tenant int, number int, body text,
  FOREIGN KEY (tenant, number) REFERENCES sales.orders (tenant, number));
CREATE TABLE "Back Office"."Staff.List" ("Id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "Full Name" text, mail text);
CREATE TABLE "Back Office".customers (id int PRIMARY KEY, label text);
CREATE VIEW sales.open_orders AS SELECT * FROM sales.orders WHERE state = 'open';
INSERT INTO customers (first_name, last_name, email, active, tags, preferences, created_at, boss_id)
  SELECT 'First ' || n, 'Last ' || n, 'c' || n || '@example.com', n % 2 = 0, ARRAY['a', 'b,' || n],
    jsonb_build_object('n', n), '2024-01-01'::timestamp + n * interval '1 day', NULLIF(n / 10, 0)
  FROM generate_series(1, 40) AS n;
INSERT INTO emails (customer_id, address, type) SELECT n, 'work' || n || '@example.com', 'work'
  FROM generate_series(1, 30) AS n;
INSERT INTO emails (customer_id, address, type) SELECT n, 'home' || n || '@example.com', 'home'
  FROM generate_series(1, 10) AS n;
INSERT INTO sales.orders (tenant, number, customer_id, subject, state, opened, seconds, price)
  SELECT n % 3, n, NULLIF(n % 45, 0) % 41 + CASE WHEN n % 45 % 41 = 0 THEN NULL ELSE 0 END, 'Order ' || n,
    (ARRAY['open', 'pending', 'closed', 'lost'])[n % 4 + 1]::sales.state,
    '2024-02-01T10:00:00Z'::timestamptz + n * interval '1 h', n * 90, n + 0.5 FROM generate_series(1, 60) AS n;
INSERT INTO sales.notes (tenant, number, body) SELECT n % 3, n, 'Note ' || n FROM generate_series(1, 60) AS n;
INSERT INTO "Back Office"."Staff.List" ("Full Name", mail) SELECT 'Agent ' || n, 'a' || n || '@example.com'
  FROM generate_series(1, 5) AS n;
ANALYZE;
"""

CUSTOMERS: dict[str, Any] = {
    "base_table": "customers",
    "joins": [
        {
            "type": "LEFT",
            "table": "emails",
            "on": "emails.customer_id = customers.id",
            "condition": "emails.type = 'work'",
        }
    ],
    "fields": [
        {"source": "customers.id", "target": "external_id"},
        {"source": "CONCAT(customers.first_name, ' ', customers.last_name)", "target": "name"},
        {"source": "emails.address", "target": "email", "transformation": "direct"},
        {"source": "customers.created_at", "target": "created_at", "transformation": None},
    ],
    "filters": [{"field": "customers.created_at", "operator": ">=", "value": "2024-01-11"}],
    "target_type": "customer_users",
}
"""As the import API's reference writes one."""

ORDERS: dict[str, Any] = {
    "base_table": "sales.orders",
    "fields": [
        {"source": "CONCAT_WS('-', tenant, number)", "target": "external_id", "transformation": "custom"},
        {"source": "subject", "target": "title", "transformation": "direct"},
        {
            "source": "CASE WHEN state = 'lost' THEN 'closed' ELSE state::text END",
            "target": "status",
            "transformation": "case_when",
        },
        {"source": "ROUND(seconds / 60)", "target": "custom_fields.minutes", "transformation": "math"},
        {"source": "opened", "target": "created_at"},
        {"source": "customer_id", "target": "customer"},
    ],
    "target_type": "tickets",
}


@pytest.fixture(scope="session")
def shop(postgres_server: Postgres) -> Database:
    """The database. Read only."""
    found = database(postgres_server, "shop")
    with psycopg.connect(found.dsn, autocommit=True) as connection:
        connection.execute(SHOP.encode())
    return found


def leading_to(place: Database) -> dict[str, Any]:
    """The fields of a profile of that database."""
    reached = place.connection
    return {
        "host": reached.host, "port": reached.port, "database": reached.database, "username": reached.username,
        "password": reached.password,
    }  # fmt: skip


@pytest.fixture
def profile(api: Api, shop: Database) -> str:
    """The path of a profile that leads to the shop."""
    builder._schemas.clear()
    return f"/api/import/profiles/{api.profile(**leading_to(shop))['id']}"
