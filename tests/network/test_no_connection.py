"""Nothing leaves for where nothing may go: hostile targets through the API and past it, counted at the far end.

Two witnesses: listeners on every local address, which count whoever comes, and psycopg's way into libpq, through which
every connection begins. A control shows that both of them see one that is allowed.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chalicelib import connections, network, sessions, settings
from chalicelib.errors import SourceUnreachable
from tests.conftest import Database
from tests.network.test_network import MALFORMED, NOT_PUBLIC
from tests.routes.conftest import Api, api, client, cloud, profile_body

__all__ = ["api", "client", "cloud"]

TEST = "/api/import/profiles/test-connection"
CONNECTION = ("database_type", "host", "port", "database", "username", "password", "ssl_mode")
CANARY = "canary-0b7e-password"

NAMES = [
    "localhost",
    "localhost.",
    "LOCALHOST",
    "localhost.localdomain",
    "ip6-localhost",
    "127.0.0.1.nip.io.",
    "metadata.google.internal",
    "metadata.google.internal.",
    "metadata",
    "instance-data.ec2.internal",
    "kubernetes.default.svc",
    "host.docker.internal",
]
"""Names that lead inwards, where they lead anywhere; DNS is answered for by `inwards`."""

SCHEMES = [
    "postgresql://127.0.0.1/postgres",
    "postgres://me:secret@127.0.0.1",
    "host=127.0.0.1",
    "service=inner",
    "127.0.0.1 port=5432",
    "8.8.8.8 hostaddr=127.0.0.1",
    "8.8.8.8' hostaddr='127.0.0.1",
    "8.8.8.8,127.0.0.1",
    "8.8.8.8\\,127.0.0.1",
    "8.8.8.8:5432,127.0.0.1:5432",
    "/tmp",
    "/var/run/postgresql/.s.PGSQL.5432",
    "@",
    "@/tmp",
    "./tmp",
    "\\\\127.0.0.1\\pipe",
    "127\u30020\u30020\u30021",
    "127\uff0e0\uff0e0\uff0e1",
    "\u0661\u0662\u0667.0.0.1",
    "\u2460\u2461\u2466.0.0.1",
    "local\u00adhost",
    "localhos\u0442",
    "xn--",
    "0x7f.1",
    "0177.1",
    "0x7F.0x00.0x00.0x01",
    "00000177.0.0.1",
    "127.000.000.001",
    "0",
    "0.0",
    "::ffff:0x7f.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::1]:5432",
    "0:0:0:0:0:ffff:7f00:0001",
    "64:ff9b::127.0.0.1",
    "2002:7f00:0001::1",
    "2001:0:7f00:1::",
    "::ffff:169.254.169.254",
    "fe80::1%25lo",
]

HOSTS = list(dict.fromkeys([*NOT_PUBLIC, *MALFORMED, *NAMES, *SCHEMES]))

_METADATA = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")


@dataclass
class Door:
    """Listeners on every local address, and who came; `begun`: how often libpq was told to connect."""

    port: int
    came: list[str] = field(default_factory=list)
    begun: list[bytes] = field(default_factory=list)

    def untouched(self) -> None:
        time.sleep(0.05)  # whoever was on the way has come
        assert (self.came, self.begun) == ([], [])


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """In front of 127.0.0.0/8, ::1 and every other address of this machine, and of PostgreSQL's socket in /tmp."""
    listeners = [socket.create_server(("0.0.0.0", 0))]
    made = Door(listeners[0].getsockname()[1])
    if socket.has_ipv6:
        with suppress(OSError):
            listeners.append(socket.create_server(("::", made.port), family=socket.AF_INET6))
    path = Path(f"/tmp/.s.PGSQL.{made.port}")
    listeners.append(socket.socket(socket.AF_UNIX))
    listeners[-1].bind(str(path))
    listeners[-1].listen()

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                caller, place = listener.accept()
                made.came.append(str(place))
                caller.close()

    for listener in listeners:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    begin = psycopg.pq.PGconn.connect_start

    class Watched(psycopg.pq.PGconn):  # type: ignore[misc, valid-type]
        @classmethod
        def connect_start(cls, conninfo: bytes) -> Any:
            made.begun.append(conninfo)
            return begin(conninfo)

    monkeypatch.setattr(psycopg.pq, "PGconn", Watched)
    yield made
    for listener in listeners:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    path.unlink(missing_ok=True)


@pytest.fixture
def inwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS that answers every name with an address nobody should be sent to."""

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 6, "", (address, port)) for address in ("127.0.0.1", *_METADATA)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The embedded cloud's setting, given and taken away."""
    settings.get.cache_clear()
    yield monkeypatch
    settings.get.cache_clear()


def allow(patch: pytest.MonkeyPatch, *, allowed: bool) -> None:
    patch.setenv("WHARF_ALLOW_LOOPBACK", "true" if allowed else "false")
    settings.get.cache_clear()


def connection(**changes: Any) -> sessions.Connection:
    told = {"host": "8.8.8.8", "port": 5432, "database": "db", "username": "me", "password": CANARY}
    return sessions.Connection(**told | changes)


def body(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in profile_body(password=CANARY).items() if name in CONNECTION} | changes


def test_there_are_enough_targets() -> None:
    assert len(HOSTS) >= 80


def test_no_hostile_host_is_connected_to(door: Door, inwards: None, cloud: None, loopback: pytest.MonkeyPatch) -> None:
    allow(loopback, allowed=False)
    for host in HOSTS:
        for ssl_mode in ("disable", "prefer", "verify-full"):
            answer = connections.check(connection(host=host, port=door.port, ssl_mode=ssl_mode))
            assert answer["success"] is False, host
            assert answer["message"] == "Connection failed: the host is not allowed", host
            assert answer["stages"][0]["name"] == "dns"
            assert answer["stages"][0]["status"] == "failed"
            assert CANARY not in str(answer)
    door.untouched()


def test_no_hostile_host_is_connected_to_through_the_api(
    door: Door, inwards: None, api: Api, loopback: pytest.MonkeyPatch
) -> None:
    allow(loopback, allowed=False)
    loopback.setenv("WHARF_RATE_FACTOR", "1000")
    settings.get.cache_clear()
    for host in HOSTS:
        answer = api.post(TEST, body(host=host, port=door.port))
        assert answer.status_code in (200, 422), (host, answer.body)
        if answer.status_code == 200:
            assert answer.json_body["connection_test"]["message"] == "Connection failed: the host is not allowed", host
        else:
            assert list(answer.json_body["errors"]) == ["host"], host
        assert CANARY.encode() not in answer.body
    door.untouched()


def test_with_loopback_allowed_nothing_else_is(door: Door, cloud: None, loopback: pytest.MonkeyPatch) -> None:
    allow(loopback, allowed=True)
    elsewhere = [host for host in HOSTS if host not in NAMES and not network.is_host(host)] + list(_METADATA)
    for host in elsewhere:
        answer = connections.check(connection(host=host, port=door.port))
        assert answer["message"] == "Connection failed: the host is not allowed", host
    door.untouched()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost"])
def test_the_witnesses_see_a_connection_that_is_allowed(
    door: Door, cloud: None, loopback: pytest.MonkeyPatch, host: str
) -> None:
    allow(loopback, allowed=True)
    address = connections.reach(connection(host=host, port=door.port))
    with pytest.raises(SourceUnreachable) as refused:
        sessions.connect(connection(host=host, port=door.port, ssl_mode="disable"), address)
    assert refused.value.code == "source_closed"
    assert len(door.came) == len(door.begun) == 1
    assert connections.check(connection(host=host, port=door.port))["error"] == "Connection closed"
    assert len(door.came) > 1
    allow(loopback, allowed=False)
    came = len(door.came)
    assert connections.check(connection(host=host, port=door.port))["success"] is False
    time.sleep(0.05)
    assert len(door.came) == came


@pytest.mark.parametrize("port", [0, -1, 65536, 2**31, 2**64, True, 5432.0, "5432", "5432,5433", None, ""])
def test_no_other_port_is_connected_to(door: Door, cloud: None, loopback: pytest.MonkeyPatch, port: Any) -> None:
    allow(loopback, allowed=True)
    answer = connections.check(connection(host="127.0.0.1", port=port))
    assert answer["error"] == "The port is not a number from 1 to 65535"
    door.untouched()


@pytest.mark.parametrize("port", [0, -1, 65536, 2**31, 2**64, True, 5432.5, "5432", "5432,5433", None, ""])
def test_the_api_takes_no_other_port(door: Door, api: Api, port: Any) -> None:
    answer = api.post(TEST, body(host="127.0.0.1", port=port))
    assert answer.status_code == 422
    assert list(answer.json_body["errors"]) == ["port"]
    door.untouched()


# --- a name whose answers change, or disagree


@dataclass
class Resolver:
    """DNS that gives its answers one after the other, the last one for ever; `asked` counts the questions."""

    answers: list[list[str]]
    asked: int = 0

    def __call__(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        return [(0, 0, 6, "", (address, port)) for address in answer]


def test_a_second_answer_is_never_asked_for(monkeypatch: pytest.MonkeyPatch, door: Door, cloud: None) -> None:
    """Public when it is checked, this machine when it is connected to."""
    resolver = Resolver([["203.0.114.1"], ["127.0.0.1"]])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 1)
    answer = connections.check(connection(host="rebinding.example.com", port=door.port))
    assert answer["success"] is False
    assert resolver.asked == 1
    assert door.came == []


@pytest.mark.parametrize("ssl_mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_libpq_is_told_the_checked_address_alone(
    monkeypatch: pytest.MonkeyPatch, door: Door, cloud: None, ssl_mode: str
) -> None:
    resolver = Resolver([["8.8.4.4"], ["127.0.0.1"]])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 0.2)
    told = connection(host="rebinding.example.com", port=door.port, ssl_mode=ssl_mode)
    with pytest.raises(SourceUnreachable):
        sessions.connect(told, connections.reach(told))
    [begun] = door.begun
    parsed = psycopg.conninfo.conninfo_to_dict(begun.decode())
    assert (parsed["host"], parsed["hostaddr"]) == ("rebinding.example.com", "8.8.4.4")
    assert resolver.asked == 1
    assert door.came == []


@pytest.mark.parametrize("inner", ["127.0.0.1", "::1", "10.1.2.3", *_METADATA, "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
@pytest.mark.parametrize("first", [True, False])
def test_one_inward_answer_among_public_ones_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch, door: Door, cloud: None, inner: str, first: bool
) -> None:
    answers = [inner, "8.8.8.8", "2606:4700::1111"]
    monkeypatch.setattr(socket, "getaddrinfo", Resolver([answers if first else answers[::-1]]))
    monkeypatch.setenv("WHARF_ALLOW_LOOPBACK", "false")
    settings.get.cache_clear()
    answer = connections.check(connection(host="mixed.example.com", port=door.port))
    settings.get.cache_clear()
    assert answer["error"] == "The host does not lead to a public address"
    door.untouched()


# --- what else libpq could be told, in every field and in its environment

INJECTIONS = [
    "x host=127.0.0.1",
    "x hostaddr=127.0.0.1 port={port}",
    "x' hostaddr='127.0.0.1' port='{port}",
    "x\\' hostaddr=127.0.0.1 port={port} user='",
    "x\\",
    "host=127.0.0.1 port={port}",
    "hostaddr=127.0.0.1 port={port} dbname=x",
    "postgresql://127.0.0.1:{port}/x",
    "postgres://me@127.0.0.1:{port}/x?hostaddr=127.0.0.1",
    "postgresql:///x?host=/tmp&port={port}",
    "service=inner",
    "x\nhostaddr=127.0.0.1\nport={port}",
    "x\thostaddr=127.0.0.1",
    "x options='-c search_path=evil'",
    "sslmode=disable",
    "x passfile=/etc/passwd",
    "x sslrootcert=/etc/passwd",
    "x\u00a0hostaddr=127.0.0.1",
]


@pytest.mark.parametrize("field_name", ["database", "username", "password"])
@pytest.mark.parametrize("text", INJECTIONS)
def test_a_value_stays_one_value(freescout_db: Database, door: Door, cloud: None, field_name: str, text: str) -> None:
    """Only the server that was checked is asked, and is told the text as it stands."""
    told = replace(freescout_db.connection, **{field_name: text.format(port=door.port)})
    with pytest.raises(SourceUnreachable) as refused:
        sessions.connect(told, freescout_db.address)
    assert refused.value.code in ("source_authentication", "source_database")
    [begun] = door.begun
    parsed = psycopg.conninfo.conninfo_to_dict(begun.decode())
    name = {"database": "dbname", "username": "user", "password": "password"}[field_name]
    assert parsed[name] == text.format(port=door.port)
    assert (parsed["host"], parsed["hostaddr"]) == (freescout_db.address.host, freescout_db.address.ip)
    assert "service" not in parsed
    assert parsed["options"] == ""
    assert door.came == []


@pytest.mark.parametrize("field_name", ["database", "username", "password"])
@pytest.mark.parametrize("text", ["x\0", "\0", "x\0hostaddr=127.0.0.1", "\ud800"])
def test_a_text_that_c_would_read_otherwise_is_refused(
    freescout_db: Database, door: Door, field_name: str, text: str
) -> None:
    with pytest.raises(SourceUnreachable):
        sessions.connect(replace(freescout_db.connection, **{field_name: text}), freescout_db.address)
    door.untouched()


def test_a_host_with_more_in_it_is_refused_by_the_api_in_every_field(door: Door, api: Api) -> None:
    for text in INJECTIONS:
        answer = api.post(TEST, body(host=text.format(port=door.port), port=door.port))
        assert answer.status_code == 422, text
        assert list(answer.json_body["errors"]) == ["host"], text
    for name in ("hostaddr", "options", "service", "passfile", "sslrootcert", "sslkey", "conninfo", "url", "dsn"):
        answer = api.post(TEST, body(**{name: "127.0.0.1"}))
        assert (answer.status_code, list(answer.json_body["errors"])) == (422, [name])
    door.untouched()


def test_the_environment_leads_nowhere(
    freescout_db: Database, door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = tmp_path / "pg_service.conf"
    service.write_text(
        f"[inner]\nhostaddr=127.0.0.1\nport={door.port}\noptions=-c search_path=evil\nsslkey=/etc/passwd\n"
    )
    password = tmp_path / "pgpass"
    password.write_text("*:*:*:*:wrong\n")
    password.chmod(0o600)
    inner = {"PGHOST": "127.0.0.1", "PGHOSTADDR": "127.0.0.1", "PGPORT": str(door.port), "PGDATABASE": "evil"}
    inner |= {"PGSERVICE": "inner", "PGSERVICEFILE": str(service), "PGPASSFILE": str(password), "PGUSER": "evil"}
    inner |= {"PGPASSWORD": "wrong", "PGOPTIONS": "-c default_transaction_read_only=off -c search_path=evil"}
    inner |= {
        "PGSSLMODE": "disable",
        "PGSSLNEGOTIATION": "direct",
        "PGSSLROOTCERT": "/nowhere",
        "PGSSLCERT": "/nowhere",
    }
    inner |= {"PGSSLKEY": "/nowhere", "PGSSLCRL": "/nowhere", "PGSSLCRLDIR": "/nowhere", "PGREQUIREPEER": "evil"}
    inner |= {"PGREQUIREAUTH": "password", "PGCHANNELBINDING": "require", "PGTARGETSESSIONATTRS": "standby"}
    inner |= {"PGGSSENCMODE": "require", "PGCONNECT_TIMEOUT": "1", "PGCLIENTENCODING": "LATIN1", "PGAPPNAME": "evil"}
    inner |= {"PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "3.2", "PGSSLCERTMODE": "require"}
    inner |= {"PGSSLMINPROTOCOLVERSION": "TLSv1.3", "PGLOADBALANCEHOSTS": "random", "PGKRBSRVNAME": "evil"}
    for name, value in inner.items():
        monkeypatch.setenv(name, value)
    with freescout_db.session() as session:
        row = session.execute("SELECT current_database(), current_setting('search_path'), current_user").fetchone()
        assert row == ("freescout", '"$user", public', freescout_db.connection.username)
        named = session.execute("SELECT current_setting('application_name'), current_setting('transaction_read_only')")
        assert named.fetchone() == ("wharf", "on")
    assert door.came == []
