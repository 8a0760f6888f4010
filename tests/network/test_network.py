import socket
import time

import pytest

from chalicelib import network
from chalicelib.errors import SourceUnreachable

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "[::1]",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:0:1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

MALFORMED = [
    "",
    " ",
    ".",
    "db example.com",
    " db.example.com",
    "db.example.com\n",
    "db.example.com\x00",
    "db\r\nhost",
    "user@db.example.com",
    "user:secret@db.example.com",
    "http://db.example.com",
    "db.example.com/path",
    "db.example.com:5432",
    "db.example.com?x",
    "db.example.com#x",
    "a.example.com,127.0.0.1",
    "/var/run/postgresql",
    "@abstract",
    "db..example.com",
    "-db.example.com",
    "a" * 64 + ".example.com",
    ".".join(["a" * 60] * 5),
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "1.2.3.4.5",
    "256.1.1.1",
    "db.0x1",
    "db.1",
    "[127.0.0.1]",
    "[::1",
    "fe80::1%eth0",
    "::1%lo",
    "\uff11\uff12\uff17.0.0.1",
    "bücher.example",
    "db.example.com\u2024x",
    "\u24dbocalhost",
    "db%2eexample.com",
    "$(id)",
    "db.example.com hostaddr=127.0.0.1",
    "db'example",
]

PUBLIC = ["8.8.8.8", "1.1.1.1", "168.63.129.17", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_refuses_addresses_that_are_not_public(host: str) -> None:
    with pytest.raises(SourceUnreachable) as refused:
        network.resolve(host, 5432, allow_loopback=False)
    assert refused.value.code == "address_refused"


@pytest.mark.parametrize("host", MALFORMED)
def test_refuses_what_is_not_a_plain_name_or_address(host: str) -> None:
    assert not network.is_host(host)
    with pytest.raises(SourceUnreachable) as refused:
        network.resolve(host, 5432, allow_loopback=True)
    assert refused.value.code == "address_refused"


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_pass_as_they_are(host: str) -> None:
    assert network.resolve(host, 5432, allow_loopback=False) == network.Address(host, host, 5432)


@pytest.mark.parametrize("host", ["db.example.com", "db", "localhost", "a_b.example", "xn--bcher-kva.example", "db.x."])
def test_plain_names_are_hosts(host: str) -> None:
    assert network.is_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_the_local_cloud_reaches_loopback(host: str) -> None:
    assert network.resolve(host, 1, allow_loopback=True).ip == host.strip("[]")


@pytest.mark.parametrize(
    "host", [host for host in NOT_PUBLIC if host not in ("127.0.0.1", "127.255.255.254", "::1", "[::1]")]
)
def test_the_local_cloud_reaches_nothing_else_private(host: str) -> None:
    with pytest.raises(SourceUnreachable):
        network.resolve(host, 5432, allow_loopback=True)


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_every_answer_of_dns_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "8.8.8.8", "169.254.169.254")
    with pytest.raises(SourceUnreachable) as refused:
        network.resolve("db.example.com", 5432, allow_loopback=False)
    assert refused.value.code == "address_refused"


def test_the_checked_answer_is_the_one_to_connect_to_ipv4_first(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "2606:4700::1111", "8.8.8.8", "1.1.1.1")
    found = network.resolve("db.example.com", 5432, allow_loopback=False)
    assert found == network.Address("db.example.com", "8.8.8.8", 5432)


def test_a_scoped_answer_is_refused_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "fe80::1%eth0")
    with pytest.raises(SourceUnreachable):
        network.resolve("db.example.com", 5432, allow_loopback=True)


def test_a_name_without_answers_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(SourceUnreachable) as refused:
        network.resolve("db.example.com", 5432, allow_loopback=False)
    assert refused.value.code == "dns_failed"
    assert refused.value.error == "Host not found"


def test_a_silent_name_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "DNS_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1) or [])
    started = time.monotonic()
    with pytest.raises(SourceUnreachable) as refused:
        network.resolve("db.example.com", 5432, allow_loopback=False)
    assert refused.value.code == "dns_failed"
    assert time.monotonic() - started < 0.5
