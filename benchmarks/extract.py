"""Reading ranges of a source against raw COPY of the same ranges, and the memory that takes."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.source import Source, copied, help_desk, line
from chalicelib import sessions, storage
from chalicelib.sources import postgres
from chalicelib.sql import Query

MEGABYTE = 2**20 if sys.platform == "darwin" else 2**10
"""ru_maxrss counts bytes on macOS and kilobytes on Linux."""


def main() -> None:
    """Print the figures."""
    with help_desk() as source:
        start = peak()
        rows = sum(_packed(source, name) for name in source.queries)
        line("extract_memory", (peak() - start) / MEGABYTE, "MB above start", None, f"{rows} rows in chunks, packed")
        found = sum((_alternate(source, name) for name in source.queries), Times())
        line("extract", rows / found.ours, "rows/s", found.theirs / found.ours, "raw COPY of the same ranges, unparsed")


class Times(NamedTuple):
    """Seconds of both sides."""

    ours: float = 0.0
    theirs: float = 0.0

    def __add__(self, other: object) -> Times:
        """Both sides' sums."""
        assert isinstance(other, Times)
        return Times(self.ours + other.ours, self.theirs + other.theirs)


def _alternate(source: Source, name: str) -> Times:
    """Each range of a type read by us and copied raw, in turns; the faster of two goes each."""
    query, total = source.queries[name], Times()
    with source.session() as session:
        for place, part in enumerate(postgres.plan(session, query).ranges):
            sides = [_timed(_read_range, session, query, part), _timed(copied, session, query, part)]
            for turn in range(2):
                for side in (0, 1) if (place + turn) % 2 else (1, 0):
                    again = _timed((_read_range, copied)[side], session, query, part)
                    sides[side] = min(sides[side], again)
            total += Times(*sides)
    return total


def _timed(read: Callable[..., int], *what: object) -> float:
    started = time.perf_counter()
    read(*what)
    return time.perf_counter() - started


def _read_range(session: sessions.Session, query: Query, part: postgres.Range) -> int:
    return sum(map(len, postgres.read(session, query, part.bounds)))


def peak() -> int:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _packed(source: Source, name: str) -> int:
    """Read and pack a type as the plan and extract steps do; its rows."""
    rows = 0
    with source.session() as session:
        for part in postgres.plan(session, source.queries[name]).ranges:
            batches = postgres.read(session, source.queries[name], part.bounds)
            rows += storage.pack(row for batch in batches for row in batch)[1]
    return rows


if __name__ == "__main__":
    main()
