"""What should arrive: per record type the rows of the source, those each rule leaves out, and those that remain.

Written against FreeScout's tables alone, without the template's SQL, so that the two check each other. Rows are
fetched and counted here in Python; nothing is shared with the import.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

Counts = dict[str, Any]

MESSAGES = (1, 2, 3, 8)
"""Thread types that carry a message: customer, reply, note, chat."""

_FORMS = (
    "gmbh co kg", "s a r l", "sp z o o", "s a", "s p a", "s r l", "b v", "n v", "incorporated", "corporation",
    "limited", "company", "sarl", "gmbh", "kgaa", "corp", "sas", "srl", "spa", "inc", "ltd", "llc", "llp", "plc",
    "mbh", "ohg", "aps", "pty", "pvt", "co", "ag", "kg", "ug", "sa", "bv", "nv", "ab", "oy", "kk",
)  # fmt: skip
_ANYONES = {
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "yahoo.com", "yahoo.co.uk", "icloud.com", "aol.com",
    "gmx.de", "gmx.net", "web.de", "mail.ru", "qq.com", "proton.me", "live.com", "msn.com",
}  # fmt: skip


def reconcile(dsn: str, *, include_spam: bool = False, prefix: str = "") -> dict[str, Counts]:
    """type -> {source, excluded: {rule: rows}, expected}; source = expected + all excluded. A type whose table is
    not there is left out.
    """
    with psycopg.connect(dsn) as connection:
        source = Source(connection, prefix)
        states = {number: (state, status) for number, state, status in source.rows("conversations", "id state status")}
        threads = {row[0]: row[1:] for row in source.rows("threads", "id conversation_id type state")}
        found = {
            "accounts": _counts(account_names(source)),
            "agents": _counts("robots" if kind == 2 else None for _, kind in source.rows("users", "id type")),
            "customer_users": _counts(None for _ in source.rows("customers", "id")),
            "tickets": _counts(_ticket(state, include_spam) for state in states.values()),
            "ticket_notes": _counts(_note(thread, states, include_spam) for thread in threads.values()),
        }
        if source.has("attachments"):
            rows = source.rows("attachments", "id thread_id")
            found["attachments"] = _counts(
                _note(threads[thread], states, include_spam) if thread in threads else None for _, thread in rows
            )
        if source.has("timelogs"):
            rows = source.rows("timelogs", "id finished")
            found["time_entries"] = _counts(None if finished else "running" for _, finished in rows)
    return found


class Source:
    """Raw columns of FreeScout's tables."""

    def __init__(self, connection: psycopg.Connection[Any], prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix

    def has(self, table: str) -> bool:
        """Whether the table is there."""
        row = self._connection.execute("SELECT to_regclass(%s)", [f'public."{self._prefix}{table}"']).fetchone()
        return bool(row and row[0])

    def rows(self, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
        """Columns of all rows, in the order of the ids."""
        names = sql.SQL(", ").join(map(sql.Identifier, columns.split()))
        query = sql.SQL("SELECT {} FROM {} ORDER BY id").format(names, sql.Identifier(self._prefix + table))
        with self._connection.cursor() as cursor:
            yield from cursor.stream(query, size=2000)


def account_names(source: Source) -> Iterator[None]:
    """One item an account: the distinct companies, and domains of customers without one."""
    addresses: dict[int, tuple[bool, str]] = {}
    for _, customer, address, kind in source.rows("emails", "id customer_id email type"):
        if customer not in addresses or (kind == 1 and not addresses[customer][0]):
            addresses[customer] = (kind == 1, address)
    accounts = {
        account(company, addresses.get(number, (False, None))[1])
        for number, company in source.rows("customers", "id company")
    }
    yield from (None for name in accounts if name)


def account(company: str | None, address: str | None) -> str | None:
    """The external id of a customer's account."""
    words = re.sub(r"[\s\u00a0\u200b\u2060\ufeff!-/:-@\[-`{-~]+", " ", (company or "")[:300].lower()).split()
    while len(words) > 1:
        form = next((f.split() for f in _FORMS if words[-len(f.split()) :] == f.split() != words), None)
        if form is None:
            break
        words = words[: -len(form)]
    if words:
        return "company:" + " ".join(words)
    domain = (address or "").rpartition("@")[2].lower().rstrip(".")
    if not re.fullmatch(r"\S+\.\S+", domain) or domain in _ANYONES:
        return None
    return "domain:" + domain


def _counts(rules: Iterator[str | None]) -> Counts:
    by_rule = Counter(rules)
    expected = by_rule.pop(None, 0)
    excluded = {str(rule): rows for rule, rows in by_rule.items()}
    return {"source": expected + sum(excluded.values()), "excluded": excluded, "expected": expected}


def _ticket(ticket: tuple[int, int], include_spam: bool) -> str | None:
    state, status = ticket
    if state in (1, 3):
        return "drafts" if state == 1 else "deleted"
    return "spam" if status == 4 and not include_spam else None


def _note(thread: tuple[Any, ...], tickets: dict[int, tuple[int, int]], include_spam: bool) -> str | None:
    ticket, kind, state = thread
    if kind not in MESSAGES:
        return "line_items"
    if state != 2:
        return "drafts" if state == 1 else "hidden"
    if ticket not in tickets:
        return None
    rule = _ticket(tickets[ticket], include_spam)
    return {"drafts": "draft_tickets", "deleted": "deleted_tickets", "spam": "spam_tickets"}.get(rule or "")
