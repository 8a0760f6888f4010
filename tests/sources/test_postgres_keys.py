"""What a query's rows are cut by: an integer in every row, or the job says so. None is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.errors import Fatal
from chalicelib.sources import postgres
from chalicelib.sql import Filter, Join, Query
from tests.conftest import Database
from tests.sources.test_postgres_reading import fill, rows, things


def refused(place: Database, query: Query, **options: Any) -> tuple[str, str]:
    """Code and message with which planning the query ends."""
    with place.session() as session, pytest.raises(Fatal) as failed:
        postgres.plan(session, query, **options)
    return failed.value.code, failed.value.message


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("float8", "type double precision"),
        ("real", "type real"),
        ("numeric", "type numeric"),
        ("numeric(12, 2)", "type numeric"),
        ("text", "type text"),
        ("varchar(20)", "type character varying"),
        ("date", "type date"),
        ("boolean", "type boolean"),
        ("fraction", "type double precision"),
        ("mood", "another type"),
    ],
)
@pytest.mark.parametrize("filled", [True, False])
def test_a_key_of_another_type_than_integers_is_refused_by_name(
    empty_db: Database, kind: str, named: str, filled: bool
) -> None:
    value = {"date": "'2024-01-01'", "boolean": "true", "mood": "'1'"}.get(kind, "n + 0.7")
    fill(
        empty_db,
        f"""CREATE DOMAIN fraction AS float8; CREATE TYPE mood AS ENUM ('1', '2');
        CREATE TABLE things (id int, k {kind});
        INSERT INTO things SELECT n, {value} FROM generate_series(1, {40 * filled}) n""",
    )
    assert refused(empty_db, things(key='"things"."k"')) == (
        "key_not_integer",
        f"the key things.k of tickets is of {named}: "
        "it has to be smallint, integer, bigint, or numeric declared without decimals",
    )


def test_a_key_of_uuids_is_refused_by_name(empty_db: Database) -> None:
    """PostgreSQL has no min(uuid): the server's own refusal would blame the source."""
    fill(empty_db, "CREATE TABLE things (k uuid); INSERT INTO things VALUES (gen_random_uuid())")
    code, message = refused(empty_db, things(key="things.k"))
    assert code == "key_not_integer"
    assert message.startswith("the key things.k of tickets is of type uuid: ")


@pytest.mark.parametrize("kind", ["smallint", "int", "bigint", "numeric(20, 0)", "numeric(5)", "serial", "whole"])
def test_every_type_of_integers_cuts_all_rows(empty_db: Database, kind: str) -> None:
    fill(
        empty_db,
        f"""CREATE DOMAIN whole AS bigint CHECK (VALUE <> 0); CREATE TABLE things (id int, k {kind});
        INSERT INTO things SELECT n, n * 7 - 100 FROM generate_series(1, 40) n""",
    )
    query = things("things.id", key="things.k")
    with empty_db.session() as session:
        ranges = postgres.plan(session, query, chunk_rows=7)
        read = [row for part in ranges for row in rows(session, query, part.bounds)]
    assert sum(part.rows for part in ranges) == 40
    assert read == [(n,) for n in range(1, 41)]


@pytest.mark.parametrize("width", [None, "octet_length(things.t)"])
def test_rows_without_a_key_are_counted_and_refused(empty_db: Database, width: str | None) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int, ref int, t text);
        INSERT INTO things SELECT n, nullif(n % 2, 0) * n, 'x' FROM generate_series(1, 40) n""",
    )
    query = things(key='"things"."ref"', width=width)
    sentence = (
        "rows of tickets whose key things.ref is null: 20; "
        "choose a key that is never null, or leave these rows out by a filter"
    )
    for limit in (None, 21, 1000):
        assert refused(empty_db, query, chunk_rows=7, limit=limit) == ("key_missing", sentence)
    filtered = query.model_copy(update={"filters": [Filter(field="things.ref", operator="IS NOT NULL")]})
    with empty_db.session() as session:
        assert sum(part.rows for part in postgres.plan(session, filtered, chunk_rows=7)) == 20
        assert sum(part.rows for part in postgres.plan(session, query, chunk_rows=7, limit=20)) == 20


def test_rows_for_which_a_joined_key_finds_nothing_are_refused(empty_db: Database) -> None:
    fill(
        empty_db,
        """CREATE TABLE things (id int); CREATE TABLE parts (id int NOT NULL, thing int);
        INSERT INTO things SELECT n FROM generate_series(1, 40) n;
        INSERT INTO parts SELECT 100 + n, n FROM generate_series(1, 27) n""",
    )
    join = Join(table="parts", on="parts.thing = things.id", at_most_one=True)
    code, message = refused(empty_db, things(key='"parts"."id"', joins=[join]))
    assert code == "key_missing"
    assert message.startswith("rows of tickets whose key parts.id is null: 13; ")
    inner = things(key="parts.id", joins=[join.model_copy(update={"type": "INNER"})])
    with empty_db.session() as session:
        assert postgres.plan(session, inner) == [((("101",), ("127",)), 27)]


def test_asking_for_the_type_of_a_key_reads_no_row(empty_db: Database) -> None:
    fill(empty_db, "CREATE VIEW things AS SELECT 1.5::float8 AS k FROM pg_sleep(60)")
    assert refused(empty_db, things(key="things.k"))[0] == "key_not_integer"


def test_a_filter_that_does_not_fit_its_column_is_blamed_on_the_query(empty_db: Database) -> None:
    fill(empty_db, "CREATE TABLE things (id int, t json)")
    query = things(filters=[Filter(field="things.t", operator=">=", value=5)])
    assert refused(empty_db, query) == (
        "source_query_failed",
        "the source cannot apply >= to values of these types",
    )
