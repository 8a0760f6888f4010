"""Looking at a database and reading it: whole, in order, in plain values, and without leaving a trace."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from pydantic_core import from_json, to_json

from chalicelib import sessions
from chalicelib.errors import Fatal, Retryable
from chalicelib.ranges import CHUNK_BYTES
from chalicelib.sources import postgres
from chalicelib.sql import Bounds, Filter, Join, Mapped, Query
from infra.local.postgres import Postgres
from tests.conftest import Database, database


def things(*fields: str, **parts: Any) -> Query:
    mapped = [Mapped(source=source, target=f"custom_fields.f{place}") for place, source in enumerate(fields)]
    return Query(
        **{"name": "T", "base_table": "things", "origin": "things", "key": "things.id", "target_type": "tickets"}
        | {"fields": mapped or [Mapped(source="things.id", target="external_id")]}
        | parts
    )


def rows(session: sessions.Session, query: Query, bounds: Bounds | None = None, limit: int | None = None) -> list[Any]:
    return [row for batch in postgres.read(session, query, bounds, limit=limit, batch_rows=7) for row in batch]


def fill(place: Database, script: str) -> None:
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute(script.encode())


@pytest.mark.accepts("SV-050", "SV-051", "SV-052", "SV-053")
def test_a_schema_names_tables_columns_keys_and_relationships(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TABLE owners (id serial PRIMARY KEY, name varchar(255) NOT NULL);
        CREATE TABLE things (id int, part int, at timestamp(0), owner_id int REFERENCES owners (id), gone int,
          PRIMARY KEY (id, part));
        ALTER TABLE things DROP COLUMN gone; CREATE SCHEMA other; CREATE TABLE other.notes (body text);
        CREATE VIEW seen AS SELECT id FROM owners; INSERT INTO owners (name) SELECT 'x' FROM generate_series(1, 25)""",
    )
    with empty_db.session() as session:
        found = postgres.describe(session)
    assert [table["name"] for table in found["tables"]] == ["owners", "seen", "things", "notes"]
    owners, _, table, notes = found["tables"]
    assert owners["row_count"] == 25
    assert owners["columns"] == [
        {"name": "id", "type": "integer", "nullable": False, "primary_key": True},
        {"name": "name", "type": "character varying(255)", "nullable": False},
    ]
    assert [column["name"] for column in table["columns"] if column.get("primary_key")] == ["id", "part"]
    assert {"name": "at", "type": "timestamp(0) without time zone", "nullable": True} in table["columns"]
    assert "gone" not in str(table)
    assert (notes["schema"], "schema" in owners) == ("other", False)
    assert found["relationships"] == [
        {"table": "things", "column": "owner_id", "referenced_table": "owners", "referenced_column": "id"}
    ]
    assert found["server_info"]["version"].startswith("PostgreSQL ")
    assert found["server_info"]["encoding"] == "UTF8"
    assert found["server_info"]["collation"]


def test_only_what_has_rows_of_its_own_is_ever_counted(empty_db: Database) -> None:
    """A view may take for ever or fail, and a partitioned table may hold a billion rows."""
    fill(
        empty_db,
        """CREATE TABLE things (id int); CREATE VIEW slow AS SELECT 1 AS x FROM pg_sleep(60);
        INSERT INTO things VALUES (1);
        CREATE VIEW broken AS SELECT 1 / (id - id) AS x FROM things;
        CREATE TABLE parted (id int) PARTITION BY RANGE (id);
        CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10); INSERT INTO parted VALUES (1)""",
    )
    with empty_db.session(statement_timeout_seconds=2) as session:
        counts = {table["name"]: table["row_count"] for table in postgres.describe(session)["tables"]}
    assert counts == {"things": 1, "slow": 0, "broken": 0, "parted": 0}


def test_a_table_that_its_bare_name_finds_has_no_schema(empty_db: Database) -> None:
    fill(empty_db, "CREATE SCHEMA desk; CREATE TABLE desk.things (id int); CREATE TABLE other (id int); "
         "ALTER DATABASE scratch SET search_path = desk")  # fmt: skip
    with empty_db.session() as session:
        found = postgres.describe(session)["tables"]
    assert {table["name"]: table.get("schema") for table in found} == {"things": None, "other": "public"}


def test_row_counts_come_from_statistics_where_there_are_any(freescout_db: Database) -> None:
    with freescout_db.session() as session:
        counts = {table["name"]: table["row_count"] for table in postgres.describe(session)["tables"]}
    assert counts["conversations"] == 300


def test_the_fingerprint_tells_databases_apart_and_survives_another_name_for_the_host(
    freescout_db: Database, empty_db: Database
) -> None:
    prints = []
    for place in (freescout_db, freescout_db, empty_db):
        with place.session() as session:
            prints.append(postgres.fingerprint(session))
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 32


def test_the_fingerprint_falls_back_where_the_role_may_not_look(empty_db: Database) -> None:
    fill(empty_db, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; "
         "DROP ROLE IF EXISTS looker; CREATE ROLE looker LOGIN PASSWORD 'x'")  # fmt: skip
    connection = sessions.Connection("h", empty_db.address.port, "scratch", "looker", "x")
    with sessions.connect(connection, empty_db.address) as session:
        assert len(postgres.fingerprint(session)) == 32
        assert len(postgres.describe(session)["tables"]) == 0


STRANGE = r"""
'infinity'::timestamp | '-infinity'::date | '20000-01-01'::date | '0044-03-15 BC'::timestamptz | 'NaN'::numeric
'NaN'::float8 | '-Infinity'::float4 | 1.50::numeric | '1 year 2 days'::interval | '24:00'::time | '{}'::jsonb
'{"a":NaN}'::text | '\\x00ff'::bytea | int4range(1, 5) | '1.2.3.4/24'::inet | gen_random_uuid() | row(1, 'a')
ARRAY['2020-01-01'::date, 'infinity'] | ARRAY[[1, 2], [3, 4]] | '[2:3]={1,2}'::int[] | ARRAY['a', NULL, '"']
'(1,2)'::point | 'a'::"char" | txid_current() | '<a/>'::text | 9223372036854775807 | 1e300::float8 | E'\u200b'
"""


@pytest.mark.parametrize(
    "expression", [part.strip() for line in STRANGE.splitlines() for part in line.split("|") if part]
)
def test_no_value_is_too_strange_to_be_read_and_kept(empty_db: Database, expression: str) -> None:
    fill(empty_db, "CREATE TABLE things (id int); INSERT INTO things VALUES (1)")
    with empty_db.session() as session:
        ((value, nothing),) = rows(session, things(expression, f"CASE WHEN false THEN {expression} END"))
    assert nothing is None
    assert isinstance(value, str | int | float | list)
    assert from_json(to_json(value)) == value


@pytest.mark.parametrize(("chunk_rows", "limit"), [(1, None), (7, None), (1000, None), (10, 25), (10, 1), (10, 1000)])
def test_ranges_hold_every_row_once_whatever_the_gaps(empty_db: Database, chunk_rows: int, limit: int | None) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int PRIMARY KEY, kind int);
        INSERT INTO things SELECT n * n - 500, n % 3 FROM generate_series(1, 90) n""",
    )
    query = things(filters=[Filter(field="things.kind", operator="IN", value=[0, 1])])
    with empty_db.session() as session:
        cut = postgres.plan(session, query, chunk_rows=chunk_rows, limit=limit)
        parts = [rows(session, query, part.bounds, part.rows) for part in cut.ranges]
        assert postgres.count(session, query) == 60
    assert [part.rows for part in cut.ranges] == [len(part) for part in parts]
    assert max(map(len, parts)) <= chunk_rows
    keys = [row[0] for part in parts for row in part]
    assert keys == sorted(n * n - 500 for n in range(1, 91) if n % 3 < 2)[:limit]


def test_wide_rows_make_smaller_ranges(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int, body text);
        INSERT INTO things SELECT n, repeat('x', CASE WHEN n % 10 = 0 THEN 3000000 ELSE 10 END)
        FROM generate_series(1, 100) n""",
    )
    query = things("things.body", width="octet_length(things.body)")
    with empty_db.session() as session:
        ranges = postgres.plan(session, query).ranges
        sizes = [sum(len(row[0]) for row in rows(session, query, part.bounds)) for part in ranges]
    assert sum(part.rows for part in ranges) == 100
    assert max(sizes) <= CHUNK_BYTES + 3_000_000


def test_nothing_to_read_is_no_ranges(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int)")
    with empty_db.session() as session:
        assert postgres.plan(session, things())[2:] == ([], 0)
        assert rows(session, things()) == []


def test_the_session_cannot_write(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int)")
    with empty_db.session() as session:
        for statement in (b"INSERT INTO things VALUES (1)", b"CREATE TABLE t ()", b"SELECT nextval('s')"):
            with pytest.raises(psycopg.Error):
                session.execute(statement)
            session.rollback()


SETTINGS = (
    "current_setting('transaction_read_only')", "current_setting('TimeZone')", "current_setting('statement_timeout')",
    "current_setting('lock_timeout')", "current_setting('idle_in_transaction_session_timeout')",
)  # fmt: skip
OURS = [("on", "UTC", "1min", "10s", "2min")]


def test_every_transaction_is_read_only_and_bounded_whatever_became_of_the_one_before(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int); INSERT INTO things VALUES (1)")
    with empty_db.session() as session:
        assert rows(session, things(*SETTINGS)) == OURS
        for statement in ("SELECT 1 / (id - 1) FROM things", "SELECT gone FROM things"):
            with pytest.raises(Fatal):
                rows(session, things(statement))
            assert session.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
            assert rows(session, things(*SETTINGS)) == OURS
        for end in (session.commit, session.rollback):
            end()
            assert rows(session, things(*SETTINGS)) == OURS


def test_nothing_is_left_on_a_connection_that_a_pooler_hands_to_someone_else(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int); ALTER ROLE CURRENT_USER SET timezone = 'Asia/Tokyo'")
    try:
        with empty_db.session() as session:
            postgres.fingerprint(session)
            postgres.describe(session)
            postgres.plan(session, things())
            session.commit()  # what a session's settings would survive
            session.read_only = None  # the next client's own BEGIN
            session.execute("INSERT INTO things VALUES (1)")
            shown = [session.execute(f"SHOW {name}".encode()).fetchone() for name in ("timezone", "statement_timeout")]
            assert shown == [("Asia/Tokyo",), ("0",)]
    finally:
        fill(empty_db, "ALTER ROLE CURRENT_USER RESET timezone")


@pytest.mark.parametrize(
    ("script", "expression", "kind", "code", "message"),
    [
        ("DROP TABLE things", "things.id", Fatal, "source_changed", "the source has no table things"),
        ("SELECT 1", "'%' || things.gone", Fatal, "source_changed", "the source has no column things.gone"),
        ("SELECT 1", 'things."Gone, too"', Fatal, "source_changed", "the source has no column things.Gone, too"),
        (
            "SELECT 1",
            "no_such_function(1)",
            Fatal,
            "source_query_failed",
            "the source cannot apply no_such_function to values of these types",
        ),
        (
            "ALTER TABLE things ALTER id TYPE text",
            "'%' || (things.id >= 1)",
            Fatal,
            "source_query_failed",
            "the source cannot apply >= to values of these types",
        ),
        (
            "SELECT 1",
            "'CANARY'::int",
            Fatal,
            "source_query_failed",
            "the source cannot run the query (SQLSTATE 22P02)",
        ),
        (
            "SELECT 1",
            "1 / (things.id - 1)",
            Fatal,
            "source_query_failed",
            "the source cannot run the query (SQLSTATE 22012)",
        ),
        ("SELECT 1", "pg_sleep(5)", Retryable, "source_timeout", "the source took too long for a query"),
    ],
)
def test_failures_are_sorted_by_whether_trying_again_can_help_and_name_what_is_missing(
    empty_db: Database, script: str, expression: str, kind: type[Exception], code: str, message: str
) -> None:
    fill(empty_db, "CREATE TABLE things (id int); INSERT INTO things VALUES (1)")
    with empty_db.session(statement_timeout_seconds=0.3) as session:
        fill(empty_db, script)
        with pytest.raises(kind) as failed:
            rows(session, things(expression))
    assert failed.value.code == code  # type: ignore[attr-defined]
    assert str(failed.value) == message
    assert failed.value.__cause__ is None


def test_a_table_one_may_not_read(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int); DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD 'x'")
    connection = sessions.Connection("h", empty_db.address.port, "scratch", "guest", "x")
    with sessions.connect(connection, empty_db.address) as session:
        assert [table["name"] for table in postgres.describe(session)["tables"]] == ["things"]
        with pytest.raises(Fatal) as failed:
            rows(session, things())
    assert failed.value.code == "source_permission_denied"


def test_a_connection_lost_on_the_way_can_be_tried_again(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int); INSERT INTO things SELECT n FROM generate_series(1, 200000) n")
    with empty_db.session() as session:
        batches = postgres.read(session, things("repeat('x', 1000)"), batch_rows=10)
        next(batches)
        fill(empty_db, f"SELECT pg_terminate_backend({session.info.backend_pid})")
        with pytest.raises(Retryable):
            list(batches)


def test_a_reader_that_stops_early_leaves_the_session_usable(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int); INSERT INTO things SELECT n FROM generate_series(1, 5000) n")
    with empty_db.session() as session:
        for source in ("things.id", "repeat('x', 100000)"):  # that all fits into the buffers; that the server waits
            batches = postgres.read(session, things(source), batch_rows=10)
            assert len(next(batches)) == 10
            batches.close()  # type: ignore[attr-defined]
            assert len(rows(session, things())) == 5000


def test_text_without_an_encoding_is_read_with_marks_where_it_is_broken(postgres_server: Postgres) -> None:
    place = database(postgres_server, "unencoded")
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
        admin.execute("DROP DATABASE unencoded")
        admin.execute("CREATE DATABASE unencoded ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    fill(place, "CREATE TABLE things (id int, t text); INSERT INTO things VALUES (1, E'caf\\xe9 \\xc3\\xbc')")
    with place.session() as session:
        assert rows(session, things("things.t")) == [("caf\ufffd ü",)]


def test_joined_rows_and_prefixed_tables(empty_db: Database) -> None:
    fill(empty_db, 'CREATE TABLE "P_things" (id int); CREATE TABLE "P_parts" (id int, thing int); '
         'INSERT INTO "P_things" VALUES (1), (2); INSERT INTO "P_parts" VALUES (10, 1), (11, 1)')  # fmt: skip
    query = things(
        "things.id", "parts.id", base_table="P_things", alias="things",
        joins=[Join(table="P_parts", alias="parts", on="parts.thing = things.id", condition="parts.id > 10")],
    )  # fmt: skip
    with empty_db.session() as session:
        assert rows(session, query) == [(1, 11), (2, None)]
        assert postgres.plan(session, query).ranges == [((None, ("2",)), 2)]
