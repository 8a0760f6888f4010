"""accounts: organisations that customers belong to."""

from __future__ import annotations

from chalicelib.targets import TIMES, Imported, Line, Text

UNIQUE_KEYS: tuple[str, ...] = ()
MATCH_FIELDS = ("name", "domain")
REFERENCES: dict[str, tuple[str, ...]] = {}
PARENT = None
LENIENT = {**TIMES, "domain": None, "phone": None, "address": None, "notes": None}


class Record(Imported):
    """An organisation. domain: its e-mail domain, lower case."""

    name: Line
    domain: Line | None = None
    phone: Line | None = None
    address: Text | None = None
    notes: Text | None = None
