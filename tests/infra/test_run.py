"""`make run` before anything has started: what it is asked, and what is in the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.failures import Failure
from infra.local import run

ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_says_what_make_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CONVERSATIONS": "50", "ONCE": "1", "SEED": "", "PORT": "8500", "STATE": "/x"}.items():
        monkeypatch.setenv(name, value)
    assert run.read_options([]) == run.Options(50, 1, True, 8500, Path("/x"))


@pytest.mark.parametrize(("value", "once"), [("", False), ("0", False), ("no", False), ("1", True), ("yes", True)])
def test_once_is_off_unless_it_is_said(monkeypatch: pytest.MonkeyPatch, value: str, once: bool) -> None:
    monkeypatch.setenv("ONCE", value)
    assert run.read_options([]).once is once


@pytest.mark.parametrize(
    "arguments",
    [
        ["--conversations", "many"],
        ["--conversations", "0"],
        ["--conversations=-5"],
        ["--port", "99999"],
        ["--seed", "²"],
    ],
)
def test_what_is_no_number_is_named(arguments: list[str]) -> None:
    with pytest.raises(Failure) as caught:
        run.read_options(arguments)
    assert caught.value.exit_code == 2
    assert arguments[0].strip("-").partition("=")[0].upper() in caught.value.message


def journey(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.local.run"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**os.environ, "STATE": str(tmp_path / "state"), "ONCE": "1", **environment},
    )


def test_an_interrupt_while_it_loads_is_no_traceback(tmp_path: Path) -> None:
    slow = tmp_path / "psycopg"  # what is loaded first after the standard library
    slow.mkdir()
    (slow / "__init__.py").write_text("import time; print('loading', flush=True); time.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "infra.local.run"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"loading\n"
        started.send_signal(signal.SIGINT)
        assert started.communicate(timeout=10) == (b"", b"")
    assert started.returncode == 130


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = journey(tmp_path, PORT=port)
    assert done.returncode == 1
    assert f"port {port} for the API is already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_misuse_starts_nothing(tmp_path: Path) -> None:
    done = journey(tmp_path, CONVERSATIONS="lots")
    assert done.returncode == 2
    assert "CONVERSATIONS must be a number" in done.stderr
    assert not (tmp_path / "state").exists()
