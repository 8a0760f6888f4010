"""What people do to records: change one, delete one, on the condition that it is the version they saw.

In: fields as a request sent them, and its If-Match. Out: the record as it stands then. Record, unique claims and the
line of the audit trail are one transaction: they stand together or not at all. Refuses what the record type does not
take, references to what is not there, unique values that another record has, and versions that are gone.

An edit raises `ver` and leaves `by` and `hash`: for an import the source row is still the one it brought, so the edit
stays until the source itself changes; a write that was decided before the edit finds another `ver` and is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError, with_config
from pydantic_core import PydanticCustomError, to_json
from typing_extensions import TypedDict

from chalicelib import audit, dynamo, keys, messages, records, targets
from chalicelib.dynamo import Operation, Refused
from chalicelib.errors import Conflict, Invalid, RequestError, Retryable
from chalicelib.keys import Key
from chalicelib.preconditions import IfMatch
from chalicelib.records import Record

TOMBSTONE_DAYS = 30
"""How long a deleted record is remembered: imports that were decided before find that it was there."""

LOOKS = 5
"""Times an edit looks again at what others change under it; only one with `If-Match: *` comes to a second."""

SHOWN_ONLY = {"id", "type", "external_id", "unresolved", "truncated", "version", "imported_at"}
"""What a record shows and nobody edits."""

UNFIT = "The record is too large or too deeply nested to be stored."

_UUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_RecordId = Annotated[str, StringConstraints(to_lower=True, pattern=_UUID)]

Guarded = tuple[Operation, RequestError | None]
"""An operation, and what the caller is told when its condition fails; None when the record has to be looked at anew."""


@dataclass
class _Edit:
    """A record under change. fields: what changes, as the API names it. leads: records newly referred to -> by what."""

    org: str
    record_type: str
    before: Record
    data: dict[str, Any]
    refs: dict[str, Any]
    keys: list[tuple[str, str]]
    fields: list[str] = field(default_factory=list)
    leads: dict[Key, list[str]] = field(default_factory=dict)


def change(
    org: str, user: dict[str, str], record_type: str, record_id: str, if_match: IfMatch, sent: dict[str, Any]
) -> Record:
    """The record with the fields that were sent, null clearing one. What changes nothing raises no version.

    Raises NotFound, what `IfMatch.demand` raises, Invalid naming fields, Conflict for a unique value another one has.
    """
    for _ in range(LOOKS):
        before = records.get(org, record_type, record_id)
        if_match.demand(before["ver"])
        edit = _edited(org, record_type, before, sent)
        if not edit.fields:
            return before
        edit.data = records.offload(org, edit.data)
        item = _item(edit)
        line = audit.line(org, user, "record.updated", f"{record_type}/{record_id}", fields=sorted(edit.fields))
        guarded = [(_put(before, item), None), *_lookouts(edit), *_moves(edit), (line, None)]
        if _written(guarded):
            return item
    raise Retryable("the record is changed by others again and again", code="raced")


def remove(
    org: str, user: dict[str, str], record_type: str, record_id: str, if_match: IfMatch, *, now: datetime
) -> None:
    """Delete the record: what is left of it is a tombstone without content, its unique values are free.

    Raises NotFound, what `IfMatch.demand` raises.
    """
    for _ in range(LOOKS):
        before = records.get(org, record_type, record_id)
        if_match.demand(before["ver"])
        tombstone = {
            **{name: before[name] for name in ("pk", "sk", "origin", "by")},
            "ver": before["ver"] + 1,
            "deleted": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "expires": int((now + timedelta(days=TOMBSTONE_DAYS)).timestamp()),
        }
        freed = [records.free(org, record_type, record_id, *key) for key in _held(before)]
        line = audit.line(org, user, "record.deleted", f"{record_type}/{record_id}")
        if _written([(operation, None) for operation in (_put(before, tombstone), *freed, line)]):
            return
    raise Retryable("the record is changed by others again and again", code="raced")


def _written(guarded: list[Guarded]) -> bool:
    """All of it, or False when the record is another by now. Raises what the first refused condition stands for."""
    try:
        dynamo.transact([operation for operation, _ in guarded])
    except Refused as refused:
        if "ConditionalCheckFailed" not in refused.reasons:
            raise Invalid(UNFIT, code="record_refused") from None
        pairs = zip(guarded, refused.reasons, strict=True)
        told = [error for (_, error), reason in pairs if reason == "ConditionalCheckFailed"]
        error = told[0]
        if error is not None:
            raise error from None
        return False
    except dynamo.Unacceptable:
        raise Invalid(UNFIT, code="record_refused") from None
    return True


def _put(before: Record, after: Record) -> Operation:
    """The record as it will be, if it still is as it was."""
    item = {name: value for name, value in after.items() if name not in ("pk", "sk")}
    expected = {"ver": before["ver"], "by": before["by"]}
    condition = "#ver = :ver AND #by = :by"
    return "Put", dynamo.put_operation(
        "records", (before["pk"], before["sk"]), item, condition=condition, values=expected
    )


def _item(edit: _Edit) -> Record:
    after = {name: value for name, value in edit.before.items() if name != "parent"}
    after |= {"data": edit.data, "refs": edit.refs, "ver": edit.before["ver"] + 1}
    if edit.keys or "keys" in edit.before:
        after["keys"] = edit.keys
    parent = records.listed_below(edit.org, edit.record_type, edit.refs)
    return after | ({"parent": parent} if parent else {})


def _lookouts(edit: _Edit) -> Iterator[Guarded]:
    """The records newly referred to have to be there when the reference comes to stand."""
    for key, names in edit.leads.items():
        record_type = keys.record_type_of(key[0])
        errors = {name: [messages.sentence("no_record", name, record_type=record_type)] for name in names}
        there = "attribute_exists(#pk) AND attribute_not_exists(#deleted)"
        operation: Operation = ("ConditionCheck", dynamo.check_operation("records", key, there))
        yield operation, Invalid("Validation failed", errors=errors)


def _moves(edit: _Edit) -> Iterator[Guarded]:
    """Unique values taken and given back."""
    here = (edit.org, edit.record_type, edit.before["sk"])
    held = _held(edit.before)
    for key in edit.keys:
        if key not in held:
            said = messages.sentence("duplicate", key[0])
            taken = Conflict(said, code="duplicate_key", errors={key[0]: [said]})
            yield records.claim(*here, *key), taken
    for key in held:
        if key not in edit.keys:
            yield records.free(*here, *key), None


def _held(record: Record) -> list[tuple[str, str]]:
    return [(name, value) for name, value in record.get("keys", [])]


def _edited(org: str, record_type: str, before: Record, sent: dict[str, Any]) -> _Edit:
    """The change that was sent, checked as far as it can be without looking at other records. Raises Invalid."""
    values = _checked(record_type, sent)
    target = targets.get(record_type)
    edit = _Edit(org, record_type, before, dict(before["data"]), dict(before["refs"]), _held(before))
    for name, value in values.items():
        if name not in target.Record.model_fields or _same(edit.data.get(name), value):
            continue
        edit.fields.append(name)
        edit.data.pop(name, None)
        if value is not None:
            edit.data[name] = value
        if name in target.UNIQUE_KEYS:
            unique = targets.normalise_key(name, value) if value is not None else ""
            edit.keys = [key for key in edit.keys if key[0] != name] + ([(name, unique)] if unique else [])
    for name in target.REFERENCES:
        given = {part: values[f"{name}_{part}"] for part in ("id", "type") if f"{name}_{part}" in values}
        if given:
            _refer(edit, name, given)
    return edit


def _refer(edit: _Edit, name: str, given: dict[str, str | None]) -> None:
    """Lead a reference elsewhere, or nowhere when its id is null. What is not sent stays as it is shown."""
    now = edit.refs.get(name)
    if "id" in given and given["id"] is None:
        if edit.refs.pop(name, None) is not None:
            edit.fields.append(f"{name}_id")
        return
    allowed = targets.get(edit.record_type).REFERENCES[name]
    shown = records.leads_to(now, allowed)
    if shown.items() >= given.items():
        return
    wanted = shown | given
    missing = next((f"{name}_{part}" for part in ("type", "id") if wanted[part] is None), None)
    if missing:
        raise Invalid("Validation failed", errors={missing: [messages.sentence("missing", missing)]})
    edit.fields += [f"{name}_{part}" for part in given if shown[part] != wanted[part]]
    edit.refs[name] = {"type": wanted["type"], "id": wanted["id"]}
    place = keys.record(edit.org, str(wanted["type"]), str(wanted["id"]))
    edit.leads.setdefault(place, []).append(f"{name}_id")


def _same(stored: Any, value: Any) -> bool:
    """Whether a field's value is the one that stands. What moved to S3 is compared by its hash."""
    if records.is_moved(stored):
        return value is not None and bool(hashlib.sha256(to_json(value)).hexdigest() == stored["sha256"])
    return _equal(stored, value)


def _equal(stored: Any, value: Any) -> bool:
    """Whether two JSON values are the same: true is not 1, and inside a value nothing is a pointer."""
    if isinstance(stored, bool) or isinstance(value, bool):
        return stored is value
    if isinstance(stored, dict) and isinstance(value, dict):
        return stored.keys() == value.keys() and all(_equal(stored[name], value[name]) for name in stored)
    if isinstance(stored, list) and isinstance(value, list):
        return len(stored) == len(value) and all(map(_equal, stored, value))
    return bool(stored == value)


def _checked(record_type: str, sent: dict[str, Any]) -> dict[str, Any]:
    """What was sent, as the type's model reads it; None clears. Raises Invalid naming every field that is amiss."""
    shape, required = _shape(record_type)
    cleared = {name: None for name in sent if sent[name] is None and name in shape}
    given = {name: sent[name] for name in sent if name not in SHOWN_ONLY and name not in cleared}
    errors = {name: [messages.sentence("read_only", name)] for name in sent if name in SHOWN_ONLY}
    errors |= {name: [messages.sentence("missing", name)] for name in cleared if name in required}
    try:
        found = _adapter(record_type).validate_python(given)
    except ValidationError as error:
        errors |= messages.by_field(error.errors(include_url=False, include_input=False))
        found = {}
    unfit = (name for name, value in found.items() if not all(map(dynamo.holds, messages.numbers(value))))
    errors |= {name: [messages.sentence("unstorable_number", name)] for name in unfit}
    if errors:
        raise Invalid("Validation failed", errors=dict(list(errors.items())[: messages.MAX_FIELDS]))
    return found | cleared


@cache
def _shape(record_type: str) -> tuple[dict[str, Any], frozenset[str]]:
    """What may be sent for a type, name -> annotation, and which of it cannot be cleared."""
    target = targets.get(record_type)
    fields = target.Record.model_fields
    shape = {
        name: Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        for name, info in fields.items()
    }
    times = [name for name, info in fields.items() if info.annotation == targets.Timestamp | None]
    shape |= {name: Annotated[shape[name], AfterValidator(_moment)] for name in times}
    for name, allowed in target.REFERENCES.items():
        shape[f"{name}_id"] = _RecordId
        if len(allowed) > 1:
            shape[f"{name}_type"] = Literal[allowed]
    return shape, frozenset(name for name, info in fields.items() if info.is_required())


def _moment(value: str | None) -> str | None:
    """The types' own pattern, made for speed, lets month 19 pass; sources have no such times, people may type one."""
    try:
        datetime.fromisoformat(value or "2000-01-01")
    except ValueError:
        raise PydanticCustomError("date_parsing", "no such time") from None
    return value


@cache
def _adapter(record_type: str) -> TypeAdapter[dict[str, Any]]:
    shape, _ = _shape(record_type)
    kinds = TypedDict("Fields", shape, total=False)  # type: ignore[misc]  # its fields are known only at run time
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)
    return TypeAdapter(with_config(config)(kinds))  # type: ignore[arg-type]  # likewise
