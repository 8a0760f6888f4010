"""customer_users: the people who write tickets. Some have no e-mail address (chat, phone)."""

from __future__ import annotations

from chalicelib.targets import TIMES, Email, Imported, Line, Object, Text

UNIQUE_KEYS = ("email",)
MATCH_FIELDS = ("phone", "name")
REFERENCES = {"account": ("accounts",)}
PARENT = None
LENIENT = {**TIMES, "emails": None, "phone": None, "phones": None, "timezone": None, "preferences": None}


class Record(Imported):
    """A person. email: the main address. emails: all, the main one among them. phones: [{value, type}]."""

    name: Line
    email: Email | None = None
    emails: list[Email] | None = None
    first_name: Line | None = None
    last_name: Line | None = None
    phone: Line | None = None
    phones: list[dict[str, str]] | None = None
    company: Line | None = None
    job_title: Line | None = None
    address: Text | None = None
    timezone: Line | None = None
    is_active: bool | None = None
    email_verified: bool | None = None
    company_role: Line | None = None
    preferences: Object | None = None
