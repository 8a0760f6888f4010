"""What somebody who maps a database would try first: joins, base tables and mappings, each with a reason.

In: a schema (see catalogue.py). Out: suggestions, the likeliest first, with a confidence from 0 to 1. Foreign keys are
certain; all else goes by names and types, and says so. Pure; nothing is looked up in the source's rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib import advice, sql, targets
from chalicelib.tables import Table

MAX_SUGGESTED = 50
"""Most joins, and most tables of a type."""

LEAST_CONFIDENCE = 0.4
"""Below it a suggestion is a guess, and left out."""

Suggested = dict[str, Any]

TABLES: dict[str, tuple[str, ...]] = {
    "accounts": ("accounts", "companies", "organizations", "organisations", "businesses", "firms", "mailboxes"),
    "agents": ("agents", "users", "staff", "employees", "operators", "members", "technicians"),
    "customer_users": ("customer_users", "customers", "contacts", "clients", "people", "persons", "subscribers"),
    "tickets": ("tickets", "conversations", "cases", "issues", "requests", "incidents", "orders"),
    "ticket_notes": ("ticket_notes", "notes", "comments", "replies", "threads", "messages", "posts"),
    "attachments": ("attachments", "files", "uploads", "documents"),
    "time_entries": ("time_entries", "timelogs", "time_logs", "worklogs", "timesheets", "time_records", "hours"),
}
"""What tables of a record type are called elsewhere."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "name": ("full_name", "fullname", "display_name", "title", "label", "company_name", "username"),
    "email": ("email_address", "e_mail", "mail", "emailaddress", "primary_email"),
    "first_name": ("firstname", "given_name", "forename", "fname"),
    "last_name": ("lastname", "surname", "family_name", "lname"),
    "phone": ("phone_number", "telephone", "tel", "mobile", "phones"),
    "company": ("company_name", "organization", "organisation", "employer"),
    "job_title": ("position", "role_title", "jobtitle"),
    "address": ("street", "street_address", "postal_address"),
    "timezone": ("time_zone", "tz"),
    "is_active": ("active", "enabled"),
    "title": ("subject", "name", "summary", "headline"),
    "number": ("ticket_number", "reference", "ref", "code", "case_number"),
    "description": ("body", "content", "text", "details", "message", "comment", "notes"),
    "content": ("body", "text", "message", "comment", "note", "description"),
    "status": ("state",),
    "priority": ("severity", "urgency"),
    "category": ("type", "kind", "department"),
    "tags": ("labels", "keywords"),
    "domain": ("website", "email_domain"),
    "notes": ("note", "comments", "remarks", "background"),
    "created_at": ("created", "created_on", "creation_date", "date_created", "opened_at", "inserted_at", "opened"),
    "updated_at": ("updated", "updated_on", "modified_at", "modified", "last_modified", "changed_at"),
    "closed_at": ("closed", "closed_on", "date_closed"),
    "resolved_at": ("resolved", "resolved_on", "solved_at"),
    "started_at": ("start", "start_time", "begin", "started", "began_at"),
    "uploaded_at": ("created_at", "uploaded"),
    "duration_minutes": ("minutes", "duration", "time_spent"),
    "is_internal": ("internal", "private", "is_private"),
    "file_name": ("filename", "name", "original_name"),
    "file_size": ("size", "filesize", "bytes"),
    "file_type": ("mime_type", "content_type", "mimetype", "mime"),
    "file_path": ("path", "url", "location", "file_dir"),
    "billable": ("is_billable",),
    "approved": ("is_approved",),
    "role": ("type",),
    "customer": ("customer_id", "contact_id", "client_id", "requester_id", "person_id", "user_id"),
    "account": ("account_id", "company_id", "organization_id", "organisation_id", "mailbox_id"),
    "assigned_to": ("assignee_id", "agent_id", "user_id", "owner_id", "assigned_to_id"),
    "created_by": ("author_id", "creator_id", "created_by_id", "reporter_id"),
    "author": ("author_id", "user_id", "created_by_id", "creator_id"),
    "ticket": ("ticket_id", "conversation_id", "case_id", "issue_id", "request_id"),
    "note": ("note_id", "thread_id", "comment_id", "message_id"),
    "agent": ("agent_id", "user_id", "employee_id"),
    "uploaded_by": ("uploaded_by_id", "user_id", "author_id"),
}
"""What columns of a field are called elsewhere, the likeliest first."""


def found(schema: Mapping[str, Any], base: Table | None, record_type: str | None) -> dict[str, Any]:
    """{base_tables: {type: [...]}, joins: [...], mappings: {type: [...]}}.

    base: the table to join to and to map from; without it each type's likeliest table is mapped, and nothing joined. A
    table that the user may not read is not suggested.
    """
    schema = _readable(schema)
    types = [record_type] if record_type else list(targets.names())
    likely = {name: base_tables(schema, name) for name in types}
    mapped: dict[str, list[Suggested]] = {}
    for name in types:
        table = base or _table(schema, likely[name])
        mapped[name] = mappings(table, name) if table else []
    return {"base_tables": likely, "joins": joins(schema, base) if base else [], "mappings": mapped}


def _readable(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    tables = [table for table in schema["tables"] if table.get("readable", True)]
    known = {(table["name"], table.get("schema")) for table in tables}
    pairs = [pair for pair in schema["relationships"]
             if {(pair["table"], pair.get("schema")),
                 (pair["referenced_table"], pair.get("referenced_schema"))} <= known]  # fmt: skip
    return {"tables": tables, "relationships": pairs}


def base_tables(schema: Mapping[str, Any], record_type: str) -> list[Suggested]:
    """The tables that are likely to hold a record type, by their names."""
    names, suggested = TABLES.get(record_type, (record_type,)), []
    for table in schema["tables"]:
        words = _words(table["name"])
        for place, name in enumerate(names):
            wanted = _words(name)
            if words == wanted or words[-len(wanted) :] == wanted:
                exact = words == wanted
                confidence = round((0.95 if exact else 0.7) - 0.05 * place, 2)
                said = "is called" if exact else "ends in"
                reason = f"{table['name']} {said} {name}, as tables of {record_type} are."
                suggested.append(
                    _suggestion(confidence, reason, table=Table(table["name"], table.get("schema")).spelled)
                )
                break
    return _best(suggested)


def joins(schema: Mapping[str, Any], base: Table) -> list[Suggested]:
    """What the base table can be joined with: by its foreign keys, by those that refer to it, and by names."""
    suggested = [*_by_foreign_keys(schema, base), *_by_names(schema, base)]
    seen: dict[tuple[str, str], Suggested] = {}
    for one in suggested:
        seen.setdefault((one["table"], one["on"].replace(f"{one.get('alias', one['table'])}.", "")), one)
    return _best(list(seen.values()))


def mappings(table: Table, record_type: str) -> list[Suggested]:
    """The columns that are likely to be fields of a record type, at most one a field."""
    target, described = targets.get(record_type), table.described or {"columns": [], "primary_key": []}
    suggested = []
    if len(described["primary_key"]) == 1:
        [key] = described["primary_key"]
        reason = f"{key} is the primary key of {table.name}."
        suggested.append(_mapping(table, key, "external_id", 1.0, reason))
    elif parts := described["primary_key"]:
        columns = ", ".join(f"{_spelled(table.name)}.{_spelled(part)}" for part in parts)
        reason = f"{', '.join(parts)} are the primary key of {table.name} together."
        joined = _suggestion(0.9, reason, source=f"CONCAT_WS('-', {columns})", target="external_id")
        suggested.append(joined | {"transformation": "custom"})
    taken = set(described["primary_key"]) if len(described["primary_key"]) == 1 else set()
    ranked = []
    for name in (*target.Record.model_fields, *target.REFERENCES):
        info = target.Record.model_fields.get(name)
        for column in described["columns"]:
            confidence, reason = _alike(column, name, info.annotation if info else None)
            if confidence >= LEAST_CONFIDENCE and column["name"] not in taken:
                ranked.append((confidence, name, column["name"], reason))
    filled: set[str] = set()
    for confidence, name, column, reason in sorted(ranked, key=lambda one: -one[0]):
        if name not in filled and column not in taken:
            filled.add(name)
            taken.add(column)
            suggested.append(_mapping(table, column, name, confidence, reason))
    return suggested


def _alike(column: Mapping[str, Any], name: str, annotation: Any) -> tuple[float, str]:
    """How likely a column is a field, and why: by its name, less where its type will not fit."""
    words, called = _words(column["name"]), column["name"]
    known = [_words(other) for other in SYNONYMS.get(name, ())]
    if words == _words(name):
        confidence, reason = 0.95, f"{called} has the field's name"
    elif words in known:
        confidence, reason = round(0.85 - 0.05 * known.index(words), 2), f"{called} is another name of {name}"
    else:
        return 0.0, ""
    kind = column.get("base_type", column["type"])
    if annotation is not None and (said := advice.misfit(annotation, kind, column.get("enum", []))):
        return round(confidence - 0.3, 2), f"{reason}, but it is of type {column['type']}, and {name} {said}."
    return confidence, f"{reason}, and its type fits."


def _by_foreign_keys(schema: Mapping[str, Any], base: Table) -> Iterator[Suggested]:
    keys: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for place, pair in enumerate(schema["relationships"]):
        one = pair.get("constraint", place)
        keys.setdefault((pair["table"], pair.get("schema"), pair["referenced_table"], one), []).append(pair)
    for pairs in keys.values():
        first = pairs[0]
        own, other = (first["table"], first.get("schema")), (first["referenced_table"], first.get("referenced_schema"))
        here = (base.name, base.schema)
        columns = [(pair["column"], pair["referenced_column"]) for pair in pairs]
        named = ", ".join(column for column, _ in columns)
        if own == here:
            reason = f"A foreign key: {base.name} refers to {other[0]} by {named}."
            yield _join(base, Table(*other), columns, 1.0, reason, alias_after=columns[0][0])
        if other == here and own != here:
            reason = f"A foreign key: {own[0]} refers to {base.name} by {named}; a row may have several there."
            yield _join(base, Table(*own), [(key, column) for column, key in columns], 0.95, reason)


def _by_names(schema: Mapping[str, Any], base: Table) -> Iterator[Suggested]:
    """customer_id to customers.id, and the other way round, where the types are alike."""
    for table in schema["tables"]:
        other = Table(table["name"], table.get("schema"), table)
        if (other.name, other.schema) == (base.name, base.schema):
            continue
        for holder, held, outgoing in ((base, other, True), (other, base, False)):
            for column, key, confidence in _named_pairs(holder, held):
                reason = (
                    f"{holder.name}.{column} is named like a reference to {held.name}.{key}; no foreign key says so."
                )
                pair = (column, key) if outgoing else (key, column)
                yield _join(base, other, [pair], confidence if outgoing else confidence - 0.1, reason)


def _named_pairs(holder: Table, held: Table) -> Iterator[tuple[str, str, float]]:
    described = held.described or {}
    if len(described.get("primary_key", ())) == 1:
        [key] = described["primary_key"]
        sure = 0.8
    elif any(column["name"] == "id" for column in described.get("columns", ())):
        key, sure = "id", 0.65
    else:
        return
    whole = _words(held.name)
    for column, kind in (holder.columns or {}).items():
        words = _words(column)
        if len(words) < 2 or words[-1] not in ("id", _words(key)[-1]):
            continue
        stem = words[:-1]
        if stem == whole or stem == whole[-len(stem) :]:
            exact = stem == whole
        elif stem[-1:] == whole:
            exact = False
        else:
            continue
        if _family(kind) == _family((held.columns or {})[key]):
            yield column, key, sure if exact else sure - 0.15


def _join(
    base: Table, other: Table, columns: list[tuple[str, str]], confidence: float, reason: str, alias_after: str = ""
) -> Suggested:
    """A join of the base table's columns with the other's."""
    alias = _alias(base, other, alias_after)
    left = [f"{_spelled(base.name)}.{_spelled(own)}" for own, _ in columns]
    right = [f"{_spelled(alias or other.name)}.{_spelled(key)}" for _, key in columns]
    on = " AND ".join(f"{key} = {own}" for own, key in zip(left, right, strict=True))
    suggested = {"type": "LEFT", "table": other.spelled} | ({"alias": alias} if alias else {}) | {"on": on}
    pair = {"leftColumn": left[0], "rightColumn": right[0]} if len(columns) == 1 else {}
    return _suggestion(round(confidence, 2), reason, **suggested, **pair)


def _alias(base: Table, other: Table, column: str) -> str | None:
    """The name of a table that is called like the base table: itself, after the column that leads there, or one of
    another schema. Under its own name its columns would be read as the base table's.
    """
    if other.name != base.name:
        return None
    if other.schema == base.schema:
        alias = re.sub(r"_?id$", "", column) or "parent"
    else:
        alias = f"{other.schema or 'other'}_{other.name}"
    alias = alias.encode()[:61].decode(errors="ignore")  # of the 63 a name may have
    return f"{alias}_2" if alias == base.name else alias


def _mapping(table: Table, column: str, target: str, confidence: float, reason: str) -> Suggested:
    source = f"{_spelled(table.name)}.{_spelled(column)}"
    return _suggestion(confidence, reason, source=source, target=target, transformation="direct")


def _suggestion(confidence: float, reason: str, **parts: Any) -> Suggested:
    return {**parts, "confidence": confidence, "reason": reason}


def _best(suggested: list[Suggested]) -> list[Suggested]:
    likely = [one for one in suggested if one["confidence"] >= LEAST_CONFIDENCE]
    return sorted(likely, key=lambda one: (-one["confidence"], one["table"]))[:MAX_SUGGESTED]


def _table(schema: Mapping[str, Any], likely: list[Suggested]) -> Table | None:
    from chalicelib import tables

    return tables.find(likely[0]["table"], schema) if likely else None


def _spelled(name: str) -> str:
    """A name as SQL takes it: quoted unless it is plain and in lower case."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else sql.quoted(name)


def _words(name: str) -> list[str]:
    """A name's words in lower case and the singular: CustomerIDs, customer_id -> [customer, id]."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [_singular(word) for word in re.split(r"[^a-z0-9]+", split.lower()) if word]


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2 else word


def _family(kind: str) -> str:
    kind = kind.partition("(")[0]
    whole = ("smallint", "integer", "bigint", "numeric")
    return "number" if kind in whole else "text" if kind in ("text", "character varying", "character") else kind
