"""Work on a stranger's server that is given up when its time is over: in a thread, or in a process of its own, which
can be ended whatever it is in the middle of.

In: what to do and how long it may take. Out: what it returns or raises, or `Overdue`. A thread cannot be ended: a
server that makes the client compute (SCRAM's rounds of hashing) would leave one behind that takes time from every later
request of a warm Lambda. The process is a fork, a matter of milliseconds, so modules are loaded once, and before.
"""

from __future__ import annotations

import multiprocessing
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Found = TypeVar("Found")
Tell = Callable[[Any], None]

ORPHAN_CPU_SECONDS = 5
"""Beyond its own time, what a process may compute whose parent was ended before it could end it."""


class Overdue(Exception):
    """The work took too long, and was given up or ended."""


class Ended(Exception):
    """The work's process ended without a word: the system ended it, or our own code did."""


def awaited(seconds: float, work: Callable[[], Found]) -> Found:
    """What `work` returns or raises. Raises Overdue; then the thread it is in ends by time-outs of its own, or goes on
    when nobody else wants the time (see handshakes.py).
    """
    outcome: Future[Found] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised on the other side
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(timeout=max(0, seconds))
    except TimeoutError:
        if outcome.done():  # the work's own, or it ended just now
            return outcome.result()
        raise Overdue from None


def within(seconds: float, work: Callable[[Tell], Found], *, heard: Tell = lambda _: None) -> Found:
    """What `work` returns or raises, which must be picklable. Raises Overdue and Ended.

    work: is given a function that sends a value to `heard`, on this side, at once. What else it changes is lost.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=_do, args=(work, theirs, seconds), daemon=True)
    child.start()
    theirs.close()
    deadline = time.monotonic() + seconds
    try:
        while True:
            if not ours.poll(max(deadline - time.monotonic(), 0)):
                raise Overdue
            kind, said = _received(ours)
            if kind == "told":
                heard(said)
            elif kind == "found":
                return said  # type: ignore[no-any-return]  # what the work returned
            else:
                raise _rebuilt(*said)
    finally:
        child.kill()
        child.join()
        child.close()
        ours.close()


def _received(ours: Connection) -> tuple[str, Any]:
    """What the child says next. Raises Ended: before a word an end is an EOFError, within one an OSError."""
    try:
        said: tuple[str, Any] = ours.recv()
    except (EOFError, OSError):
        raise Ended from None
    return said


def _do(work: Callable[[Tell], Any], parent: Connection, seconds: float) -> None:
    """In the child: do it, and say what came of it."""
    allowed = int(seconds) + ORPHAN_CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed))
    try:
        said: tuple[str, Any] = ("found", work(lambda value: parent.send(("told", value))))
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised on the other side
        said = ("raised", (type(error), error.args, vars(error)))
    parent.send(said)


def _rebuilt(kind: type[Exception], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    """An exception as it was, past a constructor that may ask for more than it passed on; by its name, where even that
    is not enough.
    """
    try:
        made = kind.__new__(kind, *arguments)
        vars(made).update(attributes)
    except TypeError:
        return RuntimeError(f"{kind.__module__}.{kind.__qualname__}")
    return made
