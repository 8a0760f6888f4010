"""`wharf login`: save endpoint and token, after a look that they work."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli import access, terminal
from cli.client import Client
from cli.connect import PROFILES
from cli.failures import USAGE, Failure

app = typer.Typer(add_completion=False)


@app.command()
def login(
    ctx: typer.Context,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the token from standard input.")] = False,
) -> None:
    """Save endpoint and token in the config file, readable by you alone."""
    given = ctx.find_root().obj or {}
    found = access.find(given.get("endpoint"), given.get("token"))
    token = sys.stdin.readline().strip() if token_stdin else found.token
    if not token:
        if not sys.stdin.isatty():
            raise Failure("No token is given and nobody can be asked.", hint="Use --token-stdin.", exit_code=USAGE)
        token = typer.prompt(f"Token for {found.endpoint}", hide_input=True, err=True).strip()
    chosen = access.Access(found.endpoint, token, found.origin)
    Client(chosen).get(PROFILES, per_page=1)
    terminal.note(f"Saved in {access.save(chosen)}.")
