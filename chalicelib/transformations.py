"""Named transformations: what SQL cannot safely do to a value on its way into a record.

In: one value that is not null, as the source sent it. Out: the new value, None to leave the field out, or `Warned`:
a value and what was wrong. A transformation never raises: a broken value costs itself, not its row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json

Transformation = Callable[[Any], Any]

MAX_ASIDE = 100_000
"""Characters of a text that is kept beside a record's own: a note on a customer, JSON of phones or addresses."""

BROKEN_JSON = "is no readable JSON, left out"
NO_LIST = "is no list, left out"
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


_moment = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?)?"
).fullmatch


def _time(value: Any) -> Any:
    """A date or time as PostgreSQL or ISO 8601 writes it, in UTC; without a zone it is taken as UTC, a bare date as its
    beginning. What is none stays as it is.
    """
    found = _moment(value) if isinstance(value, str) else None
    if not found:
        return value
    day, hours, zone = found.groups(default="")
    hours = hours or "00:00:00"
    seconds = hours if len(hours) > 5 else f"{hours}:00"
    if zone in ("", "Z", "+00", "+00:00", "+0000"):
        return f"{day}T{seconds}Z"
    try:
        moment = datetime.fromisoformat(f"{day}T{seconds}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return value
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + (f".{moment.microsecond:06d}Z" if moment.microsecond else "Z")


def _object(value: Any) -> Any:
    """A JSON object; what is none is left out."""
    if isinstance(value, dict):
        return value
    try:
        found = from_json(value)
    except (ValueError, TypeError):
        found = None
    return found if isinstance(found, dict) else Warned(None, "is no JSON object, left out")


def _array(value: Any) -> Any:
    """The entries of a JSON array or a PostgreSQL array of one dimension, without those that are null."""
    if isinstance(value, list):
        return [item for item in value if item is not None]
    try:
        found = from_json(value)
    except (ValueError, TypeError):
        found = None
    if found is None or isinstance(found, dict):
        found = _elements(value) if isinstance(value, str) else None
    return [item for item in found if item is not None] if isinstance(found, list) else Warned(None, NO_LIST)


_element = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^",{}\\]+))\s*(,|\Z)', re.DOTALL).match


def _elements(text: str) -> list[str | None] | None:
    """What PostgreSQL writes as {a,"b, c",NULL}; None for anything else."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    inside, at, found = text[1:-1], 0, []
    while at < len(inside):
        element = _element(inside, at)
        if not element:
            return None
        quoted, bare, separator = element.groups()
        at = element.end()
        if separator == "," and at == len(inside):
            return None
        found.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if bare is None else _bare(bare))
    return found


def _bare(text: str) -> str | None:
    return None if text.strip().upper() == "NULL" else text.strip()


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
    "array": _array,
    "aside": _aside,
    "email": _email,
    "first_phone": _first_phone,
    "object": _object,
    "phones": _phones,
    "priority": _priority,
    "texts": _texts,
    "time": _time,
}
