"""The import state machine walked through state by state, to count what AWS counts; nothing waits, nothing fails.

History events are those of the API reference's HistoryEvent: entered and exited for each state, three more for a
Lambda task (scheduled, started, succeeded), four for a distributed map (its run started and succeeded, and to be safe
the map's own), started and succeeded for the execution. A transition is paid for each state that is entered, in
children too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
Task = Callable[[str, Event], Event]
"""(name of the step, its input) -> its answer."""

INSIDE = {"Task": 3, "Map": 4}


@dataclass
class Walk:
    """One execution. events: of its own history. transitions: its own and its children's. children: executions.

    state_bytes: the largest state between two states. items: the most items of a map.
    """

    task: Task
    items_of: Callable[[str], list[Event]]
    events: int = 2
    transitions: int = 0
    children: int = 0
    child_events: int = 0
    state_bytes: int = 0
    items: int = 0
    roads: list[str] = field(default_factory=list)

    def run(self, definition: Event, state: Event, item: Event | None = None) -> Event:
        """Walk to the end; the output."""
        name, context = definition["StartAt"], {"Map": {"Item": {"Value": item}}}
        while True:
            one = definition["States"][name]
            self.roads.append(name)
            self.transitions += 1
            self.events += 2 + INSIDE.get(one["Type"], 0)
            self.state_bytes = max(self.state_bytes, len(json.dumps(state, separators=(",", ":")).encode()))
            state = getattr(self, f"_{one['Type'].lower()}")(one, state, context)
            name = _choose(one, state) if one["Type"] == "Choice" else one.get("Next")
            if name is None:
                return state

    def _pass(self, one: Event, state: Event, context: Event) -> Event:
        return _filled(one["Parameters"], state, context) if "Parameters" in one else state

    def _choice(self, _one: Event, state: Event, _context: Event) -> Event:
        return state

    _wait = _choice

    def _succeed(self, one: Event, state: Event, _context: Event) -> Event:
        return {} if "OutputPath" in one and one["OutputPath"] is None else state

    def _task(self, one: Event, state: Event, context: Event) -> Event:
        given = _filled(one["Parameters"], state, context) if "Parameters" in one else _at(one["InputPath"], state)
        step = re.fullmatch(r"\$\{(\w+)Function\}", one["Resource"])
        assert step
        answer = self.task(step[1].lower(), given)
        return state | {one["ResultPath"].removeprefix("$."): answer}

    def _map(self, one: Event, state: Event, context: Event) -> Event:
        assert one["ResultPath"] is None, "a map that keeps its children's answers would grow the state"
        items = self.items_of(_filled(one["ItemReader"]["Parameters"], state, context)["Key"])
        self.items = max(self.items, len(items))
        for item in items:
            child = Walk(self.task, self.items_of)
            selected = _filled(one["ItemSelector"], state, {"Map": {"Item": {"Value": item}}})
            child.run(one["ItemProcessor"], selected, item)
            self.children += 1
            self.transitions += child.transitions
            self.child_events = max(self.child_events, child.events)
            self.state_bytes = max(self.state_bytes, child.state_bytes)
        return state


def _choose(one: Event, state: Event) -> str:
    for choice in one["Choices"]:
        value = _at(choice["Variable"], state)
        if "NumericLessThanPath" in choice:
            holds = value < _at(choice["NumericLessThanPath"], state)
        else:
            holds = value == choice.get("StringEquals", choice.get("BooleanEquals"))
        if holds:
            return str(choice["Next"])
    return str(one["Default"])


def _filled(template: Event, state: Event, context: Event) -> Event:
    """A payload template with its paths and intrinsic functions worked out."""
    made: Event = {}
    for name, value in template.items():
        if name.endswith(".$"):
            made[name[:-2]] = _worked_out(value, state, context)
        else:
            made[name] = _filled(value, state, context) if isinstance(value, dict) else value
    return made


def _worked_out(text: str, state: Event, context: Event) -> Any:
    if text.startswith("$$."):
        return _at(text[1:], context)
    if text.startswith("$"):
        return _at(text, state)
    function, inside = text.rstrip(")").split("(")
    left, right = (_at(part, state) if part.startswith("$") else int(part) for part in inside.split(", "))
    return left[right] if function == "States.ArrayGetItem" else {"States.MathAdd": left + right}[function]


def _at(path: str, value: Any) -> Any:
    for word in path.split(".")[1:]:
        value = value[word]
    return value
