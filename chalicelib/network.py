"""The only door to the outside: a host as a person typed it becomes one checked address, or a refusal.

In: host and port from a profile. Out: `Address`, whose `ip` is the one to connect to, so that a second, different
DNS answer cannot lead elsewhere. Refused: everything that is not a plain DNS name or a plain address, and every name
with even one answer that is not public. The ranges are our own: Python's `is_global` calls 64:ff9b::/96, 2002::/16,
168.63.129.16, 224.0.0.1 and fec0:: global.
"""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import threading
from dataclasses import dataclass

from chalicelib.errors import SourceUnreachable

DNS_TIMEOUT_SECONDS = 4.0
"""Resolving has no time-out of its own (resolv.conf's default is 5 s an attempt); the gateway leaves 29 s for all."""

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_NUMBER = re.compile(r"(\d+|0[xX][0-9A-Fa-f]*)\Z")

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK_4 = ipaddress.IPv4Network("127.0.0.0/8")
_LOOPBACK_6 = ipaddress.IPv6Address("::1")

_PRIVATE_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # "this host": Linux connects it to itself
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier NAT; also Alibaba's metadata service, 100.100.100.200
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host agent, in public space
            "169.254.0.0/16",  # link-local: metadata of AWS, GCP, Azure, and the Lambda runtime's own addresses
            "172.16.0.0/12",
            "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata service, 192.0.0.192
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT relays
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
"""Global unicast. All else in IPv6 is refused unseen: mapped ::ffff:0:0/96, NAT64 64:ff9b::/96, local fc00::/7
(with AWS's metadata fd00:ec2::254), link-local fe80::/10, site-local fec0::/10, multicast ff00::/8."""

_PRIVATE_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments, among them Teredo (2001::/32), which wraps an IPv4 address
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which wraps an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)


@dataclass(frozen=True)
class Address:
    """Where to connect. host: the name as given, for TLS. ip: the checked address. port: 1..65535."""

    host: str
    ip: str
    port: int


def resolve(host: str, port: int, *, allow_loopback: bool) -> Address:
    """The address to connect to: checked once, to be used as it is, never resolved again.

    Raises SourceUnreachable: code "address_refused" when host or port is malformed or any of its answers is not public,
    "dns_failed" when it has none. `allow_loopback` opens 127.0.0.0/8 and ::1 and nothing else. IPv4 answers come
    first, because a Lambda function has no IPv6 route unless somebody made one.
    """
    if not is_host(host):
        raise _refused("The host is not a valid name or address")
    if type(port) is not int or not 1 <= port <= 65535:  # True is an int, "5432,5433" is a list to libpq
        raise _refused("The port is not a number from 1 to 65535")
    literal = _literal(host)
    answers = [literal] if literal else _lookup(host, port)
    for answer in answers:
        if not (_is_public(answer) or (allow_loopback and _is_loopback(answer))):
            raise _refused("The host does not lead to a public address")
    first = min(answers, key=lambda answer: answer.version)
    return Address(host=host.strip("[]"), ip=str(first), port=port)


def is_host(host: str) -> bool:
    """Whether `host` is written as a plain DNS name or address.

    No user names, ports, paths, lists, spaces, control characters, zone ids; no IPv4 in octal, hexadecimal or with
    fewer than four parts (as in the URL standard, a name whose last label is a number must be such an address).
    Names beyond ASCII must come as punycode, so that no look-alike digit is folded into an address later.
    """
    if _literal(host):
        return True
    name = host.removesuffix(".")
    labels = name.split(".")
    return len(name) <= 253 and all(map(_LABEL.match, labels)) and not _NUMBER.match(labels[-1])


def _literal(host: str) -> _Ip | None:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") and ":" in host else host
    if "%" in bare or not bare.isascii():
        return None
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        return None


def _lookup(host: str, port: int) -> list[_Ip]:
    """All the answers of DNS, in a thread of its own: getaddrinfo knows no time-out."""
    answers: queue.SimpleQueue[list[_Ip]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError):
            answers.put([])
        else:
            # A scoped answer ("fe80::1%eth0") keeps only its address; it is refused as link-local anyway.
            answers.put([ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found])

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=DNS_TIMEOUT_SECONDS)
    except queue.Empty:
        found = []
    if not found:
        raise SourceUnreachable(
            "Connection failed: could not translate host name to address", "Host not found", code="dns_failed"
        )
    return found


def _is_public(ip: _Ip) -> bool:
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _PRIVATE_4)
    return ip in _PUBLIC_6 and not any(ip in network for network in _PRIVATE_6)


def _is_loopback(ip: _Ip) -> bool:
    return ip in _LOOPBACK_4 if isinstance(ip, ipaddress.IPv4Address) else ip == _LOOPBACK_6


def _refused(error: str) -> SourceUnreachable:
    return SourceUnreachable("Connection failed: the host is not allowed", error, code="address_refused")
