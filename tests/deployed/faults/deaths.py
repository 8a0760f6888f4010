"""Workers that die, by a plan that covers every place there is to die at.

Killing an import once at each of its calls would take as many imports. But chunks do not depend on each other, so one
import with enough of them holds a death at every call of every step that works on chunks (`Once`). Steps that run once
a job or a type are killed at each of their calls in turn, invocation after invocation (`OnAndOn`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.deployed.faults.calls import Call, Invocation, Kill, between, call
from tests.deployed.faults.source import STEPS, Import

NAMES = {step: name for name, step in STEPS.items()}

MOMENTS = ("before", "after")


class _Reaper:
    """Has invocations die where they are told to."""

    def __init__(self) -> None:
        self.deaths: Counter[str] = Counter()

    @contextmanager
    def at_work(self) -> Iterator[Counter[str]]:
        """Yields how often which call of which step was the last."""
        with between(before=self._before, after=self._after):
            yield self.deaths

    def _before(self, one: Call) -> None:
        if one.invocation:
            one.invocation.calls += 1
            self._strike(one, one.invocation, "before")

    def _after(self, one: Call) -> None:
        if one.invocation:
            self._strike(one, one.invocation, "after")

    def _strike(self, one: Call, invocation: Invocation, moment: str) -> None:
        if invocation.dies_at == (invocation.calls - 1, moment) and not invocation.dead:
            self.deaths[f"{NAMES[one.step]} {one.operation} {moment}"] += 1
            one.die()


def _mortal(point: int) -> Callable[[Invocation], None]:
    """Places to die at are numbered: before the first call, after it, before the second one, ..."""

    def arm(invocation: Invocation) -> None:
        invocation.dies_at = (point // 2, MOMENTS[point % 2])

    return arm


class Once(_Reaper):
    """Kills each invocation of a step once: the first chunk's at its first call, the next one's at the next place.

    What is left when a step has fewer places than a type has chunks runs unharmed: `covered` then says so.
    """

    def __init__(self, steps: tuple[str, ...]) -> None:
        super().__init__()
        self.steps = steps
        self.met: Counter[tuple[str, str]] = Counter()
        self.spared: Counter[tuple[str, str]] = Counter()

    def invoke(self, world: Import, run: Any, event: dict[str, Any]) -> dict[str, Any]:
        name = NAMES[run]
        if name not in self.steps:
            return world.insist(run, event)
        place = (name, event["type"])
        point = self.met[place]
        self.met[place] += 1
        try:
            answer = call(run, event, now=world.clock, seen=_mortal(point))
        except Kill:
            return world.insist(run, event)
        self.spared[place] += 1
        return answer

    def covered(self, world: Import) -> list[str]:
        """Steps and types of which no invocation was left unharmed: they may have more places to die at."""
        return [f"{name} {kind}" for name in self.steps for kind in world.types if not self.spared[name, kind]]


class OnAndOn(_Reaper):
    """Kills every invocation at its first call, the next attempt at the same one's other moment, then at the second
    call, and so on, until one gets through.
    """

    def invoke(self, world: Import, run: Any, event: dict[str, Any]) -> dict[str, Any]:
        for point in range(400):
            try:
                answer = call(run, event, now=world.clock, seen=_mortal(point))
            except Kill:
                continue
            if answer.get("state") == "waiting":
                world.clock.ahead += 400.0
            elif answer.get("state") != "more":
                return answer
        raise AssertionError(f"{NAMES[run]} never gets through")
