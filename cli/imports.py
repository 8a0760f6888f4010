"""`wharf import`: start an import and see it through."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from cli import connect, progress, sources, summary, terminal
from cli.client import Client
from cli.connect import JOBS
from cli.failures import INTERRUPTED, ApiError
from cli.terminal import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Start an import and see it through.")


class Mode(StrEnum):
    """What happens to rows that are already here, and to new ones."""

    create = "create"
    update = "update"
    upsert = "upsert"


@app.callback()
def group() -> None:
    """Start an import and see it through."""


@app.command()
def run(
    ctx: typer.Context,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Id or name of the profile.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would happen; write nothing.")] = False,
    types: Annotated[
        list[str] | None, typer.Option("--types", "-t", help="Only these record types (repeat, or a,b,c).")
    ] = None,
    mode: Annotated[Mode | None, typer.Option(help="create: skip known rows; update: skip new ones; upsert.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many records of each type.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=10, max=1000, help="Records written at once.")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start the job, print its id, do not watch it.")] = False,
    as_json: Json = False,
) -> None:
    """Import a profile's database, showing progress until the job has ended.

    Ctrl-C stops the watching, not the job. Exit codes: 0 all rows arrived, 3 some failed, 1 the job failed.
    """
    api = connect.client(ctx)
    options: dict[str, Any] = {
        "dry_run": dry_run or None,
        "selected_types": [name.strip() for one in types for name in one.split(",")] if types else None,
        "import_filters": {"limit": limit} if limit else None,
        "batch_size": batch_size,
    }
    profile_id = connect.profile(api, profile)["id"]
    body: dict[str, Any] = {"profile_id": profile_id, "options": _given(options)}
    if mode:
        body["mode_config"] = {"import_mode": mode.value}
    try:
        job = api.post(JOBS, body)["job"]
    except ApiError as refusal:
        raise sources.asked(refusal, profile_id, as_json=as_json) from None
    if no_wait:
        return terminal.print_json(job) if as_json else terminal.out().print(job["id"])
    terminal.note(f"Job {job['id']} started.")
    return finish(api, job["id"], as_json=as_json)


def finish(api: Client, job_id: str, *, as_json: bool) -> None:
    """Watch a job to its end, print what it did and leave with the exit code that means."""
    try:
        job = progress.watch(api, job_id)
    except KeyboardInterrupt:
        terminal.note(
            f"No longer watching; the job goes on. `wharf jobs watch {job_id}`, `wharf jobs cancel {job_id}`."
        )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        terminal.print_json(job)
    else:
        summary.show(api, job, terminal.out())
    if code := summary.exit_code(job):
        raise typer.Exit(code)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {word: value for word, value in values.items() if value is not None}
