"""Where words go: data to stdout, everything about the way there to stderr.

Text from records is somebody else's: it is shown as it is, but never obeyed by the terminal (`tame`) and never read
as markup (`Text`).
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from cli.failures import USAGE, ApiError, Failure

WIDTH = 100
"""Columns where no terminal tells: files, pipes, CI logs."""

Json = Annotated[bool, typer.Option("--json", help="Print the data as JSON.")]

_INVISIBLE = dict.fromkeys([*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd")
del _INVISIBLE[10]


def out() -> Console:
    """The console of the data."""
    return _console(sys.stdout)


def err() -> Console:
    """The console of progress, notes and errors."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    return Console(file=stream, width=None if stream.isatty() else WIDTH, highlight=False, emoji=False)


def tame(value: Any) -> str:
    """Text without control characters and direction overrides; a lone surrogate becomes a question mark."""
    text = str(value).replace("\r\n", "\n").replace("\t", " ").translate(_INVISIBLE)
    return text.encode("utf-8", "replace").decode()


def one_line(value: Any, length: int = 80) -> str:
    """Text on one line, cut to a length."""
    text = " ".join(tame(value).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def print_json(value: Any) -> None:
    """Data for programs: one JSON document, UTF-8, on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")


def read_object(file: typer.FileText) -> dict[str, Any]:
    """The JSON object a file holds, `-` being standard input. Raises Failure."""
    try:
        body = json.load(file)
    except ValueError as error:
        raise Failure(f"{file.name} is no JSON: {error}.", exit_code=USAGE) from None
    if not isinstance(body, dict):
        raise Failure(f"{file.name} is no JSON object.", exit_code=USAGE)
    return body


def note(text: str) -> None:
    """A line about the way, on stderr."""
    err().print(Text(text), soft_wrap=True)


def confirm_deletion(question: str, *, yes: bool) -> None:
    """Go on when `yes` was given or a person says so. Raises Failure otherwise, of usage where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("Deleting needs --yes where nobody can be asked.", exit_code=USAGE)
    if not typer.confirm(question, err=True):
        raise Failure("Nothing was deleted.")


def explain(failure: Failure) -> None:
    """Say why a command ends: the sentence, each field's fault, the hint, the request id."""
    console = err()
    console.print(Text.assemble(("Error: ", "bold red"), tame(failure.message)), soft_wrap=True)
    if isinstance(failure, ApiError):
        for field, texts in failure.errors.items():
            for text in texts:
                console.print(Text(f"  {tame(field)}: {tame(text)}"), soft_wrap=True)
        if failure.source_error:
            console.print(Text(f"  {tame(failure.source_error)}"), soft_wrap=True)
        if failure.request_id:
            console.print(Text(f"  request id {tame(failure.request_id)}", style="dim"), soft_wrap=True)
    if failure.hint:
        console.print(Text(f"  {failure.hint}"), soft_wrap=True)


def grid(rows: dict[str, Any]) -> Table:
    """Names and values, aligned; empty values are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value not in (None, "", [], {}):
            table.add_row(name, value if isinstance(value, Text) else Text(tame(value)))
    return table


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the one look all lists have; `right` names the columns of numbers."""
    empty = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        # An id that is broken over two lines cannot be copied.
        justify: JustifyMethod = "right" if column in right else "left"
        empty.add_column(column, justify=justify, overflow="fold", no_wrap=column == "id" or column in right)
    return empty


def count(number: int | None) -> str:
    """12,345; nothing for None."""
    return "" if number is None else f"{number:,}"


def moment(value: str | None) -> str:
    """An ISO time of the API as `2026-01-31 10:20 UTC`."""
    if not value:
        return ""
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return tame(value)
    return time.strftime("%Y-%m-%d %H:%M") + (" UTC" if value.endswith(("Z", "+00:00")) else "")


def duration(seconds: float | None) -> str:
    """4.2 s, 2 min 05 s, 1 h 03 min."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if isinstance(seconds, float) else f"{seconds} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
