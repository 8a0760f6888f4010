"""/api/import/templates: the system's, and the organisation's own, which holders of `system.configure` keep."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from chalicelib import configurations, own_templates, targets
from chalicelib.access import Caller
from chalicelib.idempotency import Minted
from chalicelib.messages import MAX_FIELDS, finite, printable, sentence
from chalicelib.preconditions import IfMatch
from chalicelib.requests import Body, Routes, invalid
from chalicelib.routes.answers import Message
from chalicelib.routes.answers import templates as shapes

routes = Routes()

_Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(printable)
]


class TemplateBody(Body):
    """A template of the organisation's own.

    platform: whose database it fits, as a word for people and programs. supported_types: what it is said to import; the
    types it has queries for unless more are named. queries: type -> what it is read by. metadata: anything, kept as is.
    """

    name: _Name
    platform: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = "custom"
    database_type: Literal["postgresql"] = "postgresql"
    description: Annotated[str, StringConstraints(max_length=5000)] = ""
    supported_types: Annotated[list[_Word], Field(max_length=50)] | None = None
    queries: Annotated[dict[_Word, configurations.Query], Field(max_length=50)]
    metadata: Annotated[dict[str, Any], AfterValidator(finite)] = {}

    def checked(self, based_on: str | None = None) -> dict[str, Any]:
        """The values to store. Raises Invalid naming each place in which something does not fit.

        based_on: the system template it is a copy of, whose queries may be all it has.
        """
        own_templates.confirm_size(self.model_dump_json(include={"queries", "metadata"}, exclude_unset=True))
        known, errors = targets.names(), configurations.Errors()
        if not self.queries and not based_on:
            errors["queries"] = [sentence("missing", "queries")]
        for name, query in self.queries.items():
            at = f"queries.{name}"
            errors |= configurations.faults(query, name, at) if name in known else {at: [sentence("selected", at)]}
        named = list(self.queries) if self.supported_types is None else self.supported_types
        if unnamed := sorted(set(self.queries) - set(named)):
            errors["supported_types"] = [sentence("unnamed", "supported_types", types=", ".join(unnamed))]
        for index, name in enumerate(self.supported_types or []):
            if name not in known:
                at = f"supported_types.{index}"
                errors[at] = [sentence("selected", at)]
        if errors:
            raise invalid(dict(islice(errors.items(), MAX_FIELDS)))
        queries = {name: self.queries[name].model_dump(exclude_unset=True) for name in known if name in self.queries}
        types = [name for name in known if name in named]
        return self.model_dump() | {"queries": queries, "supported_types": types}


class CopyBody(Body):
    """How the copy is called."""

    name: _Name


@routes.on("GET", "/api/import/templates", permission="system.import", limit="templates", answer=shapes.Templates)
def list_templates(caller: Caller) -> dict[str, Any]:
    """All templates, the system's first; there are a handful, so no pages."""
    from chalicelib import templates

    own = map(own_templates.show, own_templates.listing(caller.org))
    return {"data": [*map(_system, templates.all()), *own]}


@routes.on(
    "POST",
    "/api/import/templates",
    permission="system.configure",
    limit="templates",
    status=201,
    answer=shapes.TemplateSaved,
    idempotent=True,
)
def create_template(caller: Caller, minted: Minted, body: TemplateBody) -> dict[str, Any]:
    """Keeps a template for the organisation's profiles to take."""
    template = own_templates.find(caller.org, minted.id) if minted.again else None
    if template is None:
        template = own_templates.create(caller.org, caller.who(), body.checked(), template_id=minted.id)
    return {"message": "Template created successfully", "template": own_templates.show(template, whole=True)}


@routes.on(
    "GET",
    "/api/import/templates/{template_id}",
    permission="system.import",
    limit="templates",
    versioned=True,
    answer=shapes.WholeTemplate,
)
def show_template(caller: Caller, template_id: str) -> dict[str, Any]:
    """One template, bare, with its queries."""
    from chalicelib import templates

    system = next((found for found in templates.all() if template_id == found.ID), None)
    if system is None:
        return own_templates.show(own_templates.get(caller.org, template_id), whole=True)
    queries = system.queries({}).items()
    return _system(system) | {
        "queries": {name: query.model_dump(mode="json") for name, query in queries},
        "metadata": {},
        "based_on": None,
        "created_by": None,
        "version": 1,
        "updated_at": system.CREATED_AT,
    }


@routes.on(
    "PUT",
    "/api/import/templates/{template_id}",
    permission="system.configure",
    limit="templates",
    answer=shapes.TemplateSaved,
    refuses=("system_template",),
)
def replace_template(caller: Caller, template_id: str, if_match: IfMatch, body: TemplateBody) -> dict[str, Any]:
    """Writes the template anew; profiles that took it keep what they took."""
    known = own_templates.get(caller.org, template_id)
    if_match.check(known["version"], "template")
    values = body.checked(known.get("based_on"))
    template = own_templates.replace(caller.org, template_id, caller.who(), values, if_match)
    return {"message": "Template updated successfully", "template": own_templates.show(template, whole=True)}


@routes.on(
    "DELETE",
    "/api/import/templates/{template_id}",
    permission="system.configure",
    limit="templates",
    answer=Message,
    refuses=("system_template",),
)
def delete_template(caller: Caller, template_id: str, if_match: IfMatch) -> dict[str, Any]:
    """Removes the template; profiles that took it keep what they took."""
    own_templates.delete(caller.org, template_id, caller.who(), if_match)
    return {"message": "Template deleted successfully"}


@routes.on(
    "POST",
    "/api/import/templates/{template_id}/copy",
    permission="system.configure",
    limit="templates",
    status=201,
    idempotent=True,
    answer=shapes.TemplateSaved,
)
def copy_template(caller: Caller, minted: Minted, template_id: str, body: CopyBody) -> dict[str, Any]:
    """Makes a template of the organisation's own like this one, the system's or its own."""
    template = own_templates.find(caller.org, minted.id) if minted.again else None
    if template is None:
        template = own_templates.copy(caller.org, template_id, caller.who(), body.name, copy_id=minted.id)
    return {"message": "Template copied successfully", "template": own_templates.show(template, whole=True)}


def _system(template: Any) -> dict[str, Any]:
    """A system template as lists show it, `options` being what it can be asked to do."""
    return {
        "id": template.ID,
        "name": template.NAME,
        "platform": template.PLATFORM,
        "database_type": "postgresql",
        "description": template.DESCRIPTION,
        "supported_types": list(template.SUPPORTED_TYPES),
        "is_system": True,
        "options": list(template.OPTIONS),
        "created_at": template.CREATED_AT,
    }
