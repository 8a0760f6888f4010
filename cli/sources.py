"""The question when a profile leads to another database: both databases, and the two commands to answer with."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from cli import terminal
from cli.failures import ApiError


class Decision(StrEnum):
    """What the database is that the profile leads to now."""

    same_data = "same-data"
    new_source = "new-source"


def asked(refusal: ApiError, profile_id: str, *, as_json: bool) -> ApiError:
    """The refusal, to be raised again; the question, when it is one, as its hint, and with --json as data."""
    if refusal.code == "source_changed":
        if as_json:
            terminal.print_json(refusal.body)
        refusal.hint = _question(refusal.body, profile_id)
    return refusal


def _question(body: dict[str, Any], profile_id: str) -> str:
    known, found = body.get("known_source") or {}, body.get("found_source") or {}
    command = f"wharf profiles source {profile_id}"
    seen = f" --fingerprint {terminal.one_line(found['fingerprint'], 64)}" if found.get("fingerprint") else ""
    when = f", {terminal.moment(known['confirmed_at'])}" if known.get("confirmed_at") else ""
    return "\n  ".join(
        [
            f"imported before: {_place(known)}{when}",
            f"there now:       {_place(found)}",
            "The same data, moved; its rows meet the records they have:",
            f"  {command} {Decision.same_data.value}{seen}",
            "Another source; its rows make records of their own:",
            f"  {command} {Decision.new_source.value}{seen}",
        ]
    )


def _place(source: dict[str, Any]) -> str:
    if not source.get("host"):
        return "not known any more"
    return terminal.one_line(f"{source['host']}:{source['port']}/{source['database']}")
