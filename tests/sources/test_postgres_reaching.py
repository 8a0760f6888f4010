"""Reaching a database, and every way of not reaching it: one fixed sentence each, in bounded time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from chalicelib import sessions, sources
from chalicelib.errors import SourceUnreachable
from chalicelib.network import Address
from chalicelib.sources import postgres
from tests.conftest import Database
from tests.sources.servers import server

REFUSED = "could not connect to server"


def silent(caller: socket.socket) -> None:
    time.sleep(30)
    caller.close()


def rude(caller: socket.socket) -> None:
    caller.recv(100)
    caller.close()


def web(caller: socket.socket) -> None:
    caller.recv(100)
    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    caller.close()


def asks_in_clear(caller: socket.socket) -> None:
    """Wants the password as plain text, as whoever pretends to be the server would."""
    if caller.recv(8).endswith(b"\x04\xd2\x16\x2f"):  # asks for TLS
        caller.sendall(b"N")
        caller.recv(100)
    caller.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")
    assert b"CANARY" not in caller.recv(1000)


def silent_after_login(caller: socket.socket) -> None:
    if caller.recv(8).endswith(b"\x04\xd2\x16\x2f"):
        caller.sendall(b"N")
    caller.recv(1000)
    caller.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x00" + b"Z\x00\x00\x00\x05I")
    time.sleep(60)


def test_a_database_that_answers_says_what_it_is(freescout_db: Database) -> None:
    found, _ = postgres.check(freescout_db.connection, freescout_db.address)
    assert found["version"].startswith("PostgreSQL 1")
    assert found["database"] == "freescout"
    assert found["table_count"] == 29
    assert found["size"].endswith(("MB", "kB"))


@pytest.mark.parametrize(
    ("change", "message", "error"),
    [
        ({"password": "CANARY"}, "the server refused the login", "Authentication failed"),
        ({"password": ""}, "the server refused the login", "Authentication failed"),
        ({"username": "CANARY"}, "the server refused the login", "Authentication failed"),
        ({"database": "CANARY"}, "the server has no such database", "Database does not exist"),
        ({"ssl_mode": "require"}, "no encrypted connection could be made", "TLS failed"),
    ],
)
def test_a_refusal_is_a_fixed_sentence(
    freescout_db: Database, change: dict[str, str], message: str, error: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceUnreachable) as refused:
        postgres.check(replace(freescout_db.connection, **change), freescout_db.address)
    assert (refused.value.message, refused.value.error) == (f"Connection failed: {message}", error)
    assert "CANARY" not in repr(refused.value) + "".join(capfd.readouterr())
    assert refused.value.__cause__ is None


def test_nobody_listening(freescout_db: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceUnreachable) as refused:
        postgres.check(freescout_db.connection, Address("127.0.0.1", "127.0.0.1", port))
    assert (refused.value.message, refused.value.error) == (f"Connection failed: {REFUSED}", "Connection refused")


@pytest.mark.parametrize(
    ("answer", "error"),
    [(silent, "Connection timed out"), (rude, "Connection closed"), (web, "Unexpected answer")],
    ids=["silent", "rude", "web"],
)
def test_a_server_that_is_no_postgresql(
    freescout_db: Database, monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], None], error: str
) -> None:
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 2)
    started = time.monotonic()
    with server(answer) as address, pytest.raises(SourceUnreachable) as refused:
        postgres.check(freescout_db.connection, address)
    assert refused.value.error == error
    assert time.monotonic() - started < 4


def test_a_server_that_stops_answering_after_the_login_is_cut_off(
    freescout_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(sessions, "GRACE_SECONDS", 0)
    started = time.monotonic()
    with server(silent_after_login) as address, pytest.raises(SourceUnreachable) as refused:
        postgres.check(freescout_db.connection, address)
    assert refused.value.error == "the source did not answer in time"
    assert time.monotonic() - started < 4


def test_the_password_is_not_given_in_clear(freescout_db: Database) -> None:
    with server(asks_in_clear) as address, pytest.raises(SourceUnreachable) as refused:
        postgres.check(replace(freescout_db.connection, password="CANARY"), address)
    assert refused.value.error == "Authentication failed"


def test_the_checked_address_is_used_not_the_name(freescout_db: Database) -> None:
    address = replace(freescout_db.address, host="name.that.does.not.resolve.invalid")
    assert postgres.check(freescout_db.connection, address)[0]["database"] == "freescout"


def test_the_password_is_not_in_a_repr(freescout_db: Database) -> None:
    assert "CANARY" not in repr(replace(freescout_db.connection, password="CANARY"))


def test_sources_are_found_by_file_name() -> None:
    assert sources.names() == ("postgres",)
    assert sources.get("postgres") is postgres
    with pytest.raises(KeyError):
        sources.get("oracle")
    names = [field["name"] for field in postgres.FIELDS]
    assert names == list(sessions.Connection.__dataclass_fields__)
    assert [field["name"] for field in postgres.FIELDS if field["secret"]] == ["password"]
