"""What runs on a source cannot write to it, whatever it is, and cannot hold it up."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from chalicelib import sessions
from chalicelib.errors import Fatal, Retryable
from chalicelib.sources import postgres
from chalicelib.sql import Query
from tests.conftest import Database

SCRIPT = """
CREATE TABLE things (id int PRIMARY KEY, name text);
INSERT INTO things VALUES (1, 'one');
CREATE TABLE seen (id int);
CREATE SEQUENCE numbers;
CREATE FUNCTION note(int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
  BEGIN INSERT INTO seen VALUES ($1); RETURN 'noted'; END $$;
CREATE FUNCTION note_anyway(int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
  BEGIN SET TRANSACTION READ WRITE; INSERT INTO seen VALUES ($1); RETURN 'noted'; END $$;
CREATE FUNCTION note_by_setting(int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
  BEGIN PERFORM set_config('transaction_read_only', 'off', true); INSERT INTO seen VALUES ($1); RETURN 'noted'; END $$;
CREATE FUNCTION note_as_owner(int) RETURNS text LANGUAGE sql SECURITY DEFINER VOLATILE AS
  $$ INSERT INTO seen VALUES ($1) RETURNING 'noted' $$;
CREATE FUNCTION make(int) RETURNS text LANGUAGE plpgsql VOLATILE AS
  $$ BEGIN EXECUTE 'CREATE TABLE made ()'; RETURN 'made'; END $$;
CREATE FUNCTION count_up(int) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT nextval('numbers')::text $$;
CREATE FUNCTION doze(int) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT pg_sleep(20)::text $$;
"""

WRITERS = ("note", "note_anyway", "note_by_setting", "note_as_owner", "make", "count_up")


@pytest.fixture
def place(empty_db: Database) -> Iterator[Database]:
    """A database of which each function that writes has a view; the user is a superuser."""
    with psycopg.connect(empty_db.dsn) as owner:
        owner.execute(SCRIPT)
        for name in (*WRITERS, "doze"):
            owner.execute(f"CREATE VIEW by_{name} AS SELECT id, {name}(id) AS name FROM things")  # type: ignore[arg-type]
    return empty_db


def query(view: str) -> Query:
    """A saved query over a view, as it is kept."""
    return Query.model_validate(
        {
            "name": "Things",
            "base_table": view,
            "origin": view,
            "key": [f"{view}.id"],
            "fields": [{"source": f"{view}.id", "target": "id"}, {"source": f"{view}.name", "target": "name"}],
            "target_type": "things",
        }
    )


def traces(place: Database) -> tuple[object, ...] | None:
    with psycopg.connect(place.dsn) as owner:
        return owner.execute(
            "SELECT (SELECT count(*) FROM seen), to_regclass('made'), (SELECT is_called FROM numbers)"
        ).fetchone()


@pytest.mark.parametrize("name", WRITERS)
def test_a_query_over_a_view_that_writes_is_refused_and_leaves_no_trace(place: Database, name: str) -> None:
    with place.session() as session, pytest.raises(Fatal) as refused:
        list(postgres.read(session, query(f"by_{name}")))
    assert refused.value.code == "source_query_failed"
    assert traces(place) == (0, None, False)


def test_the_control_a_view_that_reads_is_read_and_the_functions_do_write_for_their_owner(place: Database) -> None:
    with place.session() as session:
        assert [row for batch in postgres.read(session, query("things")) for row in batch] == [(1, "one")]
    with psycopg.connect(place.dsn) as owner:
        owner.execute("SELECT name FROM by_note")
    assert traces(place) == (1, None, False)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO seen VALUES (1)",
        "UPDATE things SET name = 'x' RETURNING id",
        "WITH gone AS (DELETE FROM things RETURNING id) SELECT id FROM gone",
        "TRUNCATE things",
        "CREATE TABLE made ()",
        "SELECT lo_create(0)",
        "SELECT id FROM things FOR UPDATE",
    ],
)
def test_no_statement_writes_in_any_transaction_of_the_session(place: Database, text: str) -> None:
    """The second one as well as the first: none begins without being READ ONLY."""
    with place.session() as session:
        for _ in range(2):
            with pytest.raises(Fatal) as refused:
                sessions.fetch(session, text)
            assert refused.value.message == "the source cannot run the query (SQLSTATE 25006)"
            session.rollback()
        assert sessions.fetch(session, "SELECT current_setting('transaction_read_only')") == [("on",)]
    assert traces(place) == (0, None, False)


def test_a_statement_has_its_time(place: Database) -> None:
    began = time.monotonic()
    with place.session(statement_timeout_seconds=0.5) as session, pytest.raises(Retryable) as refused:
        list(postgres.read(session, query("by_doze")))
    assert (refused.value.code, refused.value.message) == ("source_timeout", "the source took too long for a query")
    assert time.monotonic() - began < 4  # by the server: our own cut comes 5 s later


def test_a_lock_is_not_waited_for_long(place: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LOCK_TIMEOUT_SECONDS", 1)
    with psycopg.connect(place.dsn) as owner:
        owner.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        with place.session() as session, pytest.raises(Retryable) as refused:
            list(postgres.read(session, query("things")))
    assert refused.value.message == "the source could not answer now (SQLSTATE 55P03)"


def test_a_session_nobody_uses_is_ended_by_the_server(place: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE_TIMEOUT_SECONDS", 1)
    with place.session() as session:
        sessions.fetch(session, "SELECT 1")
        with psycopg.connect(place.dsn, autocommit=True) as owner:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wharf' AND datname = 'scratch'"
            assert owner.execute(asked).fetchone() == (1,)
            time.sleep(2)
            assert owner.execute(asked).fetchone() == (0,)
        with pytest.raises(Retryable):
            sessions.fetch(session, "SELECT 1")


def test_the_limits_hold_in_every_transaction(place: Database) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_read_only")
    asked = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with place.session(statement_timeout_seconds=7) as session:
        for _ in range(3):
            assert sessions.fetch(session, asked) == [("7s", "10s", "2min", "on")]
            session.rollback()
