"""An organisation's jobs in pages, newest first, without reading the jobs of other pages.

In: the days, and where the page begins. Out: its jobs, how many are before it, how many there are. The numbers of each
day say on which day a page begins, so at most the jobs of that one day are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import islice, takewhile
from typing import NamedTuple

from chalicelib import jobs, keys, statistics
from chalicelib.jobs import Job


class Cut(NamedTuple):
    """jobs: the page's. more: whether there are older ones. start: how many newer ones. total: how many in all.

    `total` was read before the jobs, so it says nothing about `more`.
    """

    jobs: list[Job]
    more: bool
    start: int
    total: int


def page(org: str, begin: date | None, end: date | None, *, start: int, behind: str | None, size: int) -> Cut:
    """The jobs made in these days, from the `start`th on, or those older than the job `behind`."""
    made = {day: counts.get("jobs", 0) for day, counts in statistics.daily(org, begin, end).items()}
    total = sum(made.values())
    if behind is not None:
        older = list(islice(jobs.listing(org, begin, end, behind=behind, page_size=size + 1), size + 1))
        return Cut(older[:size], len(older) > size, _newer(org, made, behind), total)
    passed = 0
    for day, count in made.items():
        if start < passed + count:
            skipped = start - passed
            listed = jobs.listing(org, begin, day, page_size=skipped + size + 1)
            found = list(islice(listed, skipped, skipped + size + 1))
            return Cut(found[:size], len(found) > size, start, total)
        passed += count
    return Cut([], False, start, total)


def _newer(org: str, made: Mapping[date, int], behind: str) -> int:
    """How many jobs come before the ones behind this one, itself among them."""
    newer = 0
    for day, count in made.items():
        _, low, _ = keys.jobs_between(org, day, day)
        if low <= keys.job(org, behind)[1]:
            that_day = jobs.listing(org, day, day, page_size=count, attributes=("id",))
            return newer + sum(1 for _ in takewhile(lambda job: job["id"] >= behind, that_day))
        newer += count
    return newer
