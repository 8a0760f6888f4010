"""Ranges of keys of any kind hold every row once; what none can hold is left to be read in one go. None is lost."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import psycopg
import pytest

from chalicelib import ranges
from chalicelib.errors import Fatal
from chalicelib.ranges import KEY_ROWS, MAX_BOUND_BYTES, Cut
from chalicelib.sessions import Session
from chalicelib.sources import postgres
from chalicelib.sql import Filter, Join, Query
from tests.conftest import Database
from tests.sources.test_postgres_reading import fill, things

Rows = list[tuple[Any, ...]]


def parts(session: Session, cut: Cut, limit: int | None = None) -> tuple[list[Rows], Rows]:
    """The rows of each range, and the rest."""

    def read(*bounds: Any, **options: Any) -> Rows:
        batches = postgres.read(session, cut.query, *bounds, columns=cut.columns, batch_rows=7, **options)
        return [row for batch in batches for row in batch]

    found = [read(part.bounds, limit=None if limit is None else part.rows) for part in cut.ranges]
    if cut.rest == 0:
        return found, []
    return found, read(unkeyed=cut.rest is not None, limit=limit if cut.rest is None else cut.rest if limit else None)


def answer(place: Database, query: str) -> Rows:
    with psycopg.connect(place.dsn) as source:
        return source.execute(query.encode()).fetchall()


VALUES = {
    "smallint": "n - 20",
    "int": "n * 50000000 - 2000000000",
    "bigint": "9223372036854775807 - n",
    "numeric": "n / 7.0",
    "numeric(30, 10)": "n * 1e15 + 0.0000000001 * n",
    "float8": "n * 0.1 - 1 / 3.0",
    "real": "n * 0.1",
    "text": "chr(200 + n * 37 % 300) || CASE WHEN n % 2 = 0 THEN ' ''%s\"\\ ' ELSE '' END",
    "varchar(20)": "md5(n::text)::varchar(20)",
    "char(5)": "to_char(n, 'FM00')",
    "name": "'n' || n",
    'text COLLATE "C"': "chr(64 + n % 50) || n",
    "uuid": "md5(n::text)::uuid",
    "bytea": "decode(md5(n::text), 'hex')",
    "date": "date '0001-01-01 BC' + n * 40000",
    "timestamp": "timestamp '1999-12-31 23:59:59.999990' + n * interval '1 microsecond'",
    "timestamptz": "timestamptz '2024-10-27 00:30:00+00' + n * interval '5 minutes'",
    "time": "time '00:00' + n * interval '17 minutes 3 microseconds'",
    "timetz": "(time '00:00' + n * interval '7 minutes')::timetz",
    "interval": "n * interval '1 month 3 days -00:00:01.5'",
    "inet": "'10.0.0.0'::inet + n",
    "macaddr": "('08002b0102' || to_char(n, 'FM00'))::macaddr",
    "bit varying": "n::bit(8)::varbit",
    "mood": "('m' || n)::mood",
    "whole": "n * 7 - 100",
}
"""Type -> 40 values, each another one."""


@pytest.mark.parametrize("kind", VALUES)
def test_a_key_of_any_ordered_type_cuts_all_rows(empty_db: Database, kind: str) -> None:
    moods = ", ".join(f"'m{n}'" for n in sorted(range(1, 41), key=str))
    fill(
        empty_db,
        f"""CREATE DOMAIN whole AS bigint CHECK (VALUE <> 0); CREATE TYPE mood AS ENUM ({moods});
        CREATE TABLE things (id int, k {kind});
        INSERT INTO things SELECT n, {VALUES[kind]} FROM generate_series(1, 40) n ORDER BY md5(n::text)""",
    )
    with empty_db.session() as session:
        cut = postgres.plan(session, things("things.id", key=["things.k"]), chunk_rows=7)
        found, rest = parts(session, cut)
    assert (len(cut.ranges), cut.rest, rest) == (6, 0, [])
    assert [part.rows for part in cut.ranges] == list(map(len, found))
    assert [row for part in found for row in part] == answer(empty_db, "SELECT id FROM things ORDER BY k")


@pytest.mark.parametrize("chunk_rows", [1, 7, 100])
@pytest.mark.parametrize("limit", [None, 1, 30, 200])
def test_keys_of_several_columns_compare_as_rows(empty_db: Database, chunk_rows: int, limit: int | None) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int, a text, b timestamptz, c uuid);
        INSERT INTO things SELECT n, 'a' || n % 3, timestamptz '2024-01-01' + n % 5 * interval '1 hour',
          md5((n % 20)::text)::uuid FROM generate_series(1, 90) n""",
    )
    query = things("things.id", "things.a", "things.b", "things.c", key=["things.a", "things.b", "things.c"])
    with empty_db.session() as session:
        cut = postgres.plan(session, query, chunk_rows=chunk_rows, limit=limit)
        found, rest = parts(session, cut, limit)
    ordered = answer(empty_db, "SELECT a, b::text, c::text FROM things ORDER BY a, b, c")
    assert [(row[1], row[2][:16], row[3]) for part in found for row in part] == [
        (a, b[:16], c) for a, b, c in ordered[:limit]
    ]
    assert rest == []
    assert sum(part.rows for part in cut.ranges) == min(90, limit or 90)
    assert [part.rows for part in cut.ranges] == list(map(len, found))


def test_rows_that_share_a_key_stay_together_and_equal_keys_need_not_look_alike(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int, k numeric);
        INSERT INTO things SELECT n, (n / 6)::numeric(9, 0) + CASE WHEN n % 2 = 0 THEN 0.0 ELSE 0.000 END
        FROM generate_series(0, 35) n""",
    )
    with empty_db.session() as session:
        cut = postgres.plan(session, things("things.id", key=["things.k"]), chunk_rows=4)
        found, _ = parts(session, cut)
    assert [part.rows for part in cut.ranges] == [6] * 6
    assert [sorted(row[0] for row in part) for part in found] == [list(range(n, n + 6)) for n in range(0, 36, 6)]


def test_ranges_follow_each_other_up_to_the_last_key_there_was(empty_db: Database) -> None:
    """Rows that come in between are read, those beyond the last key wait for the next import."""
    fill(empty_db, "CREATE TABLE things (id int); INSERT INTO things SELECT n * 10 FROM generate_series(1, 40) n")
    with empty_db.session() as session:
        cut = postgres.plan(session, things("things.id"), chunk_rows=10)
        assert [part.bounds for part in cut.ranges] == [
            (None, ("100",)), (("100",), ("200",)), (("200",), ("300",)), (("300",), ("400",))
        ]  # fmt: skip
        fill(empty_db, "INSERT INTO things VALUES (-5), (101), (299), (400), (401)")
        found, _ = parts(session, cut)
    assert [len(part) for part in found] == [11, 11, 11, 11]
    assert (401,) not in [row for part in found for row in part]


@pytest.mark.parametrize("width", [None, "octet_length(things.t)"])
@pytest.mark.parametrize("limit", [None, 1, 20, 21, 39, 1000])
def test_rows_without_a_key_are_the_rest(empty_db: Database, width: str | None, limit: int | None) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int, ref int, t text);
        INSERT INTO things SELECT n, nullif(n % 2, 0) * n, 'x' FROM generate_series(1, 40) n""",
    )
    query = things("things.id", key=['"things"."ref"'], width=width)
    with empty_db.session() as session:
        cut = postgres.plan(session, query, chunk_rows=7, limit=limit)
        found, rest = parts(session, cut, limit)
    keyed = [row for part in found for row in part]
    assert keyed == [(n,) for n in range(1, 41, 2)][:limit]
    assert len(rest) == cut.rest == max(0, min(20, (limit or 40) - 20))
    assert set(rest) <= {(n,) for n in range(2, 41, 2)}
    filtered = query.model_copy(update={"filters": [Filter(field="things.ref", operator="IS NOT NULL")]})
    with empty_db.session() as session:
        assert postgres.plan(session, filtered, chunk_rows=7).rest == 0


@pytest.mark.parametrize("chunk_rows", [20, 200])
def test_a_null_in_any_column_of_a_key_is_no_key(empty_db: Database, chunk_rows: int) -> None:
    """A comparison of rows is true where an earlier column settles it, whatever the later ones are."""
    fill(
        empty_db,
        """CREATE TABLE things (id int, a int, b int);
        INSERT INTO things SELECT n, nullif(n % 10, 0), nullif(n % 7, 0) FROM generate_series(1, 500) n""",
    )
    with empty_db.session() as session:
        cut = postgres.plan(session, things("things.id", key=["things.a", "things.b"]), chunk_rows=chunk_rows)
        found, rest = parts(session, cut)
    without = answer(empty_db, "SELECT id FROM things WHERE a IS NULL OR b IS NULL ORDER BY id")
    assert sorted(rest) == without
    assert cut.rest == len(without)
    assert sorted([*rest, *(row for part in found for row in part)]) == [(n,) for n in range(1, 501)]
    assert [part.rows for part in cut.ranges] == list(map(len, found))


@pytest.mark.parametrize("kind", ["INNER", "LEFT", "RIGHT", "FULL"])
@pytest.mark.parametrize("key", [["things.id"], ["things.id", "parts.id"], ["parts.id"], []])
def test_no_join_loses_a_row(empty_db: Database, kind: Any, key: list[str]) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int PRIMARY KEY, t text); CREATE TABLE parts (id int PRIMARY KEY, thing int);
        INSERT INTO things SELECT n, 't' || n FROM generate_series(1, 60) n;
        INSERT INTO parts SELECT n, CASE WHEN n % 4 = 0 THEN NULL ELSE n % 90 END FROM generate_series(1, 200) n""",
    )
    query = things(
        "things.id", "parts.id", "things.t",
        key=key, joins=[Join(type=kind, table="parts", on="parts.thing = things.id")],
    )  # fmt: skip
    with empty_db.session() as session:
        cut = postgres.plan(session, query, chunk_rows=13)
        found, rest = parts(session, cut)
        assert len(cut.ranges) > 2 or not key
    wanted = answer(
        empty_db, f"SELECT things.id, parts.id, things.t FROM things {kind} JOIN parts ON parts.thing = things.id"
    )
    read = [*rest, *(row for part in found for row in part)]
    assert sorted(read, key=str) == sorted(wanted, key=str)
    assert (cut.rest or 0) + sum(part.rows for part in cut.ranges) == (len(wanted) if key else 0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("json", "'{}'::json"),
        ("point", "point(n, n)"),
        ("money", "n::text::money"),
        ("int[]", "ARRAY[n]"),
        ("int4range", "int4range(n, n + 1)"),
        ("jsonb", "to_jsonb(n)"),
        ("moody", "('m' || n)::moody"),
        ("text", f"repeat('x', {MAX_BOUND_BYTES}) || n"),
        ("text", f"repeat('ä', {MAX_BOUND_BYTES // 2}) || n"),
    ],
)
def test_a_key_that_cannot_be_used_leaves_all_rows_to_one_reading(empty_db: Database, kind: str, value: str) -> None:
    moods = ", ".join(f"'m{n}'" for n in range(1, 41))
    fill(
        empty_db,
        f"""CREATE TYPE mood AS ENUM ({moods}); CREATE DOMAIN moody AS mood;
        CREATE TABLE things (id int, k {kind}); INSERT INTO things SELECT n, {value} FROM generate_series(1, 40) n""",
    )
    with empty_db.session() as session:
        cut = postgres.plan(session, things("things.id", key=["things.id", "things.k"]), chunk_rows=7)
        found, rest = parts(session, cut)
        assert (found, cut.rest, cut.query.key) == ([], None, [])
        assert sorted(rest) == [(n,) for n in range(1, 41)]
        cut = postgres.plan(session, things("things.id", key=["things.k"]), limit=3)
        assert len(parts(session, cut, 3)[1]) == 3


def test_a_key_that_very_many_rows_share_cuts_nothing(empty_db: Database) -> None:
    fill(
        empty_db,
        f"""CREATE TABLE things (id int, k int, w int);
        INSERT INTO things SELECT n, least(n, 5001), 1 FROM generate_series(1, 5000 + {KEY_ROWS}) n""",
    )
    query = things(key=["things.k"])
    with empty_db.session() as session:
        cut = postgres.plan(session, query)
        assert (max(part.rows for part in cut.ranges), cut.rest) == (KEY_ROWS, 0)
        fill(empty_db, "INSERT INTO things VALUES (0, 5001, 1)")
        assert postgres.plan(session, query)[2:] == ([], None)
        wide = query.model_copy(update={"width": "things.w * 5000"})
        fill(empty_db, "DELETE FROM things WHERE id > 9000")
        assert postgres.plan(session, wide).rest == 0
        fill(empty_db, "UPDATE things SET w = 3")
        assert postgres.plan(session, wide)[2:] == ([], None)


def test_text_that_is_none_in_its_encoding_is_no_bound(empty_db: Database) -> None:
    with psycopg.connect(empty_db.dsn, autocommit=True) as source:
        source.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            place = Database(
                empty_db.dsn.replace("/scratch", "/ascii"),
                empty_db.connection.__class__(**{**vars(empty_db.connection), "database": "ascii"}),
                empty_db.address,
            )
            fill(place, "CREATE TABLE things (k text); INSERT INTO things VALUES ('caf' || E'\\xe9'), ('a')")
            with place.session() as session:
                cut = postgres.plan(session, things("things.k", key=["things.k"]))
                assert (cut.ranges, len(parts(session, cut)[1])) == ([], 2)
                fill(place, "DELETE FROM things WHERE k <> 'a'; INSERT INTO things VALUES ('caf' || E'\\xc3\\xa9')")
                cut = postgres.plan(session, things("things.k", key=["things.k"]))
                assert parts(session, cut) == ([[("a",), ("café",)]], [])
        finally:
            source.execute("DROP DATABASE ascii WITH (FORCE)")


def test_asking_for_types_reads_no_row(empty_db: Database) -> None:
    fill(empty_db, "CREATE VIEW things AS SELECT '{}'::json AS k FROM pg_sleep(60)")
    with empty_db.session(statement_timeout_seconds=2) as session:
        cut = postgres.plan(session, things("things.k", key=["things.k"]))
    assert (cut.rest, [column.type for column in cut.columns]) == (None, ["json"])


@pytest.mark.parametrize("key", [["things.id"], []])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "ALTER TABLE things ALTER n TYPE text",
            "things.n of tickets was of type integer when the import was planned and is of type text now; "
            "start the import again",
        ),
        (
            "ALTER TABLE things ALTER e TYPE text",
            "things.e of tickets was of type mood when the import was planned and is of type text now; "
            "start the import again",
        ),
        ("ALTER TABLE things DROP n", "the source has no column things.n"),
        ("ALTER TABLE things RENAME n TO m", "the source has no column things.n"),
        ("ALTER TABLE things RENAME TO others", "the source has no table things"),
    ],
)
def test_a_column_that_has_changed_since_the_plan_is_named(
    empty_db: Database, key: list[str], change: str, said: str
) -> None:
    fill(
        empty_db,
        """CREATE TYPE mood AS ENUM ('off', 'on'); CREATE TABLE things (id int, n int, e mood);
        INSERT INTO things SELECT n, n, 'on' FROM generate_series(1, 3000) n""",
    )
    with empty_db.session() as session:
        cut = postgres.plan(session, things("things.id", "things.n", "things.e", key=key))
        assert [column.type for column in cut.columns] == ["integer", "integer", "mood"]
        session.rollback()
        fill(empty_db, change)
        with pytest.raises(Fatal) as stopped:
            parts(session, cut)
        assert (stopped.value.code, stopped.value.message) == ("source_changed", said)


def test_a_type_made_anew_under_its_name_is_no_change(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TYPE mood AS ENUM ('off', 'on'); CREATE TABLE things (id int, e mood);
        INSERT INTO things SELECT n, 'on' FROM generate_series(1, 30) n""",
    )
    with empty_db.session() as session:
        cut = postgres.plan(session, things("things.id", "things.e"))
        session.rollback()
        fill(
            empty_db,
            """ALTER TABLE things ALTER e TYPE text; DROP TYPE mood; CREATE TYPE mood AS ENUM ('off', 'maybe', 'on');
            ALTER TABLE things ALTER e TYPE mood USING e::mood""",
        )
        assert parts(session, cut) == ([[(n, "on") for n in range(1, 31)]], [])


def test_a_filter_that_does_not_fit_its_column_is_blamed_on_the_query(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int, t json)")
    query = things(filters=[Filter(field="things.t", operator=">=", value=5)])
    with empty_db.session() as session, pytest.raises(Fatal) as failed:
        postgres.plan(session, query)
    assert (failed.value.code, failed.value.message) == (
        "source_query_failed",
        "the source cannot apply >= to values of these types",
    )


def test_bounds_are_ascending_and_each_begins_where_the_one_before_ends(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int); INSERT INTO things SELECT n FROM generate_series(1, 5000) n")
    query: Query = things()
    with empty_db.session() as session:
        cut = ranges.plan(session, query)
    assert all(one.bounds.high == other.bounds.low for one, other in pairwise(cut.ranges))
    assert [part.rows for part in cut.ranges] == [1000] * 5
