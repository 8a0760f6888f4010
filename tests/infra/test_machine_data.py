"""What flows through the state machine: every path leads to something, every step gets the event it declares.

The machine is walked with the shapes of its data, along every road: which fields there are, not what is in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NotRequired, get_origin, get_type_hints

import pytest

State = dict[str, Any]
Shape = Any
"""Field -> shape; ANY for what a Lambda answers or a scalar."""

ANY = "any"

START = {"org": ANY, "job": ANY}
"""What `jobs.execute` starts an execution with."""

ERROR = {"Error": ANY, "Cause": ANY}
"""What Catch puts in place (Step Functions Developer Guide, "Error handling")."""

ITEMS = {
    # manifest -> fields of its entries: `plan` writes the first, `match` the second
    "$.current.manifest": {"chunk", "low", "high", "rows", "raw"},
    "$.matched.manifest": {"chunk"},
}

INTRINSICS = {
    # Step Functions Developer Guide, "Intrinsic functions for JSONPath states": fewest and most arguments
    "Array": (0, 99),
    "ArrayContains": (2, 2),
    "ArrayGetItem": (2, 2),
    "ArrayLength": (1, 1),
    "ArrayPartition": (2, 2),
    "ArrayRange": (3, 3),
    "ArrayUnique": (1, 1),
    "Base64Decode": (1, 1),
    "Base64Encode": (1, 1),
    "Format": (1, 99),
    "Hash": (2, 2),
    "JsonMerge": (3, 3),
    "JsonToString": (1, 1),
    "MathAdd": (2, 2),
    "MathRandom": (2, 3),
    "StringSplit": (2, 2),
    "StringToJson": (1, 1),
    "UUID": (0, 0),
}


class Broken(AssertionError):
    """A path that leads nowhere, or a text that AWS would refuse."""


def at(shape: Shape, path: str) -> Shape:
    """The shape a reference path leads to."""
    if not re.fullmatch(r"\$(\.[A-Za-z_]\w*)*", path):
        raise Broken(f"{path} is no reference path")
    for name in path.split(".")[1:]:
        if shape == ANY:
            return ANY
        if name not in shape:
            raise Broken(f"{path} leads nowhere: there is {sorted(shape)}")
        shape = shape[name]
    return shape


def value(shape: Shape, text: str, item: set[str]) -> Shape:
    """The shape of what stands behind a key that ends in ".$": a path, a field of the map's item, an intrinsic."""
    if text.startswith("$$."):
        field = re.fullmatch(r"\$\$\.Map\.Item\.Value\.(\w+)", text)
        if not field or field[1] not in item:
            raise Broken(f"{text} is not in an item of {sorted(item)}")
        return ANY
    if text.startswith("$"):
        return at(shape, text)
    call = re.fullmatch(r"States\.(\w+)\((.*)\)", text)
    if not call or call[1] not in INTRINSICS:
        raise Broken(f"{text} is neither a path nor an intrinsic function")
    arguments = [one for one in re.split(r",\s*", call[2]) if one]
    fewest, most = INTRINSICS[call[1]]
    if not fewest <= len(arguments) <= most:
        raise Broken(f"{text}: {len(arguments)} arguments")
    for argument in arguments:
        if argument.startswith("$"):
            at(shape, argument)
        elif not re.fullmatch(r"-?\d+|'[^']*'", argument):
            raise Broken(f"{text}: {argument} is no argument")
    return ANY


def filled(shape: Shape, template: Any, item: set[str]) -> Shape:
    """The shape of a payload template."""
    if not isinstance(template, dict):
        if isinstance(template, str) and template.startswith("$"):
            raise Broken(f"{template} would be handed on as it is: its key does not end in .$")
        return ANY
    return {
        name.removesuffix(".$"): value(shape, inner, item) if name.endswith(".$") else filled(shape, inner, item)
        for name, inner in template.items()
    }


def put(shape: Shape, path: str | None, result: Shape) -> Shape:
    """The shape once a result has been put at its ResultPath; one level deep is all we use."""
    if path is None:
        return shape
    if path == "$":
        return result
    name = re.fullmatch(r"\$\.([A-Za-z_]\w*)", path)
    if not name:
        raise Broken(f"{path} is no ResultPath of ours")
    return {**shape, name[1]: result}


def choices(shape: Shape, rules: list[State]) -> Iterator[str]:
    """The states a Choice may lead to."""
    for rule in rules:
        for key in rule:
            if key == "Variable" or key.endswith("Path"):
                at(shape, rule[key])
        yield rule["Next"]


def walk(machine: State, start: Shape, events: dict[str, list[Shape]]) -> None:
    """Go every road there is; `events` gets, by function, each shape it is called with. Raises Broken."""
    waiting, seen = [(machine["StartAt"], start)], set()
    while waiting:
        name, shape = waiting.pop()
        mark = (name, json.dumps(shape, sort_keys=True))
        if mark in seen:
            continue
        seen.add(mark)
        try:
            waiting += step(machine["States"][name], shape, events)
        except Broken as broken:
            raise Broken(f"{name}: {broken}") from None


def step(state: State, shape: Shape, events: dict[str, list[Shape]]) -> Iterator[tuple[str, Shape]]:
    """(next state, shape it is entered with) for every way out of a state."""
    given = at(shape, state.get("InputPath", "$"))
    result = filled(given, state["Parameters"], set()) if "Parameters" in state else given
    if state["Type"] == "Task":
        events.setdefault(state["Resource"].removeprefix("${").removesuffix("Function}").lower(), []).append(result)
        result = ANY
    if state["Type"] == "Map":
        reader = state["ItemReader"]["Parameters"]
        filled(given, reader, set())
        walk(state["ItemProcessor"], filled(given, state["ItemSelector"], ITEMS[reader["Key.$"]]), events)
        result = ANY
    if "SecondsPath" in state:
        at(given, state["SecondsPath"])
    for catcher in state.get("Catch", []):
        yield catcher["Next"], put(shape, catcher["ResultPath"], ERROR)
    if state["Type"] == "Choice":
        yield from ((name, shape) for name in [*choices(given, state["Choices"]), state["Default"]])
    elif "Next" in state:
        yield state["Next"], put(shape, state.get("ResultPath", "$"), result)


@pytest.fixture(scope="module")
def events(machine: State) -> dict[str, list[Shape]]:
    found: dict[str, list[Shape]] = {}
    walk(machine, START, found)
    return found


def declared(function: str) -> tuple[set[str], set[str]]:
    """(required, all) fields of a step's event class."""
    hints = get_type_hints(import_module(f"chalicelib.steps.{function}").Event, include_extras=True)
    return {name for name, hint in hints.items() if get_origin(hint) is not NotRequired}, set(hints)


FUNCTIONS = ("plan", "extract", "transform", "match", "decide", "load", "finish")


def test_every_step_of_the_machine_is_a_step_of_the_code(events: dict[str, list[Shape]]) -> None:
    assert events.keys() == set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_step_gets_every_field_it_requires_and_none_it_does_not_declare(
    function: str, events: dict[str, list[Shape]]
) -> None:
    required, known = declared(function)
    assert {"org", "job"} <= required
    for event in events[function]:
        assert required - event.keys() == set()
        assert event.keys() - known == set()
    assert known == {name for event in events[function] for name in event}, "declared, and never given"


def test_finish_is_told_of_an_error_where_there_was_one(events: dict[str, list[Shape]]) -> None:
    assert {tuple(sorted(event)) for event in events["finish"]} == {("job", "org"), ("error", "job", "org")}
    assert all(event["error"] == ERROR for event in events["finish"] if "error" in event)


def broken(machine: State, *path: str | int, to: Any) -> State:
    """The machine with one thing changed."""
    copy: State = json.loads(json.dumps(machine))
    place: Any = copy["States"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return copy


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("First type", "Parameters", "bucket.$"), "$.plam.bucket", r"First type: \$\.plam\.bucket leads nowhere"),
        (("Pick type", "Parameters", "current.$"), "States.ArrayGet($.types, $.index)", "neither a path nor"),
        (("Next type", "Parameters", "index.$"), "States.MathAdd($.index)", "1 arguments"),
        (("Next type", "Parameters", "index.$"), "States.MathAdd($.place, 1)", r"\$\.place leads nowhere"),
        (("Plan", "Parameters"), {"org": "$.org", "job.$": "$.job"}, "handed on as it is"),
        (("Another type?", "Choices", 0, "Variable"), "$.indx", r"Another type\?: \$\.indx leads nowhere"),
        (("Read", "ItemSelector", "item", "chunk.$"), "$$.Map.Item.Value.chnk", "not in an item"),
        (("Settle", "ItemSelector", "item", "chunk.$"), "$$.Map.Item.Value.low", "not in an item"),
        (("Wait for the type", "SecondsPath"), "$.match.seconds", r"\$\.match\.seconds leads nowhere"),
        (("Finish", "InputPath"), "$.itm", r"Finish: \$\.itm leads nowhere"),
    ],
)
def test_what_is_broken_is_found(machine: State, path: tuple[str | int, ...], to: Any, message: str) -> None:
    with pytest.raises(Broken, match=message):
        walk(broken(machine, *path, to=to), START, {})


def test_a_field_too_much_and_one_too_few_are_found(machine: State) -> None:
    found: dict[str, list[Shape]] = {}
    walk(broken(machine, "Match", "Parameters", to={"org.$": "$.org", "jib.$": "$.job"}), START, found)
    required, known = declared("match")
    assert (required - found["match"][0].keys(), found["match"][0].keys() - known) == ({"job", "type"}, {"jib"})
