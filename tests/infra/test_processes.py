"""What is started ends with its starter, however that went; what is in the way is named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.local import processes
from infra.local.processes import CannotStart

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]

STARTER = """
import sys, time
from pathlib import Path
from infra.local import processes
log = Path(sys.argv[1])
started = processes.start("sleeper", sys.argv[2:], log=log, environment=processes.scrubbed(), directory=log.parent)
print(started.keeper.pid, flush=True)
time.sleep(60)
"""


def gone(process: psutil.Process, seconds: float = 10) -> bool:
    """Whether the process ends in time; a zombie whose parent has not looked yet has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def child_of(pid: int) -> psutil.Process:
    deadline = time.monotonic() + 10
    while not (children := psutil.Process(pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return children[0]


@pytest.fixture
def starter(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that has started a sleeper; its first line of output is the keeper's pid."""
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "log"), *SLEEPER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_when_its_starter_is_gone(starter: subprocess.Popen[str], how: signal.Signals) -> None:
    keeper = int(starter.stdout.readline())
    sleeper = child_of(keeper)
    starter.send_signal(how)
    starter.wait(10)
    assert gone(sleeper)
    assert gone(psutil.Process(keeper)) if psutil.pid_exists(keeper) else True


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the parent's death")
def test_a_process_ends_when_its_keeper_is_killed(starter: subprocess.Popen[str]) -> None:
    keeper = int(starter.stdout.readline())
    sleeper = child_of(keeper)
    os.kill(keeper, signal.SIGKILL)
    assert gone(sleeper)
    starter.kill()
    starter.wait(10)


def start(tmp_path: Path, command: list[str]) -> processes.Process:
    return processes.start(
        "the sleeper", command, log=tmp_path / "log", environment=processes.scrubbed(), directory=tmp_path
    )


def test_stop_waits_for_the_end_and_may_be_called_twice(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEPER)
    process.wait_until(lambda: "up" in (tmp_path / "log").read_text(), seconds=10)
    sleeper = child_of(process.keeper.pid)
    process.stop()
    process.stop()
    assert not process.alive()
    assert gone(sleeper)


def test_a_process_that_ends_while_starting_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = start(tmp_path, [sys.executable, "-c", "raise SystemExit('no room on the disk')"])
    with pytest.raises(CannotStart, match=r"the sleeper ended while starting(.|\n)*no room on the disk"):
        process.wait_until(lambda: False, seconds=10)


def test_a_process_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    process = start(tmp_path, SLEEPER)
    with pytest.raises(CannotStart, match="not ready after 0 s"):
        process.wait_until(lambda: False, seconds=0.2)
    assert not process.alive()


def test_a_process_gets_nothing_of_the_callers_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "customer")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    assert not [name for name in processes.scrubbed() if name.startswith("AWS")]


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} for the API is already in use"):
            processes.choose_port(port, purpose="the API")
        assert processes.choose_port(None, remembered=port, purpose="the API") != port
    assert processes.choose_port(None, remembered=port, purpose="the API") == port


def test_one_state_directory_holds_one_wharf(tmp_path: Path) -> None:
    refused = pytest.raises(CannotStart, match=f"process {os.getpid()}")
    with processes.only_one(tmp_path), refused, processes.only_one(tmp_path):
        pass
    with processes.only_one(tmp_path):
        pass


def test_a_stale_pid_file_ends_only_what_is_ours(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    sleeper = subprocess.Popen(SLEEPER, stdout=subprocess.PIPE)
    sleeper.stdout.readline()  # its command line is its own by now
    pid_file.write_text(f"{sleeper.pid}\n/somewhere\n")
    processes.end_stale(pid_file, "not in its command line")
    assert sleeper.poll() is None
    processes.end_stale(pid_file, "time.sleep(60)")
    assert gone(psutil.Process(sleeper.pid)) if psutil.pid_exists(sleeper.pid) else True
    pid_file.write_text("no number")
    processes.end_stale(pid_file, "")
    processes.end_stale(tmp_path / "absent", "")
