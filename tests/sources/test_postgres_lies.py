"""Servers that only look like PostgreSQL: each ends in a sentence, in bounded time and memory."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from chalicelib import ranges, sessions
from chalicelib.errors import Fatal, SourceUnreachable
from chalicelib.sources import postgres
from chalicelib.sql import Mapped, Query
from tests.conftest import Database
from tests.sources.servers import (
    DONE,
    LOGGED_IN,
    Answer,
    Lie,
    greeted,
    head,
    liar,
    lying,
    message,
    one_more,
    ready,
    row,
    server,
    valued,
)
from tests.sources.test_postgres_reading import fill

ME = sessions.Connection("h", 1, "db", "me", "CANARY", "disable")

LIED = "the server did not answer like PostgreSQL"

ENDLESS = b"x" * 1_000_000


def says(*rows: list[bytes | None], columns: int = 4, kind: int = 25) -> Answer:
    """Answers every question with these rows."""
    content = head(columns, kind) + b"".join(map(row, rows)) + DONE
    return lambda caller: caller.sendall(content)


def one_huge_row(caller: socket.socket) -> None:
    size = 1_500_000_000
    caller.sendall(head(1) + b"D" + struct.pack("!IHi", size + 10, 1, size))
    while True:
        caller.sendall(ENDLESS)


def endless_rows(caller: socket.socket) -> None:
    caller.sendall(head(1))
    while True:
        caller.sendall(row([ENDLESS]))


def endless_notices(caller: socket.socket) -> None:
    while True:
        caller.sendall(message(b"N", b"SNOTICE\0C00000\0M" + b"x" * 9_000 + b"\0\0") * 20)


@pytest.mark.parametrize("answer", [one_huge_row, endless_rows, endless_notices])
def test_more_than_a_catalogue_can_hold_is_not_listened_to(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_CATALOGUE_BYTES", 5_000_000)
    started = time.monotonic()
    with server(liar(answer)) as address, sessions.connect(ME, address) as session, pytest.raises(Fatal) as failed:
        postgres.describe(session)
    assert (failed.value.code, failed.value.message) == (
        "source_too_large",
        "the source sends more than can be handled",
    )
    assert time.monotonic() - started < 5


def test_more_than_a_range_can_hold_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.sources.test_postgres_reading import rows, things

    monkeypatch.setattr(ranges, "MAX_RANGE_BYTES", 5_000_000)
    monkeypatch.setattr(ranges, "MAX_PASS_BYTES", 5_000_000)
    with (
        server(liar(one_huge_row)) as address,
        sessions.connect(ME, address) as session,
        pytest.raises(Fatal) as failed,
    ):
        rows(session, things())
    assert failed.value.code == "source_too_large"


@pytest.mark.parametrize(
    "answer",
    [
        says([b"1"], columns=1),
        says(),
        says([None] * 4),
        says([b"a", b"b", b"c", b"d"]),
        says([b"abc"] * 4, kind=20),
        says([b"1"] * 5, columns=5),
        says([b"1"] * 4, [b"1"] * 4),
    ],
    ids=["few columns", "no rows", "nulls", "words for a number", "no numbers", "many columns", "many rows"],
)
def test_answers_that_no_postgresql_gives(answer: Answer) -> None:
    with server(liar(answer)) as address:
        with pytest.raises(SourceUnreachable):
            postgres.check(ME, address)
        with sessions.connect(ME, address) as session, pytest.raises(Fatal) as failed:
            postgres.describe(session)
        assert failed.value.code in ("source_protocol", "source_query_failed")


def test_a_name_that_a_server_gives_itself_is_short_and_on_one_line() -> None:
    answer = says([b"9" * 500_000, b"\x1b[31m<x>\n" + b"x" * 500_000, b"3", b"1 MB\r\n" * 100_000])
    with server(liar(answer)) as address, sessions.connect(ME, address) as session:
        found = postgres.information(session)
    assert found["table_count"] == 3
    assert found["version"] == "PostgreSQL " + "9" * 20
    assert found["database"].startswith("[31m<x>x")
    assert max(len(str(value)) for value in found.values()) <= 255
    assert all(str(value).isprintable() for value in found.values())


@pytest.mark.parametrize(
    ("count", "believed"),
    [(b"0", 0), (b"9223372036854775807", 2**63 - 1), (b"9223372036854775808", None), (b"9" * 60, None), (b"-1", None)],
)
def test_a_count_that_no_bigint_holds_is_a_lie(count: bytes, believed: int | None) -> None:
    """It is kept with the profile, and DynamoDB holds 38 digits."""
    answer = says([b"16.3", b"db", count, b"1 MB"])
    with server(liar(answer)) as address, sessions.connect(ME, address) as session:
        if believed is not None:
            assert postgres.information(session)["table_count"] == believed
            return
        with pytest.raises(Fatal) as failed:
            postgres.information(session)
        assert (failed.value.code, failed.value.message) == ("source_protocol", LIED)


def test_words_where_the_server_promised_numbers_are_a_lie_whatever_was_asked() -> None:
    answer = says([b"abc"], columns=1, kind=20)
    with server(liar(answer)) as address, sessions.connect(ME, address) as session:
        with pytest.raises(Fatal) as failed:
            sessions.fetch(session, "SELECT 1")
        assert (failed.value.code, failed.value.message) == ("source_protocol", LIED)


def test_a_setting_that_is_no_text_breaks_the_connection_off() -> None:
    def serve(caller: socket.socket) -> None:
        greeted(caller)
        caller.sendall(LOGGED_IN + message(b"S", b"server_encoding\0\xff\xfe\0") + ready(b"I"))
        caller.recv(10_000)

    with server(serve) as address, pytest.raises(SourceUnreachable) as failed, sessions.connect(ME, address):
        pass
    assert failed.value.message == "Connection failed: the server broke off"
    assert failed.value.error == "the source holds text that is not valid in its encoding"


@pytest.mark.parametrize(
    "lie",
    [
        valued(b"pg_table_is_visible", 2, b"5", kind=20),
        valued(b"pg_table_is_visible", 1, None),
        valued(b"pg_table_is_visible", 3, b"many"),
        valued(b"pg_table_is_visible", 3, b"Infinity", kind=701),
        valued(b"pg_table_is_visible", 5, b"x"),
        valued(b"a.attidentity", 2, b"5", kind=20),
        valued(b"a.attidentity", 3, None),
        valued(b"array_to_json", 5, b"5"),
        valued(b"array_to_json", 5, b'[{"a": 1}]'),
        valued(b"array_to_json", 5, b"[" * 20_000),
        valued(b"i.indisprimary", 5, b"1", kind=20),
        valued(b"k.conname", 3, b"1", kind=20),
        valued(b"pg_encoding_to_char", 1, None),
        one_more(b"pg_table_is_visible"),
    ],
)
def test_a_catalogue_of_values_that_no_postgresql_has_there_is_a_lie(lie: Lie, kept: Database) -> None:
    with server(lying(kept.connection.port, lie)) as address:
        me = replace(kept.connection, ssl_mode="disable")
        with sessions.connect(me, address) as session, pytest.raises(Fatal) as failed:
            postgres.describe(session)
        assert (failed.value.code, failed.value.message) == ("source_protocol", LIED)


@pytest.mark.parametrize(("place", "value"), [(0, b"9" * 60), (0, b"-1"), (1, b"9" * 60), (0, b"x")])
@pytest.mark.parametrize("ask", [postgres.plan, postgres.count])
def test_a_number_of_rows_that_no_table_has_is_a_lie(
    ask: Callable[..., Any], place: int, value: bytes, kept: Database
) -> None:
    """It is kept in the job's plan."""
    query = Query(
        name="a",
        base_table="a",
        origin="a",
        key=["a.id"],
        fields=[Mapped(source="a.id", target="external_id")],
        target_type="tickets",
    )
    with psycopg.connect(kept.dsn, autocommit=True) as admin:
        admin.execute("INSERT INTO a VALUES (1, 'a'), (2, 'b')")
    question, column = (b"rank() OVER", place) if ask is postgres.plan else (b"count(*)", 0)
    with kept.session() as session:
        ask(session, query)  # as it is, it is believed
    with server(lying(kept.connection.port, valued(question, column, value))) as address:
        me = replace(kept.connection, ssl_mode="disable")
        with sessions.connect(me, address) as session, pytest.raises(Fatal) as failed:
            ask(session, query)
        assert (failed.value.code, failed.value.message) == ("source_protocol", LIED)


def test_a_catalogue_that_is_passed_on_as_it_is_is_believed(kept: Database) -> None:
    with server(lying(kept.connection.port, lambda _, __, content: content)) as address:
        with sessions.connect(replace(kept.connection, ssl_mode="disable"), address) as session:
            found = postgres.describe(session)
        with kept.session() as session:
            assert found == postgres.describe(session)
        assert found["relationships"]
        assert [one["enum"] for one in found["tables"][0]["columns"] if "enum" in one] == [["a", "b"]]


@pytest.fixture
def kept(empty_db: Database) -> Database:
    """A database with a bit of everything the catalogue is asked for."""
    fill(
        empty_db,
        """CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE a (id int PRIMARY KEY, kind e);
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a (id)); ANALYZE;""",
    )
    return empty_db


def test_a_session_is_closed_although_its_server_never_says_goodbye() -> None:
    def silent(caller: socket.socket) -> None:
        time.sleep(30)

    started = time.monotonic()
    with server(liar(silent)) as address:
        with sessions.connect(ME, address):
            pass
        with pytest.raises(ZeroDivisionError), sessions.connect(ME, address):
            raise ZeroDivisionError
    assert time.monotonic() - started < 3


def test_a_user_who_may_not_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    words = 'SFATAL\0C42501\0Mpermission denied for database "CANARY"\0DUser does not have CONNECT privilege.\0\0'

    def refuses(caller: socket.socket) -> None:
        caller.recv(10_000)
        caller.sendall(message(b"E", words.encode()) + ready(b"I"))

    with server(refuses) as address, pytest.raises(SourceUnreachable) as refused:
        postgres.check(replace(ME, ssl_mode="disable"), address)
    assert (refused.value.code, refused.value.error) == ("source_permission_denied", "Permission denied")
    assert "CANARY" not in repr(refused.value)
