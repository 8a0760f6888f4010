"""`wharf query`: the query builder, from suggestion to saved query. A query is a JSON file; its SQL is the server's."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.text import Text

from cli import connect, terminal
from cli.connect import PROFILES
from cli.failures import FAILED, Failure
from cli.terminal import Json

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Queries: suggest, validate, preview, save, show, delete."
)

Profile = Annotated[str, typer.Argument(help="Id or name of the profile.")]
Type = Annotated[str | None, typer.Option("--type", help="Record type, such as tickets.")]
File = Annotated[
    typer.FileText,
    typer.Option("--file", "-f", help="The query as JSON; - reads standard input."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100, help="Rows to show.")]


@app.command()
def suggest(
    ctx: typer.Context,
    profile: Profile,
    table: Annotated[str | None, typer.Option("--table", help="Table to join and to map.")] = None,
    record_type: Type = None,
    as_json: Json = False,
) -> None:
    """Suggest base tables, joins and mappings, each with how sure and why."""
    api = connect.client(ctx)
    asked = {"base_table": table, "target_type": record_type}
    path = f"{PROFILES}/{connect.profile(api, profile)['id']}/builder/suggestions"
    found = api.get(path, **{word: value for word, value in asked.items() if value})
    if as_json:
        return terminal.print_json(found)
    shown = terminal.table("what", "sure", "suggestion", "why")
    for name, tables in found["base_tables"].items():
        for one in tables:
            _add(shown, f"table of {name}", one, one["table"])
    for one in found["joins"]:
        _add(shown, "join", one, f"{one['type']} JOIN {one['table']} ON {one['on']}")
    for name, mappings in found["mappings"].items():
        for one in mappings:
            _add(shown, f"field of {name}", one, f"{one['source']} → {one['target']}")
    terminal.out().print(shown)
    return None


def _add(shown: Any, what: str, one: dict[str, Any], text: str) -> None:
    shown.add_row(what, f"{one['confidence']:.0%}", Text(terminal.tame(text)), Text(terminal.tame(one["reason"])))


@app.command()
def validate(ctx: typer.Context, profile: Profile, file: File, as_json: Json = False) -> None:
    """Let the database plan a query, without running it. Exit code 1 when something is wrong with it."""
    api = connect.client(ctx)
    found = api.post(f"{PROFILES}/{connect.profile(api, profile)['id']}/builder/validate", terminal.read_object(file))
    if as_json:
        terminal.print_json(found)
    elif found["valid"]:
        _print_sql(found["generated_sql"])
        terminal.note(f"About {terminal.count(found['estimated_records'])} rows.")
        _warn(found["warnings"])
    if found["valid"]:
        return
    if as_json:
        raise typer.Exit(FAILED)
    raise Failure("\n".join(terminal.tame(said) for said in found["errors"]))


@app.command()
def preview(
    ctx: typer.Context,
    profile: Profile,
    file: Annotated[
        typer.FileText | None,
        typer.Option("--file", "-f", help="A query as JSON, saved or not; - reads standard input."),
    ] = None,
    record_type: Type = None,
    limit: Limit = 10,
    as_json: Json = False,
) -> None:
    """Show the first rows as they would be imported: of a query in a file, else of all that the profile imports."""
    api = connect.client(ctx)
    path = f"{PROFILES}/{connect.profile(api, profile)['id']}"
    if file is not None:
        found = api.post(f"{path}/preview-query", terminal.read_object(file) | {"limit": limit})
        parts = {"": found | {"errors": {}}}
    else:
        found = api.get(f"{path}/preview", limit=limit, **({"query_type": record_type} if record_type else {}))
        parts = found
    if as_json:
        return terminal.print_json(found)
    for name, part in parts.items():
        _print_part(name, part)
    return None


def _print_part(name: str, part: dict[str, Any]) -> None:
    rows = part["sample_data"]
    if name:
        terminal.note(f"{name}: about {terminal.count(part['query']['estimated_count'])} rows")
    for field, texts in part["errors"].items():
        terminal.note(f"  {terminal.one_line(field)}: {terminal.tame(' '.join(texts))}")
    if rows:
        shown = terminal.table(*(terminal.one_line(word) for word in rows[0]))
        for row in rows:
            shown.add_row(*(Text(terminal.one_line(_cell(value), 40)) for value in row.values()))
        terminal.out().print(shown)
    for one in part["rejected"]:
        said = "; ".join(f"{error['field']} {error['reason']}" for error in one["errors"])
        terminal.note(f"  row {one['row'] + 1} would be rejected: {terminal.tame(said)}")
    _warn(part.get("warnings", []))


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.command()
def save(ctx: typer.Context, profile: Profile, file: File, as_json: Json = False) -> None:
    """Save a query for its record type, in the place of the one the profile has."""
    api = connect.client(ctx)
    answer = api.post(f"{PROFILES}/{connect.profile(api, profile)['id']}/queries", terminal.read_object(file))
    terminal.print_json(answer["profile"]) if as_json else terminal.note(answer["message"] + ".")


@app.command()
def show(ctx: typer.Context, profile: Profile, record_type: Type = None, as_json: Json = False) -> None:
    """Show what a profile imports. With --type and --json the query alone, in the form that save takes."""
    api = connect.client(ctx)
    found = api.get(f"{PROFILES}/{connect.profile(api, profile)['id']}")["configuration"]["queries"]
    if record_type is not None:
        if record_type not in found:
            raise Failure(f"The profile has no query of {record_type}.")
        found = {record_type: found[record_type]}
    if as_json:
        return terminal.print_json(found[record_type] if record_type else found)
    for name, query in found.items():
        terminal.note(f"{name}: from {terminal.tame(query['base_table'])}")
        shown = terminal.table("source", "field", "transformation")
        for one in query["fields"]:
            source, target = (Text(terminal.one_line(one[word])) for word in ("source", "target"))
            shown.add_row(source, target, one.get("transformation") or "")
        terminal.out().print(shown)
    return None


@app.command()
def delete(
    ctx: typer.Context,
    profile: Profile,
    record_type: Annotated[str, typer.Argument(help="Record type whose saved query is forgotten.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget the saved query of a record type; the template's is imported again."""
    api = connect.client(ctx)
    found = connect.profile(api, profile)
    question = f"Forget the {record_type} query of {terminal.one_line(found['name'])!r}?"
    terminal.confirm_deletion(question, yes=yes)
    answer = api.delete(f"{PROFILES}/{found['id']}/queries/{record_type}")
    terminal.print_json(answer["profile"]) if as_json else terminal.note(answer["message"] + ".")


def _print_sql(text: str) -> None:
    terminal.out().print(Text(terminal.tame(text)), soft_wrap=True)


def _warn(warnings: list[str]) -> None:
    for said in warnings:
        terminal.note(f"Warning: {terminal.tame(said)}")
