"""`wharf profiles`: the databases to import from."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from rich.text import Text

from cli import connect, sources, templates, terminal
from cli.connect import PROFILES
from cli.failures import FAILED, USAGE, ApiError, Failure
from cli.terminal import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Databases to import from.")

Profile = Annotated[str, typer.Argument(help="Id or name of the profile.")]
Host = Annotated[str | None, typer.Option(help="Host name or address of the database.")]
Port = Annotated[int | None, typer.Option(help="Its port.", min=1, max=65535)]
Database = Annotated[str | None, typer.Option(help="Name of the database.")]
Username = Annotated[str | None, typer.Option(help="The user to connect as. A read-only one is enough.")]
SslMode = Annotated[str | None, typer.Option(help="disable, allow, prefer, require, verify-ca or verify-full.")]
Description = Annotated[str | None, typer.Option(help="What it is, for people.")]
Notes = Annotated[str | None, typer.Option(help="Anything worth knowing about it.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]

PASSWORD_VARIABLE = "WHARF_SOURCE_PASSWORD"  # noqa: S105 - the name of a variable


@app.command("list")
def list_profiles(
    ctx: typer.Context,
    search: Annotated[str | None, typer.Option(help="Part of the name.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those: success, failed or untested.")] = None,
    as_json: Json = False,
) -> None:
    """List profiles and how their last connection test went."""
    found = list(connect.client(ctx).pages(PROFILES, search=search, status=status))
    if as_json:
        return terminal.print_json(found)
    if not found:
        return terminal.note("No profiles. Make one with `wharf profiles create`.")
    table = terminal.table("id", "name", "database", "template", "test")
    for profile in found:
        result = profile.get("last_test_result")
        table.add_row(
            profile["id"],
            Text(terminal.one_line(profile["name"], 20)),
            Text(terminal.one_line(f"{profile['host']}/{profile['database']}", 22)),
            Text((profile.get("template") or {}).get("platform", "")),
            Text("never" if not result else "ok" if result["success"] else "failed"),
        )
    terminal.out().print(table)
    return None


@app.command()
def show(ctx: typer.Context, profile: Profile, as_json: Json = False) -> None:
    """Show one profile, what it imports and its last jobs."""
    api = connect.client(ctx)
    found = api.get(f"{PROFILES}/{connect.profile(api, profile)['id']}")
    if as_json:
        return terminal.print_json(found)
    words = ("id", "name", "host", "port", "database", "username", "ssl_mode", "description", "notes")
    rows: dict[str, Any] = {word.replace("_", " "): found.get(word) for word in words}
    rows["template"] = (found.get("template") or {}).get("name")
    configuration = found.get("configuration") or {}
    rows["imports"] = ", ".join(configuration.get("queries") or {}) or configuration.get("target_type")
    rows["mode"] = (found.get("mode_config") or {}).get("import_mode")
    rows["last test"] = _tested(found)
    rows["created"] = terminal.moment(found.get("created_at"))
    for number, job in enumerate(found.get("import_jobs") or []):
        line = (
            f"{terminal.moment(job['started_at'])}  {job['status']}, {job['records_imported']:,} created  {job['id']}"
        )
        rows["jobs" if not number else " " * number] = line
    terminal.out().print(terminal.grid(rows))
    return None


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="What to call it.")],
    host: Annotated[str, typer.Option(help="Host name or address of the database.")],
    database: Annotated[str, typer.Option(help="Name of the database.")],
    username: Annotated[str, typer.Option(help="The user to connect as. A read-only one is enough.")],
    port: Annotated[int, typer.Option(help="Its port.", min=1, max=65535)] = 5432,
    ssl_mode: Annotated[
        str, typer.Option(help="disable, allow, prefer, require, verify-ca or verify-full.")
    ] = "prefer",
    description: Description = None,
    notes: Notes = None,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Create a profile. The password is asked for, or read from WHARF_SOURCE_PASSWORD or standard input."""
    api = connect.client(ctx)
    body = {
        "name": name,
        "database_type": "postgresql",
        "host": host,
        "port": port,
        "database": database,
        "username": username,
        "password": _password(password_stdin),
        "ssl_mode": ssl_mode,
        "description": description,
        "notes": notes,
    }
    answer = api.post(PROFILES, {word: value for word, value in body.items() if value is not None})
    _done(answer, as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    profile: Profile,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    host: Host = None,
    port: Port = None,
    database: Database = None,
    username: Username = None,
    ssl_mode: SslMode = None,
    description: Description = None,
    notes: Notes = None,
    new_password: Annotated[bool, typer.Option("--new-password", help="Ask for a new password.")] = False,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Change a profile; what is not given stays, the password too. A running job is not touched."""
    api = connect.client(ctx)
    given = {
        "name": name,
        "host": host,
        "port": port,
        "database": database,
        "username": username,
        "ssl_mode": ssl_mode,
        "description": description,
        "notes": notes,
    }
    changes: dict[str, Any] = {word: value for word, value in given.items() if value is not None}
    if new_password or password_stdin:
        changes["password"] = _password(password_stdin)
    if not changes:
        raise Failure("Nothing to change is given.", hint="wharf profiles update --help", exit_code=USAGE)
    found = connect.profile(api, profile)
    kept = {word: found[word] for word in ("database_type", *given) if found.get(word) is not None}
    _done(api.put(f"{PROFILES}/{found['id']}", kept | changes), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    profile: Profile,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a profile. The records it imported stay."""
    api = connect.client(ctx)
    found = connect.profile(api, profile)
    question = f"Delete the profile {terminal.one_line(found['name'])!r} ({found['host']}/{found['database']})?"
    terminal.confirm_deletion(question, yes=yes)
    answer = api.delete(f"{PROFILES}/{found['id']}")
    terminal.print_json(answer) if as_json else terminal.note(answer["message"] + ".")


@app.command()
def duplicate(
    ctx: typer.Context,
    profile: Profile,
    name: Annotated[str | None, typer.Option(help="What to call the copy. Default: the name and ` - Copy`.")] = None,
    description: Annotated[str | None, typer.Option(help="What the copy is for. Default: as the original's.")] = None,
    as_json: Json = False,
) -> None:
    """Make another profile like this one, password included. It imports into the same records."""
    api = connect.client(ctx)
    given = {"name": name, "description": description}
    body = {word: value for word, value in given.items() if value is not None}
    answer = api.post(f"{PROFILES}/{connect.profile(api, profile)['id']}/duplicate", body)
    if as_json:
        return terminal.print_json(answer["duplicate_profile"])
    terminal.note(answer["message"] + ".")
    terminal.out().print(answer["duplicate_profile"]["id"])
    return None


@app.command()
def source(
    ctx: typer.Context,
    profile: Profile,
    decision: Annotated[sources.Decision, typer.Argument(help="What the database there is now.")],
    fingerprint: Annotated[
        str | None, typer.Option(help="Only if it still is this database, as a refused start printed it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what the database is that a profile leads to now: the data it imported before, or a new source."""
    api = connect.client(ctx)
    profile_id = connect.profile(api, profile)["id"]
    body = {"decision": decision.value.replace("-", "_")} | ({"fingerprint": fingerprint} if fingerprint else {})
    try:
        answer = api.post(f"{PROFILES}/{profile_id}/source", body)
    except ApiError as refusal:
        raise sources.asked(refusal, profile_id, as_json=as_json) from None
    terminal.print_json(answer["source"]) if as_json else terminal.note(answer["message"] + ".")


@app.command("test")
def check(ctx: typer.Context, profile: Profile, as_json: Json = False) -> None:
    """Test a profile's connection, stage by stage. Exit code 1 when the database cannot be reached or read."""
    api = connect.client(ctx)
    result = api.post(f"{PROFILES}/{connect.profile(api, profile)['id']}/test-connection")["connection_test"]
    if as_json:
        terminal.print_json(result)
    else:
        _print_test(result)
    if not result["success"]:
        raise typer.Exit(FAILED) if as_json else _failed(result)


def _print_test(result: dict[str, Any]) -> None:
    """How far it came, what is there, and what should change."""
    stages = terminal.table("stage", "", "what was found", "ms", right=("ms",))
    for stage in result.get("stages") or []:
        taken = stage["milliseconds"]
        message = Text(terminal.tame(stage["message"]))
        stages.add_row(stage["name"], stage["status"], message, "" if taken is None else str(taken))
    terminal.out().print(stages)
    for warning in result.get("warnings") or []:
        terminal.note(f"Warning: {warning['message']}")
        terminal.note(f"  {warning['hint']}")
    if result["success"]:
        found = result.get("database_info") or {}
        words = {"version": "server", "database": "database", "table_count": "tables", "size": "size"}
        terminal.note(result["message"] + ".")
        terminal.out().print(terminal.grid({shown: found.get(word) for word, shown in words.items()}))


def _failed(result: dict[str, Any]) -> Failure:
    hints = [stage["hint"] for stage in result.get("stages") or [] if stage["status"] == "failed"]
    return Failure(f"{result['message']}: {result['error']}.", hint=hints[0] if hints else None)


@app.command()
def schema(
    ctx: typer.Context,
    profile: Profile,
    table: Annotated[str | None, typer.Argument(help="Show the columns of this table.")] = None,
    as_json: Json = False,
) -> None:
    """Show the tables of a profile's database, or the columns of one."""
    api = connect.client(ctx)
    answer = api.get(f"{PROFILES}/{connect.profile(api, profile)['id']}/schema")
    tables = answer["schema"]["tables"]
    if table is not None:
        tables = [one for one in tables if one["name"] == table]
        if not tables:
            raise Failure(f"The database has no table {table!r}.")
    if as_json:
        return terminal.print_json(answer if table is None else tables[0])
    if table is None:
        shown = terminal.table("table", "rows", "columns", right=("rows", "columns"))
        for one in tables:
            shown.add_row(Text(terminal.tame(one["name"])), terminal.count(one["row_count"]), str(len(one["columns"])))
    else:
        shown = terminal.table("column", "type", "nullable", "key")
        for column in tables[0]["columns"]:
            null, key = "yes" if column["nullable"] else "no", "primary" if column.get("primary_key") else ""
            shown.add_row(Text(terminal.tame(column["name"])), Text(terminal.tame(column["type"])), null, key)
    terminal.out().print(shown)
    return None


@app.command()
def template(
    ctx: typer.Context,
    profile: Annotated[str | None, typer.Argument(help="Id or name of the profile.")] = None,
    name: Annotated[str | None, typer.Argument(help="Id, name or platform of the template: freescout.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the templates there are.")] = False,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="An answer the template asks for: timezone=Europe/Berlin."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Apply a template to a profile: which tables become which records."""
    api = connect.client(ctx)
    if list_all:
        return templates.print_list(api, as_json=as_json)
    if not profile or not name:
        raise Failure("Give a profile and a template.", hint="wharf templates list", exit_code=USAGE)
    body: dict[str, Any] = {"template_id": connect.template(api, name)["id"]}
    if option:
        body["options"] = parse_options(option)
    answer = api.put(f"{PROFILES}/{connect.profile(api, profile)['id']}/template", body)
    _done(answer, as_json=as_json)
    if not as_json:
        queries = answer["profile"].get("configuration", {}).get("queries") or {}
        terminal.note("It imports " + ", ".join(queries) + "." if queries else "It imports nothing yet.")
    return None


def parse_options(options: list[str]) -> dict[str, Any]:
    """`name=value` pairs; true and false become booleans. Raises Failure (usage) for anything else."""
    parsed: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise Failure(f"{option!r} is not name=value.", exit_code=USAGE)
        parsed[name] = {"true": True, "false": False}.get(value, value)
    return parsed


def _done(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return terminal.print_json(answer["profile"])
    terminal.note(answer["message"] + ".")
    terminal.out().print(answer["profile"]["id"])
    return None


def _tested(profile: dict[str, Any]) -> str:
    result = profile.get("last_test_result")
    if not result:
        return "never"
    word = "ok" if result["success"] else terminal.one_line(result.get("error") or result["message"], 40)
    return f"{word}, {terminal.moment(profile.get('last_tested_at'))}"


def _password(from_stdin: bool) -> str:
    """The database password, never from the command line, where every process of the machine could read it."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    if not sys.stdin.isatty():
        raise Failure(
            "No password is given and nobody can be asked.",
            hint=f"Use --password-stdin or {PASSWORD_VARIABLE}.",
            exit_code=USAGE,
        )
    return str(typer.prompt("Database password", hide_input=True, default="", show_default=False, err=True))
