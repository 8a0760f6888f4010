"""A record as a person wants to see it: a ticket with its conversation, a customer with every address.

In: records as the API shows them and a way to look up what they refer to. Out: Rich renderables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli import terminal

Record = dict[str, Any]
Lookup = Callable[[str | None, str | None], Record | None]
"""(type, id) -> the record, None when there is none."""

BODY_LINES = 12
"""Lines shown of a message; `--json` has all of it."""

MARKS = frozenset({"id", "type", "external_id", "version", "imported_at", "unresolved", "truncated"})
"""Attributes every record has beside its own fields."""

_TYPES = {"customer": "customer_users", "account": "accounts", "assigned_to": "agents", "agent": "agents"}
"""Where a reference leads when only one type is allowed and the record does not say."""


def card(record: Record, children: dict[str, list[Record]], look_up: Lookup) -> RenderableType:
    """The card of one record. children: type -> records that hang below it."""
    draw = {"tickets": _ticket, "customer_users": _customer}.get(record["type"], _plain)
    return draw(record, children, look_up)


def _ticket(ticket: Record, children: dict[str, list[Record]], look_up: Lookup) -> RenderableType:
    facts = {
        "customer": _who(ticket, "customer", look_up),
        "assigned to": _who(ticket, "assigned_to", look_up) or "nobody",
        "account": _who(ticket, "account", look_up),
        "category": ticket.get("category"),
        "tags": ", ".join(ticket.get("tags") or []),
        "source": ticket.get("source"),
        "created": terminal.moment(ticket.get("created_at")),
        "closed": terminal.moment(ticket.get("closed_at")),
    }
    parts: list[RenderableType] = [terminal.grid(facts)]
    notes = sorted(children.get("ticket_notes", []), key=lambda one: one.get("created_at") or "")
    description = ticket.get("description")
    if description and all(note.get("content") != description for note in notes):
        parts += [Text(), _body(description)]
    attachments = _by_reference(children.get("attachments", []), "note")
    for note in notes:
        parts += [Text(), _note(note, look_up), *_files(attachments.pop(note["id"], []))]
    for rest in attachments.values():
        parts += [Text(), *_files(rest)]
    title = f"Ticket {ticket.get('number') or ticket['external_id']}: {ticket.get('title') or ''}"
    return _sheet(title, parts, " · ".join(filter(None, (ticket.get("status"), ticket.get("priority")))), ticket)


def _note(note: Record, look_up: Lookup) -> RenderableType:
    written_by = {"customer_users": ("customer", "cyan"), "agents": ("reply", "green")}
    kind, style = written_by.get(note.get("author_type") or "", ("public", "cyan"))
    if note.get("is_internal"):
        kind, style = "internal note", "yellow"
    author = (_who(note, "author", look_up) or "unknown author").partition(" <")[0]
    head = Text.assemble((f"● {kind}", style), f"  {terminal.one_line(author, 50)}  ")
    head.append(terminal.moment(note.get("created_at")), style="dim")
    return Group(head, _body(note.get("content") or ""))


def _files(attachments: list[Record]) -> list[RenderableType]:
    return [
        Padding(
            Text(f"attached: {terminal.one_line(one.get('file_name') or '?', 60)}, {_size(one.get('file_size'))}"),
            (0, 0, 0, 2),
            style="dim",
        )
        for one in attachments
    ]


def _customer(customer: Record, _children: dict[str, list[Record]], look_up: Lookup) -> RenderableType:
    facts: dict[str, Any] = {"email": customer.get("email")}
    for number, address in enumerate(_addresses(customer, "emails", customer.get("email"))):
        facts["also" if not number else " " * number] = address
    facts["phone"] = customer.get("phone")
    for number, phone in enumerate(_addresses(customer, "phones", customer.get("phone"))):
        facts["also at" if not number else "  " + " " * number] = phone
    facts |= {
        "account": _who(customer, "account", look_up),
        "company": customer.get("company"),
        "job title": customer.get("job_title"),
        "address": _flat(customer.get("address")),
        "time zone": customer.get("timezone"),
        "active": _yes_no(customer.get("is_active")),
        "created": terminal.moment(customer.get("created_at")),
    }
    name = customer.get("name") or customer.get("email") or customer["external_id"]
    return _sheet(f"Customer {name}", [terminal.grid(facts)], "", customer)


def _plain(record: Record, _children: dict[str, list[Record]], look_up: Lookup) -> RenderableType:
    facts: dict[str, Any] = {}
    for name, value in record.items():
        if name in MARKS or name.removesuffix("_type") + "_id" in record:
            continue
        if name.endswith("_id"):
            facts[name.removesuffix("_id").replace("_", " ")] = _who(record, name.removesuffix("_id"), look_up)
        elif name.endswith("_at"):
            facts[name.removesuffix("_at")] = terminal.moment(value)
        else:
            facts[name.replace("_", " ")] = _flat(value)
    return _sheet(f"{record['type']} {record['external_id']}", [terminal.grid(facts)], "", record)


def headline(record: Record) -> str:
    """What a record is called in a list."""
    for word in ("title", "name", "email", "file_name", "content", "description"):
        if record.get(word):
            return terminal.one_line(as_text(str(record[word])), 60)
    return ""


def _sheet(title: str, parts: list[RenderableType], state: str, record: Record) -> RenderableType:
    """A heading over a line. No frame: joined emoji and right-to-left text are as wide as each terminal likes."""
    heading = Table.grid(expand=True)
    heading.add_column(no_wrap=True)
    heading.add_column(justify="right", no_wrap=True)
    heading.add_row(Text(terminal.one_line(title, 74), style="bold"), Text(state))
    foot = Text(f"{record['type']} {record['id']}", style="dim")
    return Group(heading, Rule(style="dim"), *parts, Text(), foot)


def _who(record: Record, reference: str, look_up: Lookup) -> str | None:
    """The name of what a reference leads to; says so when it has not been imported."""
    missing = (record.get("unresolved") or {}).get(reference)
    if missing is not None:
        return f"{terminal.one_line(missing, 40)} (not imported)"
    target = record.get(f"{reference}_id")
    if not target:
        return None
    found = look_up(record.get(f"{reference}_type") or _TYPES.get(reference), target)
    if found is None:
        return str(target)
    name, email = found.get("name") or found.get("title") or "", found.get("email")
    return f"{name} <{email}>" if name and email else str(name or email or target)


def _addresses(record: Record, name: str, first: Any) -> list[str]:
    found = []
    for entry in record.get(name) or []:
        value = entry.get("value") or entry.get("email") or entry.get("number") if isinstance(entry, dict) else entry
        kind = entry.get("type") if isinstance(entry, dict) else None
        if value and value != first:
            found.append(f"{value} ({kind})" if isinstance(kind, str) else str(value))
    return found


def _by_reference(records: list[Record], reference: str) -> dict[str | None, list[Record]]:
    groups: dict[str | None, list[Record]] = {}
    for record in records:
        groups.setdefault(record.get(f"{reference}_id"), []).append(record)
    return groups


def _flat(value: Any) -> str | None:
    if isinstance(value, dict):
        return ", ".join(str(part) for part in value.values() if part not in (None, "")) or None
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return None if value is None else str(value)


def _yes_no(value: Any) -> str | None:
    return None if value is None else "yes" if value else "no"


def _size(size_bytes: Any) -> str:
    if not isinstance(size_bytes, int):
        return "size unknown"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.1f} KB"


def _body(content: str) -> RenderableType:
    lines = terminal.tame(as_text(content)).splitlines()
    more = len(lines) - BODY_LINES
    shown = "\n".join(line[:400] for line in lines[:BODY_LINES])
    return Padding(Text(shown + (f"\n… {more} more lines" if more > 0 else "")), (0, 0, 0, 2))


def as_text(content: str) -> str:
    """The words of an HTML message, a paragraph a line; text that is no HTML stays as it is."""
    if not re.search(r"<[a-zA-Z/!]", content):
        return content.strip()
    reader = _Words()
    reader.feed(content)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.words).splitlines())
    return "\n".join(line for line in lines if line)


class _Words(HTMLParser):
    """Collects what a browser would show as text."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002 - the parser's signature
        self._hidden += tag in ("script", "style")
        if tag in ("br", "p", "div", "li", "tr", "blockquote", "h1", "h2", "h3"):
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0
        if tag in ("p", "div", "li", "tr", "blockquote"):
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)
