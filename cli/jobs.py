"""`wharf jobs`: what imports did, do, and how to stop one."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer
from rich.text import Text

from cli import connect, imports, progress, summary, terminal
from cli.connect import JOBS
from cli.terminal import Json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Import jobs: list, show, watch, cancel.")

Job = Annotated[str | None, typer.Argument(help="Id of the job. Default: the one started last.")]


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    profile: Annotated[str | None, typer.Option("--profile", "-p", help="Only jobs of this profile.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 15,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    api = connect.client(ctx)
    profile_id = connect.profile(api, profile)["id"] if profile else None
    jobs = list(islice(api.pages(JOBS, per_page=min(limit, 100), profile_id=profile_id), limit))
    if as_json:
        return terminal.print_json(jobs)
    if not jobs:
        return terminal.note("No jobs. Start one with `wharf import run --profile NAME`.")
    table = terminal.table("id", "profile", "status", "started", "rows", "failed", right=("rows", "failed"))
    for job in jobs:
        counts = [terminal.count(job[word]) for word in ("records_processed", "records_failed")]
        started = terminal.moment(job.get("started_at")).removesuffix(" UTC")
        table.add_row(job["id"], Text(terminal.one_line(job["profile"]["name"], 14)), job["status"], started, *counts)
    terminal.out().print(table)
    return None


@app.command()
def show(ctx: typer.Context, job: Job = None, as_json: Json = False) -> None:
    """Show what a job did so far, per record type and with reasons."""
    api = connect.client(ctx)
    found = api.get(f"{JOBS}/{job or connect.newest_job(api)}")
    if as_json:
        return terminal.print_json(found)
    rows = {
        "job": found["id"],
        "profile": found["profile"]["name"],
        "status": found["status"],
        "operation": found.get("current_operation"),
        "progress": f"{found['progress_percentage']:.0f}%",
        "started": terminal.moment(found.get("started_at")),
        "completed": terminal.moment(found.get("completed_at")),
        "started by": (found.get("created_by") or {}).get("name"),
    }
    terminal.out().print(terminal.grid(rows))
    summary.show(api, found, terminal.out())
    return None


@app.command()
def watch(ctx: typer.Context, job: Job = None, as_json: Json = False) -> None:
    """Watch a job until it has ended. Ctrl-C stops the watching, not the job."""
    api = connect.client(ctx)
    imports.finish(api, job or connect.newest_job(api), as_json=as_json)


@app.command()
def cancel(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="Id of the job.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until its workers have let go.")] = False,
    as_json: Json = False,
) -> None:
    """Cancel a running job. Records it wrote stay; the rest is counted as unprocessed."""
    api = connect.client(ctx)
    cancelled = api.post(f"{JOBS}/{job}/cancel")["job"]
    if cancelled["status"] not in progress.ENDED and not no_wait:
        cancelled = progress.watch(api, job)
    if as_json:
        terminal.print_json(cancelled)
    elif cancelled["status"] == "cancelled":
        terminal.note("Cancelled.")
    else:
        terminal.note(f"The job is {cancelled['status']}: {cancelled.get('current_operation') or 'it has ended'}")
