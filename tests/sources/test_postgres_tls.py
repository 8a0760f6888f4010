"""The six ssl modes against a real server behind TLS, and who is given the password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import certifi
import pytest

from chalicelib.errors import SourceUnreachable
from chalicelib.network import Address
from chalicelib.sources import postgres
from tests.conftest import Database
from tests.sources.servers import ASKS_FOR_TLS, Answer, Certificate, certificate, encrypted, message, passed_on, server

NAME = "db.example.com"


MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

OUTCOMES: dict[str, tuple[str | None, ...]] = {
    # what the server shows     disable  allow  prefer  require  verify-ca  verify-full
    "no TLS": (None, None, None, "tls", "tls", "tls"),
    "a right certificate": ("authentication", None, None, None, None, None),
    "another's name": ("authentication", None, None, None, None, "certificate"),
    "an unknown issuer": ("authentication", None, None, None, "certificate", "certificate"),
    "an expired certificate": ("authentication", None, None, None, "certificate", "certificate"),
}
"""How each mode ends with each server, None: the database is reached and read. Servers with TLS take nothing else, as
`hostssl` has it, so that `disable` cannot log in."""

CELLS = [(shown, mode, ends) for shown, row in OUTCOMES.items() for mode, ends in zip(MODES, row, strict=True)]


@dataclass(frozen=True)
class Shown:
    """What a server shows for itself, and what its client trusts."""

    certificate: Certificate | None
    trusted: Certificate | None


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    """The five kinds of servers."""
    folder, elsewhere = tmp_path_factory.mktemp("tls"), tmp_path_factory.mktemp("elsewhere")
    right, other = certificate(folder, NAME), certificate(folder, "other.example.com")
    expired = certificate(folder, NAME, days=-1)
    return {
        "no TLS": Shown(None, right),
        "a right certificate": Shown(right, right),
        "another's name": Shown(other, other),
        "an unknown issuer": Shown(right, certificate(elsewhere, NAME)),
        "an expired certificate": Shown(expired, expired),
    }


@contextmanager
def front(shown: Shown, answer: Answer, patch: pytest.MonkeyPatch) -> Iterator[Address]:
    """A server that shows this, reached under its name by a client that trusts that."""
    if shown.trusted:
        patch.setattr(certifi, "where", lambda: str(shown.trusted.path))
    with server(encrypted(shown.certificate, answer) if shown.certificate else answer) as address:
        yield replace(address, host=NAME)


@pytest.mark.parametrize(("kind", "ssl_mode", "ends"), CELLS)
def test_every_mode_with_every_server(
    freescout_db: Database,
    shows: dict[str, Shown],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    ssl_mode: str,
    ends: str | None,
) -> None:
    connection = replace(freescout_db.connection, ssl_mode=ssl_mode)
    with front(shows[kind], passed_on(freescout_db.address.port), monkeypatch) as address:
        if ends:
            with pytest.raises(SourceUnreachable) as refused:
                postgres.check(connection, address)
            assert refused.value.code == f"source_{ends}"
            assert NAME not in repr(refused.value)
            return
        encrypted_by_stage: dict[str, bool] = {}
        found, _ = postgres.check(connection, address, told=encrypted_by_stage.__setitem__)
    assert found["database"] == "freescout"
    assert encrypted_by_stage["select"] is (kind != "no TLS")


@pytest.mark.parametrize(("kind", "ssl_mode", "ends"), CELLS)
def test_the_password_goes_out_in_clear_only_to_a_server_that_is_sure(
    freescout_db: Database,
    shows: dict[str, Shown],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    ssl_mode: str,
    ends: str | None,
) -> None:
    """Anyone can have a certificate that some authority signed, so `verify-ca` alone proves nothing."""
    heard = []

    def asks_in_clear(caller: socket.socket) -> None:
        first = caller.recv(1000)
        if first.endswith(ASKS_FOR_TLS):
            caller.sendall(b"N")
            caller.recv(1000)
        caller.sendall(message(b"R", b"\0\0\0\3"))
        heard.append(caller.recv(1000))

    connection = replace(freescout_db.connection, password="CANARY", ssl_mode=ssl_mode)
    with front(shows[kind], asks_in_clear, monkeypatch) as address, pytest.raises(SourceUnreachable):
        postgres.check(connection, address)
    sure = (kind, ssl_mode) == ("a right certificate", "verify-full")
    assert (b"CANARY" in b"".join(heard)) is sure


def test_an_untrusted_certificate_has_a_sentence(
    freescout_db: Database, shows: dict[str, Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = replace(freescout_db.connection, ssl_mode="verify-full")
    answer = passed_on(freescout_db.address.port)
    with (
        front(shows["an unknown issuer"], answer, monkeypatch) as address,
        pytest.raises(SourceUnreachable) as refused,
    ):
        postgres.check(connection, address)
    assert (refused.value.message, refused.value.error) == (
        "Connection failed: the server's certificate is not trusted, or is another host's",
        "Certificate not accepted",
    )
