"""What a job did: counts per record type, why rows were skipped or failed, and the exit code it means."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import terminal
from cli.client import Client
from cli.failures import FAILED, PARTIAL

RECORDS = "/api/import/analytics/records"

MESSAGES_READ = 300
"""Failed rows of a type whose messages are read; with more, they are of the first ones, and that is said."""

WORDS = {
    "changed": "changed in the source since it was imported last",
    "duplicate": "has the unique key of another record",
    "exists": "already here, and the mode leaves such records alone",
    "not_found": "not here yet, and the mode creates nothing",
    "stopped": "the job was stopped first",
    "unchanged": "unchanged since it was imported last",
}
"""What the words a job counts its rows' reasons by mean."""

COUNTERS = ("created", "updated", "skipped", "failed")


def exit_code(job: dict[str, Any]) -> int:
    """0 when every row arrived, 3 when some failed, 1 when the job did not complete."""
    if job["status"] != "completed":
        return FAILED
    return PARTIAL if job["records_failed"] else 0


def by_type(job: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Record type -> counter -> rows, in the order the types were imported."""
    types: dict[str, dict[str, int]] = job.get("records") or {}
    return types


def reasons(api: Client, job: dict[str, Any], record_type: str, action: str) -> list[tuple[str, int]]:
    """Why rows of a type met their fate, most frequent first.

    The job counts them all by a word; failed rows have a message each, which is read of the first few hundred.
    """
    if action == "failed":
        return _messages(api, job["id"], record_type)
    counted = (job.get("reasons") or {}).get(record_type, {})
    words = {word.partition(":")[2]: rows for word, rows in counted.items() if word.startswith(f"{action}:")}
    return [(WORDS.get(word, word), rows) for word, rows in Counter(words).most_common()]


def _messages(api: Client, job_id: str, record_type: str) -> list[tuple[str, int]]:
    found: Counter[str] = Counter()
    for record in api.pages(RECORDS, job_id=job_id, target_type=record_type, import_action="failed"):
        found[record.get("error_message") or "no reason given"] += 1
        if found.total() >= MESSAGES_READ:
            break
    return found.most_common()


def show(api: Client, job: dict[str, Any], console: Console) -> None:
    """Print a job's counts, reasons, errors and one closing sentence."""
    types = by_type(job)
    if types:
        console.print(counts_table(job))
    for record_type, counters in types.items():
        if counters.get("failed"):
            explain(console, f"{record_type} failed", counters["failed"], reasons(api, job, record_type, "failed"))
    for error in job.get("errors") or []:
        message = error.get("message") if isinstance(error, dict) else error
        console.print(Text.assemble(("! ", "red"), terminal.tame(message)))
    console.print(Text(closing(job), style="bold"))


def counts_table(job: dict[str, Any]) -> Table:
    """Rows per record type and what became of them."""
    rows, totals = by_type(job), Counter[str]()
    unprocessed = any(counters.get("unprocessed") for counters in rows.values())
    words = [*COUNTERS, "unprocessed"] if unprocessed else list(COUNTERS)
    table = terminal.table("type", "rows", *words, right=("rows", *words))
    for record_type, counters in rows.items():
        totals.update({word: counters.get(word, 0) for word in ("planned", *words)})
        table.add_row(record_type, *_cells(counters, words))
    table.add_row("total", *_cells(totals, words), style="bold")
    return table


def explain(console: Console, title: str, total: int, found: list[tuple[str, int]]) -> None:
    """Print reasons under a title; says when more rows exist than were read."""
    read = sum(rows for _, rows in found)
    more = f" (of the first {read:,})" if read < total else ""
    console.print(Text(f"{title}: {total:,}{more}"))
    for reason, rows in found[:8]:
        console.print(Text(f"  {rows:>8,}  {terminal.one_line(reason, 84)}"))


def closing(job: dict[str, Any]) -> str:
    """One sentence: how it ended, how much, how long."""
    dry = bool((job.get("import_options") or {}).get("dry_run"))
    rows, seconds = job["records_processed"], job.get("duration") or 0
    rate = f", {rows / seconds:,.0f} rows/s" if seconds else ""
    words = {
        "completed": "Dry run completed: nothing was written" if dry else "Completed",
        "failed": "Failed",
        "cancelled": "Cancelled",
    }
    ended = words.get(job["status"], job["status"])
    if job["status"] == "completed" and job["records_failed"]:
        ended += f" with {job['records_failed']:,} failed rows"
    return f"{ended}. {rows:,} rows in {terminal.duration(seconds)}{rate}."


def _cells(counters: dict[str, int], words: list[str]) -> list[Text]:
    cells = [Text(terminal.count(counters.get("planned", 0)))]
    for word in words:
        number = counters.get(word, 0)
        style = "red" if number and word in ("failed", "unprocessed") else "dim" if not number else ""
        cells.append(Text(terminal.count(number), style=style))
    return cells
