"""An open connection to a PostgreSQL database: how it is made, what it may do, how long and how much.

In: a `Connection` as a person typed it and the one address that was checked for it. Out: a `Session` that can only
read, has time-outs on both sides, and was given no setting of the person's. Driver errors leave this file as fixed
sentences: the driver's own text echoes hosts, users and values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn

from chalicelib import handshakes, refusals, sql, values, watch
from chalicelib.errors import Fatal, Retryable, SourceUnreachable, WharfError
from chalicelib.network import Address

CONNECT_TIMEOUT_SECONDS = 10
"""A connection test has to answer well within the gateway's 29 s, resolving and reading included."""

LOCK_TIMEOUT_SECONDS = 10
IDLE_TIMEOUT_SECONDS = 120
"""A session whose Lambda died is ended by the server after this; longer than any pause between two batches."""

GRACE_SECONDS = 5
"""Beyond the server's own statement time-out, before the socket is cut: a server can also lie about the time."""

MAX_CATALOGUE_ROWS = 200_000
"""Most rows of a catalogue or plan query: 200,000 chunks are 200 million rows. A hostile server's answer ends here."""

MAX_CATALOGUE_BYTES = 64_000_000
"""Most bytes of one: 200,000 columns take 20 MB."""


@dataclass(frozen=True)
class Connection:
    """How to reach a database, password in clear, which `repr` leaves out."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    ssl_mode: str = "prefer"


class Session(psycopg.Connection[tuple[Any, ...]]):
    """An open connection; how long one of its statements may take; whether PostgreSQL's own names alone are known."""

    timeout_seconds: float = 60
    own_names: bool = False

    def __init__(self, opened: PGconn) -> None:
        super().__init__(opened)
        self._adapters = values.plain().adapters

    def __exit__(self, *_: object) -> None:
        """Close at once: nothing was written, and a COMMIT would wait for whatever the server does next."""
        self.close()


def connect(
    connection: Connection,
    address: Address,
    *,
    statement_timeout_seconds: float = 60,
    told: handshakes.Told = lambda *_: None,
) -> Session:
    """An open, read-only session at exactly that address. Raises SourceUnreachable. Close it after use."""
    parameters = _parameters(connection, address)
    session = Session(handshakes.opened(parameters, seconds=CONNECT_TIMEOUT_SECONDS, told=told))
    try:
        told("select", session.pgconn.ssl_in_use)
        session.timeout_seconds = statement_timeout_seconds
        _settle(session)
    except WharfError as error:
        session.close()
        raise SourceUnreachable("Connection failed: the server broke off", error.message) from None
    return session


def _parameters(connection: Connection, address: Address) -> dict[str, str | int]:
    """Everything libpq can be told, so that nothing is left for the environment, a service file or a home directory.

    Each value is one value: `host` and `hostaddr` were checked, `dbname` is no connection string where it does not
    stand alone, and a NUL, at which C ends a text, would cut off all that follows it.
    """
    typed = (connection.database, connection.username, connection.password, connection.ssl_mode, address.host)
    if any("\0" in text for text in typed):
        raise SourceUnreachable(*refusals.UNREACHABLE["other"], code="source_other")
    return {
        "host": address.host,
        "hostaddr": address.ip,
        "port": address.port,
        "dbname": connection.database,
        "user": connection.username,
        "password": connection.password,
        "passfile": _NO_FILE,
        "sslmode": connection.ssl_mode,
        **_identity(connection.ssl_mode),
        **_NOT_OF_THE_ENVIRONMENT,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "wharf",
        "client_encoding": "utf8",
    }


_NO_FILE = f"{os.devnull}/none"

_NOT_OF_THE_ENVIRONMENT = {
    "options": "",
    "channel_binding": "prefer",
    "gssencmode": "disable",
    "gssdelegation": "0",
    "krbsrvname": "postgres",
    "sslnegotiation": "postgres",
    "sslcertmode": "disable",  # nobody is shown a certificate of ours
    "sslcert": "",
    "sslkey": "",
    "sslcrl": "",
    "sslcrldir": "",
    "sslsni": "1",
    "ssl_min_protocol_version": "TLSv1.2",
    "ssl_max_protocol_version": "",
    "min_protocol_version": "3.0",
    "max_protocol_version": "3.0",
    "requirepeer": "",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
}
"""What libpq reads from variables (PGOPTIONS, PGSSLCERT, ...) when it is not told: its own defaults, in words."""


def _identity(ssl_mode: str) -> dict[str, Any]:
    """How sure to be of the server, and what it is told then.

    No server is followed into Kerberos, which reads its own files and settings and could ask its own servers. The
    password goes out in clear only to a server whose certificate and name were verified; an empty `require_auth`
    is no way to say "any method": libpq takes it for a list without entries and refuses every login. A certificate is
    verified against Mozilla's authorities, since a Lambda has no `~/.postgresql/root.crt`.
    """
    asked: dict[str, Any] = {"require_auth": "!password,!gss,!sspi", "sslrootcert": _NO_FILE}
    if ssl_mode == "verify-full":
        asked["require_auth"] = "none,password,md5,scram-sha-256"
    if ssl_mode in ("verify-ca", "verify-full"):
        import certifi

        asked["sslrootcert"] = certifi.where()
    return asked


def _settle(session: Session) -> None:
    """Make the session read-only, in UTC and bounded: as it is the first time, and for every transaction of it.

    By set_config, since poolers refuse start-up options, and for the transaction only: behind a pooler the next
    transaction may be someone else's. So no transaction begins but here.
    """
    session.read_only = True  # of every BEGIN
    with _watched(session, CONNECT_TIMEOUT_SECONDS, MAX_CATALOGUE_BYTES):
        if session.info.parameter_status("server_encoding") == "SQL_ASCII":
            values.read_without_encoding(session.adapters)
        _begin(session)


def _begin(session: Session) -> None:
    """A transaction that can be used, with our settings; one that failed, or whose reading was broken off, ends."""
    if session.info.transaction_status == TransactionStatus.INERROR:
        session.rollback()
    if session.info.transaction_status != TransactionStatus.IDLE:
        return
    settings = {
        "TimeZone": "UTC",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "3",  # the text of every key reads back as the key, before PostgreSQL 12 too
        "standard_conforming_strings": "on",
        "statement_timeout": f"{int(session.timeout_seconds * 1000)}",
        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS * 1000}",
        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_SECONDS * 1000}",
    }
    if session.info.parameter_status("server_encoding") == "SQL_ASCII":
        settings["client_encoding"] = "SQL_ASCII"  # as UTF-8 the server would refuse to send what is none
    if session.info.server_version >= 110000:
        settings["jit"] = "off"  # compiling costs more than a chunk's query
    if session.own_names:
        settings["search_path"] = _OWN
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    session.execute(f"SELECT {calls}".encode(), [part for pair in settings.items() for part in pair])


_OWN = "pg_catalog"


def keep_to_own_names(session: Session) -> None:
    """From here on a name without a schema is PostgreSQL's own, and nobody else's.

    Whoever may create functions in the source could else plant a `lower(varchar)` that fits better than the one we
    mean, and have it run with our user's rights (CVE-2018-1058).
    """
    if session.own_names:
        return
    session.own_names = True
    if session.info.transaction_status == TransactionStatus.INTRANS:
        with _watched(session, session.timeout_seconds, MAX_CATALOGUE_BYTES):
            session.execute(f"SET LOCAL search_path = {_OWN}".encode())


def fetch(
    session: Session, text: str, bound: Sequence[Any] = (), *, seconds: float | None = None
) -> list[tuple[Any, ...]]:
    """All rows of a small result; a server that sends more than that is not listened to."""
    with bounded(session, text, seconds, max_bytes=MAX_CATALOGUE_BYTES), session.cursor() as cursor:
        found = list(islice(cursor.stream(text, list(bound), size=1000), MAX_CATALOGUE_ROWS + 1))
    if len(found) > MAX_CATALOGUE_ROWS:
        raise _too_large()
    return found


def counted(said: Any) -> int:
    """What a server says of how many there are: a bigint, as count(*) is. Raises ValueError, for `understood`.

    It is stored, and DynamoDB holds 38 digits.
    """
    number = int(said)
    if not 0 <= number <= sql.MAX_BIGINT:
        raise ValueError(number)
    return number


def _too_large() -> Fatal:
    return Fatal("the source sends more than can be handled", code="source_too_large")


@contextmanager
def bounded(
    session: Session, text: str, seconds: float | None = None, *, max_bytes: int, held_bytes: int | None = None
) -> Iterator[watch.Watch]:
    """A statement in a transaction of ours, watched (see watch.py); errors are translated."""
    allowed = session.timeout_seconds if seconds is None else seconds
    with _watched(session, allowed, max_bytes, text, held_bytes=held_bytes) as seen:
        _begin(session)
        yield seen


@contextmanager
def _watched(
    session: Session, seconds: float, max_bytes: int, text: str = "", *, held_bytes: int | None = None
) -> Iterator[watch.Watch]:
    """Cut the connection when the server answers later than it was told to, or more; translate errors."""
    with understood():
        try:
            with watch.watched(
                partial(_number, session), seconds=seconds + GRACE_SECONDS, max_bytes=max_bytes, held_bytes=held_bytes
            ) as seen:
                yield seen
        except psycopg.Error as error:
            if seen.passed == "bytes":
                raise _too_large() from None
            if seen.passed == "seconds":
                raise Retryable("the source did not answer in time", code="source_timeout") from None
            raise refusals.failed(error, text) from None
        except UnicodeError:
            raise Fatal("the source holds text that is not valid in its encoding", code="source_encoding") from None


def _number(session: Session) -> int:
    """The socket's number. Raises OSError when there is none any more."""
    try:
        return session.fileno()
    except psycopg.Error:
        raise OSError("closed") from None


@contextmanager
def understood() -> Iterator[None]:
    """What no PostgreSQL answers (columns that are missing, words where numbers are due, numbers without an end, JSON
    nested a thousand times) is a failure of the source. Raises Fatal.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise Fatal("the server did not answer like PostgreSQL", code="source_protocol") from None
