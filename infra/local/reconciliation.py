"""Source against store: does every row of the source have exactly one fate?

In: what independent SQL counted in the source, and the ended job. Out: one line a record type and a verdict. A type
reconciles when source rows = rows left out by rule + created + updated + skipped + failed, with nothing unprocessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from cli import summary, terminal
from cli.client import Client

FATES = ("created", "updated", "skipped", "failed")


@dataclass(frozen=True)
class Counted:
    """What independent SQL says of one record type: rows there are, and how many each rule leaves out."""

    rows: int
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def wanted(self) -> int:
        """Rows the import has to account for."""
        return self.rows - sum(self.left_out.values())


@dataclass(frozen=True)
class Line:
    """One record type on both sides."""

    record_type: str
    source: Counted
    fates: dict[str, int]
    unprocessed: int

    @property
    def agrees(self) -> bool:
        """Whether every row has exactly one fate."""
        return self.source.wanted == sum(self.fates.values()) and not self.unprocessed


def lines(source: dict[str, Counted], job: dict[str, Any]) -> list[Line]:
    """Both sides side by side, for every type either of them knows."""
    imported = summary.by_type(job)
    order = [*imported, *(name for name in source if name not in imported)]
    return [
        Line(
            name,
            source.get(name, Counted(0)),
            {fate: imported.get(name, {}).get(fate, 0) for fate in FATES},
            imported.get(name, {}).get("unprocessed", 0),
        )
        for name in order
    ]


def reconciles(found: list[Line], job: dict[str, Any]) -> bool:
    """The verdict: the job completed and every type agrees."""
    return job["status"] == "completed" and bool(found) and all(line.agrees for line in found)


def show(found: list[Line], job: dict[str, Any], api: Client, console: Console) -> None:
    """Print the table, what rules left out, why rows were not simply created, and the verdict."""
    console.print(_table(found))
    left_out = [(line.record_type, rule, n) for line in found for rule, n in line.source.left_out.items() if n]
    _section(console, "Left out by rule", left_out)
    for fate in ("updated", "skipped", "failed"):
        rows = [
            (line.record_type, reason, n)
            for line in found
            if line.fates[fate]
            for reason, n in _reasons(api, job, line, fate)
        ]
        _section(console, fate.capitalize(), rows)
    for error in job.get("errors") or []:
        console.print(Text.assemble(("! ", "red"), terminal.tame(error.get("message", error))))
    console.print()
    if reconciles(found, job):
        console.print(Text("Reconciled: every row of the source has exactly one fate.", style="bold green"))
    else:
        wrong = ", ".join(line.record_type for line in found if not line.agrees) or f"the job is {job['status']}"
        console.print(Text(f"NOT reconciled: {wrong}.", style="bold red"))


def _table(found: list[Line]) -> Any:
    words = ("in source", "left out", *FATES)
    table = terminal.table("record type", *words, "", right=words)
    for line in found:
        numbers = [line.source.rows, line.source.rows - line.source.wanted, *line.fates.values()]
        cells = [Text(terminal.count(number), style="" if number else "dim") for number in numbers]
        if line.fates["failed"]:
            cells[-1].stylize("red")
        table.add_row(line.record_type, *cells, _mark(line))
    totals = [
        sum(line.source.rows for line in found),
        sum(line.source.rows - line.source.wanted for line in found),
        *(sum(line.fates[fate] for line in found) for fate in FATES),
    ]
    table.add_section()
    table.add_row("total", *(terminal.count(number) for number in totals), "", style="bold")
    return table


def _mark(line: Line) -> Text:
    if line.agrees:
        return Text("✓", style="green")
    gap = line.source.wanted - sum(line.fates.values())
    return Text(f"✗ {abs(gap):,} {'missing' if gap > 0 else 'too many'}" if gap else "✗ unprocessed", style="bold red")


def _reasons(api: Client, job: dict[str, Any], line: Line, fate: str) -> list[tuple[str, int]]:
    """Reasons with their counts. When not all rows were read, the counts are said to be of the rows that were."""
    found = summary.reasons(api, job, line.record_type, fate)
    read = sum(n for _, n in found)
    if read == line.fates[fate]:
        return found
    return [(f"{reason} (of the first {read:,})", n) for reason, n in found]


def _section(console: Console, title: str, rows: list[tuple[str, str, int]]) -> None:
    if not rows:
        return
    console.print()
    if len({reason for _, reason, _ in rows}) == 1 and len(rows) > 1:
        rows = [("all of them", rows[0][1], sum(number for _, _, number in rows))]
    table = terminal.table(title, "", "", right=("",))
    table.columns[2].justify = "left"
    table.columns[2].no_wrap = False
    last = ""
    for record_type, reason, number in rows:
        name = "" if record_type == last else record_type
        last = record_type
        table.add_row(name, terminal.count(number), Text(terminal.one_line(reason, 74)))
    console.print(table)
