"""A connection test, told stage by stage: how far it came, what stopped it, and what a person can do about it.

In: which stage began when, how it ended, what was found. Out: the shape the API shows. Every sentence is ours.
"""

from __future__ import annotations

import time
from typing import Any, Literal, TypedDict

from chalicelib import privileges
from chalicelib.errors import SourceUnreachable
from chalicelib.privileges import Privileges, Warned

STAGES = ("dns", "tcp", "tls", "auth", "select", "privileges")

Hint = str | None


class Stage(TypedDict):
    """One step of the way. milliseconds: from its beginning to the next one's, null when it was not come to."""

    name: str
    status: Literal["ok", "failed", "skipped"]
    message: str
    hint: Hint
    milliseconds: int | None


class Diagnosis:
    """A test under way. `reached` when a stage begins; then once `succeeded` or `failed`."""

    def __init__(self, ssl_mode: str, database: str) -> None:
        self._ssl_mode = ssl_mode
        self._database = database
        self._began: dict[str, float] = {}
        self._stage = STAGES[0]
        self._encrypted = False

    def reached(self, stage: str, encrypted: bool = False) -> None:
        """A stage begins. libpq may come to one a second time, without TLS where it was refused, or with it."""
        self._began.setdefault(stage, time.monotonic())
        self._stage = stage
        self._encrypted = encrypted

    def succeeded(self, information: dict[str, Any], found: Privileges) -> dict[str, Any]:
        """All went well, unless there is nothing to read."""
        if found.tables and not found.readable:
            message = "the user may read none of the database's tables"
            error = SourceUnreachable(f"Connection failed: {message}", "No readable table", code="nothing_readable")
            return self.failed(error, privileges.grants(found))
        stages = [self._passed(name, found) for name in STAGES]
        shown = {"success": True, "message": "Connection successful", "database_info": information}
        return shown | {
            "stages": stages,
            "warnings": [*self._unencrypted(), *privileges.warnings(found, self._database)],
        }

    def failed(self, error: SourceUnreachable, hint: Hint = None) -> dict[str, Any]:
        """It ended in the stage reached last, unless the error says which one."""
        last = _STAGE_OF.get(error.code, self._stage)
        place = STAGES.index(last)
        said = error.message.removeprefix("Connection failed: ")
        stages: list[Stage] = [self._passed(name) for name in STAGES[:place]]
        broken: Stage = {
            "name": last,
            "status": "failed",
            "message": f"{said[:1].upper()}{said[1:]}: {error.error}.",
            "hint": hint or _hint(error.code, last, self._ssl_mode),
            "milliseconds": self._milliseconds(last),
        }
        rest = [_skipped(name, "Not come to.") for name in STAGES[place + 1 :]]
        warned = self._unencrypted() if place > STAGES.index("auth") else []
        shown = {"success": False, "message": error.message, "error": error.error}
        return shown | {"stages": [*stages, broken, *rest], "warnings": warned}

    def _passed(self, name: str, found: Privileges | None = None) -> Stage:
        if name == "tls" and not self._encrypted:
            return _skipped(name, _UNENCRYPTED.get(self._ssl_mode, "Not come to."), self._milliseconds(name))
        message = _ENCRYPTED[self._ssl_mode] if name == "tls" else _OK[name]
        if found and name == "privileges":
            message = f"The user may read {found.readable} of {found.tables} tables."
        taken = self._milliseconds(name)
        return {"name": name, "status": "ok", "message": message, "hint": None, "milliseconds": taken}

    def _milliseconds(self, name: str) -> int | None:
        """Until the next stage that was come to, or now."""
        if name not in self._began:
            return None
        began = self._began[name]
        later = [moment for moment in self._began.values() if moment > began]
        return round((min(later, default=time.monotonic()) - began) * 1000)

    def _unencrypted(self) -> list[Warned]:
        if self._encrypted:
            return []
        message = "The connection is not encrypted: whoever stands between can read what is imported."
        hint = "Turn on TLS at the server and set ssl_mode to verify-full, or to require if its certificate is its own."
        return [Warned(code="not_encrypted", message=message, hint=hint)]


def _skipped(name: str, message: str, milliseconds: int | None = None) -> Stage:
    return {"name": name, "status": "skipped", "message": message, "hint": None, "milliseconds": milliseconds}


def _hint(code: str, stage: str, ssl_mode: str) -> Hint:
    """What to do. A server that takes its time, or hangs up, is told by where it does."""
    if code == "source_authentication" and ssl_mode == "disable":
        return f"{_HINTS[code]} A server that takes encrypted connections only refuses ssl_mode disable: try require."
    return _HINTS.get(code) or _SILENT[stage]


_STAGE_OF = {
    "address_refused": "dns",
    "dns_failed": "dns",
    "source_refused": "tcp",
    "source_no_route": "tcp",
    "source_certificate": "tls",
    "source_tls": "tls",
    "source_authentication": "auth",
    "source_database": "auth",
    "source_permission_denied": "auth",
    "source_full": "auth",
    "nothing_readable": "privileges",
}
"""Errors that come from one stage only. Of two attempts libpq tells the first's reason; the stage is the second's."""

_OK = {
    "dns": "The host has an address that may be connected to.",
    "tcp": "The server listens on the port.",
    "auth": "The user may log in and the database exists.",
    "select": "The database answers queries.",
    "privileges": "The user's privileges are known.",
}

_ENCRYPTED = {
    "allow": "The connection is encrypted; the certificate was not checked.",
    "prefer": "The connection is encrypted; the certificate was not checked.",
    "require": "The connection is encrypted; the certificate was not checked.",
    "verify-ca": "The connection is encrypted; the certificate was checked, the name in it was not.",
    "verify-full": "The connection is encrypted; the certificate and the name in it were checked.",
}

_UNENCRYPTED = {
    "disable": "Not asked for: ssl_mode is disable.",
    "allow": "Not needed: the server takes connections that are not encrypted, and ssl_mode allow leaves it at that.",
    "prefer": "The server offers none, and ssl_mode prefer goes on without.",
}

_HINTS = {
    "address_refused": "Enter a name or address that is reachable from the internet, without user, port or path. "
    "Databases in a private network need a public entrance, such as a proxy with TLS.",
    "dns_failed": "Check the spelling of the host, and that its name is known to public name servers.",
    "source_refused": "Check the port, that the server listens on it for connections from elsewhere "
    "(listen_addresses), and that its firewall lets Wharf in.",
    "source_no_route": "Check the host, and that its network can be reached from the internet.",
    "source_certificate": "verify-full wants a certificate of a public authority that names this host, verify-ca one "
    "of a public authority. For a certificate of the server's own, require encrypts without checking it.",
    "source_tls": "The server offers no TLS, or none that can be agreed on. Turn it on at the server; prefer goes on "
    "without, and then everything can be read on the way.",
    "source_authentication": "Check user and password, and that the server's pg_hba.conf lets this user in from "
    "Wharf's address by scram-sha-256 or md5. A password is sent in clear to verify-full alone.",
    "source_database": "Check the name of the database; upper and lower case are different.",
    "source_permission_denied": "GRANT CONNECT on the database to the user.",
    "source_full": "Wait until connections are free, or raise max_connections or the user's own limit.",
    "source_protocol": "Check that a PostgreSQL server, and no other service, listens on this port.",
    "source_too_large": "The server says far more than it was asked for. Check that it is the right one.",
}

_SILENT = {
    "dns": "Check the host; its name servers do not answer in time.",
    "tcp": "Check host and port, and that the server's firewall lets Wharf in: one that drops packets is silent so.",
    "tls": "The server, or what stands before it, took the connection and then broke off or fell silent over TLS. "
    "Check that PostgreSQL itself listens there, or try another ssl_mode.",
    "auth": "The server broke off or fell silent while it let the user in. Check its log, and any pooler before it.",
    "select": "The server let the user in and did not answer a first query. Check its log and its load.",
    "privileges": "The server answered, and not what the user may do. Check its log and its load.",
}
