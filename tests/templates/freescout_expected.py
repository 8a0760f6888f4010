"""What a FreeScout database should become, worked out in Python from the raw tables.

Shares no SQL and no code with the template: rows are fetched as they are, and every rule is written again. Whoever
compares (here with the mapper's output, elsewhere with the record store) needs only `expected`.
"""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from collections import defaultdict
from typing import Any

import psycopg
from psycopg.rows import dict_row

from infra.local.freescout.reconcile import account

Row = dict[str, Any]
Records = dict[str, dict[str, Any]]

PHONE_TYPES = ["other", "work", "home", "other", "mobile", "fax", "pager"]
NBSP = "\u00a0"


def expected(connection: psycopg.Connection[Any], options: dict[str, Any] | None = None) -> dict[str, Records]:
    """type -> external id -> {data, refs}: `data` without fields that have no value, times as ...Z, `refs` by name."""
    chosen = {"timezone": "UTC", "ticket_number": "id", "table_prefix": "", "include_spam": False} | (options or {})
    return _Desk(connection, chosen).records()


class _Desk:
    """All rows of a help desk, by id."""

    def __init__(self, connection: psycopg.Connection[Any], options: dict[str, Any]) -> None:
        self.zone = zoneinfo.ZoneInfo(options["timezone"])
        self.number = options["ticket_number"]
        self.spam = options["include_spam"]
        names = (
            "users", "customers", "emails", "conversations", "threads", "attachments", "mailboxes", "timelogs", "tags",
            "conversation_tag", "custom_fields", "conversation_custom_field",
        )  # fmt: skip
        self.tables: dict[str, dict[int, Row]] = {}
        with connection.cursor(row_factory=dict_row) as cursor:
            for name in names:
                table = options["table_prefix"] + name
                there = cursor.execute("SELECT to_regclass(%s) AS found", [f'"{table}"']).fetchone()
                if there and there["found"]:
                    rows = cursor.execute(f'SELECT * FROM "{table}" ORDER BY id').fetchall()
                    self.tables[name] = {row["id"]: row for row in rows}
        self.emails = self._grouped("emails", "customer_id")
        self.talk = self._grouped("threads", "conversation_id")

    def records(self) -> dict[str, Records]:
        found = {
            "accounts": self.accounts(),
            "agents": {str(row["id"]): self.agent(row) for row in self._all("users") if row["type"] != 2},
            "customer_users": {str(row["id"]): self.customer(row) for row in self._all("customers")},
            "tickets": {
                str(row["id"]): self.ticket(row) for row in self._all("conversations") if self._ticket_is_seen(row)
            },
            "ticket_notes": {str(row["id"]): self.note(row) for row in self._all("threads") if self._is_seen(row)},
            "attachments": {
                str(row["id"]): self.attachment(row)
                for row in self._all("attachments")
                if self._is_seen(self.tables["threads"].get(row["thread_id"]))
            },
        }
        if "timelogs" in self.tables:
            finished = [row for row in self._all("timelogs") if row["finished"]]
            found["time_entries"] = {str(row["id"]): self.time_entry(row) for row in finished}
        return found

    def accounts(self) -> Records:
        found: Records = {}
        for row in self._all("customers"):
            reference = self._account(row)
            if reference and reference not in found:
                domain = reference.removeprefix("domain:") if reference.startswith("domain:") else None
                found[reference] = _record({"name": domain or _clean(row["company"]), "domain": domain})
        return found

    def agent(self, row: Row) -> Row:
        email, cut, stamp = row["email"].rpartition("_deleted")
        email = email if cut and len(stamp) == 14 and stamp.isdigit() else row["email"]
        first, last = _clean(row["first_name"]), _clean(row["last_name"])
        return _record(
            {
                "email": email,
                "name": " ".join(filter(None, [first, last])) or email.split("@")[0],
                "first_name": first,
                "last_name": last,
                "phone": _clean(row["phone"]),
                "role": "admin" if row["role"] == 2 else "agent",
                "is_active": row["status"] == 1,
                "timezone": _clean(row["timezone"]),
                "preferences": _without_none({"locale": _clean(row["locale"])}) or None,
                "custom_fields": _without_none({"job_title": _clean(row["job_title"])}) or None,
            }
            | self._times(row)
        )

    def customer(self, row: Row) -> Row:
        first, last = _clean(row["first_name"]), _clean(row["last_name"])
        emails = [mail["email"] for mail in self.emails[row["id"]]]
        main = self._main_address(row["id"])
        phones = [{"value": phone["value"], "type": PHONE_TYPES[phone["type"]]} for phone in _json_items(row["phones"])]
        town = " ".join(filter(None, [_clean(row["zip"]), _clean(row["city"])]))
        lines = [_clean(row["address"]), town, _clean(row["state"]), _clean(row["country"])]
        name = " ".join(filter(None, [first, last])) or (main or "").split("@")[0] or f"Customer {row['id']}"
        extra = {"notes": _clean(row["notes"]), "websites": _json_items(row["websites"]) or None}
        return _record(
            {
                "email": main,
                "emails": emails or None,
                "name": name,
                "first_name": first,
                "last_name": last,
                "phone": phones[0]["value"] if phones else None,
                "phones": phones or None,
                "company": _clean(row["company"]),
                "job_title": _clean(row["job_title"]),
                "address": "\n".join(filter(None, lines)) or None,
                "custom_fields": _without_none(extra) or None,
            }
            | self._times(row),
            account=self._account(row),
        )

    def ticket(self, row: Row) -> Row:
        closed = self._utc(row["closed_at"]) if row["status"] in (3, 4) else None
        customer = self.tables["customers"].get(row["customer_id"])
        mailbox = self.tables["mailboxes"].get(row["mailbox_id"])
        changed = row["updated_at"] or row["last_reply_at"] or row["created_at"]
        extra = {
            "mailbox": mailbox and mailbox["name"],
            "customer_email": row["customer_email"],
            "cc": _json_items(row["cc"]) or None,
        }
        return _record(
            {
                "title": row["subject"] if (row["subject"] or "").strip(" ") else "(no subject)",
                "number": str(row[self.number]),
                "description": self._description(row),
                "status": {1: "open", 2: "pending", 3: "closed", 4: "closed"}[row["status"]],
                "priority": self._priority(row),
                "tags": self._tags(row) or None,
                "source": {2: "phone", 3: "chat"}.get(row["type"])
                or {1: "email", 2: "web", 3: "api"}[row["source_type"]],
                "resolved_at": closed,
                "closed_at": closed,
                "created_at": self._utc(row["created_at"]),
                "updated_at": self._utc(changed),
                "custom_fields": _without_none(extra) or None,
            },
            customer=row["customer_id"],
            account=self._account(customer) if customer else None,
            assigned_to=row["user_id"],
            created_by=_person(row["created_by_user_id"], row["created_by_customer_id"]),
        )

    def note(self, row: Row) -> Row:
        return _record(
            {
                "content": row["body"] or "",
                "is_internal": row["type"] == 3,
                "cc": _json_items(row["cc"]) or None,
                "bcc": _json_items(row["bcc"]) or None,
            }
            | self._times(row),
            ticket=row["conversation_id"],
            author=_person(row["created_by_user_id"], row["created_by_customer_id"]),
        )

    def attachment(self, row: Row) -> Row:
        thread = self.tables["threads"].get(row["thread_id"]) or defaultdict(lambda: None)
        return _record(
            {
                "file_name": row["file_name"],
                "file_size": row["size"],
                "file_type": row["mime_type"],
                "file_path": f"{row['file_dir']}/{row['file_name']}",
                "uploaded_at": self._utc(thread["created_at"]),
                "custom_fields": {"embedded": row["embedded"]},
            },
            ticket=thread["conversation_id"],
            note=row["thread_id"],
            uploaded_by=_person(row["user_id"] or thread["created_by_user_id"], thread["created_by_customer_id"]),
        )

    def time_entry(self, row: Row) -> Row:
        minutes, rest = divmod(row["time_spent"], 60)
        return _record(
            {
                "duration_minutes": minutes + (rest >= 30),
                "started_at": self._utc(row["created_at"]),
                "custom_fields": {"seconds": row["time_spent"]},
            }
            | self._times(row),
            ticket=row["conversation_id"],
            agent=row["user_id"],
        )

    def _description(self, row: Row) -> str | None:
        published = [thread for thread in self.talk[row["id"]] if thread["state"] == 2]
        first = [thread for thread in published if thread["first"] and thread["type"] != 4]
        messages = [thread for thread in published if thread["type"] in (1, 2)]
        messages.sort(key=lambda thread: (thread["created_at"] is None, str(thread["created_at"])))
        return next((thread["body"] for thread in [*first, *messages]), row["preview"])

    def _priority(self, row: Row) -> str:
        chosen = [
            (field["sort_order"], field["id"], value["value"], field["options"])
            for value in self._grouped("conversation_custom_field", "conversation_id")[row["id"]]
            for field in [self.tables["custom_fields"].get(value["custom_field_id"])]
            if field and field["type"] == 1 and "priority" in field["name"].lower()
        ]
        if not chosen:
            return "normal"
        *_, key, labels = min(chosen)
        label = json.loads(labels).get(key, "Medium")
        return {"Low": "low", "Medium": "normal", "High": "high", "Urgent": "urgent"}[label]

    def _tags(self, row: Row) -> list[str]:
        joined = self._grouped("conversation_tag", "conversation_id")[row["id"]]
        names = [
            self.tables["tags"][link["tag_id"]]["name"] for link in joined if link["tag_id"] in self.tables["tags"]
        ]
        return [name for name in names if name] + (["spam"] if row["status"] == 4 else [])

    def _account(self, customer: Row) -> str | None:
        return account(customer["company"], self._main_address(customer["id"]))

    def _main_address(self, customer: int) -> str | None:
        mails = self.emails[customer]
        work = [mail["email"] for mail in mails if mail["type"] == 1]
        return (work or [mail["email"] for mail in mails] or [None])[0]

    def _ticket_is_seen(self, row: Row) -> bool:
        return row["state"] == 2 and (self.spam or row["status"] != 4)

    def _is_seen(self, thread: Row | None) -> bool:
        if thread is None:
            return True
        ticket = self.tables["conversations"].get(thread["conversation_id"])
        return thread["type"] != 4 and thread["state"] == 2 and (ticket is None or self._ticket_is_seen(ticket))

    def _times(self, row: Row) -> Row:
        return {"created_at": self._utc(row["created_at"]), "updated_at": self._utc(row["updated_at"])}

    def _utc(self, moment: dt.datetime | None) -> str | None:
        """A local time in UTC. Of the two readings of an hour the clocks go back, the later (standard) one."""
        if moment is None:
            return None
        offsets = [moment.replace(tzinfo=self.zone, fold=fold).utcoffset() or dt.timedelta() for fold in (0, 1)]
        return (moment - min(offsets)).isoformat() + "Z"

    def _all(self, table: str) -> list[Row]:
        return list(self.tables.get(table, {}).values())

    def _grouped(self, table: str, column: str) -> dict[int, list[Row]]:
        name = f"{table} by {column}"
        if name not in self.__dict__:
            found: dict[int, list[Row]] = defaultdict(list)
            for row in self._all(table):
                found[row[column]].append(row)
            self.__dict__[name] = found
        grouped: dict[int, list[Row]] = self.__dict__[name]
        return grouped


def _record(data: Row, **refs: Any) -> Row:
    return {
        "data": _without_none(data),
        "refs": {name: str(value) for name, value in refs.items() if value is not None},
    }


def _person(agent: int | None, customer: int | None) -> str | None:
    if agent is not None:
        return f"agents:{agent}"
    return None if customer is None else f"customer_users:{customer}"


def _clean(text: str | None) -> str | None:
    seen = (text or "").translate(dict.fromkeys((0x200B, 0x2060, 0xFEFF)))
    return seen.replace(NBSP, " ").strip(" \t\r\n") or None


def _without_none(values: Row) -> Row:
    return {name: value for name, value in values.items() if value is not None}


def _json_items(text: str | None) -> list[Any]:
    """The entries of a JSON list or object; of a list that was cut off, the ones before the cut."""
    if not text:
        return []
    try:
        found = json.loads(text)
    except ValueError:
        return _before_the_cut(text)
    return list(found.values()) if isinstance(found, dict) else found


def _before_the_cut(text: str) -> list[Any]:
    """Whole entries by a plain parser, and of the last one the members that are whole."""
    decoder, place, found = json.JSONDecoder(), 1, []
    while place < len(text):
        try:
            entry, place = decoder.raw_decode(text, place)
            found.append(entry)
            place += 1
        except ValueError:
            rest = text[place:]
            while rest and '"value"' in rest and '"type"' in rest:
                try:
                    return [*found, json.loads(rest.rstrip(",") + "}")]
                except ValueError:
                    rest = rest[: rest.rfind(",")] if "," in rest else ""
            break
    return found
