"""Named transformations: what SQL cannot safely do to a value on its way into a record.

In: one value that is not null, as the source sent it. Out: the new value, None to leave the field out, or `Warned`:
a value and what was wrong. A transformation never raises: a broken value costs itself, not its row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json

Transformation = Callable[[Any], Any]

MAX_ASIDE = 100_000
"""Characters of a text that is kept beside a record's own: a note on a customer, JSON of phones or addresses."""

BROKEN_JSON = "is no readable JSON, left out"
CUT_JSON = "is JSON that was cut off; what could be read is kept"

PHONE_TYPES = {"1": "work", "2": "home", "3": "other", "4": "mobile", "5": "fax", "6": "pager"}
PRIORITIES = {
    "low": "low", "lowest": "low", "minor": "low",
    "normal": "normal", "medium": "normal", "default": "normal",
    "high": "high", "higher": "high", "major": "high", "important": "high",
    "urgent": "urgent", "critical": "urgent", "highest": "urgent", "emergency": "urgent", "blocker": "urgent",
}  # fmt: skip

_is_address = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+").fullmatch


class Warned(NamedTuple):
    """A value that needs a word to the user."""

    value: Any
    reason: str


def get(name: str) -> Transformation:
    """The transformation of that name. Raises KeyError."""
    return _KNOWN[name]


def names() -> tuple[str, ...]:
    """All transformations."""
    return tuple(_KNOWN)


def _email(value: Any) -> Any:
    """An e-mail address as it is, with a warning when it is none."""
    return value if _is_address(str(value)) else Warned(value, "is not an e-mail address")


def _aside(value: Any) -> Any:
    """A text of at most 100,000 characters."""
    cut = isinstance(value, str) and len(value) > MAX_ASIDE
    return Warned(value[:MAX_ASIDE], f"cut to {MAX_ASIDE} characters") if cut else value


def _texts(value: Any) -> Any:
    """A JSON list of texts, or what PHP makes of a list: an object, when entries were removed from it."""
    if value in ("[]", ""):
        return None
    items, problem = _items(value)
    texts = [item for item in items if isinstance(item, str) and item]
    return Warned(texts or None, problem) if problem else texts or None


def _phones(value: Any) -> Any:
    """FreeScout's phones, `[{"value", "type", "n"}]` or the same as an object, as [{value, type}]."""
    if value in ("[]", ""):
        return None
    return _read_phones(value) if isinstance(value, str) else Warned(None, BROKEN_JSON)


@lru_cache(maxsize=2048)  # `phone` and `phones` read the same column of a chunk
def _read_phones(value: str) -> Any:
    items, problem = _items(value)
    phones = [
        {"value": item["value"], "type": PHONE_TYPES.get(str(item.get("type")), "other")}
        for item in items
        if isinstance(item, dict) and isinstance(item.get("value"), str) and item["value"]
    ]
    return Warned(phones or None, problem) if problem else phones or None


def _first_phone(value: Any) -> Any:
    """The first of FreeScout's phones. What is wrong with them is said once, by `phones`."""
    phones = _phones(value)
    if isinstance(phones, Warned):
        phones = phones.value
    return phones[0]["value"] if phones else None


@lru_cache(maxsize=1024)  # a database has a handful of priorities
def _priority(value: Any) -> Any:
    """`[key, options]` of a drop-down: the option's label as a priority. options is JSON text, `{"1": "Low", ...}`."""
    pair = from_json(value)
    key, options = pair[0], pair[1]
    if not key:
        return "normal"
    try:
        labels = from_json(options)
    except (ValueError, TypeError):
        return Warned("normal", "the field's options are no readable JSON, taken as normal")
    label = labels.get(key) if isinstance(labels, dict) else None
    found = PRIORITIES.get(str(label).strip().lower())
    return found or Warned("normal", "is none of the field's options or an unknown one, taken as normal")


def _items(value: Any) -> tuple[list[Any], str | None]:
    """The entries of a JSON array or object, as far as they can be read, and what was wrong."""
    try:
        return _entries(from_json(value)), None
    except (ValueError, TypeError):
        pass
    try:
        kept = _entries(from_json(value, allow_partial=True))
    except (ValueError, TypeError):
        kept = []
    return kept, CUT_JSON if kept else BROKEN_JSON


def _entries(parsed: Any) -> list[Any]:
    if isinstance(parsed, dict):
        return list(parsed.values())
    return parsed if isinstance(parsed, list) else [parsed]


_KNOWN: dict[str, Transformation] = {
    "aside": _aside,
    "email": _email,
    "first_phone": _first_phone,
    "phones": _phones,
    "priority": _priority,
    "texts": _texts,
}
