"""Servers that mean harm, in every phase of a connection, and the process that meets them one at a time.

Run as a script it is that process: it meets the server at a port in each way Wharf would, and prints what came of it,
how long it took and how much memory.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sources.servers import (
    ASKS_FOR_TLS,
    DONE,
    LOGGED_IN,
    Answer,
    Certificate,
    greeted,
    head,
    liar,
    message,
    ready,
    row,
    text,
)

CANARY = "canary-77aa-password"
SERVER_TEXT = "words-of-the-server"
ROOT = Path(__file__).parent.parent.parent

ENDLESS = b"x" * 1_000_000


def dripping(content: bytes) -> Answer:
    """Says this a byte at a time, again and again."""

    def serve(caller: socket.socket) -> None:
        while True:
            for number in range(len(content)):
                caller.sendall(content[number : number + 1])
                time.sleep(0.05)

    return serve


def after_greeting(answer: Answer) -> Answer:
    """A server that hears who we are, without TLS, and then does this."""

    def serve(caller: socket.socket) -> None:
        greeted(caller)
        answer(caller)

    return serve


def saying(content: bytes) -> Answer:
    """Says this, and waits."""

    def serve(caller: socket.socket) -> None:
        caller.sendall(content)
        time.sleep(60)

    return serve


def endlessly(content: bytes, *, first: bytes = b"") -> Answer:
    def serve(caller: socket.socket) -> None:
        caller.sendall(first)
        while True:
            caller.sendall(content)

    return serve


def silent(caller: socket.socket) -> None:
    time.sleep(60)


def over_tls(answer: Answer) -> Answer:
    """Says that it speaks TLS, and then does this instead."""

    def serve(caller: socket.socket) -> None:
        if caller.recv(8).endswith(ASKS_FOR_TLS):
            caller.sendall(b"S")
            caller.recv(10_000)  # what comes with the answer itself is an attack of its own, and noticed
        answer(caller)

    return serve


def hashing(rounds: int) -> Answer:
    """SCRAM with so many rounds of hashing, which the client has to make before it can answer."""

    def serve(caller: socket.socket) -> None:
        greeted(caller)
        caller.sendall(message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"))
        nonce = caller.recv(10_000).rpartition(b"r=")[2]
        first = b"r=" + nonce + b"more,s=c2FsdHNhbHQ=,i=" + str(rounds).encode()
        caller.sendall(message(b"R", struct.pack("!I", 11) + first))
        caller.recv(10_000)

    return serve


def error(words: str, state: str = "XX000") -> bytes:
    return message(b"E", b"SFATAL\0VFATAL\0C" + state.encode() + b"\0M" + words.encode() + b"\0\0")


def asking_for(kind: int, more: bytes = b"") -> Answer:
    """Asks for a password in this way, and refuses whatever comes, with all that was heard."""

    def serve(caller: socket.socket) -> None:
        greeted(caller)
        caller.sendall(message(b"R", struct.pack("!I", kind) + more))
        heard = caller.recv(10_000)
        caller.sendall(error(f"{SERVER_TEXT} {CANARY} {heard!r}", "28P01"))

    return serve


def giant_chain(shown: Certificate) -> Answer:
    """TLS with a chain of certificates of a megabyte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = shown.path.with_suffix(".chain")
    chain.write_bytes(shown.path.read_bytes() * 2_000)
    context.load_cert_chain(chain, shown.key)

    def serve(caller: socket.socket) -> None:
        caller.recv(8)
        caller.sendall(b"S")
        with context.wrap_socket(caller, server_side=True) as inner:
            inner.recv(10_000)

    return serve


NOTICE = message(b"N", b"SNOTICE\0C00000\0M" + SERVER_TEXT.encode() + b"x" * 9_000 + b"\0\0")
STATUS = b"".join(message(b"S", text(f"setting{number}") + text("x" * 500)) for number in range(100))
HUGE_ROW = head(1) + b"D" + struct.pack("!IHi", 1_500_000_010, 1, 1_500_000_000)


@dataclass(frozen=True)
class Hostile:
    """answer: what it does. stage: where a connection test notices, and error: what it calls it."""

    answer: Answer
    stage: str
    error: str


TIMED_OUT, PROTOCOL, CLOSED = "Connection timed out", "Unexpected answer", "Connection closed"
OTHER, REFUSED_LOGIN = "Connection could not be established", "Authentication failed"
NO_ANSWER, TOO_LARGE = "the source did not answer in time", "the source sends more than can be handled"
LOST = "the connection to the source was lost"

SERVERS: dict[str, Hostile] = {
    "silent from the start": Hostile(silent, "tls", TIMED_OUT),
    "drips its answer about TLS": Hostile(over_tls(dripping(b"\x16\x03\x03\x40\x00")), "tls", TIMED_OUT),
    "TLS that never goes on": Hostile(over_tls(silent), "tls", TIMED_OUT),
    "TLS that is garbage": Hostile(over_tls(endlessly(os.urandom(1000))), "auth", PROTOCOL),
    "garbage": Hostile(after_greeting(saying(bytes(range(255, 100, -1)) * 50)), "auth", PROTOCOL),
    "another protocol": Hostile(saying(b"HTTP/1.1 200 OK\r\n\r\n"), "tls", PROTOCOL),
    "drips the login": Hostile(after_greeting(dripping(LOGGED_IN + STATUS)), "auth", TIMED_OUT),
    "silent at the login": Hostile(after_greeting(silent), "auth", TIMED_OUT),
    "giant frame at the login": Hostile(after_greeting(saying(b"R\x7f\xff\xff\xff" + ENDLESS)), "auth", PROTOCOL),
    "negative frame at the login": Hostile(after_greeting(saying(b"R\xff\xff\xff\xff" + ENDLESS)), "auth", PROTOCOL),
    "endless notices at the login": Hostile(after_greeting(endlessly(NOTICE, first=LOGGED_IN)), "auth", PROTOCOL),
    "endless settings at the login": Hostile(after_greeting(endlessly(STATUS, first=LOGGED_IN)), "auth", PROTOCOL),
    "wants the password in clear": Hostile(asking_for(3), "auth", REFUSED_LOGIN),
    "wants Kerberos": Hostile(asking_for(7), "auth", REFUSED_LOGIN),
    "wants an old hash": Hostile(asking_for(5, b"salt"), "auth", OTHER),
    "wants an unknown way": Hostile(asking_for(99), "auth", REFUSED_LOGIN),
    "wants an unknown mechanism": Hostile(asking_for(10, b"PLAIN\0\0"), "auth", REFUSED_LOGIN),
    "two thousand million rounds of hashing": Hostile(hashing(2**31 - 1), "auth", TIMED_OUT),
    "no rounds of hashing": Hostile(hashing(-1), "auth", PROTOCOL),
    "an error of megabytes at the login": Hostile(
        after_greeting(saying(error(f"{SERVER_TEXT} {CANARY}" + "x" * 9_000_000))), "auth", OTHER
    ),
    "an error that tells our password": Hostile(
        after_greeting(saying(error(f'{SERVER_TEXT}: password "{CANARY}" was {CANARY}'))), "auth", OTHER
    ),
    "silent after the question": Hostile(liar(silent), "select", NO_ANSWER),
    "drips the answer": Hostile(liar(dripping(head(4))), "select", NO_ANSWER),
    "garbage for an answer": Hostile(liar(saying(bytes(range(255, 100, -1)) * 50)), "select", LOST),
    "giant frame for an answer": Hostile(liar(saying(b"D\x7f\xff\xff\xff")), "select", LOST),
    "negative frame for an answer": Hostile(liar(saying(b"T\xff\xff\xff\xf0")), "select", LOST),
    "endless notices": Hostile(liar(endlessly(NOTICE)), "select", TOO_LARGE),
    "endless rows": Hostile(
        liar(endlessly(row([ENDLESS] * 4), first=head(4))), "select", TOO_LARGE
    ),
    "one huge row": Hostile(
        liar(endlessly(ENDLESS, first=HUGE_ROW)), "select", TOO_LARGE
    ),
    "65,535 columns": Hostile(
        liar(saying(head(65_535) + row([b"1"] * 65_535) + DONE)), "select", "the server did not answer like PostgreSQL"
    ),
    "a copy for an answer": Hostile(
        liar(saying(message(b"1") + message(b"2") + message(b"H", b"\0\0\0") + message(b"d", ENDLESS))),
        "select",
        LOST,
    ),
    "an error for an answer that tells our password": Hostile(
        liar(saying(error(f"{SERVER_TEXT} {CANARY}", "42P01") + ready(b"E"))),
        "select",
        "the source has no table or column that the query names",
    ),
}  # fmt: skip


# --- the process that meets them


def met(port: int, ssl_mode: str = "prefer") -> tuple[dict[str, Any], str]:
    """What meeting the server came to, way by way, and everything the process wrote beside it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    for name in ("STATE_TABLE", "RECORDS_TABLE", "BUCKET", "KMS_KEY", "STATE_MACHINE"):
        environment[f"WHARF_{name}"] = "unused"
    environment |= {"WHARF_ALLOW_LOOPBACK": "true", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.sources.hostile", str(port), ssl_mode]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def refused(go: Callable[[], Any]) -> Any:
    """What it answers, or how it was refused."""
    from chalicelib.errors import WharfError

    try:
        return go()
    except WharfError as failed:
        said = {"raised": type(failed).__name__, "code": failed.code, "message": failed.message}
        return said | {"error": getattr(failed, "error", "")}


def rows(me: Any, here: Any, bounds: Any) -> Iterator[Any]:
    """A query's rows as a run reads them: a range of them, or all in one go."""
    from chalicelib import sessions
    from chalicelib.sources import postgres
    from chalicelib.sql import Query

    fields = [{"source": f"t.c{number}", "target": f"f{number}"} for number in range(4)]
    query = {"name": "T", "base_table": "t", "origin": "t", "key": ["t.c0"], "fields": fields, "target_type": "things"}
    with sessions.connect(me, here, statement_timeout_seconds=5) as session:
        yield from map(len, postgres.read(session, Query.model_validate(query), bounds))


def meet(port: int, ssl_mode: str) -> dict[str, Any]:
    from chalicelib import connections, sessions
    from chalicelib.network import Address
    from chalicelib.sources import postgres
    from chalicelib.sql import Bounds

    logging.basicConfig(level=logging.DEBUG)  # of every library, on stderr
    sessions.CONNECT_TIMEOUT_SECONDS = 2
    sessions.GRACE_SECONDS = 1  # type: ignore[assignment]
    postgres.CHECK_TIMEOUT_SECONDS = 2
    connections.CHECK_SECONDS = 6
    here = Address("127.0.0.1", "127.0.0.1", port)
    me = sessions.Connection("127.0.0.1", port, "db", "me", CANARY, ssl_mode)

    def read() -> Any:
        with sessions.connect(me, here, statement_timeout_seconds=2) as session:
            return postgres.describe(session)

    ways: dict[str, Callable[[], Any]] = {"test": lambda: connections.check(me), "read": read}
    came: dict[str, Any] = {}
    for way, go in ways.items():
        began = time.monotonic()
        came[way] = {"said": refused(go), "seconds": time.monotonic() - began}
    if came["read"]["said"].get("code") == "source_too_large":
        for way, bounds in (("range", Bounds(None, ("1",))), ("pass", None)):
            came[way] = {"said": refused(lambda bounds=bounds: list(rows(me, here, bounds)))}  # type: ignore[misc]
    # Of this program alone: what getrusage says of oneself begins with the peak of the process that started it.
    own = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # noqa: SIM115, PTH123
    kilobytes = (int(own.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return came | {"megabytes": max(kilobytes) / 1000}


if __name__ == "__main__":
    print(json.dumps(meet(int(sys.argv[1]), sys.argv[2])))
    sys.stdout.flush()
    os._exit(0)  # without waiting for a thread that computes
