"""Runs one command and ends it when whoever started it is gone, however they went.

`python keeper.py [--user UID:GID] [--stop-signal INT] -- command ...`. The starter holds the other end of this
process's standard input and never writes to it: end of file means stop. That holds for a clean stop, an exception
and a SIGKILL alike, on any Unix. Should the keeper itself be killed, Linux signals the command
(PR_SET_PDEATHSIG). Exit status: the command's.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
PATIENCE_SECONDS = 60
"""The cloud writes its state down before it goes; after this long it is killed."""


def main() -> int:
    """Start the command, wait for it or for the end of standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", help="UID:GID to run as; needs root")
    parser.add_argument("--stop-signal", default="TERM")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    stop = signal.Signals[f"SIG{options.stop_signal}"]
    uid, gid = (int(part) for part in options.user.split(":")) if options.user else (None, None)
    child = subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        user=uid,
        group=gid,
        extra_groups=[] if options.user else None,
        preexec_fn=lambda: end_with_parent(stop),  # safe: this process has a single thread
    )
    threading.Thread(target=stop_at_end_of_input, args=(child, stop), daemon=True).start()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, lambda *_: child.send_signal(stop))
    status = child.wait()
    with contextlib.suppress(ProcessLookupError):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)  # what the command left behind in our session
    return status if status >= 0 else 128 - status


def end_with_parent(stop: signal.Signals) -> None:
    """Ask Linux to signal this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop)


def stop_at_end_of_input(child: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    """Block until the starter's end is closed, then stop the child, by force if it takes too long."""
    while os.read(0, 4096):
        pass
    child.send_signal(stop)
    try:
        child.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main())
