"""How a profile's source is reached: the stored connection, a test of it, its schema.

In: a profile, or the fields of one that is not saved. Out: what the source says, within a bounded time: a server can
draw out each step to just below that step's own time-out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib import encryption, isolation, network, settings
from chalicelib.errors import Fatal, Retryable, SourceUnreachable
from chalicelib.profiles import Profile

if TYPE_CHECKING:
    from chalicelib.privileges import Privileges
    from chalicelib.sessions import Connection, Session

Found = TypeVar("Found")

CHECK_SECONDS = 15
"""For one connection test, resolving and connecting included."""

SCHEMA_SECONDS = 22
"""For one reading of a schema; the gateway gives up after 29."""


def of(profile: Profile) -> Connection:
    """How to reach the source, password in clear. Raises SourceUnreachable when it cannot be decrypted any more."""
    password = profile["password"]
    try:
        if password:
            password = encryption.decrypt(password, org=profile["org"], owner=profile["id"])
    except Fatal as lost:
        said = "Connection failed: the stored password can no longer be read, enter it again"
        raise SourceUnreachable(said, "Stored password unreadable", code=lost.code) from None
    return typed({**profile, "password": password or ""})


def typed(values: Mapping[str, Any]) -> Connection:
    """The same from the fields of a request, for a profile that is not saved."""
    from chalicelib.sessions import Connection

    fields = ("host", "port", "database", "username", "password", "ssl_mode")
    return Connection(**{field: values[field] for field in fields})


def reach(found: Connection) -> network.Address:
    """The checked address of a source, the only one to connect to. Raises SourceUnreachable."""
    return network.resolve(found.host, found.port, allow_loopback=settings.get().allow_loopback)


def check(found: Connection) -> dict[str, Any]:
    """A connection test as the API shows it, whether it succeeds or fails. Takes at most 15 seconds."""
    from chalicelib.diagnosis import Diagnosis
    from chalicelib.sources import postgres

    test, ends = Diagnosis(found.ssl_mode, found.database), time.monotonic() + CHECK_SECONDS
    test.reached("dns")
    try:
        address = reach(found)

        def look(tell: isolation.Tell) -> tuple[dict[str, Any], Privileges]:
            return postgres.check(found, address, told=lambda *stage: tell(stage))

        return test.succeeded(*_within(ends - time.monotonic(), look, heard=lambda stage: test.reached(*stage)))
    except SourceUnreachable as error:
        return test.failed(error)


def schema(profile: Profile) -> dict[str, Any]:
    """The source's tables, relationships and server, read now. Raises SourceUnreachable, after 22 seconds at most."""
    from chalicelib.sources import postgres

    return asked(profile, postgres.describe, SCHEMA_SECONDS, "Connection failed: the schema could not be read")


def fingerprint(profile: Profile) -> str:
    """Which database the profile leads to now. Raises SourceUnreachable, after 15 seconds at most."""
    from chalicelib.sources import postgres

    said = "Connection failed: the server does not say which database it is"
    return asked(profile, postgres.fingerprint, CHECK_SECONDS, said)


def asked(
    profile: Profile,
    question: Callable[[Session], Found],
    seconds: float,
    unanswered: str,
    *,
    statement_seconds: float = CHECK_SECONDS,
) -> Found:
    """What a question to the source is answered with. Raises SourceUnreachable, which says `unanswered` when it
    fails.
    """
    from chalicelib import sessions

    found = of(profile)

    def ask() -> Found:
        with sessions.connect(found, reach(found), statement_timeout_seconds=statement_seconds) as session:
            return question(session)

    try:
        return isolation.awaited(seconds, ask)
    except isolation.Overdue:
        raise _overdue() from None
    except (Retryable, Fatal) as error:
        raise SourceUnreachable(unanswered, error.message, code=error.code) from None


def _within(
    seconds: float, work: Callable[[isolation.Tell], Found], *, heard: isolation.Tell = lambda _: None
) -> Found:
    """What `work` returns or raises, or SourceUnreachable when it takes longer.

    A server can draw out each step to just below that step's own time-out.
    """
    try:
        return isolation.within(seconds, work, heard=heard)
    except isolation.Overdue:
        raise _overdue() from None
    except isolation.Ended:
        raise SourceUnreachable(
            "Connection failed: what the server sent could not be borne", "Connection given up", code="source_protocol"
        ) from None


def _overdue() -> SourceUnreachable:
    said = "Connection failed: the server did not answer in time"
    return SourceUnreachable(said, "Connection timed out", code="timed_out")
