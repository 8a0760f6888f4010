"""`wharf audit`: who did what to what in the organisation."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer
from rich.text import Text

from cli import connect, terminal
from cli.terminal import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The trail: who did what to what.")

AUDIT = "/api/audit"


@app.callback()
def group() -> None:
    """The trail: who did what to what."""


@app.command("list")
def list_lines(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option(help="Only what this user did, by id.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this: profile.updated, or profile for all of them.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this: job/<id>.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Only from this day on: 2026-01-31, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Only up to this day.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many lines to list.")] = 25,
    as_json: Json = False,
) -> None:
    """List the trail, newest first. Takes a token that may configure the system."""
    asked = {"user": user, "action": action, "subject": subject, "date_from": begin, "date_to": end}
    pages = connect.client(ctx).pages(AUDIT, per_page=min(limit, 100), **asked)
    found = list(islice(pages, limit + 1))
    if as_json:
        return terminal.print_json(found[:limit])
    table = terminal.table("when", "who", "action", "subject", "fields")
    for line in found[:limit]:
        who = (line["user"] or {}).get("name", "")
        texts = (who, line["action"], line["subject"], ", ".join(line["fields"]))
        table.add_row(terminal.moment(line["at"]), *(Text(terminal.one_line(text, 120)) for text in texts))
    terminal.out().print(table)
    if len(found) > limit:
        terminal.note(f"There are more than these {limit}; see --limit, or narrow the search.")
    return None
