"""A watch on an open connection: its socket is cut after so many seconds, or after so many received bytes.

In: the socket's number, asked for when it is needed, and the limits. Out: which limit was passed, if one was. A driver
waits for as long as a server keeps it waiting and holds a whole row in memory, of whatever size the server says; a
hostile one filled 2.5 GB in 20 s. Nothing is raised here: the driver notices the cut and raises.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

LOOK_EVERY_SECONDS = 0.02
"""How often the bytes are looked at: the fastest network brings some 20 MB meanwhile."""

_RECEIVED = (128, "=Q")
"""Where Linux's `struct tcp_info` has `tcpi_bytes_received` (include/uapi/linux/tcp.h), and its shape."""


@dataclass
class Watch:
    """What became of it. passed: the limit that was passed, when the connection was cut. taken: say that what has come
    so far is no longer held, so that as much again may come.
    """

    passed: Literal["seconds", "bytes"] | None = None
    taken: Callable[[], None] = lambda: None


@contextmanager
def watched(
    number: Callable[[], int], *, seconds: float, max_bytes: int, held_bytes: int | None = None
) -> Iterator[Watch]:
    """Meanwhile the connection with the socket `number` may take so long and receive so much; then it is cut.

    held_bytes: how much may come before it is `taken`; as much as may come in all when it is not given.
    """
    watch, over = Watch(), threading.Event()
    held = max_bytes if held_bytes is None else held_bytes
    before = received(number)
    limits = {"in all": before + max_bytes, "held": before + held}
    deadline = time.monotonic() + seconds

    def taken() -> None:
        limits["held"] = received(number) + held

    watch.taken = taken

    def look() -> None:
        while not over.wait(LOOK_EVERY_SECONDS):
            if received(number) > min(limits.values()):
                watch.passed = "bytes"
            elif time.monotonic() >= deadline:
                watch.passed = "seconds"
            else:
                continue
            _cut(number)
            return

    threading.Thread(target=look, daemon=True).start()
    try:
        yield watch
    finally:
        over.set()


def received(number: Callable[[], int]) -> int:
    """Bytes a connection has received; 0 where the system does not tell, so that only time is limited there."""
    place, shape = _RECEIVED
    try:
        with _copy(number) as copy:
            told = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, place + struct.calcsize(shape))
            return int(struct.unpack_from(shape, told, place)[0])
    except (OSError, struct.error, AttributeError):
        return 0


def _cut(number: Callable[[], int]) -> None:
    with suppress(OSError), _copy(number) as copy:
        copy.shutdown(socket.SHUT_RDWR)


def _copy(number: Callable[[], int]) -> socket.socket:
    """A socket of our own on the same connection: the driver may close its at any moment."""
    return socket.socket(fileno=os.dup(number()))
