"""`wharf jobs`: what imports did, do, and how to stop one."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer
from rich.text import Text

from cli import connect, imports, progress, summary, terminal
from cli.connect import JOBS
from cli.terminal import Json

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Import jobs: list, count, show, watch, cancel, retry, errors."
)

Begin = Annotated[str | None, typer.Option("--from", help="Only jobs made from this day on (UTC, 2026-01-31).")]
End = Annotated[str | None, typer.Option("--to", help="Only jobs made until the end of this day.")]
Job = Annotated[str | None, typer.Argument(help="Id of the job. Default: the one started last.")]


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    profile: Annotated[str | None, typer.Option("--profile", "-p", help="Only jobs of this profile.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only with this status: running, completed, failed, cancelled. Repeat it.")
    ] = None,
    search: Annotated[str | None, typer.Option(help="Only of profiles whose name contains this.")] = None,
    begin: Begin = None,
    end: End = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 15,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    api = connect.client(ctx)
    asked = {
        "profile_id": connect.profile(api, profile)["id"] if profile else None,
        "status": status,
        "search": search,
        "date_from": begin,
        "date_to": end,
    }
    jobs = list(islice(api.pages(JOBS, per_page=min(limit, 100), **asked), limit))
    if as_json:
        return terminal.print_json(jobs)
    if not jobs:
        if any(asked.values()):
            return terminal.note("No such jobs.")
        return terminal.note("No jobs. Start one with `wharf import run --profile NAME`.")
    table = terminal.table("id", "profile", "status", "started", "rows", "failed", right=("rows", "failed"))
    for job in jobs:
        counts = [terminal.count(job[word]) for word in ("records_processed", "records_failed")]
        started = terminal.moment(job.get("started_at")).removesuffix(" UTC")
        table.add_row(job["id"], Text(terminal.one_line(job["profile"]["name"], 14)), job["status"], started, *counts)
    terminal.out().print(table)
    return None


@app.command()
def stats(ctx: typer.Context, begin: Begin = None, end: End = None, as_json: Json = False) -> None:
    """Show how the jobs made in some days ended, all days unless told."""
    found = connect.client(ctx).get(f"{JOBS}/stats", date_from=begin, date_to=end)
    if as_json:
        return terminal.print_json(found)
    numbers = found["stats"]
    rows = {
        word: terminal.count(numbers[f"{word}_jobs"])
        for word in ("total", "completed", "failed", "cancelled", "running")
    }
    rows["records imported"] = terminal.count(numbers["total_records_imported"])
    rows["records failed"] = terminal.count(numbers["total_records_failed"])
    rows["average duration"] = terminal.duration(numbers["average_duration"])
    terminal.out().print(terminal.grid(rows))
    table = terminal.table("id", "profile", "status", "imported", "failed", "took", right=("imported", "failed"))
    for job in found["recent_jobs"]:
        counts = [terminal.count(job[word]) for word in ("records_imported", "records_failed")]
        name = Text(terminal.one_line(job["profile_name"], 14))
        table.add_row(job["id"], name, job["status"], *counts, terminal.duration(job["duration"]))
    if found["recent_jobs"]:
        terminal.out().print(Text(), table)
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


@app.command()
def retry(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(help="Id of a job that failed or was cancelled.")],
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait until the new job has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Go on where a failed or cancelled job stopped, by a new job."""
    api = connect.client(ctx)
    made = api.post(f"{JOBS}/{job}/retry")["job"]
    if detach and as_json:
        return terminal.print_json(made)
    terminal.note(f"Job {made['id']} goes on with {job}.")
    if not detach:
        imports.finish(api, made["id"], as_json=as_json)
    return None


@app.command()
def errors(
    ctx: typer.Context,
    job: Job = None,
    record_type: Annotated[str | None, typer.Option("--type", help="Only rows of this record type.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows.")] = 25,
    as_json: Json = False,
) -> None:
    """Show why a job stopped, and the rows that failed with what is wrong with them."""
    api = connect.client(ctx)
    path = f"{JOBS}/{job or connect.newest_job(api)}/errors"
    rows = list(islice(api.pages(path, per_page=min(limit, 100), target_type=record_type), limit))
    found = api.get(path, per_page=1, target_type=record_type)
    if as_json:
        return terminal.print_json({"errors": found["errors"], "summary": found["summary"], "data": rows})
    for error in found["errors"]:
        terminal.out().print(Text(terminal.tame(f"{error['message']} ({error['code']})")))
    for name, reasons in found["summary"].items():
        counted = ", ".join(f"{terminal.count(number)} {reason}" for reason, number in reasons.items())
        terminal.out().print(Text(f"{name}: {counted}"))
    if not rows:
        return None if found["errors"] else terminal.note("No row failed.")
    table = terminal.table("type", "chunk", "row", "id", "reason", "message", right=("chunk", "row"))
    for row in rows:
        words = (row["external_id"] or "", row["reason"] or "", row["message"] or "")
        shown = [Text(terminal.one_line(word)) for word in words]
        table.add_row(row["target_type"], str(row["chunk"]), str(row["row"]), *shown)
    terminal.out().print(table)
    if found["meta"]["total"] > len(rows):
        terminal.note(f"{len(rows)} of {found['meta']['total']} rows; more with --limit.")
    return None
