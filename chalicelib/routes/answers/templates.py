"""What /api/import/templates answers."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from chalicelib.routes.answers import Person


class Option(TypedDict):
    """What a template can be asked to do. label: for people. choices, pattern: what a value may be."""

    name: str
    label: str
    type: Literal["timezone", "choice", "text", "boolean", "integer"]
    required: NotRequired[bool]
    default: NotRequired[Any]
    choices: NotRequired[list[str] | None]
    pattern: NotRequired[str | None]


class Template(TypedDict):
    """A template as lists show it. is_system: whether it is one of ours, which nobody can change."""

    id: str
    name: str
    platform: str
    database_type: Literal["postgresql"]
    description: str
    supported_types: list[str]
    is_system: bool
    options: list[Option]
    created_at: str


class Templates(TypedDict):
    """All templates: the system's, then the organisation's own by name."""

    data: list[Template]


class WholeTemplate(Template):
    """A template with its queries. based_on: the system template it is a copy of; types without a query of its own are
    imported by that one's. created_by: null for the system's.
    """

    queries: dict[str, dict[str, Any]]
    metadata: dict[str, Any]
    based_on: str | None
    created_by: Person | None
    version: int
    updated_at: str


class TemplateSaved(TypedDict):
    """The template as it is now."""

    message: str
    template: WholeTemplate
