"""A server that makes us compute holds up nobody: not the caller, not other threads, and nothing of it stays."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from chalicelib import handshakes, sessions
from chalicelib.errors import SourceUnreachable
from tests.conftest import Database
from tests.sources.hostile import hashing
from tests.sources.servers import server

ME = sessions.Connection("h", 1, "db", "me", "CANARY", "disable")


@pytest.mark.parametrize("rounds", [5_000_000])
def test_while_libpq_computes_everybody_else_goes_on(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Some four seconds of hashing: the caller is free after the time-out, and Python's lock meanwhile."""
    monkeypatch.setattr(sessions, "CONNECT_TIMEOUT_SECONDS", 1)
    ticks, over = [], threading.Event()

    def tick() -> None:
        while not over.wait(0.01):
            ticks.append(time.monotonic())

    ticking = threading.Thread(target=tick)
    ticking.start()
    began = time.monotonic()
    with server(hashing(rounds)) as address, pytest.raises(SourceUnreachable) as refused:
        sessions.connect(ME, address)
    took = time.monotonic() - began
    over.set()
    ticking.join()
    assert refused.value.error == "Connection timed out"
    assert took < 1 + handshakes.GIVEN_UP_AFTER_SECONDS + 1
    assert max(later - sooner for sooner, later in pairwise(ticks)) < 0.5
    assert _given_up_threads_are_idle()


def _given_up_threads_are_idle() -> bool:
    """A computation nobody waits for has the scheduler's idle class (5, the 41st field of proc(5)'s stat)."""
    tasks = Path("/proc/self/task").glob("*/stat")
    return any(stat.read_text().rpartition(")")[2].split()[38] == "5" for stat in tasks)


def test_a_reasonable_number_of_rounds_is_computed() -> None:
    """The control: 4,096 is PostgreSQL's own."""
    with server(hashing(4096)) as address, pytest.raises(SourceUnreachable) as refused:
        sessions.connect(ME, address)
    assert refused.value.error == "Connection closed"


def test_stages_come_in_order_and_say_what_is_encrypted(freescout_db: Database) -> None:
    told: list[tuple[str, bool]] = []
    session = sessions.connect(freescout_db.connection, freescout_db.address, told=lambda *stage: told.append(stage))
    session.close()
    assert told == [("tcp", False), ("tls", False), ("auth", False), ("select", False)]


def test_the_compiled_driver_is_called_without_pythons_lock() -> None:
    if psycopg.pq.__impl__ == "python":
        pytest.skip("this psycopg calls libpq by ctypes itself")
    assert handshakes._connect_poll.__closure__ is not None  # a function of libpq, found through the driver
