"""Watching a job until it has ended: a live bar on a terminal, plain lines elsewhere, both on stderr.

The bar shows what the API says; its clock runs by itself, so a waiting job is told from a hanging command.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

from cli import terminal
from cli.client import Client
from cli.connect import JOBS
from cli.failures import ApiError, Failure, Unreachable

ENDED = frozenset({"completed", "failed", "cancelled"})

POLL_SECONDS = 1.0
"""Half of what the rate limit of monitoring (120 a minute) allows, so two may watch with one token."""

QUIET_SECONDS = 5.0
"""Longest silence of the plain form."""

PATIENCE_SECONDS = 60.0
"""How long an endpoint may be away before watching gives up; the job goes on without us."""

Show = Callable[[dict[str, Any]], None]


def watch(
    api: Client,
    job_id: str,
    *,
    console: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Wait for a job's end, showing its progress. Returns the ended job.

    Survives an endpoint that is away for up to a minute; then raises Unreachable or ApiError. The job itself is never
    touched, whatever happens to the watcher.
    """
    screen = console or terminal.err()
    with _bar(screen) if screen.is_terminal else _lines(screen, clock) as show:
        lost_since: float | None = None
        while True:
            try:
                status = api.get(f"{JOBS}/{job_id}/status")
                lost_since = None
            except Failure as failure:
                if not _passing(failure) or clock() - (lost_since or clock()) > PATIENCE_SECONDS:
                    raise
                lost_since = lost_since or clock()
                status = {"current_operation": "Waiting for the endpoint…"}
            show(status)
            if status.get("status") in ENDED:
                job: dict[str, Any] = api.get(f"{JOBS}/{job_id}")
                return job
            sleep(POLL_SECONDS)


def _passing(failure: Failure) -> bool:
    return isinstance(failure, Unreachable) or (
        isinstance(failure, ApiError) and failure.status in (429, 502, 503, 504)
    )


@contextmanager
def _bar(screen: Console) -> Iterator[Show]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[operation]}", table_column=Column(width=36, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[rows]:>10} rows"),
        TextColumn("{task.fields[elapsed]:>8}", style="dim"),
    )
    with _Clocked(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("job", total=100, operation=Text("Starting"), rows="0", elapsed="")

        def show(status: dict[str, Any]) -> None:
            progress.update(task, **_fields(status))

        yield show


class _Clocked(Progress):
    """A bar whose clock counts the seconds since it was first drawn, between the answers too."""

    def get_renderables(self) -> Iterator[Any]:
        for task in self.tasks:
            task.fields["elapsed"] = terminal.duration(int(task.elapsed or 0))
        yield from super().get_renderables()


def _fields(status: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if operation := status.get("current_operation"):
        # A `[` in a name would be read as markup.
        fields["operation"] = terminal.one_line(operation, 60).replace("[", "\\[")
    if "progress_percentage" in status:
        fields["completed"] = status["progress_percentage"]
        fields["rows"] = terminal.count(status["records_processed"])
    return fields


@contextmanager
def _lines(screen: Console, clock: Callable[[], float]) -> Iterator[Show]:
    started, said_at, said = clock(), float("-inf"), ""

    def show(status: dict[str, Any]) -> None:
        nonlocal said_at, said
        operation = str(status.get("current_operation") or status.get("status") or "")
        now = clock()
        if operation == said and now - said_at < QUIET_SECONDS - POLL_SECONDS:
            return
        said_at, said = now, operation
        percent, rows = status.get("progress_percentage", 0), terminal.count(status.get("records_processed", 0))
        line = f"{now - started:6.1f} s  {percent:3.0f}%  {rows:>10} rows  {terminal.one_line(operation)}"
        screen.print(Text(line), soft_wrap=True)

    yield show
