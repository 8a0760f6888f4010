"""The system templates, one file each: ready-made queries for a known product's database.

A file has ID, NAME, PLATFORM, DESCRIPTION, SUPPORTED_TYPES, TYPES (all it brings, in the order they are imported),
CREATED_AT, OPTIONS (what a person may choose) and `queries(options, schema)`. A new template is a new file.
"""

from __future__ import annotations

import builtins
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypedDict

from chalicelib.errors import NotFound
from chalicelib.sql import Query


class Option(TypedDict):
    """One thing to choose. type: "timezone", "choice" (of `choices`), "text" (matching `pattern`) or "boolean"."""

    name: str
    label: str
    type: str
    required: bool
    default: Any
    choices: tuple[str, ...] | None
    pattern: str | None


class Template(Protocol):
    """What a template's file offers."""

    ID: str
    NAME: str
    PLATFORM: str
    DESCRIPTION: str
    SUPPORTED_TYPES: tuple[str, ...]
    TYPES: tuple[str, ...]
    CREATED_AT: str
    OPTIONS: tuple[Option, ...]

    def queries(self, options: dict[str, Any], schema: dict[str, Any] | None = None) -> dict[str, Query]:
        """type -> query, in the order of TYPES. With a schema (see sources), what the database lacks is left out.

        Raises Invalid for an option's value, Fatal when the database is another product's.
        """


@cache
def all() -> tuple[Template, ...]:  # noqa: A001 -- read as templates.all()
    """All templates, the general one last."""
    found: builtins.list[Any] = [
        import_module(f"{__name__}.{path.stem}") for path in Path(__file__).parent.glob("[a-z]*.py")
    ]
    return tuple(sorted(found, key=lambda template: (not template.TYPES, template.NAME)))


def get(template_id: str) -> Template:
    """The template with that id. Raises NotFound."""
    found = {template.ID: template for template in all()}.get(template_id)
    if found is None:
        raise NotFound("Template not found")
    return found
