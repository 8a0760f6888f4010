"""Servers for tests of reaching a database: scripted ones, and a real one behind TLS."""

from __future__ import annotations

import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.network import Address

ASKS_FOR_TLS = b"\x04\xd2\x16\x2f"

Answer = Callable[[socket.socket], None]


@contextmanager
def server(answer: Answer) -> Iterator[Address]:
    """A TCP server that treats each caller as told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def treat(caller: socket.socket) -> None:
        with suppress(OSError), caller:
            answer(caller)

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=treat, args=(caller,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield Address("127.0.0.1", "127.0.0.1", listener.getsockname()[1])
    finally:
        listener.close()


# --- PostgreSQL's protocol, as much as a lie needs


def message(kind: bytes, content: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def row(values: list[bytes | None]) -> bytes:
    parts = (struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value for value in values)
    return message(b"D", struct.pack("!H", len(values)) + b"".join(parts))


def head(columns: int, kind: int = 25) -> bytes:
    """What stands before rows. kind: the columns' type, text."""
    column = text("c") + struct.pack("!IHIhih", 0, 0, kind, -1, -1, 0)
    return message(b"1") + message(b"2") + message(b"T", struct.pack("!H", columns) + column * columns)


def ready(state: bytes) -> bytes:
    return message(b"Z", state)


DONE = message(b"C", text("SELECT 1")) + ready(b"T")
LOGGED_IN = message(b"R", struct.pack("!I", 0))


def greeted(caller: socket.socket) -> None:
    """Read the start of a session, refusing TLS."""
    if caller.recv(8).endswith(ASKS_FOR_TLS):
        caller.sendall(b"N")
        caller.recv(8)
    caller.recv(10_000)


def liar(answer: Answer) -> Answer:
    """A server that lets anyone in and answers as one would, until it is asked what is in it."""

    def serve(caller: socket.socket) -> None:
        greeted(caller)
        told = {"server_version": "16.3", "server_encoding": "UTF8", "client_encoding": "UTF8"}
        caller.sendall(LOGGED_IN + b"".join(message(b"S", text(name) + text(told[name])) for name in told))
        caller.sendall(ready(b"I"))
        while question := caller.recv(65_536):
            if question[:1] == b"Q":
                caller.sendall(message(b"C", text("OK")) + ready(b"T" if b"BEGIN" in question else b"I"))
            elif b"set_config" in question:
                caller.sendall(head(1) + row([b"on"]) + DONE)
            else:
                answer(caller)

    return serve


Lie = Callable[[bytes, bytes, bytes], bytes]
"""(question, kind of the message, its content) -> the content that is sent on."""


def lying(port: int, lie: Lie) -> Answer:
    """Everything goes to and from a server that is there, but what it answers is changed on the way."""

    def serve(caller: socket.socket) -> None:
        asked = [b""]
        with socket.create_connection(("127.0.0.1", port)) as there:

            def ask() -> None:
                with suppress(OSError):
                    while sent := caller.recv(65_536):
                        asked.append(sent)
                        there.sendall(sent)
                    there.shutdown(socket.SHUT_WR)

            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=ask, daemon=True).start()
            with suppress(OSError):
                for kind, content in messages(there):
                    caller.sendall(message(kind, lie(asked[-1], kind, content)))
                caller.shutdown(socket.SHUT_RDWR)

    return serve


def messages(sender: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each message, as they come."""
    came = b""
    while received := sender.recv(65_536):
        came += received
        while len(came) > 4 and len(came) > (size := struct.unpack("!I", came[1:5])[0]):
            yield came[:1], came[5 : size + 1]
            came = came[size + 1 :]


def valued(question: bytes, place: int, value: bytes | None, kind: int = 25) -> Lie:
    """To questions with these words one column has this value in every row, and is said to be of that type."""

    def lie(asked: bytes, sort: bytes, content: bytes) -> bytes:
        if question not in asked or sort not in (b"T", b"D"):
            return content
        found = columns(content) if sort == b"T" else values(content)
        if sort == b"D":
            found[place] = value
            return row(found)[5:]
        name, _, described = (found[place] or b"").partition(b"\0")
        found[place] = name + b"\0" + described[:6] + struct.pack("!I", kind) + described[10:]
        return content[:2] + b"".join(part or b"" for part in found)

    return lie


def one_more(question: bytes) -> Lie:
    """To questions with these words comes one column more than was asked for."""

    def lie(asked: bytes, sort: bytes, content: bytes) -> bytes:
        if question not in asked or sort not in (b"T", b"D"):
            return content
        if sort == b"D":
            return row([*values(content), b"1"])[5:]
        parts = [part or b"" for part in columns(content)]
        return struct.pack("!H", len(parts) + 1) + b"".join([*parts, parts[0]])

    return lie


def columns(content: bytes) -> list[bytes | None]:
    """What a description of rows says of each."""
    parts: list[bytes | None] = []
    at = 2
    while at < len(content):
        end = content.index(b"\0", at) + 19
        parts.append(content[at:end])
        at = end
    return parts


def values(content: bytes) -> list[bytes | None]:
    """What a row has."""
    parts: list[bytes | None] = []
    at = 2
    while at < len(content):
        size = struct.unpack("!i", content[at : at + 4])[0]
        parts.append(None if size < 0 else content[at + 4 : at + 4 + size])
        at += 4 + max(size, 0)
    return parts


# --- a real one behind TLS


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate, its own authority."""

    path: Path
    key: Path


def certificate(folder: Path, name: str, *, days: int = 1) -> Certificate:
    """A new certificate for a host name, valid until so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Certificate(folder / f"{name}{days}.pem", folder / f"{name}{days}.key")
    found.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    shape = serialization.PrivateFormat.PKCS8
    found.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, shape, plain))
    return found


def encrypted(shown: Certificate, answer: Answer) -> Answer:
    """Answers behind TLS, and refuses whoever does not ask for it, as `hostssl` in pg_hba.conf does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.path, shown.key)

    def serve(caller: socket.socket) -> None:
        if caller.recv(8).endswith(ASKS_FOR_TLS):
            caller.sendall(b"S")
            with context.wrap_socket(caller, server_side=True) as inner:
                answer(inner)
        else:
            caller.recv(10_000)
            caller.sendall(message(b"E", b"SFATAL\0C28000\0Mno pg_hba.conf entry for host\0\0"))

    return serve


def passed_on(port: int) -> Answer:
    """Everything goes to and from a server that is there."""

    def serve(caller: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as there:
            threading.Thread(target=pump, args=(there, caller), daemon=True).start()
            pump(caller, there)

    return serve


def pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while content := one.recv(65_536):
            other.sendall(content)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
