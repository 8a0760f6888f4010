"""`make run` as a whole: it ends by itself and agrees, a second run changes nothing, an interruption leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.cells import cell_len

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "infra.local.run"]


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="wharf-journey-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def environment(state: Path, conversations: int) -> dict[str, str]:
    return {**os.environ, "STATE": str(state), "ONCE": "1", "CONVERSATIONS": str(conversations), "NO_COLOR": "1"}


def journey(state: Path, conversations: int = 80) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        COMMAND,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=ROOT,
        env=environment(state, conversations),
    )
    assert left_behind(state) == []
    return done


def left_behind(state: Path) -> list[str]:
    """Command lines of processes that still work in the state directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(state) in line or str(state) in (process.info["environ"] or {}).get("TMPDIR", ""):
            found.append(line)
    return found


def test_the_first_run_imports_and_agrees_and_the_second_writes_nothing(state: Path) -> None:
    first = journey(state)
    assert first.returncode == 0, first.stderr
    for word in ("Reconciled", "Left out by rule", "Ticket ", "Customer ", "whf_"):
        assert word in first.stdout, first.stdout
    assert max(cell_len(line) for line in first.stdout.splitlines()) <= 100

    second = journey(state)
    assert second.returncode == 0, second.stderr
    assert "nothing was written" in second.stdout
    assert "as before" in second.stderr


def test_the_shell_file_is_private_and_names_the_endpoint(state: Path) -> None:
    path = state / "env"
    assert path.stat().st_mode & 0o077 == 0
    assert "export WHARF_ENDPOINT=http://127.0.0.1:" in path.read_text()


def test_an_interrupted_import_is_cancelled_and_the_next_run_goes_through(state: Path) -> None:
    started = subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(state, 300)
    )
    assert started.stderr
    said = []
    for line in started.stderr:
        said.append(line)
        if " rows  " in line:
            break
    time.sleep(1)
    started.send_signal(signal.SIGINT)
    rest = started.communicate(timeout=120)[1]
    assert started.returncode == 130, "".join(said) + rest
    assert "Cancelling the import" in rest
    assert left_behind(state) == []
    after = journey(state, 300)
    assert after.returncode == 0, after.stderr
    assert "Waiting for the import" not in after.stderr
