"""FreeScout's database, as it really is.

FreeScout declares no foreign keys, keeps JSON in text columns, writes times in its own zone, and shows `id` as the
ticket number unless told otherwise (app/*.php and database/migrations of FreeScout 1.8). So the zone, the number and
the table prefix are asked for, modules and columns that are not there are left out, and what is not meant to be
seen (drafts, deleted, spam) is left out by rules that carry names. Passwords and tokens are never read.
"""

# ruff: noqa: S608 -- every text in here is ours; the options that go in are checked by the template

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib import fields
from chalicelib.freescout import (
    Database,
    Options,
    account,
    all_addresses,
    aside,
    capped,
    database_of,
    filled,
    labels,
    main_address,
    opening,
    person,
    priority,
)
from chalicelib.sql import Filter, Mapped, NamedQuery, Query
from chalicelib.templates import Option

ID = "0c1f6a0e-9f0d-5b7c-8a55-3f1e0d7c4b21"
NAME = "FreeScout Platform"
PLATFORM = "freescout"
DESCRIPTION = "Pre-configured import for FreeScout help desk platform"
SUPPORTED_TYPES = ("customer_users", "tickets", "time_entries", "agents")
TYPES = ("accounts", "agents", "customer_users", "tickets", "ticket_notes", "attachments", "time_entries")
CREATED_AT = "2026-01-01T00:00:00Z"

OPTIONS: tuple[Option, ...] = (
    {"name": "timezone", "label": "Time zone FreeScout writes its times in (APP_TIMEZONE)", "type": "timezone",
     "required": False, "default": "UTC", "choices": None, "pattern": None},
    {"name": "ticket_number", "label": "Ticket number: the id, or `number` where APP_CUSTOM_NUMBER is set",
     "type": "choice", "required": False, "default": "id", "choices": ("id", "number"), "pattern": None},
    {"name": "table_prefix", "label": "Prefix of the tables' names (DB_TABLE_PREFIX)", "type": "text",
     "required": False, "default": "", "choices": None, "pattern": r"^[A-Za-z0-9_]{0,20}$"},
    {"name": "include_spam", "label": "Import spam as closed tickets tagged `spam`", "type": "boolean",
     "required": False, "default": False, "choices": None, "pattern": None},
)  # fmt: skip


@dataclass(frozen=True)
class Exclusion:
    """A rule that leaves rows out: its name, why, and the query that counts what it leaves out. Each row that is left
    out is counted by exactly one rule.
    """

    name: str
    sentence: str
    query: Query


def queries(options: dict[str, Any], schema: dict[str, Any] | None = None) -> dict[str, Query]:
    """type -> query, in the order of TYPES; see templates.Template."""
    database = database_of(_checked(options), schema)
    found = {
        "accounts": _accounts(database),
        "agents": _agents(database),
        "customer_users": _customers(database),
        "tickets": _tickets(database),
        "ticket_notes": _notes(database),
    }
    if database.has("attachments"):
        found["attachments"] = _attachments(database)
    if database.has("timelogs"):
        found["time_entries"] = _time_entries(database)
    return found


def exclusions(options: dict[str, Any], schema: dict[str, Any] | None = None) -> dict[str, list[Exclusion]]:
    """type -> the rules that leave rows out, for showing why fewer rows come than the table holds."""
    found = queries(options, schema)
    spam = bool(options.get("include_spam"))
    rules: dict[str, list[tuple[str, str, list[Filter]]]] = {
        "agents": [("robots", "users that are robots", [_is("users.type", 2)])],
        "tickets": [
            ("drafts", "conversations never sent", [_is("conversations.state", 1)]),
            ("deleted", "conversations in the trash", [_is("conversations.state", 3)]),
        ],
        "ticket_notes": _hidden_rules(spam=spam),
        "attachments": _hidden_rules(spam=spam),
        "time_entries": [("running", "timers that were not finished", [_is("timelogs.finished::int", 0)])],
    }
    if not spam:
        filters = [_not("conversations.state", 1, 3), _is("conversations.status", 4)]
        rules["tickets"].append(("spam", "conversations marked as spam", filters))
    return {
        record_type: [
            Exclusion(name, sentence, query.model_copy(update={"filters": filters}))
            for name, sentence, filters in rules.get(record_type, [])
        ]
        for record_type, query in found.items()
    }


def _checked(options: dict[str, Any]) -> Options:
    """The options with their defaults. Raises Invalid, since some of them become part of the SQL."""
    values = fields.check(OPTIONS, options)
    return Options(values["timezone"], values["ticket_number"], values["table_prefix"], values["include_spam"])


def _query(
    database: Database, record_type: str, table: str, fields: dict[str, str | tuple[str, str]], **parts: Any
) -> Query:
    """A query over a table. fields: target -> expression, or (expression, transformation); NULL ones are left out."""
    mapped = [
        Mapped(source=source[0], target=target, transformation=source[1])
        if isinstance(source, tuple)
        else Mapped(source=source, target=target)
        for target, source in fields.items()
        if (source[0] if isinstance(source, tuple) else source) != "NULL"
    ]
    return Query(
        name=f"{record_type.replace('_', ' ').title()} Import",
        base_table=database.options.prefix + table,
        base_schema=database.schemas.get(table),
        closed=database.tables is not None,
        alias=table if database.options.prefix else None,
        origin=table,
        key=[f"{table}.id"],
        fields=mapped,
        target_type=record_type,
        **parts,
    )


def _is(field: str, value: Any) -> Filter:
    return Filter(field=field, operator="=", value=value)


def _not(field: str, *values: Any) -> Filter:
    return Filter(field=field, operator="NOT IN", value=list(values))


def _one_of(field: str, *values: Any) -> Filter:
    return Filter(field=field, operator="IN", value=list(values))


def _accounts(database: Database) -> Query:
    email = main_address(database)
    company = database.column("customers.company")
    customers = f"{database.table('customers')} AS customers"
    grouped = f"""
SELECT min(id) AS id, reference AS external_id, (array_agg(name ORDER BY id))[1] AS name, min(domain) AS domain
FROM (
  SELECT customers.id, own.reference, own.name, own.domain FROM {customers}
  LEFT JOIN LATERAL ({email}) AS main ON true
  CROSS JOIN LATERAL ({account(f"{company}::text", "main.email")}) AS own
) AS members
WHERE reference IS NOT NULL GROUP BY reference"""
    query = _query(
        database,
        "accounts",
        "accounts",
        {"external_id": "accounts.external_id", "name": "accounts.name", "domain": "accounts.domain"},
        with_queries=[NamedQuery(name="accounts", sql=grouped)],
    )
    return query.model_copy(update={"base_table": "accounts", "base_schema": None, "alias": None})


def _agents(database: Database) -> Query:
    column = database.column
    email = r"regexp_replace(users.email, '_deleted\d{14}$', '')"
    first, last = filled(column("users.first_name")), filled(column("users.last_name"))
    fields: dict[str, str | tuple[str, str]] = {
        "external_id": "users.id",
        "email": (email, "email"),
        "name": (
            f"coalesce(nullif(concat_ws(' ', {first}, {last}), ''), nullif(split_part({email}, '@', 1), ''), "
            "'Agent ' || users.id)"
        ),
        "first_name": first,
        "last_name": last,
        "phone": filled(column("users.phone")),
        "role": "CASE users.role WHEN 1 THEN 'agent' WHEN 2 THEN 'admin' ELSE 'code ' || users.role END",
        "is_active": f"{column('users.status', '1')} = 1",
        "timezone": filled(column("users.timezone")),
        "preferences.locale": filled(column("users.locale")),
        "custom_fields.job_title": filled(column("users.job_title")),
        "created_at": database.time("users.created_at"),
        "updated_at": database.time("users.updated_at"),
    }
    return _query(database, "agents", "users", fields, filters=[_not(column("users.type", "1"), 2)])


def _customers(database: Database) -> Query:
    column = database.column
    first, last = filled(column("customers.first_name")), filled(column("customers.last_name"))
    street, city = filled(column("customers.address")), filled(column("customers.city"))
    town = f"nullif(concat_ws(' ', {filled(column('customers.zip'))}, {city}), '')"
    region, country = filled(column("customers.state")), filled(column("customers.country"))
    company, phones = column("customers.company"), aside(column("customers.phones"))
    fields: dict[str, str | tuple[str, str]] = {
        "external_id": "customers.id",
        "email": ("addresses.main", "email"),
        "emails": "addresses.emails",
        "name": (
            f"coalesce(nullif(concat_ws(' ', {first}, {last}), ''), nullif(split_part(addresses.main, '@', 1), ''), "
            "'Customer ' || customers.id)"
        ),
        "first_name": first,
        "last_name": last,
        "phone": (phones, "first_phone"),
        "phones": (phones, "phones"),
        "company": filled(company),
        "job_title": filled(column("customers.job_title")),
        "address": f"nullif(concat_ws(E'\\n', {street}, {town}, {region}, {country}), '')",
        "account": "own.reference",
        "custom_fields.notes": (filled(aside(column("customers.notes"))), "aside"),
        "custom_fields.websites": (aside(column("customers.websites")), "texts"),
        "created_at": database.time("customers.created_at"),
        "updated_at": database.time("customers.updated_at"),
    }
    joins = [
        database.found("emails", "addresses", all_addresses(database)),
        database.found("customers", "own", account(f"{company}::text", "addresses.main")),
    ]
    return _query(database, "customer_users", "customers", fields, joins=joins)


def _tickets(database: Database) -> Query:
    column = database.column
    company = column("customers.company")
    has_fields = database.has("custom_fields", "conversation_custom_field")
    closed = f"CASE WHEN conversations.status IN (3, 4) THEN {database.time('conversations.closed_at')} END"
    fields: dict[str, str | tuple[str, str]] = {
        "external_id": "conversations.id",
        "number": f"conversations.{database.options.number}",
        "title": "CASE WHEN btrim(conversations.subject) <> '' THEN conversations.subject ELSE '(no subject)' END",
        "description": f"CASE WHEN opening.id IS NULL THEN conversations.preview ELSE {capped('opening.body')} END",
        "status": (
            "CASE conversations.status WHEN 1 THEN 'open' WHEN 2 THEN 'pending' WHEN 3 THEN 'closed' "
            "WHEN 4 THEN 'closed' ELSE 'code ' || conversations.status END"
        ),
        "priority": ("""coalesce(priority.choice, '["",""]')""", "priority") if has_fields else "'normal'",
        "tags": _tags(database),
        "source": (
            "CASE WHEN conversations.type = 2 THEN 'phone' WHEN conversations.type = 3 THEN 'chat' "
            "ELSE CASE conversations.source_type WHEN 1 THEN 'email' WHEN 2 THEN 'web' WHEN 3 THEN 'api' "
            "ELSE 'code ' || conversations.source_type END END"
        ),
        "customer": "conversations.customer_id",
        "account": "own.reference",
        "assigned_to": "conversations.user_id",
        "created_by": person(
            column("conversations.created_by_user_id"), column("conversations.created_by_customer_id")
        ),
        "custom_fields.mailbox": "mailboxes.name" if database.has("mailboxes") else "NULL",
        "custom_fields.customer_email": column("conversations.customer_email"),
        "custom_fields.cc": (aside(column("conversations.cc")), "texts"),
        "resolved_at": closed,
        "closed_at": closed,
        "created_at": database.time("conversations.created_at"),
        "updated_at": database.first_time(
            "conversations.updated_at", "conversations.last_reply_at", "conversations.created_at"
        ),
    }
    joins = [
        database.joined("customers", "customers.id = conversations.customer_id"),
        database.found("emails", "main", main_address(database)),
        database.found("customers", "own", account(f"{company}::text", "main.email")),
        database.found("threads", "opening", opening(database)),
    ]
    if database.has("tags", "conversation_tag"):
        joins.append(database.found("conversation_tag", "labels", labels(database)))
    if has_fields:
        joins.append(database.found("conversation_custom_field", "priority", priority(database)))
    if database.has("mailboxes"):
        joins.append(database.joined("mailboxes", "mailboxes.id = conversations.mailbox_id"))
    filters = [_not("conversations.state", 1, 3)]
    if not database.options.spam:
        filters.append(_not("conversations.status", 4))
    width = "coalesce(octet_length(opening.body), 0)"
    return _query(database, "tickets", "conversations", fields, width=width, joins=joins, filters=filters)


def _tags(database: Database) -> str:
    names = "labels.names" if database.has("tags", "conversation_tag") else "NULL"
    if not database.options.spam:
        return names
    return f"CASE WHEN conversations.status = 4 THEN array_append({names}::text[], 'spam') ELSE {names}::text[] END"


def _notes(database: Database) -> Query:
    column = database.column
    fields: dict[str, str | tuple[str, str]] = {
        "external_id": "threads.id",
        "content": f"coalesce({capped('threads.body')}, '')",
        "is_internal": "threads.type = 3",
        "cc": (aside(column("threads.cc")), "texts"),
        "bcc": (aside(column("threads.bcc")), "texts"),
        "ticket": "threads.conversation_id",
        "author": person(column("threads.created_by_user_id"), column("threads.created_by_customer_id")),
        "created_at": database.time("threads.created_at"),
        "updated_at": database.time("threads.updated_at"),
    }
    return _query(
        database,
        "ticket_notes",
        "threads",
        fields,
        width="coalesce(octet_length(threads.body), 0)",
        joins=[database.joined("conversations", "conversations.id = threads.conversation_id")],
        filters=_seen(spam=database.options.spam),
    )


def _attachments(database: Database) -> Query:
    column = database.column
    folder = column("attachments.file_dir")
    uploader = f"coalesce(attachments.user_id, {column('threads.created_by_user_id')})"
    fields: dict[str, str | tuple[str, str]] = {
        "external_id": "attachments.id",
        "file_name": "attachments.file_name",
        "file_size": column("attachments.size"),
        "file_type": filled(column("attachments.mime_type")),
        "file_path": f"concat_ws('/', nullif(rtrim({folder}, '/'), ''), attachments.file_name)",
        "uploaded_at": database.time("threads.created_at"),
        "custom_fields.embedded": column("attachments.embedded"),
        "ticket": "threads.conversation_id",
        "note": "attachments.thread_id",
        "uploaded_by": person(uploader, column("threads.created_by_customer_id")),
    }
    joins = [
        database.joined("threads", "threads.id = attachments.thread_id"),
        database.joined("conversations", "conversations.id = threads.conversation_id"),
    ]
    filters = _seen(spam=database.options.spam)
    return _query(database, "attachments", "attachments", fields, joins=joins, filters=filters)


def _time_entries(database: Database) -> Query:
    fields: dict[str, str | tuple[str, str]] = {
        "external_id": "timelogs.id",
        "duration_minutes": "(greatest(timelogs.time_spent, 0)::int8 + 30) / 60",
        "started_at": database.time("timelogs.created_at"),
        "ticket": "timelogs.conversation_id",
        "agent": "timelogs.user_id",
        "custom_fields.seconds": "timelogs.time_spent",
        "created_at": database.time("timelogs.created_at"),
        "updated_at": database.time("timelogs.updated_at"),
    }
    finished = [_is("timelogs.finished::int", 1)]
    return _query(database, "time_entries", "timelogs", fields, filters=finished)


_TYPE = "coalesce(threads.type, 1)"
_STATE = "coalesce(threads.state, 2)"
_TICKET_STATE = "coalesce(conversations.state, 2)"
_TICKET_STATUS = "coalesce(conversations.status, 1)"


def _seen(*, spam: bool) -> list[Filter]:
    """Published messages and notes of tickets that are imported. Where thread or ticket are gone, rows survive."""
    filters = [_one_of(_TYPE, 1, 2, 3, 8), _is(_STATE, 2), _not(_TICKET_STATE, 1, 3)]
    return filters if spam else [*filters, _not(_TICKET_STATUS, 4)]


def _hidden_rules(*, spam: bool) -> list[tuple[str, str, list[Filter]]]:
    """What `_seen` leaves out, each row by one rule."""
    message, published = _one_of(_TYPE, 1, 2, 3, 8), _is(_STATE, 2)
    rules = [
        ("line_items", "events without a message", [_not(_TYPE, 1, 2, 3, 8)]),
        ("drafts", "messages never sent", [message, _is(_STATE, 1)]),
        ("hidden", "messages hidden or under review", [message, _not(_STATE, 1, 2)]),
        ("draft_tickets", "of conversations never sent", [message, published, _is(_TICKET_STATE, 1)]),
        ("deleted_tickets", "of conversations in the trash", [message, published, _is(_TICKET_STATE, 3)]),
    ]
    if not spam:
        spammed = [message, published, _not(_TICKET_STATE, 1, 3), _is(_TICKET_STATUS, 4)]
        rules.append(("spam_tickets", "of conversations marked as spam", spammed))
    return rules
