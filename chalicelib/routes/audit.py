"""/api/audit: who did what to what, for the organisation's administrators. Lines have no values, so no secrets."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from chalicelib import audit
from chalicelib.access import Caller
from chalicelib.messages import between
from chalicelib.pages import Period, cursor_of, place_of
from chalicelib.requests import Routes, UuidText
from chalicelib.routes.answers import audit as shapes

routes = Routes()

_Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]

LOOKED_AT = 1000
"""Lines one request looks at, a megabyte at most: a filter that fits few of them answers a short page and a cursor."""


class AuditQuery(Period):
    """user: only what this user did. action: only this, such as `profile.updated`; `profile` stands for all that begin
    so. subject: only what was done to this, such as `job/<id>`. cursor: what the page before gave as `next_cursor`.
    """

    user: UuidText | None = None
    action: _Word | None = None
    subject: _Word | None = None
    per_page: Annotated[int, AfterValidator(between(1, 100))] = 25
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = None

    def wants(self, line: audit.Line) -> bool:
        """Whether the line is one of those asked for, its day aside."""
        return (
            self.user in (None, line["user"].get("id"))
            and (self.action is None or f"{line['action']}.".startswith(f"{self.action}."))
            and self.subject in (None, line["subject"])
        )


@routes.on("GET", "/api/audit", permission="system.configure", limit="monitoring", answer=shapes.Trail)
def list_trail(caller: Caller, query: AuditQuery) -> dict[str, Any]:
    """The organisation's trail, newest first."""
    found: list[audit.Line] = []
    last = None
    lines = audit.listing(caller.org, query.date_from, query.date_to, behind=place_of(query.cursor))
    for number, line in enumerate(lines):
        if len(found) == query.per_page or number == LOOKED_AT:
            break
        last = line
        if query.wants(line):
            found.append(line)
    else:
        last = None
    return {"data": [_shown(line) for line in found], "next_cursor": cursor_of(audit.place(last)) if last else None}


def _shown(line: audit.Line) -> dict[str, Any]:
    return {
        "at": f"{line['at'][:26]}Z",
        "user": line["user"] or None,
        "action": line["action"],
        "subject": line["subject"],
        "fields": line["fields"],
    }
