"""A database of every kind of column, with rows that are seldom thought of; and in it what no expression may touch."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from chalicelib.expressions import Table
from infra.local.postgres import Postgres
from tests.conftest import Database, database

CANARY = "canary-7f3a"
"""What `secrets` holds; no expression of a person may ever bring it to light."""

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN postcode AS text CHECK (VALUE ~ '^[0-9A-Z ]+$');
CREATE TABLE customers (
  id serial PRIMARY KEY, first_name varchar(255), last_name varchar(255), company text, phones text, status smallint,
  age integer, balance numeric(12, 2), score double precision, vip boolean, created_at timestamp(0),
  updated_at timestamptz, born date, wakes time, waits interval, uid uuid, address inet, photo bytea);
CREATE TABLE emails (id serial PRIMARY KEY, customer_id integer, email varchar(191), type smallint);
CREATE TABLE orders (
  id bigint PRIMARY KEY, "userId" integer, "Order Total" numeric, mood mood, moods mood[], zip postcode, tags text[],
  counts integer[], grid integer[][], data jsonb, raw json, span int4range, during tstzrange, duration_seconds integer,
  "from" text, "user" text, "select" text, "weird""name" text, "größe" integer, flags integer);
CREATE TABLE secrets (id integer, secret text);
"""

ROWS = f"""
INSERT INTO customers VALUES
 (1, 'Ada', 'Lovelace', 'Engines', '[{{"value":"+49 30 1"}}]', 1, 36, 12.50, 0.5, true, '2024-02-29 23:59:59',
  '2024-03-31 01:30:00+00', '1815-12-10', '06:00', '1 day 02:03:04', '00000000-0000-0000-0000-000000000001', '10.0.0.1',
  '\\x00ff'),
 (2, 'Zoë', 'Müller-Łukasz', 'Ünïcode 漢字 🎉', '', 2, -1, -0.01, '-infinity', false, '1970-01-01', '1970-01-01+00',
  '-infinity', '00:00', '-1 month', NULL, '::1', ''),
 (3, '', E'O''Brien\\\\ "x" %s %% {{{{a}}}}', E'tab\\tline\\n', 'not json', 0, 0, 0, 'NaN', NULL, 'infinity',
  'infinity', '2024-12-31', '23:59:59.999999', '100 years', NULL, NULL, NULL),
 (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO emails VALUES (1, 1, 'Ada@Example.org', 1), (2, 2, 'zoë@пример.рф', 2), (3, 3, 'no-at', 3), (4, 9, '', 1);
INSERT INTO orders VALUES
 (1, 1, 19.99, 'happy', '{{sad,ok}}', '10115', '{{a,"b c",NULL}}', '{{1,2,3}}', '{{{{1,2}},{{3,4}}}}',
  '{{"a": {{"b": [1, "x"]}}, "n": 5, "t": "text", "$.x": 1, "a.b": 2}}', '{{"k": "v", "list": [1, 2]}}', '[1,10)',
  '[2024-01-01,2024-06-01)', 7200, 'f', 'u', 's', 'w', 42, 5),
 (2, 2, -7, 'sad', '{{}}', 'AB 1', '{{}}', '{{}}', '{{}}', '[]', 'null', 'empty', 'empty', -61, '', '', '', '', -3, 0),
 (3, NULL, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, '"s"', '{{}}', '(,5]', '(,)', 0, NULL, NULL, NULL, NULL, NULL,
  NULL);
INSERT INTO secrets VALUES (1, '{CANARY}');
"""

TRIPWIRES = """
CREATE SCHEMA planted;
SET search_path = planted, public;
CREATE FUNCTION tripped() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRIPPED'; END $$;
CREATE FUNCTION leak(text) RETURNS text LANGUAGE sql AS $$ SELECT secret FROM public.secrets $$;
CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRIPPED'; END $$;
CREATE FUNCTION upper(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRIPPED'; END $$;
CREATE FUNCTION joined(varchar, varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRIPPED'; END $$;
CREATE OPERATOR || (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = joined);
CREATE OPERATOR <-> (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.textcat);
"""
"""Functions and operators of a database's own that would be taken before PostgreSQL's, were they looked for."""


@pytest.fixture(scope="session")
def shop(postgres_server: Postgres) -> Database:
    """The database, read only: several tests look at it."""
    found = database(postgres_server, "shop")
    with psycopg.connect(found.dsn) as session:
        session.execute(SCHEMA)
        session.execute(ROWS)
        session.execute(TRIPWIRES)
    return found


@pytest.fixture(scope="session")
def tables(shop: Database) -> dict[str, Table]:
    """The tables an expression may look at, as the catalogue describes them."""
    query = """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
        ORDER BY 1, a.attnum"""
    columns: dict[str, dict[str, str]] = {}
    with psycopg.connect(shop.dsn) as session:
        for table, column, kind in session.execute(query):
            columns.setdefault(table, {})[column] = kind
    return {name: Table(name, found, "public", name) for name, found in columns.items() if name != "secrets"}


@pytest.fixture
def reading(shop: Database) -> Iterator[psycopg.Connection]:
    """A session that may read everything there is, so that the guard alone stands before it."""
    with psycopg.connect(shop.dsn, autocommit=True) as session:
        session.execute("SET default_transaction_read_only = on; SET statement_timeout = '10s'; SET TimeZone = 'UTC'")
        yield session
