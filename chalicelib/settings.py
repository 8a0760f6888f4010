"""The environment as one frozen object, read and checked once.

In: environment variables set by `infra/resources.yaml` and `.chalice/config.json`. Out: `Settings`.
Refuses to start with names missing, and names all of them at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

_REQUIRED = ("WHARF_STATE_TABLE", "WHARF_RECORDS_TABLE", "WHARF_BUCKET", "WHARF_KMS_KEY", "WHARF_STATE_MACHINE")


@dataclass(frozen=True)
class Settings:
    """What differs per stage.

    state_table, records_table: DynamoDB table names.
    bucket: the S3 bucket of chunks, uploads and exports.
    kms_key: id or alias of the key that encrypts tenants' secrets.
    state_machine: ARN of the import state machine.
    allow_loopback: True only on the embedded cloud, where the sample source listens on 127.0.0.1.
    session_cookie: the name of the web session's cookie.
    cookie_secure: False only on the embedded cloud, which is reached by plain HTTP.
    web_origin: where the web pages come from, `https://app.example.com`; changes by cookie from elsewhere are refused.
    rate_factor: what the requests a minute are multiplied by; 1 where strangers come.
    """

    state_table: str
    records_table: str
    bucket: str
    kms_key: str
    state_machine: str
    allow_loopback: bool = False
    session_cookie: str = "laravel_session"
    cookie_secure: bool = True
    web_origin: str = ""
    rate_factor: float = 1.0


@cache
def get() -> Settings:
    """The settings of this process. Raises RuntimeError naming every missing variable."""
    missing = [name for name in _REQUIRED if not os.environ.get(name)]
    if missing:
        raise RuntimeError("missing environment variables: " + ", ".join(missing))
    values = {name.removeprefix("WHARF_").lower(): os.environ[name] for name in _REQUIRED}
    return Settings(
        **values,
        allow_loopback=os.environ.get("WHARF_ALLOW_LOOPBACK", "").lower() == "true",
        session_cookie=os.environ.get("WHARF_SESSION_COOKIE") or "laravel_session",
        cookie_secure=os.environ.get("WHARF_COOKIE_SECURE", "").lower() != "false",
        web_origin=os.environ.get("WHARF_WEB_ORIGIN", ""),
        rate_factor=float(os.environ.get("WHARF_RATE_FACTOR") or 1),
    )
