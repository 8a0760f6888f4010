"""Reading a source in ranges against raw COPY of the same queries, and the memory it takes."""

from __future__ import annotations

import resource
import sys
import time

from benchmarks.source import Source, copied, help_desk, line
from chalicelib import storage
from chalicelib.sources import postgres

ROUNDS = 3
MEGABYTE = 2**20 if sys.platform == "darwin" else 2**10
"""ru_maxrss counts bytes on macOS and kilobytes on Linux."""


def main() -> None:
    """Print the figures."""
    with help_desk() as source:
        start = peak()
        rows = sum(_read(source, name, packed=True) for name in source.queries)
        line("extract_memory", (peak() - start) / MEGABYTE, "MB above start", None, f"{rows} rows in chunks, packed")
        ours = theirs = 0.0
        for _ in range(ROUNDS):
            for name in source.queries:
                started = time.perf_counter()
                _read(source, name, packed=False)
                between = time.perf_counter()
                with source.session() as session:
                    copied(session, source.queries[name])
                ours, theirs = ours + between - started, theirs + time.perf_counter() - between
        line("extract", rows * ROUNDS / ours, "rows/s", theirs / ours, "raw COPY of the same queries")


def peak() -> int:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _read(source: Source, name: str, *, packed: bool) -> int:
    """Read a type as the plan and extract steps do, and pack each chunk if asked."""
    rows = 0
    with source.session() as session:
        for part in postgres.plan(session, source.queries[name]):
            batches = postgres.read(session, source.queries[name], part.low, part.high)
            if packed:
                rows += storage.pack(row for batch in batches for row in batch)[1]
            else:
                rows += sum(map(len, batches))
    return rows


if __name__ == "__main__":
    main()
