"""The six ssl modes against a real server behind TLS, and who is given the password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import certifi
import pytest

from chalicelib.errors import SourceUnreachable
from chalicelib.network import Address
from chalicelib.sources import postgres
from tests.conftest import Database
from tests.sources.servers import Certificate, certificate, encrypted, message, passed_on, server

NAME = "db.example.com"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the server shows for itself."""
    return certificate(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture
def front(freescout_db: Database, shown: Certificate) -> Iterator[Address]:
    """The help desk's server, to be reached through TLS alone."""
    with server(encrypted(shown, passed_on(freescout_db.address.port))) as address:
        yield replace(address, host=NAME)


def attempt(place: Database, address: Address, ssl_mode: str) -> str | None:
    """The code of the refusal, None when the database was reached and read."""
    try:
        found = postgres.check(replace(place.connection, ssl_mode=ssl_mode), address)
    except SourceUnreachable as refused:
        return refused.code
    assert found[0]["database"] == "freescout"
    return None


@pytest.mark.parametrize(
    ("ssl_mode", "refused"),
    [
        ("disable", "source_authentication"),
        ("allow", None),
        ("prefer", None),
        ("require", None),
        ("verify-ca", "source_certificate"),
        ("verify-full", "source_certificate"),
    ],
)
def test_a_server_with_a_certificate_of_its_own(
    freescout_db: Database, front: Address, ssl_mode: str, refused: str | None
) -> None:
    assert attempt(freescout_db, front, ssl_mode) == refused


@pytest.mark.parametrize(
    ("ssl_mode", "host", "refused"),
    [
        ("verify-ca", NAME, None),
        ("verify-ca", "other.example.com", None),
        ("verify-full", NAME, None),
        ("verify-full", "other.example.com", "source_certificate"),
    ],
)
def test_a_server_whose_certificate_an_authority_signed(
    freescout_db: Database,
    front: Address,
    shown: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    ssl_mode: str,
    host: str,
    refused: str | None,
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(shown.path))
    assert attempt(freescout_db, replace(front, host=host), ssl_mode) == refused


@pytest.mark.parametrize(
    ("ssl_mode", "refused"), [("disable", None), ("allow", None), ("prefer", None), ("require", "source_tls"),
    ("verify-ca", "source_tls"), ("verify-full", "source_tls")],
)  # fmt: skip
def test_a_server_without_tls(freescout_db: Database, ssl_mode: str, refused: str | None) -> None:
    assert attempt(freescout_db, freescout_db.address, ssl_mode) == refused


def test_an_untrusted_certificate_has_a_sentence(freescout_db: Database, front: Address) -> None:
    with pytest.raises(SourceUnreachable) as refused:
        postgres.check(replace(freescout_db.connection, ssl_mode="verify-full"), front)
    assert refused.value.error == "Certificate not accepted"
    assert NAME not in repr(refused.value)


@pytest.mark.parametrize(("ssl_mode", "given"), [("require", False), ("verify-ca", False), ("verify-full", True)])
def test_the_password_goes_out_in_clear_only_to_a_server_that_is_sure(
    freescout_db: Database, shown: Certificate, monkeypatch: pytest.MonkeyPatch, ssl_mode: str, given: bool
) -> None:
    """Anyone can have a certificate that some authority signed, so `verify-ca` alone proves nothing."""
    monkeypatch.setattr(certifi, "where", lambda: str(shown.path))
    heard = []

    def asks_in_clear(caller: socket.socket) -> None:
        caller.recv(1000)
        caller.sendall(message(b"R", b"\0\0\0\3"))
        heard.append(caller.recv(1000))

    connection = replace(freescout_db.connection, password="CANARY", ssl_mode=ssl_mode)
    with server(encrypted(shown, asks_in_clear)) as address, pytest.raises(SourceUnreachable):
        postgres.check(connection, replace(address, host=NAME))
    assert (b"CANARY" in b"".join(heard)) is given
