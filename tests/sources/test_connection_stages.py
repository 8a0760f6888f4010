"""A connection test says where it ended and what to do: in each stage, of a failure and of a silence."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import connections, diagnosis, network, sessions
from tests.conftest import Database
from tests.sources.servers import (
    ASKS_FOR_TLS,
    DONE,
    certificate,
    encrypted,
    head,
    liar,
    passed_on,
    row,
    server,
)
from tests.sources.shop import READS_ALL, environment, failure, owner, shop, statuses, warned

__all__ = ["environment", "shop"]

# --- what works


def test_a_user_that_may_only_read_passes_every_stage_without_a_warning(shop: Database) -> None:
    owner(shop, *READS_ALL)
    test = connections.check(shop.connection)
    assert test["success"] is True
    assert statuses(test) == dict.fromkeys(diagnosis.STAGES, "ok") | {"tls": "skipped"}
    assert test["stages"][5]["message"] == "The user may read 3 of 3 tables."
    assert warned(test) == {}
    assert all(isinstance(stage["milliseconds"], int) for stage in test["stages"])


def test_that_nothing_is_encrypted_is_said(shop: Database) -> None:
    owner(shop, *READS_ALL)
    for ssl_mode, said in (
        ("disable", "Not asked for: ssl_mode is disable."),
        ("prefer", "The server offers none, and ssl_mode prefer goes on without."),
    ):
        test = connections.check(replace(shop.connection, ssl_mode=ssl_mode))
        assert test["stages"][2]["message"] == said
        assert [one["code"] for one in test["warnings"]] == ["not_encrypted"]


def test_that_it_is_encrypted_and_what_was_checked_is_said(
    shop: Database, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import certifi

    owner(shop, *READS_ALL)
    shown = certificate(tmp_path_factory.mktemp("tls"), "localhost")
    monkeypatch.setattr(certifi, "where", lambda: str(shown.path))
    said = {
        "prefer": "The connection is encrypted; the certificate was not checked.",
        "require": "The connection is encrypted; the certificate was not checked.",
        "verify-ca": "The connection is encrypted; the certificate was checked, the name in it was not.",
        "verify-full": "The connection is encrypted; the certificate and the name in it were checked.",
    }
    with server(encrypted(shown, passed_on(shop.address.port))) as address:
        for ssl_mode, words in said.items():
            there = replace(shop.connection, host="localhost", port=address.port, ssl_mode=ssl_mode)
            test = connections.check(there)
            assert statuses(test) == dict.fromkeys(diagnosis.STAGES, "ok"), ssl_mode
            assert test["stages"][2]["message"] == words
            assert test["warnings"] == []
        there = replace(shop.connection, host="127.0.0.1", port=address.port, ssl_mode="verify-full")
        found = failure(connections.check(there))
    assert found["name"] == "tls"
    assert "require encrypts without checking it" in found["hint"]


# --- what fails

INNER = "The host is not allowed"
UNKNOWN = "Could not translate host name to address"


@pytest.mark.parametrize(
    ("changes", "stage", "message", "hint"),
    [
        (
            {"host": "10.0.0.1"},
            "dns",
            "The host is not allowed: The host does not lead to a public address.",
            "reachable",
        ),
        (
            {"host": "no.such.host.invalid"},
            "dns",
            "Could not translate host name to address: Host not found.",
            "spelling",
        ),
        ({"password": "wrong"}, "auth", "The server refused the login: Authentication failed.", "user and password"),
        ({"username": "nobody"}, "auth", "The server refused the login: Authentication failed.", "pg_hba.conf"),
        ({"database": "none"}, "auth", "The server has no such database: Database does not exist.", "upper and lower"),
        ({"ssl_mode": "require"}, "tls", "No encrypted connection could be made: TLS failed.", "prefer goes on"),
        ({"ssl_mode": "verify-full"}, "tls", "No encrypted connection could be made: TLS failed.", "prefer goes on"),
    ],
)
def test_what_is_wrong_is_found_in_its_stage(
    shop: Database, changes: dict[str, str], stage: str, message: str, hint: str
) -> None:
    owner(shop, *READS_ALL)
    found = failure(connections.check(replace(shop.connection, **changes)))
    assert (found["name"], found["message"]) == (stage, message)
    assert hint in found["hint"]


def test_nobody_listening_fails_at_tcp(shop: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = failure(connections.check(replace(shop.connection, port=port)))
    assert (found["name"], found["message"]) == ("tcp", "Could not connect to server: Connection refused.")


def test_a_user_who_may_not_connect_fails_at_auth(shop: Database) -> None:
    owner(shop, f"REVOKE CONNECT ON DATABASE {shop.connection.database} FROM PUBLIC")
    found = failure(connections.check(shop.connection))
    assert (found["name"], found["hint"]) == ("auth", "GRANT CONNECT on the database to the user.")


def test_a_server_that_wants_tls_is_told_from_a_wrong_password(
    shop: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown = certificate(tmp_path_factory.mktemp("tls"), "localhost")
    with server(encrypted(shown, passed_on(shop.address.port))) as address:
        found = failure(connections.check(replace(shop.connection, port=address.port, ssl_mode="disable")))
    assert found["name"] == "auth"
    assert found["hint"].endswith("refuses ssl_mode disable: try require.")


def test_a_user_who_may_read_nothing_fails_at_privileges(shop: Database) -> None:
    test = connections.check(shop.connection)
    found = failure(test)
    assert (found["name"], test["error"]) == ("privileges", "No readable table")
    assert test["message"] == "Connection failed: the user may read none of the database's tables"
    assert found["hint"] == (
        'Let the user read them: GRANT USAGE ON SCHEMA "Old Shop", "public" TO your_user; '
        'GRANT SELECT ON ALL TABLES IN SCHEMA "Old Shop", "public" TO your_user;'
    )


# --- what is silent


def dns_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "DNS_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3) or [])


def test_a_silent_name_server_is_found_at_dns(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    dns_is_silent(monkeypatch)
    began = time.monotonic()
    found = failure(connections.check(replace(shop.connection, host="db.example.com")))
    assert found["name"] == "dns"
    assert time.monotonic() - began < 2


def test_packets_that_are_dropped_are_found_at_tcp(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full answers no further SYN, as a firewall that drops them."""
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 1)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.1)
        test = connections.check(replace(shop.connection, port=listener.getsockname()[1]))
    found = failure(test)
    assert (found["name"], test["error"]) == ("tcp", "Connection timed out")
    assert "firewall" in found["hint"]


def silent_over_tls(caller: socket.socket) -> None:
    assert caller.recv(8).endswith(ASKS_FOR_TLS)
    caller.sendall(b"S")
    time.sleep(30)


def silent_at_login(caller: socket.socket) -> None:
    caller.recv(8)
    caller.sendall(b"N")
    time.sleep(30)


def silent_on_privileges(caller: socket.socket) -> None:
    caller.sendall(head(4) + row([b"16.3", b"db", b"3", b"1 MB"]) + DONE)
    caller.recv(10_000)
    time.sleep(30)


@pytest.mark.parametrize(
    ("answer", "stage"),
    [
        (silent_over_tls, "tls"),
        (silent_at_login, "auth"),
        (liar(lambda _: time.sleep(30)), "select"),
        (liar(silent_on_privileges), "privileges"),
    ],
    ids=["tls", "auth", "select", "privileges"],
)
@pytest.mark.parametrize("in_all", [True, False], ids=["by the whole test's time", "by the step's own"])
def test_a_silence_is_found_in_its_stage(
    shop: Database, monkeypatch: pytest.MonkeyPatch, answer: Any, stage: str, in_all: bool
) -> None:
    """Whichever time-out notices it first."""
    monkeypatch.setattr(connections, "CHECK_SECONDS", 1.5 if in_all else 9)
    if not in_all:
        monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 1)
        monkeypatch.setattr(sessions, "GRACE_SECONDS", -8)
    began = time.monotonic()
    with server(answer) as address:
        test = connections.check(replace(shop.connection, port=address.port))
    found = failure(test)
    assert found["name"] == stage
    assert time.monotonic() - began < 6
    if in_all:
        assert test["error"] == "Connection timed out"
        assert found["milliseconds"] >= 1000
