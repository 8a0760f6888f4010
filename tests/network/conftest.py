"""What stands at the far end: listeners that count whoever comes, and a record of what libpq was told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chalicelib import sessions, settings
from tests.routes.conftest import api, client, cloud, profile_body

__all__ = ["api", "client", "cloud"]

TEST = "/api/import/profiles/test-connection"
CONNECTION = ("database_type", "host", "port", "database", "username", "password", "ssl_mode")
CANARY = "canary-0b7e-password"


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
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The embedded cloud's setting, given and taken away."""
    monkeypatch.setenv("WHARF_RATE_FACTOR", "1000")
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
