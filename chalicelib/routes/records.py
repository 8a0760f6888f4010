"""/api/records: what was imported, looked up by id, key, external id or parent, or read through; and edited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from chalicelib import edits, records, targets
from chalicelib.access import Caller
from chalicelib.errors import NotFound
from chalicelib.messages import MAX_FIELD_NAME, MAX_FIELDS, between, sentence
from chalicelib.preconditions import IfMatch
from chalicelib.requests import Body, Query, Routes, UuidText, invalid
from chalicelib.routes.answers import Message
from chalicelib.routes.answers import records as shapes

routes = Routes()

_ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def _with_unique_keys(schema: dict[str, Any]) -> None:
    """What a record of any type can be looked up by."""
    for name in sorted({key for record_type in targets.names() for key in targets.get(record_type).UNIQUE_KEYS}):
        schema["properties"][name] = {"type": "string", "description": "Of the types that have this unique key."}


class RecordsQuery(Query):
    """external_id: the id in the source. parent: the id of the record these belong to (a note's ticket).

    Any other parameter is a unique key of the type ("email"), one text, checked against the type. per_page, cursor: as
    given by the page before in `next_cursor`; lookups answer all they find.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_with_unique_keys)
    __pydantic_extra__: dict[str, str] = Field(init=False)

    external_id: _ExternalId | None = None
    parent: UuidText | None = None
    per_page: Annotated[int, AfterValidator(between(1, 100))] = 25
    cursor: Annotated[str, StringConstraints(max_length=100)] | None = None


@routes.on("GET", "/api/records/{record_type}", permission="system.import", limit="records", answer=shapes.Records)
def list_records(caller: Caller, record_type: str, query: RecordsQuery) -> dict[str, Any]:
    """Records of a type: those a key or an external id names, a parent's children, or all."""
    _known(record_type)
    given = dict(query.__pydantic_extra__)
    asked = sorted([*given, *(name for name in ("external_id", "parent") if getattr(query, name) is not None)])
    if len(asked) > 1:
        raise invalid(
            {name[:MAX_FIELD_NAME]: [sentence("only_one", name[:MAX_FIELD_NAME])] for name in asked[:MAX_FIELDS]}
        )
    cursor = None
    if given:
        found = _by_key(caller.org, record_type, *given.popitem())
    elif query.external_id is not None:
        found = records.by_external(caller.org, record_type, query.external_id)
    elif query.parent is not None:
        found, cursor = records.children(
            caller.org, record_type, query.parent, cursor=query.cursor, limit=query.per_page
        )
    else:
        found, cursor = records.listing(caller.org, record_type, cursor=query.cursor, limit=query.per_page)
    return {
        "data": [records.show(record) for record in found],
        "meta": {"per_page": query.per_page},
        "next_cursor": cursor,
    }


@routes.on(
    "GET",
    "/api/records/{record_type}/{record_id}",
    permission="system.import",
    limit="records",
    versioned=True,
    answer=shapes.Record,
)
def show_record(caller: Caller, record_type: str, record_id: str) -> dict[str, Any]:
    """One record, bare and whole."""
    _known(record_type)
    return records.show(records.get(caller.org, record_type, record_id), whole=True)


class RecordFields(Body):
    """The fields to change, as the record shows them; which there are is its type's matter, so `edits` checks them."""

    model_config = ConfigDict(extra="allow")


@routes.on(
    "PATCH",
    "/api/records/{record_type}/{record_id}",
    permission="system.import",
    limit="records",
    versioned=True,
    answer=shapes.Record,
    refuses=("precondition_required", "duplicate_key", "record_refused"),
)
def change_record(
    caller: Caller, record_type: str, record_id: str, if_match: IfMatch, body: RecordFields
) -> dict[str, Any]:
    """Change some fields of one record; it comes back whole."""
    _known(record_type)
    changed = edits.change(caller.org, caller.who(), record_type, record_id, if_match, body.model_extra or {})
    return records.show(changed, whole=True)


@routes.on(
    "DELETE",
    "/api/records/{record_type}/{record_id}",
    permission="system.import",
    limit="records",
    answer=Message,
    refuses=("precondition_required",),
)
def delete_record(caller: Caller, record_type: str, record_id: str, if_match: IfMatch) -> dict[str, Any]:
    """Delete one record. What refers to it stays as it is."""
    _known(record_type)
    edits.remove(caller.org, caller.who(), record_type, record_id, if_match, now=datetime.now(UTC))
    return {"message": "Record deleted successfully"}


def _known(record_type: str) -> None:
    if record_type not in targets.names():
        raise NotFound("Record type not found")


def _by_key(org: str, record_type: str, field: str, value: str) -> list[records.Record]:
    if field not in targets.get(record_type).UNIQUE_KEYS:
        named = field[:MAX_FIELD_NAME]
        raise invalid({named: [sentence("extra_forbidden", named)]})
    try:
        return [records.by_key(org, record_type, field, value)]
    except NotFound:
        return []
