"""Starting a kept process, finding a free port, clearing what an earlier run left behind.

A `Process` is a command under `keeper.py`: it ends when this process ends. Refuses a port that is taken, by name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

KEEPER = Path(__file__).with_name("keeper.py")


class CannotStart(RuntimeError):
    """Something is in the way. The message says what, and what to do about it."""


@dataclass
class Process:
    """A running command. `log` is the file its output goes to."""

    name: str
    keeper: subprocess.Popen[bytes]
    log: Path

    def alive(self) -> bool:
        """Whether the command still runs."""
        return self.keeper.poll() is None

    def stop(self) -> None:
        """End it and wait until it has ended; twice does no harm."""
        if self.keeper.stdin and not self.keeper.stdin.closed:
            self.keeper.stdin.close()
        self.keeper.wait()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Poll until ready. Raises CannotStart with the end of the log when it dies or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            late = time.monotonic() > deadline
            if late or not self.alive():
                self.stop()
                reason = f"was not ready after {seconds:.0f} s" if late else "ended while starting"
                raise CannotStart(f"{self.name} {reason}. The end of {self.log}:\n{tail(self.log)}")
            time.sleep(0.05)


def start(
    name: str,
    command: list[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    directory: Path,
    user: tuple[int, int] | None = None,
    stop_signal: str = "TERM",
) -> Process:
    """Run a command in a session of its own (Ctrl-C reaches only us, who then stop it in order)."""
    log.parent.mkdir(parents=True, exist_ok=True)
    options = ["--user", f"{user[0]}:{user[1]}"] if user else []
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-I", str(KEEPER), *options, "--stop-signal", stop_signal, "--", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )
    return Process(name, keeper, log)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(empty)"


def scrubbed(**extra: str) -> dict[str, str]:
    """A small environment: what a program needs to run, none of the caller's credentials, profiles or proxies."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return {"PATH": os.defpath, **kept, **extra}


def choose_port(wanted: int | None, *, remembered: int | None = None, purpose: str) -> int:
    """The wanted port, or the remembered one if it is free, or any free one.

    Raises CannotStart when the wanted one is taken.
    """
    if wanted is not None:
        if not port_is_free(wanted):
            raise CannotStart(f"port {wanted} for {purpose} is already in use; end what uses it or name another port")
        return wanted
    if remembered is not None and port_is_free(remembered):
        return remembered
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the state directory for this process. Raises CannotStart while another process holds it."""
    import fcntl

    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise CannotStart(f"another Wharf (process {owner}) is running in {state}; stop it first") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def end_stale(pid_file: Path, marker: str, *, seconds: float = 20) -> None:
    """End the process a pid file names if it still is ours: its command line must contain `marker`."""
    import psutil

    try:
        stale = psutil.Process(int(pid_file.read_text().split()[0]))
        if marker not in " ".join(stale.cmdline()):
            return
        stale.send_signal(signal.SIGINT if "postgres" in stale.name() else signal.SIGTERM)
        stale.wait(seconds)
    except psutil.TimeoutExpired:
        stale.kill()
    except (OSError, ValueError, IndexError, psutil.Error):
        return
