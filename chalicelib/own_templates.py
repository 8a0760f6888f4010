"""An organisation's own templates: queries its administrators keep, for its profiles to take.

In: checked values from the API. Out: template dicts, as stored; `show` makes the public ones. A profile that takes one
gets a copy of its queries, so what becomes of the template later changes no profile. Names are unique in the
organisation, whatever their case: each is claimed by an item of its own, in the transaction that writes the template.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib import audit, configurations, dynamo, keys, targets, templates
from chalicelib.dynamo import Operation
from chalicelib.errors import Forbidden, Invalid, NotFound, Retryable
from chalicelib.messages import sentence
from chalicelib.preconditions import UNSAID, IfMatch

if TYPE_CHECKING:
    from chalicelib import sql

Template = dict[str, Any]

MAX_TEMPLATE_BYTES = 100_000
"""Of a template's queries, as they are run, and its metadata: a profile holds a copy beside queries of its own, and an
item may have 400 KB."""

_WRITTEN = ("name", "platform", "database_type", "description", "supported_types", "queries", "metadata")
_AS_TEXT = ("queries", "metadata")
"""Kept as JSON text: what people nest, and the numbers they write, may be more than an attribute can hold."""


def create(
    org: str,
    user: dict[str, str],
    values: Mapping[str, Any],
    based_on: str | None = None,
    *,
    template_id: str | None = None,
) -> Template:
    """A new template. `values` holds `name`, `platform`, `database_type`, `description`, `supported_types`, `metadata`,
    and `queries`: type -> query as JSON. based_on: the system template it is a copy of. template_id: when it was
    minted before. Raises Invalid for a name that is taken and for what is too large.
    """
    stamp = _stamp()
    template: Template = {
        "id": template_id or str(uuid.uuid4()),
        "based_on": based_on,
        "created_by": user,
        "version": 1,
        "created_at": stamp,
        "updated_at": stamp,
    }
    template |= _written(values)
    _check(template)
    put = dynamo.put_operation("state", keys.template(org, template["id"]), template)
    line = audit.line(org, user, "template.created", f"template/{template['id']}")
    _write([("Put", put), line], _claimed(org, template))
    return template


def get(org: str, template_id: str) -> Template:
    """A template of the organisation's own, to be changed. Raises NotFound for absent ids and other tenants' alike,
    Forbidden for a system template.
    """
    if any(template_id == found.ID for found in templates.all()):
        raise Forbidden("System templates cannot be changed or deleted", code="system_template")
    template = find(org, template_id)
    if template is None:
        raise NotFound("Template not found")
    return template


def find(org: str, template_id: str) -> Template | None:
    """The same, or None."""
    return dynamo.get("state", keys.template(org, template_id))


def listing(org: str) -> list[Template]:
    """All of the organisation's own, by name. It has a handful, so they are read whole."""
    partition, prefix = keys.template(org, "")
    found = dynamo.query("state", partition, prefix=prefix, consistent=True)
    return sorted(found, key=lambda template: (template["name"].casefold(), template["id"]))


def replace(
    org: str, template_id: str, user: dict[str, str], values: Mapping[str, Any], if_match: IfMatch = UNSAID
) -> Template:
    """Write the template anew. Raises as `create` and `get` do, PreconditionFailed for who saw another version,
    Retryable when somebody else did at the same moment.
    """
    known = get(org, template_id)
    if_match.check(known["version"], "template")
    changes = _written(values)
    template = known | changes | {"version": known["version"] + 1, "updated_at": _stamp()}
    _check(template)
    put = dynamo.put_operation(
        "state",
        keys.template(org, template_id),
        template,
        condition="#version = :seen",
        values={"seen": known["version"]},
    )
    changed = sorted(field for field in changes if changes[field] != known[field])
    line = audit.line(org, user, "template.updated", f"template/{template_id}", fields=changed)
    if _name(org, template) == _name(org, known):
        _write([("Put", put), line])
    else:
        _write([("Put", put), line, _freed(org, known)], _claimed(org, template))
    return template


def delete(org: str, template_id: str, user: dict[str, str], if_match: IfMatch = UNSAID) -> None:
    """Remove the template; profiles that took it keep what they took. Raises as `replace` does."""
    known = get(org, template_id)
    if_match.check(known["version"], "template")
    condition, seen = "#version = :seen", {"seen": known["version"]}
    key = keys.template(org, template_id)
    line = audit.line(org, user, "template.deleted", f"template/{template_id}")
    gone = dynamo.delete_operation("state", key, condition=condition, values=seen)
    _write([("Delete", gone), line, _freed(org, known)])


def show(template: Template, *, whole: bool = False) -> dict[str, Any]:
    """A template as lists show it; whole with its queries and who made it."""
    words = ("id", "name", "platform", "database_type", "description", "supported_types")
    shown = {word: template[word] for word in words} | {"is_system": False}
    shown["options"] = list(options(template))
    shown["created_at"] = f"{template['created_at'][:19]}Z"
    if not whole:
        return shown
    return shown | {
        **{word: json.loads(template[word]) for word in _AS_TEXT},
        "based_on": template.get("based_on"),
        "created_by": template["created_by"],
        "version": template["version"],
        "updated_at": f"{template['updated_at'][:19]}Z",
    }


def copied(template: Template) -> dict[str, Any]:
    """What a profile keeps of a template: `name`, `platform`, `queries` as JSON text, type -> configuration; and of a
    copy of a system template, `based_on` and the `types` it imports by that one's queries.
    """
    return {word: template.get(word) for word in ("name", "platform", "queries", "based_on")} | {
        "types": template["supported_types"]
    }


def options(template: Template) -> tuple[templates.Option, ...]:
    """What can be chosen when a profile takes it: what the system template it is a copy of asks."""
    return templates.get(template["based_on"]).OPTIONS if template.get("based_on") else ()


def queries(copy: Mapping[str, Any], chosen: dict[str, Any], schema: dict[str, Any] | None) -> dict[str, sql.Query]:
    """What a profile that keeps this copy imports, by type. chosen: the options. Raises as templates.queries and
    configurations.built do.
    """
    found: dict[str, sql.Query] = {}
    if copy.get("based_on"):
        system = templates.get(copy["based_on"]).queries(chosen, schema)
        found = {name: query for name, query in system.items() if name in copy["types"]}
    return found | {
        name: configurations.read(query, name, schema) for name, query in json.loads(copy["queries"]).items()
    }


def copy(org: str, template_id: str, user: dict[str, str], name: str, *, copy_id: str | None = None) -> Template:
    """A template of the organisation's own like another one, the system's or its own, under a new name.

    A system template's SQL is not copied: the copy says what it is based on, and imports by that one's queries, as they
    are at the time, the types its own queries do not replace. copy_id: when it was minted before. Raises NotFound,
    and Invalid as `create` does.
    """
    system = next((found for found in templates.all() if template_id == found.ID), None)
    if system is None:
        known = find(org, template_id)
        if known is None:
            raise NotFound("Template not found")
        texts = {word: json.loads(known[word]) for word in _AS_TEXT}
        written = {word: known[word] for word in _WRITTEN} | texts | {"name": name}
        return create(org, user, written, known.get("based_on"), template_id=copy_id)
    values = {
        "name": name,
        "platform": system.PLATFORM,
        "database_type": "postgresql",
        "description": system.DESCRIPTION,
        "supported_types": [known for known in targets.names() if known in (system.TYPES or system.SUPPORTED_TYPES)],
        "queries": {},
        "metadata": {},
    }
    return create(org, user, values, system.ID, template_id=copy_id)


def _written(values: Mapping[str, Any]) -> Template:
    texts = {field: json.dumps(values[field], ensure_ascii=False) for field in _AS_TEXT}
    return {field: values[field] for field in _WRITTEN} | texts


def _check(template: Template) -> None:
    if template["name"].casefold() in {found.NAME.casefold() for found in templates.all()}:
        raise _taken()
    confirm_size(template["queries"], template["metadata"])


def confirm_size(*texts: str) -> None:
    """Raise Invalid for queries and metadata that are too large. To be asked before they are looked at: reading a
    megabyte of expressions takes minutes.
    """
    if sum(len(text.encode()) for text in texts) > MAX_TEMPLATE_BYTES:
        text = sentence("too_many_bytes", "queries", limit=MAX_TEMPLATE_BYTES)
        raise Invalid("Validation failed", errors={"queries": [text]})


def _write(operations: list[Operation], claim: Operation | None = None) -> None:
    """The template first, on condition that it is as it was; and its new name, on condition that nobody has it."""
    try:
        dynamo.transact([*operations, claim] if claim else operations)
    except dynamo.Refused as refused:
        if refused.reasons[0] == "ConditionalCheckFailed":
            raise Retryable("the template was changed at the same moment", code="busy") from None
        if claim and refused.reasons[-1] == "ConditionalCheckFailed":
            raise _taken() from None
        raise


def _claimed(org: str, template: Template) -> Operation:
    claim = {"template": template["id"]}
    free = "attribute_not_exists(#pk)"
    return "Put", dynamo.put_operation("state", _name(org, template), claim, condition=free)


def _freed(org: str, template: Template) -> Operation:
    return "Delete", dynamo.delete_operation("state", _name(org, template))


def _name(org: str, template: Template) -> keys.Key:
    return keys.template_name(org, template["name"].casefold())


def _taken() -> Invalid:
    return Invalid("Validation failed", errors={"name": [sentence("taken", "name")]})


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
