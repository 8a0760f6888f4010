"""The way from a checked address to a PostgreSQL server that has let us in, followed stage by stage.

In: libpq's parameters, all of them ours. Out: an open connection, or SourceUnreachable in fixed words. Told on the way:
which stage has begun, since a server can fall silent in each. Bounded in time and in bytes, also against a server that
makes the client compute: how often a password is hashed (SCRAM) is the server's choice, up to half an hour of it, and
libpq asks nobody in between.
"""

from __future__ import annotations

import ctypes
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, PollingStatus
from psycopg.pq.abc import PGconn

from chalicelib import refusals, watch
from chalicelib.errors import SourceUnreachable

Stage = Literal["tcp", "tls", "auth", "select", "privileges"]
Told = Callable[[Stage, bool], None]
"""Called with the stage that begins, and whether all that is said in it is encrypted."""

MAX_HANDSHAKE_BYTES = 1_000_000
"""Most bytes a server may say before it lets us in: a long chain of certificates takes 20,000, the rest 1,000."""

GIVEN_UP_AFTER_SECONDS = 0.5
"""Beyond the time-out that libpq is watched with: then it is in a computation that cannot be interrupted."""

_STAGES: Mapping[ConnStatus, Stage] = {
    ConnStatus.STARTED: "tcp",
    ConnStatus.SSL_STARTUP: "tls",
    ConnStatus.AWAITING_RESPONSE: "auth",
    ConnStatus.AUTHENTICATING: "auth",
    ConnStatus.AUTH_OK: "auth",
}

_WAITED_FOR = {PollingStatus.READING: select.POLLIN, PollingStatus.WRITING: select.POLLOUT}


def opened(parameters: Mapping[str, str | int], *, seconds: float, told: Told) -> PGconn:
    """A connection that the server has accepted. Raises SourceUnreachable, after `seconds` and a little at most."""
    outcome: queue.SimpleQueue[Callable[[], PGconn]] = queue.SimpleQueue()
    given_up = threading.Event()

    def shake() -> None:
        try:
            made = _followed(parameters, time.monotonic() + seconds, told)
        except SourceUnreachable as error:
            outcome.put(partial(_raise, error))
        else:
            made.finish() if given_up.is_set() else outcome.put(lambda: made)

    hand = threading.Thread(target=shake, daemon=True)
    hand.start()
    try:
        return outcome.get(timeout=seconds + GIVEN_UP_AFTER_SECONDS)()
    except queue.Empty:
        given_up.set()
        _let_idle(hand)
        raise refusals.unreachable(psycopg.errors.ConnectionTimeout()) from None


def _followed(parameters: Mapping[str, str | int], deadline: float, told: Told) -> PGconn:
    """The same without a guard against computations."""
    try:
        made = psycopg.pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
    except (psycopg.Error, UnicodeError):
        raise SourceUnreachable(*refusals.UNREACHABLE["other"], code="source_other") from None
    try:
        _poll(made, deadline, told)
    except psycopg.Error as error:
        made.finish()
        raise refusals.unreachable(error) from None
    made.nonblocking = 1
    return made


def _poll(made: PGconn, deadline: float, told: Told) -> None:
    """Go on whenever the socket lets us, until the server has let us in. Raises psycopg.Error."""
    stage: Stage = "tcp"
    told(stage, False)
    polled = PollingStatus.WRITING if made.status != ConnStatus.BAD else PollingStatus.FAILED
    while polled != PollingStatus.OK:
        if polled == PollingStatus.FAILED:
            raise psycopg.OperationalError(made.get_error_message())
        if watch.received(lambda: made.socket) > MAX_HANDSHAKE_BYTES:
            raise psycopg.OperationalError("invalid response")
        _wait(made.socket, _WAITED_FOR[polled], deadline)
        polled = PollingStatus(_connect_poll(made))
        now = _STAGES.get(ConnStatus(made.status), stage)
        if now != stage:
            stage = now
            told(stage, bool(made.ssl_in_use))


def _without_lock(driver: type) -> Callable[[Any], int]:
    """libpq's PQconnectPoll without Python's lock, which psycopg's compiled one keeps for as long as it takes."""
    module = sys.modules[driver.__module__]
    if not module.__file__ or module.__file__.endswith(".py"):
        return lambda made: int(made.connect_poll())  # psycopg without a compiled part calls libpq like this itself
    poll = ctypes.CDLL(module.__file__).PQconnectPoll  # what the module is linked to is looked through as well
    poll.argtypes, poll.restype = [ctypes.c_void_p], ctypes.c_int
    return lambda made: int(poll(made.pgconn_ptr))


_connect_poll = _without_lock(psycopg.pq.PGconn)


def _wait(number: int, event: int, deadline: float) -> None:
    left = deadline - time.monotonic()
    waiting = select.poll()
    waiting.register(number, event)
    if left <= 0 or not waiting.poll(left * 1000):
        raise psycopg.errors.ConnectionTimeout


def _let_idle(thread: threading.Thread) -> None:
    """A computation nobody waits for any more gets the time that nobody else wants."""
    if thread.native_id and hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(thread.native_id, os.SCHED_IDLE, os.sched_param(0))


def _raise(error: SourceUnreachable) -> PGconn:
    raise error
