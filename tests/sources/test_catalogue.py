"""What is said of a database is what its catalogue says: keys, kinds and types, over schemas of every sort."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from chalicelib import sessions
from chalicelib.sources import postgres
from tests.conftest import Database
from tests.sources.test_postgres_reading import fill


def described(place: Database) -> dict[str, Any]:
    with place.session() as session:
        return postgres.describe(session)


def table(found: dict[str, Any], name: str) -> dict[str, Any]:
    [one] = [one for one in found["tables"] if one["name"] == name]
    return dict(one)


def column(found: dict[str, Any], name: str) -> dict[str, Any]:
    [one] = [one for one in found["columns"] if one["name"] == name]
    return dict(one)


def test_keys_are_named_in_their_order_and_only_where_they_hold(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TABLE nothing (a int, b int);
        CREATE TABLE things (a int, b int NOT NULL, c int NOT NULL, d int, e int NOT NULL, PRIMARY KEY (c, a),
          UNIQUE (b, e), UNIQUE (d));
        CREATE UNIQUE INDEX ON things (e) WHERE b > 1;
        CREATE UNIQUE INDEX ON things (lower(d::text));
        CREATE UNIQUE INDEX ON things (e) INCLUDE (d);
        CREATE INDEX ON nothing (b, a)""",
    )
    found = described(empty_db)
    nothing, things = table(found, "nothing"), table(found, "things")
    assert (nothing["primary_key"], nothing["unique_keys"], nothing["indexed"]) == ([], [], ["b"])
    assert things["primary_key"] == ["c", "a"], "in the key's order, not the table's"
    assert things["unique_keys"] == [["e"], ["b", "e"]], "none that is partial, over an expression, or may be null"
    assert things["indexed"] == ["c", "d", "e", "b"]
    assert [one["name"] for one in things["columns"] if one.get("primary_key")] == ["a", "c"]
    assert things["kind"] == "table"


def test_a_foreign_key_of_several_columns_stays_together(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE SCHEMA sales; CREATE TABLE sales.lines (tenant int, id int, PRIMARY KEY (tenant, id));
        CREATE TABLE notes (line int, tenant int, author int,
          CONSTRAINT "of line" FOREIGN KEY (tenant, line) REFERENCES sales.lines (tenant, id));
        CREATE TABLE people (id int PRIMARY KEY, boss int REFERENCES people (id))""",
    )
    of_line = {
        "table": "notes",
        "referenced_table": "lines",
        "referenced_schema": "sales",
        "constraint": "of line",
    }
    assert described(empty_db)["relationships"] == [
        {**of_line, "column": "tenant", "referenced_column": "tenant"},
        {**of_line, "column": "line", "referenced_column": "id"},
        {"table": "people", "column": "boss", "referenced_table": "people", "referenced_column": "id"},
    ]


def test_types_come_down_to_what_they_stand_on(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TYPE mood AS ENUM ('sad', 'ok', 'hap,py "x"'); ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok';
        CREATE DOMAIN address AS varchar(320); CREATE DOMAIN required AS address NOT NULL;
        CREATE DOMAIN feeling AS mood;
        CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY, m mood, ms mood[], f feeling, mail required,
          tags text[], span tstzrange, doc jsonb, double int GENERATED ALWAYS AS (2) STORED, price numeric(10,2));
        COMMENT ON TABLE things IS 'What there is'; COMMENT ON COLUMN things.m IS 'How it feels'""",
    )
    found = table(described(empty_db), "things")
    labels = ["sad", "meh", "ok", 'hap,py "x"']
    assert found["comment"] == "What there is"
    assert found["columns"] == [
        {"name": "id", "type": "integer", "nullable": False, "identity": True},
        {"name": "m", "type": "mood", "nullable": True, "enum": labels, "comment": "How it feels"},
        {"name": "ms", "type": "mood[]", "nullable": True, "enum": labels},
        {"name": "f", "type": "feeling", "nullable": True, "base_type": "mood", "enum": labels},
        {"name": "mail", "type": "required", "nullable": False, "base_type": "character varying(320)"},
        {"name": "tags", "type": "text[]", "nullable": True},
        {"name": "span", "type": "tstzrange", "nullable": True},
        {"name": "doc", "type": "jsonb", "nullable": True},
        {"name": "double", "type": "integer", "nullable": True, "generated": True},
        {"name": "price", "type": "numeric(10,2)", "nullable": True},
    ]


def test_every_kind_of_table_says_what_it_is(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (x int) INHERITS (parents);
        CREATE TABLE parted (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
          PARTITION BY LIST (id);
        CREATE TABLE parted_1_1 PARTITION OF parted_1 FOR VALUES IN (1);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
        CREATE VIEW seen AS SELECT * FROM parents; CREATE MATERIALIZED VIEW kept AS SELECT id FROM parents;
        CREATE UNIQUE INDEX ON kept (id);
        CREATE TABLE refers (id int, day date, FOREIGN KEY (id, day) REFERENCES parted (id, day));
        INSERT INTO parted SELECT 1, '2024-02-02'::date + n FROM generate_series(1, 30) n;
        INSERT INTO parted SELECT n, '2025-02-02' FROM generate_series(1, 12) n;
        ANALYZE parted_1_1; ANALYZE parted_2;""",
    )
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        admin.execute("UPDATE pg_class SET reltuples = -1 WHERE relname IN ('parted', 'parted_1')")
    found = described(empty_db)
    assert {one["name"]: one["kind"] for one in found["tables"]} == {
        "parents": "table", "children": "table", "parted": "partitioned table", "seen": "view",
        "kept": "materialized view", "refers": "table",
    }  # fmt: skip
    assert table(found, "parted")["primary_key"] == ["id", "day"]
    assert table(found, "parted")["row_count"] == 42, "of its partitions, and theirs"
    assert table(found, "parents")["inherited"] is True, "its key holds for its own rows alone"
    assert "inherited" not in table(found, "parted")
    assert table(found, "kept")["unique_keys"] == [], "a materialized view has no column that is never null"
    assert [pair["referenced_table"] for pair in found["relationships"]] == ["parted", "parted"]
    assert all(column(table(found, "seen"), name)["nullable"] for name in ("id",))


def test_tables_of_the_same_name_are_told_apart_by_their_schemas(empty_db: Database) -> None:
    parts = [f'CREATE SCHEMA "s.{number}"; CREATE TABLE "s.{number}"."My Table" (id int)' for number in range(10)]
    fill(empty_db, "; ".join([*parts, 'CREATE TABLE "My Table" (id int)', 'CREATE TABLE "a.b" ("C d" int)']))
    found = described(empty_db)["tables"]
    assert [(one["name"], one["namespace"], one.get("schema")) for one in found] == [
        ("My Table", "public", None),
        ("a.b", "public", None),
        *(("My Table", f"s.{number}", f"s.{number}") for number in range(10)),
    ]
    assert found[1]["columns"] == [{"name": "C d", "type": "integer", "nullable": True}]


def test_millions_of_rows_are_told_from_statistics_and_no_rows_as_none(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE many (id int PRIMARY KEY); CREATE TABLE none (id int); CREATE TABLE hidden (id int); "
         "CREATE ROLE onlooker LOGIN PASSWORD 'x'; GRANT SELECT ON many TO onlooker")  # fmt: skip
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        admin.execute("UPDATE pg_class SET reltuples = 4200000, relpages = 50000 WHERE relname = 'many'")
    try:
        found = described(empty_db)
        assert (table(found, "many")["row_count"], table(found, "none")["row_count"]) == (4_200_000, 0)
        assert "readable" not in table(found, "hidden")
        with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
            admin.execute("SET ROLE onlooker")
            rows = sorted(admin.execute(postgres.catalogue.TABLES.encode()).fetchall(), key=lambda row: str(row[2]))
        assert [(row[2], row[6]) for row in rows] == [("hidden", False), ("many", True), ("none", False)]
    finally:
        fill(empty_db, "DROP OWNED BY onlooker; DROP ROLE onlooker")


def test_a_table_in_a_schema_that_may_not_be_entered_is_neither_counted_nor_readable(empty_db: Database) -> None:
    """Nothing of it can be read, whatever was granted on the table; one that is counted all the same ends it all."""
    fill(empty_db, "CREATE SCHEMA closed; CREATE TABLE closed.things (id int); INSERT INTO closed.things VALUES (1); "
         "CREATE TABLE things (id int); INSERT INTO things VALUES (1); "
         "CREATE ROLE onlooker LOGIN PASSWORD 'x'; GRANT SELECT ON things, closed.things TO onlooker")  # fmt: skip
    place = replace(empty_db, connection=replace(empty_db.connection, username="onlooker", password="x"))
    try:
        found = described(place)["tables"]
    finally:
        fill(empty_db, "DROP OWNED BY onlooker; DROP ROLE onlooker")
    assert [(one["namespace"], one["row_count"], one.get("readable")) for one in found] == [
        ("public", 1, None),
        ("closed", 81, False),
    ]


def test_a_large_database_is_one_round_of_a_few_questions(empty_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ", ".join(f"c{number} varchar(255)" for number in range(18))
    fill(
        empty_db,
        "".join(
            f"CREATE TABLE t{number} (id int PRIMARY KEY, up int REFERENCES t{max(number - 1, 0)} (id), {columns});"
            for number in range(400)
        ),
    )
    asked: list[str] = []
    fetch = sessions.fetch

    def counting(session: Any, text: str, *rest: Any, **more: Any) -> Any:
        asked.append(text)
        return fetch(session, text, *rest, **more)

    monkeypatch.setattr(postgres, "fetch", counting)
    tracemalloc.start()
    found = described(empty_db)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found["tables"]) == 400
    assert sum(len(one["columns"]) for one in found["tables"]) == 8_000
    assert len(found["relationships"]) == 400
    assert len(asked) == 8
    assert peak < 40_000_000
