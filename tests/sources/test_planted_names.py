"""A function or operator that somebody put on the search path, to be taken for PostgreSQL's own, is never called: not
by a saved query, not by the FreeScout template, neither when it is tried nor when it is run (CVE-2018-1058).
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from chalicelib import configurations, ranges, sql, trials
from chalicelib.errors import Fatal
from chalicelib.sources import postgres
from chalicelib.templates import freescout
from tests.conftest import Database

WRITTEN = {
    "base_table": "people",
    "fields": [
        {"source": "lower(people.name)", "target": "external_id"},
        {"source": "people.name || people.name", "target": "name"},
    ],
    "filters": [{"field": "upper(people.name)", "operator": "LIKE", "value": "A%"}],
    "target_type": "accounts",
}

PLANTED = """
CREATE FUNCTION {0}(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRIPPED'; END $$;
"""


@pytest.fixture
def planted(empty_db: Database) -> Iterator[Database]:
    with psycopg.connect(empty_db.dsn) as owner:
        owner.execute("CREATE TABLE people (id int PRIMARY KEY, name varchar(40))")
        owner.execute("INSERT INTO people VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Alan')")
        for name in ("lower", "upper"):
            owner.execute(PLANTED.format(name).encode())
        owner.execute("CREATE FUNCTION twice(varchar, varchar) RETURNS text LANGUAGE sql AS $$ SELECT 'TRIPPED' $$")
        owner.execute("CREATE OPERATOR || (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = twice)")
    return empty_db


def built(place: Database) -> sql.Query:
    with place.session() as session:
        schema = postgres.describe(session)
    query = configurations.compiled(configurations.Query.model_validate(WRITTEN), "accounts", "", schema).query
    assert query is not None
    return query


def test_a_saved_query_calls_postgresqls_own(planted: Database) -> None:
    query = built(planted)
    assert query.closed
    with planted.session() as session:
        tried = trials.tried(session, query, 10)
        assert tried.columns == {"external_id": "text", "name": "text"}
        assert tried.rows == [("ada", "AdaAda"), ("alan", "AlanAlan")]
    with planted.session() as session:
        cut = ranges.plan(session, query)
        rows = [row for part in cut.ranges for batch in ranges.read(session, cut.query, part.bounds) for row in batch]
    assert rows == [("ada", "AdaAda"), ("alan", "AlanAlan")]


def test_that_holds_for_the_transactions_after_one_that_failed(planted: Database) -> None:
    query = built(planted)
    with planted.session() as session:
        assert ranges.count(session, query) == 2
        with pytest.raises(Fatal):
            ranges.count(session, query.model_copy(update={"base_table": "nobody"}))
        assert ranges.count(session, query) == 2


def test_without_that_the_planted_ones_would_be_called(planted: Database) -> None:
    """What makes the tests above say something."""
    with planted.session() as session, pytest.raises(trials.Failed):
        trials.tried(session, built(planted).model_copy(update={"closed": False}), 10)


def test_the_freescout_template_names_every_schema(freescout_db: Database) -> None:
    with freescout_db.session() as session:
        queries = freescout.queries({}, postgres.describe(session))
        assert all(query.closed for query in queries.values())
        counted = {name: ranges.count(session, query) for name, query in queries.items()}
        assert session.execute("SHOW search_path").fetchall() == [("pg_catalog",)]
    with freescout_db.session() as session:
        assert counted == {name: ranges.count(session, query) for name, query in freescout.queries({}).items()}
