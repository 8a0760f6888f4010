"""The record store: what was imported, one item a record.

In: an organisation and ids, keys or cursors; from `load`, writes that carry the state they expect to find. Out:
records as dicts. Refuses to write over anything but what was expected, and never leaves a unique claim without its
record: both are written in one transaction.

A record lives in one of its type's 64 shards, by its id alone, so it stays the same record whatever becomes of its
references. The fields are in `data`, references in `refs`; `ver` rises with every change, `by` names the last import
row that wrote it, `hash` covers what that row brought, `keys` are the unique values it claims, `origin` says which
source row it is: {source, table, ext, at}. A child (note, attachment) bears its parent's id in `parent`, which the
sparse index of that name lists; the parent need not have come.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from pydantic_core import from_json, to_json

from chalicelib import dynamo, keys, storage, targets
from chalicelib.dynamo import Operation
from chalicelib.errors import Invalid, NotFound
from chalicelib.keys import Key

Record = dict[str, Any]

ITEM_BYTES = 350_000
"""Room for a record's data below DynamoDB's 400 KB an item; the rest is for keys, references and marks."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

KEPT_CHARACTERS = 1_000
"""What stays readable in the item of a text that moved to S3."""


PAGE_BYTES = 4_000_000
"""Room for a page's records as Lambda sends them: below its 6 MB, which hold the answer's envelope too."""


def get(org: str, record_type: str, record_id: str) -> Record:
    """One record. Raises NotFound for absent, deleted and other tenants' records alike."""
    found = dynamo.get("records", keys.record(org, record_type, record_id))
    if found is None or found.get("deleted"):
        raise NotFound("Record not found")
    return found


def by_key(org: str, record_type: str, field: str, value: str) -> Record:
    """The record that holds a unique value, compared as the type compares it. Raises NotFound, Invalid."""
    target = targets.get(record_type)
    if field not in target.UNIQUE_KEYS:
        known = ", ".join(target.UNIQUE_KEYS) or "none"
        raise Invalid("Validation failed", errors={field: [f"{record_type} has no such unique key; it has: {known}."]})
    held = dynamo.get("records", keys.claim(org, record_type, field, targets.normalise_key(field, value)))
    if held is None:
        raise NotFound("Record not found")
    return get(org, record_type, held["id"])


def by_external(org: str, record_type: str, external_id: str) -> list[Record]:
    """The records a source's row became, one for each database this organisation imported the type from."""
    wanted: list[Key] = []
    links: list[Key] = []
    for source in dynamo.query("state", f"O#{org}", prefix="SOURCE#"):
        for origin in source.get(record_type, ()):
            derived = keys.record_id(org, record_type, source["id"], origin, external_id)
            wanted.append(keys.record(org, record_type, derived))
            links.append(keys.link(org, record_type, source["id"], origin, external_id))
    moved = dynamo.batch_get("records", links)
    wanted += [keys.record(org, record_type, link["id"]) for link in moved.values()]
    found = dynamo.batch_get("records", wanted)
    return [record for record in found.values() if not record.get("deleted")]


def note_origins(org: str, source_id: str, origins: dict[str, str]) -> None:
    """Remember, for `by_external`, where a database's external ids come from. What is known stays known: each profile,
    and each job of one, knows only its own.

    origins: type -> name of the table or query.
    """
    if origins:
        names = {record_type: {origin} for record_type, origin in origins.items()}
        added = ", ".join(f"#{record_type} :{record_type}" for record_type in names)
        dynamo.update("state", keys.source(org, source_id), f"SET #id = :id ADD {added}", {"id": source_id} | names)


def listing(
    org: str, record_type: str, *, cursor: str | None = None, limit: int = 25
) -> tuple[list[Record], str | None]:
    """A page of a type's records, shard by shard in id order, and the cursor of the next one, None at the end.

    A page ends at `limit` records or before the one that would not fit into PAGE_BYTES, but has at least one. Raises
    Invalid for a cursor that is not one of ours.
    """
    page: list[Record] = []
    used = 0
    start, last = _read_cursor(cursor)
    for shard in range(start, keys.RECORD_SHARDS):
        partition = keys.record_partition(org, record_type, shard)
        for record in dynamo.query("records", partition, after=(partition, last) if last else None, limit=limit + 1):
            if record.get("deleted"):
                continue
            used += _sent_bytes(record)
            if len(page) == limit or (page and used > PAGE_BYTES):
                return page, cursor
            page.append(record)
            cursor = f"{shard}.{record['sk']}"
        last = None
    return page, None


def children(
    org: str, record_type: str, parent_id: str, *, cursor: str | None = None, limit: int = 25
) -> tuple[list[Record], str | None]:
    """A page of a record's children of one type, in id order, and the cursor of the next one, None at the end.

    A page ends as `listing`'s do. The index follows a write within moments. Raises Invalid for a cursor that is not one
    of ours.
    """
    _, last = _read_cursor(cursor)
    after = keys.record(org, record_type, last) if last else None
    partition = keys.children(org, record_type, parent_id)
    listed = islice(dynamo.query("records", partition, index="parent", after=after, limit=limit + 1), limit + 1)
    places = [(item["pk"], item["sk"]) for item in listed]
    found = dynamo.batch_get("records", places[:limit])
    page: list[Record] = []
    used = 0
    for number, place in enumerate(places):
        record = found.get(place, {"deleted": True})
        used += 0 if record.get("deleted") else _sent_bytes(record)
        if number == limit or (page and used > PAGE_BYTES):
            return page, f"0.{places[number - 1][1]}"
        if not record.get("deleted"):
            page.append(record)
    return page, None


def _sent_bytes(record: Record) -> int:
    """What a record takes of a page.

    The data has less than ITEM_BYTES of JSON, so it takes three times that at most.
    """
    return _escaped(show(record))


def _fits(record: Record) -> bool:
    """Whether the record can be sent with the texts that moved to S3."""
    moved = {name: value for name, value in record["data"].items() if is_moved(value)}
    return not moved or _escaped(_inflate(keys.organisation_of(record["pk"]), moved)) < PAGE_BYTES


def _escaped(shown: dict[str, Any]) -> int:
    """Bytes as Lambda sends them: JSON in JSON, so quotes and what is no ASCII are escaped again."""
    return len(json.dumps(to_json(shown).decode()))


def _read_cursor(cursor: str | None) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    shard, _, last = cursor.partition(".")
    if not (shard.isdecimal() and shard.isascii() and int(shard) < keys.RECORD_SHARDS and _UUID.fullmatch(last)):
        raise Invalid("Validation failed", errors={"cursor": ["The cursor is not valid."]})
    return int(shard), last


def show(record: Record, *, whole: bool = False) -> dict[str, Any]:
    """A record as the API shows it: fields at top level, each reference as `<name>_id`, null while it is open.

    whole: fetch the texts that moved to S3; otherwise, and where the answer would outgrow what Lambda may send, their
    first 1,000 characters stand, named in `truncated`.
    """
    if whole and not _fits(record):
        whole = False
    record_type = keys.record_type_of(record["pk"])
    org = keys.organisation_of(record["pk"])
    target = targets.get(record_type)
    shown: dict[str, Any] = {"id": record["sk"], "type": record_type, "external_id": record["origin"]["ext"]}
    shown |= _inflate(org, record["data"]) if whole else {name: _kept(value) for name, value in record["data"].items()}
    unresolved = {}
    for name, allowed in target.REFERENCES.items():
        reference = record["refs"].get(name)
        leads = leads_to(reference, allowed)
        shown[f"{name}_id"] = leads["id"]
        if len(allowed) > 1:
            shown[f"{name}_type"] = leads["type"]
        if reference and reference.get("open"):
            unresolved[name] = reference["ext"]
    if unresolved:
        shown["unresolved"] = unresolved
    truncated = [] if whole else [name for name, value in record["data"].items() if is_moved(value)]
    if truncated:
        shown["truncated"] = truncated
    return shown | {"version": record["ver"], "imported_at": record["origin"]["at"]}


_MINE = "attribute_not_exists(#pk) OR #id = :id"


def leads_to(reference: dict[str, Any] | None, allowed: tuple[str, ...]) -> dict[str, str | None]:
    """Where a reference leads, {id, type}: no id while it is open, no type while several are possible."""
    only = allowed[0] if len(allowed) == 1 else None
    if reference is None:
        return {"id": None, "type": only}
    return {"id": None if reference.get("open") else reference["id"], "type": reference["type"]}


def claim(org: str, record_type: str, record_id: str, field: str, value: str) -> Operation:
    """Takes a unique value for a record, in the transaction that writes the record. Refused when another has it."""
    key = keys.claim(org, record_type, field, value)
    return "Put", dynamo.put_operation("records", key, {"id": record_id}, condition=_MINE, values={"id": record_id})


def free(org: str, record_type: str, record_id: str, field: str, value: str) -> Operation:
    """Gives a record's unique value back, in the transaction that writes the record. Never frees another's."""
    key = keys.claim(org, record_type, field, value)
    return "Delete", dynamo.delete_operation("records", key, condition=_MINE, values={"id": record_id})


def listed_below(org: str, record_type: str, refs: dict[str, Any]) -> str | None:
    """What a record with these references bears as `parent`; None when it is nobody's child."""
    name = targets.get(record_type).PARENT
    parent = refs.get(name) if name else None
    return keys.children(org, record_type, parent["id"]) if parent else None


def offload(org: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data with its largest texts moved to S3 until an item holds it; most data comes back as it is.

    A moved text is stored under the SHA-256 of its bytes, so a repeat writes the same object.
    """
    if sum(most_bytes(value) for value in data.values()) < ITEM_BYTES:
        return data
    sizes = {name: len(to_json(value)) for name, value in data.items()}
    total = sum(sizes.values())
    data = dict(data)
    for name in sorted(sizes, key=lambda field: sizes[field], reverse=True):
        if total < ITEM_BYTES:
            break
        body = to_json(data[name])
        digest = hashlib.sha256(body).hexdigest()
        key = storage.put(f"{keys.values(org)}/{digest}", body)
        data[name] = {targets.MOVED: key, "sha256": digest, "bytes": sizes[name], "start": _start(data[name])}
        total -= sizes[name]
    return data


def most_bytes(value: Any) -> int:
    """A bound of a value's size in an item, without making it where a text's length tells."""
    if isinstance(value, str):
        return 4 * len(value)  # four bytes a character at most
    return 3 * len(to_json(value)) if isinstance(value, dict | list) else 40


def _start(value: Any) -> str | None:
    """What stays readable of a value that moved: the beginning of a text, nothing of a list."""
    return value[:KEPT_CHARACTERS] if isinstance(value, str) else None


def is_moved(value: Any) -> bool:
    """Whether what stands in the item is only where the value went; `sha256` is of the value's JSON."""
    return type(value) is dict and targets.MOVED in value


def _kept(value: Any) -> Any:
    return value["start"] if is_moved(value) else value


def _inflate(org: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: from_json(storage.get(f"{keys.values(org)}/{value['sha256']}")) if is_moved(value) else value
        for name, value in data.items()
    }


def find(wanted: Iterable[Key], *, consistent: bool = False) -> dict[Key, Record]:
    """Records, claims or links by key; those that exist."""
    return dynamo.batch_get("records", wanted, consistent=consistent)


MARKS = ("deleted", "hash", "by", "ver", "keys", "origin")
"""What a decision needs of a record that turns out to be unchanged: everything but its content."""


def find_marks(wanted: Iterable[Key], *, consistent: bool = False) -> dict[Key, Record]:
    """Records without their content, by key; those that exist. Claims and links come as well, by their `id`."""
    return dynamo.batch_get("records", wanted, consistent=consistent, attributes=(*MARKS, "id"))


def find_live(wanted: Iterable[Key], *, consistent: bool = False) -> set[Key]:
    """Which of the records are there and not deleted; brings only that over the wire."""
    found = dynamo.batch_get("records", wanted, consistent=consistent, attributes=("deleted",))
    return {key for key, record in found.items() if not record.get("deleted")}
