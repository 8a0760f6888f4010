"""`wharf records`: what arrived, and how people change it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from cli import cards, connect, terminal
from cli.cards import Record
from cli.client import Client
from cli.connect import RECORDS
from cli.failures import USAGE, ApiError, Failure
from cli.terminal import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look at what arrived, edit it.")

TYPES = ("accounts", "agents", "customer_users", "tickets", "ticket_notes", "attachments", "time_entries")

Type = Annotated[str, typer.Argument(metavar="TYPE", help=", ".join(TYPES), autocompletion=lambda: list(TYPES))]
RecordId = Annotated[str, typer.Argument(metavar="ID", help="The record's id.")]

CHILDREN = {"tickets": ("ticket_notes", "attachments")}
"""Types that hang below a record and are shown with it."""

CHILDREN_SHOWN = 200
"""Notes, and attachments, of a ticket that are read; more are said to exist."""


@app.callback()
def group() -> None:
    """Look at what arrived, edit it."""


@app.command()
def search(
    ctx: typer.Context,
    record_type: Type,
    record_id: Annotated[str | None, typer.Option("--id", help="The record's id.")] = None,
    email: Annotated[str | None, typer.Option(help="E-mail address of an agent or a customer.")] = None,
    external_id: Annotated[str | None, typer.Option(help="The record's id in its source.")] = None,
    parent: Annotated[str | None, typer.Option(help="Id of the ticket that notes or attachments belong to.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Another key of the type: name=value.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many records to list.")] = 25,
    as_json: Json = False,
) -> None:
    """Find records. One is shown whole: a ticket with its notes, a customer with all addresses; more as a list.

    Exit code 1 when there is none.
    """
    api = connect.client(ctx)
    query = {"email": email, "external_id": external_id, "parent": parent} | dict(_pair(one) for one in key or [])
    found, more = find(api, record_type, limit=limit, record_id=record_id, **query)
    if not found:
        raise Failure(f"No {record_type} found.")
    single = len(found) == 1 and not more
    children = {found[0]["id"]: read_children(api, found[0])} if single else {}
    if as_json:
        return terminal.print_json([record | children.get(record["id"], {}) for record in found])
    if single:
        show(api, found[0], terminal.out(), children=children[found[0]["id"]])
    else:
        _list(found)
        if more:
            terminal.note(f"There are more than these {len(found)}; see --limit, or narrow the search.")
    return None


@app.command()
def edit(
    ctx: typer.Context,
    record_type: Type,
    record_id: RecordId,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE...", help="Text as name=Jane, anything else as JSON: is_active:=false."),
    ] = None,
    null: Annotated[list[str] | None, typer.Option(help="A field to clear; repeat it.")] = None,
    as_json: Json = False,
) -> None:
    """Change fields of a record, unless somebody else changes it at the same moment."""
    body: dict[str, Any] = {}
    for name, value in [*map(_field, fields or []), *((name, None) for name in null or [])]:
        if name in body:
            raise Failure(f"{name} is given twice.", exit_code=USAGE)
        body[name] = value
    if not body:
        raise Failure("Give at least one field=value, or --null field.", exit_code=USAGE)
    api = connect.client(ctx)
    seen = _seen(api, record_type, record_id)
    with _unless_changed():
        changed = api.patch(f"{RECORDS}/{record_type}/{record_id}", body, version=seen["version"])
    if as_json:
        return terminal.print_json(changed)
    same = changed["version"] == seen["version"]
    terminal.note("Nothing to change: the record is like that." if same else "Record changed.")
    terminal.out().print(changed["id"])
    return None


@app.command()
def delete(
    ctx: typer.Context,
    record_type: Type,
    record_id: RecordId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a record. It comes again when its source is imported again."""
    api = connect.client(ctx)
    seen = _seen(api, record_type, record_id)
    question = f"Delete {terminal.one_line(cards.headline(seen))!r} of {terminal.one_line(record_type)}?"
    terminal.confirm_deletion(question, yes=yes)
    with _unless_changed():
        answer = api.delete(f"{RECORDS}/{record_type}/{record_id}", version=seen["version"])
    terminal.print_json(answer) if as_json else terminal.note(answer["message"] + ".")


def _seen(api: Client, record_type: str, record_id: str) -> Record:
    """The record as it stands, so that what is sent can say which version it is meant for."""
    found, _ = find(api, record_type, record_id=record_id)
    if not found:
        raise Failure(f"No {record_type} found.")
    return found[0]


@contextmanager
def _unless_changed() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status != 412:
            raise
        now = f" It is at version {error.body['version']} now." if "version" in error.body else ""
        raise Failure(
            f"Somebody else changed the record at the same moment, so nothing was done.{now}",
            hint="Look at it with `wharf records search`, then run the command again.",
        ) from None


def _field(text: str) -> tuple[str, Any]:
    """`name=text`, or `name:=JSON`."""
    name, value = _pair(text)
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError:
        raise Failure(f"{text!r}: what follows := is not JSON.", exit_code=USAGE) from None


def find(
    api: Client, record_type: str, *, limit: int = 25, record_id: str | None = None, **query: Any
) -> tuple[list[Record], bool]:
    """Records of a type by id or by a key, and whether there are more."""
    wanted = {name: value for name, value in query.items() if value is not None}
    if record_id and not connect.is_id(record_id):
        raise Failure(f"{record_id!r} is not a record id.", hint="--external-id finds by source id.", exit_code=USAGE)
    try:
        if record_id:
            return [api.get(f"{RECORDS}/{record_type}/{record_id}")], False
        found = list(islice(_pages(api, record_type, wanted, min(limit + 1, 100)), limit + 1))
    except ApiError as error:
        if error.status == 404 and error.code == "not_found" and record_type in TYPES:
            return [], False
        raise
    if len(found) == 1 and found[0].get("truncated"):
        found = [api.get(f"{RECORDS}/{record_type}/{found[0]['id']}")]
    return found[:limit], len(found) > limit


def show(api: Client, record: Record, console: Console, *, children: dict[str, list[Record]] | None = None) -> None:
    """Print one record whole."""

    @cache
    def look_up(record_type: str | None, wanted: str | None) -> Record | None:
        if record_type is None or wanted is None:
            return None
        found, _ = find(api, record_type, record_id=wanted)
        return found[0] if found else None

    below = read_children(api, record) if children is None else children
    console.print(cards.card(record, below, look_up))


def read_children(api: Client, record: Record) -> dict[str, list[Record]]:
    """What hangs below a record: type -> records, at most a few hundred each."""
    return {
        name: list(islice(_pages(api, name, {"parent": record["id"]}, 100), CHILDREN_SHOWN))
        for name in CHILDREN.get(record["type"], ())
    }


def _pages(api: Client, record_type: str, query: dict[str, Any], page_size: int) -> Any:
    return api.pages(f"{RECORDS}/{record_type}", per_page=page_size, **query)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Failure(f"{text!r} is not name=value.", exit_code=USAGE)
    return name, value


def _list(records: list[Record]) -> None:
    table = terminal.table("id", "source id", "what", "created")
    for record in records:
        created = terminal.moment(record.get("created_at")).removesuffix(" UTC")
        table.add_row(
            record["id"], Text(terminal.one_line(record["external_id"], 20)), Text(cards.headline(record)), created
        )
    terminal.out().print(table)
