"""Work in a process of its own: what it says comes back, and nothing of it stays."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from chalicelib import isolation
from chalicelib.errors import Fatal, Invalid, SourceUnreachable


def test_what_is_found_comes_back_as_it_is() -> None:
    found = {"text": "ä", "rows": [(1, None, 2.5)], "huge": "x" * 5_000_000}
    assert isolation.within(20, lambda _: found) == found


def test_what_is_told_on_the_way_is_heard_at_once_and_in_order() -> None:
    heard: list[Any] = []

    def work(tell: isolation.Tell) -> int:
        for number in range(100):
            tell(("stage", number))
        time.sleep(30)
        return 1

    with pytest.raises(isolation.Overdue):
        isolation.within(1, work, heard=heard.append)
    assert heard == [("stage", number) for number in range(100)]


@pytest.mark.parametrize(
    "error",
    [
        SourceUnreachable("Connection failed: x", "the cause", code="source_closed"),
        Fatal("gone", code="source_changed"),
        Invalid("no", errors={"host": ["Why."]}, extra={"version": 3}),
        ZeroDivisionError("ours"),
    ],
)
def test_an_error_is_raised_with_all_it_had(error: Exception) -> None:
    def fail(_: isolation.Tell) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        isolation.within(20, fail)
    assert vars(raised.value) == vars(error)
    assert raised.value.args == error.args


def forever(_: isolation.Tell) -> None:
    while True:
        pass


def holding_pythons_lock(_: isolation.Tell) -> None:
    """In C, without letting Python's other threads run: no watch inside the process could end it."""
    ctypes.PyDLL(None).sleep(60)


def deaf(_: isolation.Tell) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU):
        signal.signal(number, signal.SIG_IGN)
    forever(_)


@pytest.mark.parametrize("work", [forever, holding_pythons_lock, deaf])
def test_whatever_it_is_in_the_middle_of_it_is_ended(work: Any) -> None:
    began = time.monotonic()
    with pytest.raises(isolation.Overdue):
        isolation.within(0.3, work)
    assert time.monotonic() - began < 3
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("end", [lambda _: os._exit(0), lambda _: os.kill(os.getpid(), signal.SIGKILL)])
def test_a_process_that_dies_is_noticed_at_once(end: Any) -> None:
    began = time.monotonic()
    with pytest.raises(isolation.Ended):
        isolation.within(20, end)
    assert time.monotonic() - began < 5


def halfway(tell: isolation.Tell) -> None:
    """Ended in the middle of a word that is longer than what the pipe holds."""
    tell("")
    threading.Timer(0.3, os._exit, (1,)).start()
    tell("x" * 5_000_000)


def test_a_process_that_dies_in_the_middle_of_a_word_is_noticed_as_well() -> None:
    with pytest.raises(isolation.Ended):
        isolation.within(20, halfway, heard=lambda _: time.sleep(1))


@pytest.mark.parametrize("error", [EOFError("the work's own"), OSError(5, "the work's own")])
def test_an_end_that_the_work_raises_is_not_the_end_of_its_process(error: Exception) -> None:
    def fail(_: isolation.Tell) -> None:
        raise error

    with pytest.raises(type(error), match="the work's own"):
        isolation.within(20, fail)


def test_what_it_changes_beside_is_lost() -> None:
    kept: list[int] = []
    isolation.within(20, kept.append)
    assert kept == []


def test_an_orphan_ends_itself() -> None:
    import resource

    limits = isolation.within(7, lambda _: resource.getrlimit(resource.RLIMIT_CPU))
    assert limits == (7 + isolation.ORPHAN_CPU_SECONDS, 7 + isolation.ORPHAN_CPU_SECONDS)


def test_in_a_thread_work_is_awaited_as_long_as_it_may_take() -> None:
    assert isolation.awaited(5, lambda: "found") == "found"
    began = time.monotonic()
    with pytest.raises(isolation.Overdue):
        isolation.awaited(0.1, lambda: time.sleep(2))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("its own"), isolation.Overdue("a deeper one")])
def test_in_a_thread_what_the_work_raises_is_raised_at_once(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        isolation.awaited(60, fail)
    assert raised.value is error


class Late(Future[Any]):
    """A result that comes between the end of the wait and the next look."""

    def result(self, timeout: float | None = None) -> Any:
        try:
            return super().result(timeout)
        except TimeoutError:
            super().exception(10)
            raise


@pytest.mark.parametrize("error", [None, ValueError("x"), TimeoutError("its own")])
def test_in_a_thread_work_that_ends_as_its_time_does_is_not_lost(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> str:
        time.sleep(0.3)
        if error:
            raise error
        return "found"

    monkeypatch.setattr(isolation, "Future", Late)
    if error is None:
        assert isolation.awaited(0.05, work) == "found"
    else:
        with pytest.raises(type(error)) as raised:
            isolation.awaited(0.05, work)
        assert raised.value is error
