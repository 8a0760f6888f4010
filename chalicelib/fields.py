"""Options that a module declares (a template's, a source's), checked as a person sent them.

In: the declarations, dicts with `name`, `type` (text with an optional `pattern`, integer, boolean, choice of `choices`,
timezone), `required`, `default`; and the values sent. Out: a value for every option. Refused, each by name: unknown
options and unfit values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from chalicelib.errors import Invalid
from chalicelib.messages import sentence

MAX_TEXT = 200
"""Longest text of an option, in characters; they are names, prefixes and patterns."""

Declaration = Mapping[str, Any]


def check(declared: Iterable[Declaration], sent: dict[str, Any], *, prefix: str = "options") -> dict[str, Any]:
    """A value for every declared option: the one sent, else its default. Raises Invalid naming `<prefix>.<option>`."""
    options = {option["name"]: option for option in declared}
    errors = {f"{prefix}.{name}": "extra_forbidden" for name in sent if name not in options}
    values: dict[str, Any] = {}
    for name, option in options.items():
        value = sent.get(name)
        if value is None or value == "":
            values[name] = option.get("default")
            refused = "missing" if option.get("required") and values[name] is None else None
        else:
            values[name] = value
            refused = _KINDS[option["type"]](option, value)
        if refused:
            errors[f"{prefix}.{name}"] = refused
    if errors:
        raise Invalid("Validation failed", errors={name: [sentence(kind, name)] for name, kind in errors.items()})
    return values


def _text(option: Declaration, value: Any) -> str | None:
    if not isinstance(value, str):
        return "string_type"
    fits = len(value) <= MAX_TEXT and value.isprintable() and re.search(option.get("pattern") or "", value)
    return None if fits else "format"


def _integer(option: Declaration, value: Any) -> str | None:
    return None if type(value) is int else "int_type"


def _boolean(option: Declaration, value: Any) -> str | None:
    return None if type(value) is bool else "bool_type"


def _choice(option: Declaration, value: Any) -> str | None:
    return None if value in tuple(option["choices"]) else "selected"


def _timezone(option: Declaration, value: Any) -> str | None:
    return None if isinstance(value, str) and value in _zones() else "selected"


@cache
def _zones() -> frozenset[str]:
    """The names every system agrees on: a machine's own zone and the one of a machine without are not among them."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


_KINDS: dict[str, Callable[[Declaration, Any], str | None]] = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "choice": _choice,
    "timezone": _timezone,
}
