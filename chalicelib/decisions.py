"""What becomes of each row: the rules, without any reading or writing.

In: a chunk's accepted rows in source order, and `Standing`: what the store holds for them. Out: one ledger line a row.
Rows that meet on one record are folded to a single write, carried by the first of them; every row keeps its line.

A row's own record (the one its id derives, or the one it was linked to) beats every other key. Only a row without a
record of its own may match by a unique key. A unique key held by another record fails the row and says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from chalicelib import keys

Line = dict[str, Any]
Row = dict[str, Any]
UniqueKey = tuple[str, str]

SAME_FIELD = "Both have the same {field}."


@dataclass(frozen=True)
class Scope:
    """Where the rows come from and how they are to be treated; the same for every chunk of a type.

    origins: type -> name of the table or query its external ids come from. mapped: target fields the query fills; an
    update replaces exactly these. policy: see jobs.policy.
    references: name -> types it may lead to. parent: the reference that makes a record a child.
    """

    org: str
    record_type: str
    source_id: str
    origins: dict[str, str]
    mapped: tuple[str, ...]
    policy: dict[str, str]
    references: dict[str, tuple[str, ...]]
    parent: str | None = None

    def names(self, reference: str, value: str) -> tuple[str, str]:
        """(type, external id) a reference's value names: "12" where one type is allowed, "agents:12" where several."""
        allowed = self.references[reference]
        if len(allowed) == 1:
            return allowed[0], value
        record_type, _, external_id = value.partition(":")
        return record_type, external_id

    def derive(self, external_id: str, record_type: str | None = None) -> str:
        """The id the record of a source row has for ever."""
        record_type = record_type or self.record_type
        origin = self.origins.get(record_type, record_type)
        return keys.record_id(self.org, record_type, self.source_id, origin, external_id)


@dataclass
class Standing:
    """What the store holds for the rows at hand.

    records: by id, their own, linked and claimed ones; with content only where something is to change.
    links: external id -> record id. claims: unique key -> record id.
    parents: (type, external id) -> record id, for references that lead to a record.
    in_run: whether a row with this external id, or one linked to "record:<id>", is part of the run (asked rarely;
    reading the index costs a call).
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    claims: dict[UniqueKey, str] = field(default_factory=dict)
    parents: dict[tuple[str, str], str] = field(default_factory=dict)
    in_run: Callable[[str], bool] = lambda _external_id: False

    def live(self, record_id: str | None) -> bool:
        """Whether the record is there and not deleted."""
        record = self.records.get(record_id or "")
        return bool(record and not record.get("deleted"))


@dataclass
class _Work:
    """What a chunk makes of one record: the incoming content of the last row, carried by the first."""

    carrier: Line
    before: dict[str, Any] | None
    row: Row
    refs: dict[str, Any]
    lines: list[Line]


@dataclass
class _Chunk:
    """The chunk under decision: its rows, what it makes of each record, and the keys its rows have taken so far."""

    standing: Standing
    scope: Scope
    rows: dict[str, Row]
    work: dict[str, _Work] = field(default_factory=dict)
    taken: dict[UniqueKey, str] = field(default_factory=dict)
    linked: dict[str, str] = field(default_factory=dict)


def decide(rows: list[Row], standing: Standing, scope: Scope) -> list[Line]:
    """One line a row, in the order of the rows. Pure: the same input gives the same lines."""
    chunk = _Chunk(standing, scope, {row["ext"]: row for row in rows})
    lines: list[Line] = []
    for row in rows:
        line: Line = {word: row[word] for word in ("row", "src", "ext") if word in row}
        refs, warnings = _references(row, standing, scope)
        if warnings:
            line["warnings"] = warnings
        _settle(chunk, line, row, refs)
        lines.append(line)
    for made in chunk.work.values():
        _write(made, scope)
    return lines


def _settle(chunk: _Chunk, line: Line, row: Row, refs: dict[str, Any]) -> None:
    """Fill in one row's line and add what it does to the chunk's work."""
    holders = {key: chunk.taken.get(key) or chunk.standing.claims.get(key) for key in _keys(row)}
    own = _own(chunk, row)
    if own:
        lost = next((key for key, holder in holders.items() if holder and holder != own), None)
        if lost and own not in chunk.work and _brought(chunk, row, refs) == chunk.standing.records[own].get("hash"):
            line |= {"id": own, "action": "skipped", "reason": "unchanged"}  # a person has moved the key elsewhere
        elif lost:
            _fail(line, lost[0], holders[lost])
        else:
            _apply(chunk, line, row, refs, own, chunk.scope.policy["on_match"])
        return
    matched = next((key for key, holder in holders.items() if holder), None)
    if matched is None:
        _create(chunk, line, row, refs)
        return
    record_id = holders[matched] or ""
    line["match"] = {"field": matched[0], "confidence": 100, "why": SAME_FIELD.format(field=matched[0])}
    action = chunk.scope.policy["on_key"]
    if action == "fail" or _given_up(chunk, row, matched, record_id):
        _fail(line, matched[0], record_id)
        return
    if chunk.standing.links.get(row["ext"]) != record_id:
        line["link"] = chunk.linked[row["ext"]] = record_id
    line["duplicate_of"] = record_id
    _apply(chunk, line, row, refs, record_id, action)


def _brought(chunk: _Chunk, row: Row, refs: dict[str, Any]) -> str:
    return content_hash(chunk.scope.mapped, row["data"], refs)


def _own(chunk: _Chunk, row: Row) -> str | None:
    """The record that is this source row's: derived or linked, in the store or made earlier in the chunk."""
    derived = chunk.scope.derive(row["ext"])
    linked = chunk.linked.get(row["ext"]) or chunk.standing.links.get(row["ext"])
    return next((own for own in (derived, linked) if own and (own in chunk.work or chunk.standing.live(own))), None)


def _given_up(chunk: _Chunk, row: Row, key: UniqueKey, record_id: str) -> bool:
    """Whether the key's holder belongs to another row of this run, its own or a linked one, that no longer has the key.

    Then the two are not the same person: the key is about to move. This row fails until the holder's own change is
    in the store; merging the two now would overwrite one with the other.
    """
    origin = chunk.standing.records.get(record_id, {}).get("origin", {})
    here = {"source": chunk.scope.source_id, "table": chunk.scope.origins.get(chunk.scope.record_type)}
    owners = [ext for ext, held in chunk.standing.links.items() if held == record_id]
    owners += [origin["ext"]] if here.items() <= origin.items() else []
    if row["ext"] in owners:
        return False
    near = [chunk.rows[ext] for ext in owners if ext in chunk.rows]
    if any(key in _keys(owner) for owner in near):
        return False
    return bool(near) or any(map(chunk.standing.in_run, [*owners, f"record:{record_id}"]))


def _apply(chunk: _Chunk, line: Line, row: Row, refs: dict[str, Any], record_id: str, action: str) -> None:
    """The row meets a record: update it or leave it, folded with what earlier rows of the chunk made of it."""
    line["id"] = record_id
    made = chunk.work.get(record_id)
    if made:
        line |= {"with": made.carrier["row"], "duplicate_of": record_id}
    if action == "skip":
        line |= {"action": "skipped", "reason": "duplicate" if "duplicate_of" in line else "exists"}
        return
    line |= {"action": "updated", "reason": "duplicate" if "duplicate_of" in line else "changed"}
    if made:
        made.row, made.refs = row, refs
        made.lines.append(line)
    else:
        chunk.work[record_id] = _Work(line, chunk.standing.records.get(record_id), row, refs, [line])
    chunk.taken.update(dict.fromkeys(_keys(row), record_id))


def _create(chunk: _Chunk, line: Line, row: Row, refs: dict[str, Any]) -> None:
    """The row is new: make its record, over the tombstone of a deleted one if need be."""
    if chunk.scope.policy["on_new"] == "skip":
        line |= {"action": "skipped", "reason": "not_found"}
        return
    record_id = chunk.scope.derive(row["ext"])
    line |= {"action": "created", "id": record_id}
    chunk.work[record_id] = _Work(line, chunk.standing.records.get(record_id), row, refs, [line])
    chunk.taken.update(dict.fromkeys(_keys(row), record_id))


def _fail(line: Line, key_field: str, holder: str | None) -> None:
    message = f"Duplicate entry found for key '{key_field}'."
    line |= {
        "action": "failed",
        "reason": "duplicate_key",
        "message": message,
        "field": key_field,
        "duplicate_of": holder,
    }


def _keys(row: Row) -> list[UniqueKey]:
    return list(row.get("keys", {}).items())


def _references(row: Row, standing: Standing, scope: Scope) -> tuple[dict[str, Any], list[str]]:
    """Each reference with the id it leads to; `open` while the record it names has not come."""
    warnings = list(row.get("warnings", ()))
    refs: dict[str, Any] = {}
    for name, value in row.get("refs", {}).items():
        target = scope.names(name, value)
        record_id = standing.parents.get(target)
        if record_id:
            refs[name] = {"type": target[0], "id": record_id}
        else:
            derived = scope.derive(target[1], target[0])
            refs[name] = {"type": target[0], "id": derived, "ext": target[1], "open": True}
            warnings.append(f"{name}: {target[0]} {target[1]} has not been imported")
    return refs, warnings


def _write(made: _Work, scope: Scope) -> None:
    """Put the one write of a record on the line that carries it, or turn its lines into unchanged ones."""
    content = content_hash(scope.mapped, made.row["data"], made.refs)
    before = made.before
    base = before if before and not before.get("deleted") else {}
    if base.get("hash") == content:
        for line in made.lines:
            line |= {"action": "skipped", "reason": "unchanged"}
            line.pop("with", None)
        return
    old_keys = [(key[0], key[1]) for key in base.get("keys", [])]
    new_keys = [key for key in old_keys if key[0] not in scope.mapped] + _keys(made.row)
    made.carrier["write"] = {
        "data": _kept(base.get("data", {}), scope) | made.row["data"],
        "refs": _kept(base.get("refs", {}), scope) | made.refs,
        "hash": content,
        "keys": new_keys,
        "claim": [key for key in new_keys if key not in old_keys],
        "free": [key for key in old_keys if key not in new_keys],
        "expect": {"ver": before["ver"], "by": before["by"]} if before else None,
        "before": before,
    }


def _kept(stored: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """What an update leaves alone: everything the query does not fill."""
    return {name: value for name, value in stored.items() if name not in scope.mapped}


def content_hash(mapped: tuple[str, ...], data: dict[str, Any], refs: dict[str, Any]) -> str:
    """What a row brings, as one hash: equal hashes mean that importing it again would change nothing.

    It covers the row's content and references, not the stored item: a person's edit of a record survives until the
    source itself changes.
    """
    return hashlib.sha256(to_json([mapped, sorted(data.items()), sorted(refs.items())])).hexdigest()
