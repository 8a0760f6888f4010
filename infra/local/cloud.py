"""The embedded cloud: one ministack process that plays AWS on 127.0.0.1.

Everything it keeps lies in one directory: state (written when it is told to end, read at the next start), the
objects of S3, and a private temporary folder that is wiped. It gets a scrubbed environment, because what it has it
hands on to every Lambda worker; credentials inside are "test".
"""

from __future__ import annotations

import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.processes import Process, end_stale, scrubbed, start

REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
}
LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Cloud:
    """A running cloud."""

    endpoint: str
    process: Process
    temporary: Path

    def client(self, service: str) -> Any:
        """A boto3 client that talks to it."""
        return client(self.endpoint, service)

    def stop(self) -> None:
        """Let it write its state down and end, its workers with it."""
        self.process.stop()
        shutil.rmtree(self.temporary, ignore_errors=True)


@cache
def client(endpoint: str, service: str) -> Any:
    """A boto3 client for an embedded cloud's endpoint, whatever AWS profile the caller's shell has."""
    import boto3
    from botocore.config import Config

    session = boto3.session.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    config = Config(s3={"addressing_style": "path"}, read_timeout=120, retries={"mode": "standard"}, proxies={})
    return session.client(service, endpoint_url=endpoint, config=config)


def run(directory: Path, port: int, *, log: Path, **settings: str) -> Cloud:
    """Start it on its directory and wait until it answers. Raises CannotStart.

    settings: ministack's own, such as SFN_WAIT_SCALE.
    """
    temporary = directory / "tmp"
    pid_file = directory / "pid"
    directory.mkdir(parents=True, exist_ok=True)
    end_stale(pid_file, str(LAUNCHER), seconds=60)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    environment = scrubbed(
        GATEWAY_PORT=str(port),
        BIND_HOST="127.0.0.1",
        PERSIST_STATE="1",
        STATE_DIR=str(directory / "state"),
        S3_PERSIST="1",
        S3_DATA_DIR=str(directory / "s3"),
        TMPDIR=str(temporary),
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        DOCKER_HOST="unix:///nonexistent",  # no docker: every Lambda is a local worker process
        LOG_LEVEL="WARNING",
        PYTHONUNBUFFERED="1",
        PYTHONDONTWRITEBYTECODE="1",
        **CREDENTIALS,
        **settings,
    )
    process = start(
        "the embedded cloud",
        [sys.executable, str(LAUNCHER)],
        log=log,
        environment=environment,
        directory=temporary,
    )
    pid_file.write_text(str(process.keeper.pid))
    running = Cloud(f"http://127.0.0.1:{port}", process, temporary)
    process.wait_until(lambda: _ready(running.endpoint), seconds=60)
    return running


def _ready(endpoint: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{endpoint}/_ministack/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
