"""Between the steps and AWS: every call of every step passes here, before it is sent and after its effect.

On botocore's own hooks, so the product is the deployed one. What stands in the way (a death, a wait, a person) is put
there by the context managers of this folder. Counting follows a context variable, so threads that a step starts with
its context belong to it.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from chalicelib import clients
from chalicelib.errors import Retryable

Step = Callable[..., dict[str, Any]]
Event = dict[str, Any]

SERVICES = ("dynamodb", "s3", "kms", "stepfunctions")


class Kill(BaseException):
    """The worker is gone. A BaseException: botocore retries Exceptions, and no step may catch this."""


@dataclass
class Invocation:
    """One invocation of a step. dead: killed; whatever it still tries to send is not sent, as of a process that ended
    (`finally` runs in a test, not in a killed Lambda). dies_at: (index of its call, "before" or "after").
    """

    step: Any
    dead: bool = False
    calls: int = 0
    dies_at: tuple[int, str] | None = None


@dataclass
class Call:
    """One AWS call. request: botocore's, with url and body. answer, http: once there is one; both may be changed."""

    number: int
    service: str
    operation: str
    request: dict[str, Any]
    invocation: Invocation | None
    answer: dict[str, Any] = field(default_factory=dict)
    http: Any = None

    @property
    def step(self) -> Any:
        return self.invocation.step if self.invocation else None

    def die(self) -> None:
        if self.invocation:
            self.invocation.dead = True
        raise Kill


_inside: ContextVar[Invocation | None] = ContextVar("invocation", default=None)
_aside: ContextVar[bool] = ContextVar("aside", default=False)
_name: ContextVar[str | None] = ContextVar("name", default=None)


@contextmanager
def aside() -> Iterator[None]:
    """Calls made in here are nobody's step's: they are neither counted nor disturbed."""
    token = _aside.set(True)
    try:
        yield
    finally:
        _aside.reset(token)


@dataclass
class Clock:
    """The time steps are told. A wait for somebody else's lease passes at once."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def call(
    run: Step,
    event: Event,
    *,
    now: Callable[[], float] = time.time,
    remaining: float = 300.0,
    seen: Callable[[Invocation], None] = lambda _: None,
) -> dict[str, Any]:
    """Invoke a step as Lambda would, with plenty of time. seen: is shown the invocation first."""
    invocation = Invocation(getattr(run, "stands_for", run))
    seen(invocation)
    token = _inside.set(invocation)
    try:
        return run(event, now=now, remaining=lambda: remaining)
    finally:
        _inside.reset(token)


PATIENCE = 500
"""Invocations of a step before a test gives up: more than the state machine's, since a wait for another job's lock is
made of as many invocations as that job makes calls."""


def insist(run: Step, event: Event, *, clock: Clock | None = None) -> dict[str, Any]:
    """Invoke a step until it answers, as the state machine does after a worker's death or a Retryable."""
    clock = clock or Clock()
    for _ in range(PATIENCE):
        try:
            answer = call(run, event, now=clock)
        except (Kill, Retryable):
            continue
        if answer.get("state") == "waiting":
            clock.ahead += 400.0
        elif answer.get("state") != "more":
            return answer
    raise AssertionError(f"{run.__module__} never came to an answer")


def twice_at_once(run: Step, event: Event) -> dict[str, Any]:
    """Two invocations of the same event at the same moment; both must come to an answer."""
    answers: list[dict[str, Any]] = []
    gate = threading.Barrier(2)

    def worker() -> None:
        gate.wait()
        answers.append(insist(run, event))

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2, "an invocation failed"
    return answers[0]


@contextmanager
def between(
    *,
    before: Callable[[Call], Any] | None = None,
    after: Callable[[Call], None] | None = None,
    within: tuple[Step, ...] = (),
) -> Iterator[None]:
    """Show every call to `before`, which may answer it (http, parsed) unsent, and to `after` once it has had its
    effect. within: only calls of these steps; none named means all. They are numbered as they come.
    """
    numbers = itertools.count()
    mine = object()

    def sent(model: Any, params: dict[str, Any], context: dict[Any, Any], **_: Any) -> Any:
        if _aside.get():
            return None
        invocation = _inside.get()
        if invocation and invocation.dead:
            raise Kill
        if within and (invocation.step if invocation else None) not in within:
            return None
        one = Call(next(numbers), model.service_model.service_name, model.name, params, invocation)
        context[mine] = one
        return before(one) if before else None

    def answered(http_response: Any, parsed: dict[str, Any], context: dict[Any, Any], **_: Any) -> None:
        one = context.get(mine)
        if one is not None and after:
            one.http, one.answer = http_response, parsed
            after(one)

    with hooked("before-call", sent), hooked("after-call", answered):
        yield


@contextmanager
def hooked(event: str, hook: Callable[..., Any]) -> Iterator[None]:
    """A hook on one of botocore's events, for all services the steps use."""
    emitters = [clients.client(service).meta.events for service in SERVICES]
    for emitter in emitters:
        emitter.register_last(event, hook)
    try:
        yield
    finally:
        for emitter in emitters:
            emitter.unregister(event, hook)


@contextmanager
def killed_at(index: int | None, moment: str = "before", within: tuple[Step, ...] = ()) -> Iterator[Counter[str]]:
    """Count AWS calls and die once, at the call of that index: before it is sent, or after its effect."""
    calls: Counter[str] = Counter()
    dead = threading.Event()

    def at(one: Call) -> None:
        if one.number == index and not dead.is_set():
            dead.set()
            one.die()

    def before(one: Call) -> None:
        calls[one.operation] += 1
        if moment == "before":
            at(one)

    with between(before=before, after=at if moment == "after" else None, within=within):
        yield calls


class Frozen:
    """An invocation of a step, in a thread, that stops at its own call of that index until it is let go.

    `reached` is False when it made fewer calls. `answer` or `error` once it has been let go and has ended.
    """

    def __init__(self, run: Step, event: Event, index: int, moment: str = "before") -> None:
        self.answer: dict[str, Any] | None = None
        self.error: BaseException | None = None
        self._run, self._event, self._index, self._moment = run, event, index, moment
        self._held, self._free, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._invoke, daemon=True)

    def __enter__(self) -> Frozen:
        self._thread.start()
        while not (self._held.wait(0.002) or self._ended.is_set()):
            pass
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    @property
    def reached(self) -> bool:
        return self._held.is_set()

    def let_go(self) -> None:
        self._free.set()
        self._thread.join(60)
        assert self._ended.is_set(), "it hangs"

    def _invoke(self) -> None:
        invocation = Invocation(self._run)
        _inside.set(invocation)

        def at(one: Call) -> None:
            if one.invocation is invocation and next(self._numbers) == self._index:
                self._held.set()
                self._free.wait(60)

        try:
            with between(**{self._moment: at}):
                self.answer = self._run(self._event, now=time.time, remaining=lambda: 300.0)
        except BaseException as error:  # noqa: BLE001 -- a thread's end is looked at by the test
            self.error = error
        finally:
            self._ended.set()


class Turns:
    """Several threads that move in turns, one AWS call at a time, in an order drawn from a seed."""

    def __init__(self, generator: random.Random, names: list[str]) -> None:
        self._generator, self._alive = generator, list(names)
        self._turn = generator.choice(self._alive)
        self._changed = threading.Condition()
        self.order: list[str] = []

    def run(self, work: dict[str, Callable[[], None]]) -> None:
        """Run each name's work in a thread of its own; an error of one is raised when all have ended."""
        errors: list[BaseException] = []

        def worker(name: str) -> None:
            _name.set(name)
            try:
                self._wait_for(name)
                work[name]()
            except BaseException as error:  # noqa: BLE001 -- raised again where it is seen
                errors.append(error)
            finally:
                self._leave(name)

        threads = [threading.Thread(target=worker, args=(name,), daemon=True) for name in work]
        with between(before=self._await):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
                assert not thread.is_alive(), f"deadlock after {self.order[-20:]}"
        if errors:
            raise errors[0]

    def _await(self, _: Call) -> None:
        name = _name.get()
        if name is None:
            return
        with self._changed:
            self._turn = self._generator.choice(self._alive)
            self._changed.notify_all()
        self._wait_for(name)
        self.order.append(name)

    def _wait_for(self, name: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._turn == name, 60), "nobody moves"

    def _leave(self, name: str) -> None:
        with self._changed:
            self._alive.remove(name)
            if self._alive:
                self._turn = self._generator.choice(self._alive)
            self._changed.notify_all()
