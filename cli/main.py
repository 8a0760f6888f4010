"""The `wharf` command: a client of the HTTP API, for the local stack and any deployed one.

Rooms are imported when they are asked for, so that `wharf jobs list` pays for nothing else. Whatever ends a command
early becomes one sentence on stderr and an exit code here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from cli import failures, terminal

_ROOMS = {
    "profiles": "cli.profiles",
    "query": "cli.queries",
    "templates": "cli.templates",
    "import": "cli.imports",
    "jobs": "cli.jobs",
    "records": "cli.records",
    "audit": "cli.audit",
    "login": "cli.login",
    "admin": "cli.admin",
    "doctor": "cli.doctor",
}


class Rooms(TyperGroup):
    """The sub-commands by name, each imported on first use."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """The names, in the order of `wharf --help`."""
        return list(_ROOMS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - Typer's signature
        """The command of a name, None when there is none."""
        module = _ROOMS.get(cmd_name)
        if module is None:
            return None
        command = get_command(import_module(module).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command; every way it can end has its exit code."""
        try:
            return super().invoke(ctx)
        except failures.Failure as failure:
            terminal.explain(failure)
            raise typer.Exit(failure.exit_code) from None
        except (KeyboardInterrupt, typer.Abort):
            terminal.note("Interrupted.")
            raise typer.Exit(failures.INTERRUPTED) from None


app = typer.Typer(
    cls=Rooms,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"wharf {version('wharf')}")
        raise typer.Exit


@app.callback(epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 some records failed, 130 interrupted.")
def options(
    ctx: typer.Context,
    endpoint: Annotated[str | None, typer.Option(help="Address of the API. Default: WHARF_ENDPOINT.")] = None,
    token: Annotated[str | None, typer.Option(help="API token. Better: WHARF_TOKEN, which others cannot see.")] = None,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Move customers, tickets and time entries out of PostgreSQL databases into Wharf, and look at what arrived."""
    ctx.obj = {"endpoint": endpoint, "token": token}


def main() -> None:
    """The console script."""
    app(prog_name="wharf")
