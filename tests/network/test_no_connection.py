"""Nothing leaves for where nothing may go: hostile targets through the API and past it, counted at the far end.

Two witnesses: listeners on every local address, which count whoever comes, and psycopg's way into libpq, through which
every connection begins. A control shows that both of them see one that is allowed.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from chalicelib import connections, network, sessions, settings
from chalicelib.errors import SourceUnreachable
from tests.network.conftest import CANARY, TEST, Door, allow, body, connection
from tests.network.test_network import MALFORMED, NOT_PUBLIC
from tests.routes.conftest import Api

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


@pytest.fixture
def inwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS that answers every name with an address nobody should be sent to."""

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 6, "", (address, port)) for address in ("127.0.0.1", *_METADATA)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


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
