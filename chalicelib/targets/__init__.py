"""The record types, one file each: what a record holds, what is unique about it, and what it refers to.

A type's file has `Record` (its fields), UNIQUE_KEYS, MATCH_FIELDS, REFERENCES (name -> types it may lead to), PARENT
(the reference a record is stored under) and LENIENT: fields whose unfit value is replaced with a warning instead of
rejecting the row, each with what is put in its place (None: the field is left out). The file's name is the type's.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

MAX_TEXT = 1_000_000
"""Longest text of a record, in characters. SQL cuts one character beyond, so that a 200 MB value costs no memory
(it took 635 MB to read) and the cut is still seen here."""

Line = Annotated[str, StringConstraints(max_length=1_000)]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Email = Annotated[str, StringConstraints(max_length=320)]
"""RFC 5321: 64 + @ + 255. Any other shape is kept as the source has it; mapping.py warns about what is no address."""

_TIMESTAMP = r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,6})?Z$"

Timestamp = Annotated[str, StringConstraints(pattern=_TIMESTAMP)]
"""A UTC time as text: `2026-01-01T10:00:00Z`. Infinity and years beyond 9999 have no such form."""

TIMES: dict[str, None] = {"created_at": None, "updated_at": None}
"""For LENIENT: the times every type has."""


MOVED = "$s3"
"""The key by which a record's item says where a text of it went. No object from outside may have it: reading the record
would follow it."""


def _without_moved(value: dict[str, Any]) -> dict[str, Any]:
    if MOVED in value:
        raise PydanticCustomError("reserved", "has the reserved key {key}", {"key": MOVED})
    return value


Object = Annotated[dict[str, Any], AfterValidator(_without_moved)]
"""Whatever the source has, as an object."""


class Imported(BaseModel):
    """What every record may carry beside the fields of its type: the source's own times, and what has no field here."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    custom_fields: Object | None = None


class Target(Protocol):
    """What a type's file offers."""

    Record: type[BaseModel]
    UNIQUE_KEYS: tuple[str, ...]
    MATCH_FIELDS: tuple[str, ...]
    REFERENCES: dict[str, tuple[str, ...]]
    PARENT: str | None
    LENIENT: dict[str, Any]


@cache
def get(name: str) -> Target:
    """The type of that name. Raises KeyError."""
    if name not in names():
        raise KeyError(name)
    target: Target = import_module(f"{__name__}.{name}")
    return target


@cache
def names() -> tuple[str, ...]:
    """All types, each after the types it refers to, otherwise by name."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    refers = {name: {other for types in _references(name).values() for other in types} for name in found}
    ordered: list[str] = []
    while len(ordered) < len(found):
        ready = [name for name in found if name not in ordered and refers[name] <= {*ordered, name}]
        if not ready:
            raise RuntimeError(f"record types refer to each other in a circle: {sorted(set(found) - set(ordered))}")
        ordered.append(ready[0])
    return tuple(ordered)


def _references(name: str) -> dict[str, tuple[str, ...]]:
    references: dict[str, tuple[str, ...]] = import_module(f"{__name__}.{name}").REFERENCES
    return references


def normalise_key(field: str, value: str) -> str:  # noqa: ARG001 -- every unique key so far is an e-mail address
    """A unique key as it is compared: without surrounding space, in one case and one Unicode form.

    Only for comparing: records keep the value as the source has it.
    """
    if value.isascii():
        return value.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).strip().casefold())
