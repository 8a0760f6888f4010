"""A connection test says where it ended and what to do: in each stage, of a failure and of a silence."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from chalicelib import connections, diagnosis, network, sessions, settings
from tests.conftest import Database
from tests.sources.servers import (
    ASKS_FOR_TLS,
    DONE,
    certificate,
    encrypted,
    head,
    liar,
    message,
    passed_on,
    row,
    server,
)

PASSWORD = "canary-31cd-password"
ROLE = "stages_reader"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of the embedded cloud; nothing here asks AWS for anything."""
    for name in ("STATE_TABLE", "RECORDS_TABLE", "BUCKET", "KMS_KEY", "STATE_MACHINE"):
        monkeypatch.setenv(f"WHARF_{name}", "unused")
    monkeypatch.setenv("WHARF_ALLOW_LOOPBACK", "true")
    settings.get.cache_clear()
    yield
    settings.get.cache_clear()


@pytest.fixture
def shop(empty_db: Database) -> Iterator[Database]:
    """Three tables in two schemas, and a user that may log in and no more."""
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE orders (id int PRIMARY KEY, total int); CREATE TABLE users (id int PRIMARY KEY)")
        admin.execute('CREATE SCHEMA "Old Shop"; CREATE TABLE "Old Shop".orders (id int PRIMARY KEY)')
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), PASSWORD))
    yield replace(empty_db, connection=replace(empty_db.connection, username=ROLE, password=PASSWORD))
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        for role in (ROLE, "wharf_reader"):
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")  # type: ignore[arg-type]


def owner(place: Database, *statements: str) -> None:
    """Run by the database's owner."""
    with psycopg.connect(place.dsn, autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement)  # type: ignore[arg-type]


READS_ALL = (
    f'GRANT USAGE ON SCHEMA "Old Shop" TO {ROLE}',
    f'GRANT SELECT ON ALL TABLES IN SCHEMA public, "Old Shop" TO {ROLE}',
)


def statuses(test: dict[str, Any]) -> dict[str, str]:
    assert [stage["name"] for stage in test["stages"]] == list(diagnosis.STAGES)
    return {stage["name"]: stage["status"] for stage in test["stages"]}


def failure(test: dict[str, Any]) -> dict[str, Any]:
    """The stage it ended in: the only failed one, with nothing but skipped ones behind it."""
    assert test["success"] is False
    [place] = [number for number, stage in enumerate(test["stages"]) if stage["status"] == "failed"]
    assert {stage["status"] for stage in test["stages"][:place]} <= {"ok", "skipped"}
    assert {stage["status"] for stage in test["stages"][place + 1 :]} <= {"skipped"}
    found: dict[str, Any] = test["stages"][place]
    assert found["hint"]
    assert PASSWORD not in str(test)
    return found


def warned(test: dict[str, Any]) -> dict[str, str]:
    """What of the user is warned of, by code; that test servers speak no TLS is another matter."""
    return {one["code"]: one["message"] for one in test["warnings"] if one["code"] != "not_encrypted"}


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


# --- what the user could do and should not


@pytest.mark.parametrize(
    ("granted", "code", "message"),
    [
        (
            f"GRANT INSERT ON orders TO {ROLE}",
            "can_write",
            "The user may change 1 of 3 tables: orders.",
        ),
        (
            f'GRANT TRUNCATE ON "Old Shop".orders TO {ROLE}',
            "can_write",
            "The user may change 1 of 3 tables: Old Shop.orders.",
        ),
        (
            f"GRANT UPDATE (total) ON orders TO {ROLE}; GRANT DELETE ON users TO {ROLE}",
            "can_write",
            "The user may change 2 of 3 tables: orders, users.",
        ),
        (f"ALTER TABLE users OWNER TO {ROLE}", "can_write", "The user may change 1 of 3 tables: users."),
        (f"GRANT CREATE ON SCHEMA public TO {ROLE}", "can_create", "The user may create tables in public."),
        (f"GRANT CREATE ON DATABASE scratch TO {ROLE}", "can_create", "The user may create schemas."),
        (
            f"ALTER ROLE {ROLE} CREATEROLE",
            "can_administer",
            "The user may create roles or databases, or replicate the server.",
        ),
        (
            f"ALTER ROLE {ROLE} BYPASSRLS",
            "bypasses_row_security",
            "The user sees every row, whatever row security says.",
        ),
        (
            f"GRANT pg_read_server_files, pg_execute_server_program TO {ROLE}",
            "powerful_role",
            "The user is a member of pg_execute_server_program, pg_read_server_files.",
        ),
        (
            f"ALTER ROLE {ROLE} SUPERUSER",
            "superuser",
            "The user is a superuser: whoever has its password can do anything to the whole server.",
        ),
        (
            f"REVOKE SELECT ON users FROM {ROLE}",
            "tables_unreadable",
            "The user may read 2 of 3 tables; not users.",
        ),
        (
            f'REVOKE USAGE ON SCHEMA "Old Shop" FROM {ROLE}',
            "tables_unreadable",
            "The user may read 2 of 3 tables; not Old Shop.orders.",
        ),
        (
            "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
            "rows_hidden",
            "Row security decides which rows the user sees of orders.",
        ),
    ],
)
def test_what_goes_beyond_reading_earns_a_warning(shop: Database, granted: str, code: str, message: str) -> None:
    owner(shop, *READS_ALL, *granted.split("; "))
    test = connections.check(shop.connection)
    assert test["success"] is True
    assert warned(test) == {code: message}
    assert all(one["hint"] for one in test["warnings"])


def test_the_sql_of_the_warning_makes_a_user_that_passes(shop: Database) -> None:
    owner(shop, *READS_ALL, f"GRANT INSERT ON orders TO {ROLE}")
    [warning] = [one for one in connections.check(shop.connection)["warnings"] if one["code"] == "can_write"]
    advice = warning["hint"].removeprefix("Wharf only reads. Give it a user of its own: ")
    owner(shop, *advice.replace("'...'", f"'{PASSWORD}'").rstrip(";").split("; "))
    test = connections.check(replace(shop.connection, username="wharf_reader"))
    assert test["success"] is True
    assert warned(test) == {}
    assert test["stages"][5]["message"] == "The user may read 3 of 3 tables."


def test_a_column_is_enough_to_read_a_table(shop: Database) -> None:
    owner(shop, f"GRANT SELECT (total) ON orders TO {ROLE}")
    test = connections.check(shop.connection)
    assert test["success"] is True
    assert test["stages"][5]["message"] == "The user may read 1 of 3 tables."


def test_an_empty_database_is_reached_with_a_warning(empty_db: Database) -> None:
    owner(empty_db, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    test = connections.check(replace(empty_db.connection, username=ROLE, password=PASSWORD))
    owner(empty_db, f"DROP ROLE {ROLE}")
    assert test["success"] is True
    assert warned(test) == {"no_tables": "The database has no tables the user can see."}


def test_names_a_server_makes_up_are_few_short_and_on_one_line(shop: Database) -> None:
    """A lie about privileges is shown as any other server's word: tamed."""
    name = b'"\x1b[31m<x>\n' + b"x" * 100_000 + b'"'
    names = b"{" + b",".join([name] * 5) + b"}"
    lies = [
        [b"16.3", b"db", b"3", b"1 MB"],
        [b"f", b"f", b"f", b"f", b"{}", b"{}", names],
        [b"9", b"5", names, b"5", names, b"5", names],
    ]
    kinds = [[25] * 4, [16] * 4 + [1009] * 3, [20, 20, 1009, 20, 1009, 20, 1009]]

    def serve(caller: socket.socket) -> None:
        for number, (values, of) in enumerate(zip(lies, kinds, strict=True)):
            if number:
                caller.recv(65_536)
            caller.sendall(
                message(b"1") + message(b"2")
                + message(b"T", len(of).to_bytes(2, "big") + b"".join(_column(kind) for kind in of))
                + row(list(values)) + DONE
            )  # fmt: skip

    with server(liar(serve)) as address:
        test = connections.check(replace(shop.connection, port=address.port))
    assert {"can_write", "tables_unreadable", "rows_hidden"} <= set(warned(test))
    said = [text for one in [*test["warnings"], *test["stages"]] for text in (one["message"], one["hint"] or "")]
    assert all(text.isprintable() and len(text) < 4_000 for text in said)


def _column(kind: int) -> bytes:
    return head(1, kind)[-20:]
