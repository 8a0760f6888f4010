"""Which API the command talks to, and as whom.

In: `--endpoint` and `--token`, WHARF_ENDPOINT and WHARF_TOKEN, and the file `~/.config/wharf/config.toml` with
`endpoint` and `token`. Out: one `Access`. A token from the file is sent only to the endpoint it was saved with.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli.failures import USAGE, Failure


@dataclass(frozen=True)
class Access:
    """endpoint: base URL without a slash at its end. token: may be empty. origin: where the endpoint was found."""

    endpoint: str
    token: str
    origin: str

    @property
    def exposed(self) -> bool:
        """Whether the token would travel unencrypted over a network."""
        parts = urlsplit(self.endpoint)
        return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")


def config_path() -> Path:
    """Where `wharf login` keeps endpoint and token (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "wharf" / "config.toml"


def find(endpoint: str | None = None, token: str | None = None) -> Access:
    """The access to use: options first, then the environment, then the file.

    Raises Failure (usage) when no endpoint is known or it is not a URL.
    """
    saved = _saved()
    for value, origin in (
        (endpoint, "--endpoint"),
        (os.environ.get("WHARF_ENDPOINT"), "WHARF_ENDPOINT"),
        (saved.get("endpoint"), str(config_path())),
    ):
        if value:
            address = normalise(value, origin)
            break
    else:
        raise Failure(
            "No endpoint is known.",
            hint="Give --endpoint or WHARF_ENDPOINT, or save one with `wharf login`. "
            "Locally: `make run`, then `. .wharf/env`.",
            exit_code=USAGE,
        )
    chosen = token or os.environ.get("WHARF_TOKEN") or ""
    if not chosen and saved.get("endpoint") and address == normalise(saved["endpoint"], "the config file"):
        chosen = saved.get("token", "")
    if any(not 33 <= ord(letter) <= 126 for letter in chosen):
        raise Failure("The token contains characters no token has (a line break?).", exit_code=USAGE)
    return Access(address, chosen, origin)


def normalise(endpoint: str, origin: str) -> str:
    """An endpoint without a slash at its end; raises Failure when it is no http(s) URL of a host."""
    address = endpoint.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment:
        raise Failure(f"{origin} is not the address of an API, such as https://wharf.example.com", exit_code=USAGE)
    return address.removesuffix("/api")


def save(access: Access) -> Path:
    """Write endpoint and token to the config file, readable by its owner alone."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # JSON's string escapes are a subset of TOML's basic strings.
    text = f"endpoint = {json.dumps(access.endpoint)}\ntoken = {json.dumps(access.token)}\n"
    write_private(path, text)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read; never a moment in which others could."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def _saved() -> dict[str, str]:
    path = config_path()
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            raise Failure(f"Others can read {path}, which holds a token.", hint=f"chmod 600 {path}")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise Failure(f"Cannot read {path}: {error}") from None
    return {word: value for word in ("endpoint", "token") if isinstance(value := values.get(word), str)}
