"""`wharf templates`: ready-made queries, the system's and the organisation's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from cli import connect, terminal
from cli.client import Client
from cli.connect import TEMPLATES
from cli.terminal import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Templates: list, show, create, edit, delete.")

Template = Annotated[str, typer.Argument(help="Id, name or platform of the template.")]
File = Annotated[typer.FileText, typer.Argument(help="The template as JSON; - reads standard input.")]

_MADE_BY_WHARF = {"id", "is_system", "options", "based_on", "version", "created_by", "created_at", "updated_at"}
"""What `show --json` tells and nobody writes, so that its output can be edited and sent back."""


@app.command("list")
def list_templates(ctx: typer.Context, as_json: Json = False) -> None:
    """List the templates there are."""
    print_list(connect.client(ctx), as_json=as_json)


def print_list(api: Client, *, as_json: bool) -> None:
    """The templates there are, as a table or JSON."""
    found = api.get(TEMPLATES)["data"]
    if as_json:
        return terminal.print_json(found)
    table = terminal.table("platform", "name", "whose", "imports", "description")
    for item in found:
        types = ", ".join(item["supported_types"])
        whose = "system" if item["is_system"] else "own"
        texts = (Text(terminal.one_line(item[word])) for word in ("platform", "name"))
        table.add_row(*texts, whose, types, Text(terminal.tame(item["description"])))
    terminal.out().print(table)
    return None


@app.command()
def show(ctx: typer.Context, template: Template, as_json: Json = False) -> None:
    """Show one template and what it reads. With --json, an own one in the form that create and edit take."""
    api = connect.client(ctx)
    found = api.get(f"{TEMPLATES}/{connect.template(api, template)['id']}")
    if as_json:
        return terminal.print_json(found)
    rows = {word.replace("_", " "): found[word] for word in ("id", "name", "platform", "description")}
    rows["whose"] = "the system's" if found["is_system"] else f"own, by {(found['created_by'] or {}).get('name')}"
    rows["created"] = terminal.moment(found["created_at"])
    for name, query in found["queries"].items():
        rows[name] = f"from {query['base_table']}, {len(query['fields'])} fields"
    terminal.out().print(terminal.grid(rows))
    return None


@app.command()
def create(ctx: typer.Context, file: File, as_json: Json = False) -> None:
    """Create a template of the organisation's own from a file."""
    _done(connect.client(ctx).post(TEMPLATES, _read(file)), as_json=as_json)


@app.command()
def edit(ctx: typer.Context, template: Template, file: File, as_json: Json = False) -> None:
    """Replace an own template by what a file says. Profiles keep what they took of it."""
    api, body = connect.client(ctx), _read(file)
    _done(api.put(f"{TEMPLATES}/{connect.template(api, template)['id']}", body), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    template: Template,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete an own template. Profiles keep what they took of it."""
    api = connect.client(ctx)
    found = connect.template(api, template)
    terminal.confirm_deletion(f"Delete the template {terminal.one_line(found['name'])!r}?", yes=yes)
    answer = api.delete(f"{TEMPLATES}/{found['id']}")
    terminal.print_json(answer) if as_json else terminal.note(answer["message"] + ".")


def _read(file: typer.FileText) -> dict[str, Any]:
    return {name: value for name, value in terminal.read_object(file).items() if name not in _MADE_BY_WHARF}


def _done(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return terminal.print_json(answer["template"])
    terminal.note(answer["message"] + ".")
    terminal.out().print(answer["template"]["id"])
    return None
