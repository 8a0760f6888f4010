"""A wire to a server that can be cut, dripped through or left silent: a TCP proxy before a real PostgreSQL.

Faults are told by connection, in the order they arrive, and by the bytes the server has sent on it, so what is cut is
an answer in its middle.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

PIECE_BYTES = 16_384


@dataclass(frozen=True)
class Fault:
    """What becomes of a connection once the server has sent so many bytes on it.

    reset: both ends see the connection die. silence: nothing comes any more, and nobody says why. drip: from then on
    a few bytes at a time, with pauses.
    """

    kind: Literal["reset", "silence", "drip"]
    after_bytes: int = 0
    drip_bytes: int = 2_000
    drip_seconds: float = 0.02


Plan = Callable[[int], Fault | None]
"""number of the connection, from 0 -> its fault, None for a whole one."""


@dataclass
class Wire:
    """A running proxy. port: where to connect to instead of the server. cuts: faults that have happened."""

    port: int
    plan: Plan
    cuts: int = 0
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def struck(self) -> None:
        """A fault has happened."""
        with self._lock:
            self.cuts += 1


@contextmanager
def wire(server_port: int, plan: Plan = lambda _: None) -> Iterator[Wire]:
    """A wire to a server on this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = Wire(listener.getsockname()[1], plan)
    over = threading.Event()

    def serve() -> None:
        for number in itertools.count():
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            made.connections = number + 1
            threading.Thread(target=_carry, args=(caller, server_port, made, number, over), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield made
    finally:
        over.set()
        listener.close()


def _carry(caller: socket.socket, server_port: int, made: Wire, number: int, over: threading.Event) -> None:
    with caller, socket.create_connection(("127.0.0.1", server_port)) as server:
        asking = threading.Thread(target=_ask, args=(caller, server), daemon=True)
        asking.start()
        with suppress(OSError):
            _answer(server, caller, made, made.plan(number), over)
        for end in (caller, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)
        asking.join()  # a socket that is being read from is not closed by closing it


def _ask(caller: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while sent := caller.recv(PIECE_BYTES):
            server.sendall(sent)
        server.shutdown(socket.SHUT_WR)


def _answer(
    server: socket.socket, caller: socket.socket, made: Wire, fault: Fault | None, over: threading.Event
) -> None:
    """Pass on what the server says until it ends, or the fault does."""
    passed, struck = 0, False
    while sent := server.recv(PIECE_BYTES):
        whole = len(sent) if fault is None else min(max(fault.after_bytes - passed, 0), len(sent))
        caller.sendall(sent[:whole])
        passed += len(sent)
        if fault is None or whole == len(sent):
            continue
        if not struck:
            made.struck()
        struck = True
        if fault.kind == "reset":
            # Closed with a linger time of 0, the kernel sends RST instead of an orderly end.
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if fault.kind == "silence":
            over.wait()
            return
        _drip(caller, sent[whole:], fault)


def _drip(caller: socket.socket, content: bytes, fault: Fault) -> None:
    for start in range(0, len(content), fault.drip_bytes):
        caller.sendall(content[start : start + fault.drip_bytes])
        time.sleep(fault.drip_seconds)
