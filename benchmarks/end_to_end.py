"""A whole import through the deployed stack on the embedded cloud: rows a second, and where the seconds go.

The first import warms the workers up, the second, into another organisation, is measured; the third brings the same
rows again. All in one run on one machine, so the ratio says more than the rates: the embedded cloud is one Python
process, and on AWS forty chunks are worked on at once.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict

from benchmarks.driven import tenant
from benchmarks.source import STATE, line
from cli.client import Client
from infra.local.sample import Sample
from infra.local.stack import Stack, stack

CONVERSATIONS = int(os.environ.get("BENCH_END_TO_END_CONVERSATIONS", "5000"))


def main() -> None:
    """Print the figures."""
    with stack(STATE / "stack") as running:
        sample = Sample(running.postgres, STATE / "stack", CONVERSATIONS, 1)
        sample.fill()
        api, profile, _ = tenant(running, sample)
        _import(api, profile)
        api, profile, _ = tenant(running, sample)
        job, rows, seconds = _import(api, profile)
        _, again_rows, again_seconds = _import(api, profile)
        rate, again = rows / seconds, again_rows / again_seconds
        line("end_to_end", rate, "rows/s", rate / again, f"the same {rows} rows again, nothing written")
        steps = _steps(running, job)
        for name, spent in sorted(steps.items(), key=lambda step: -step[1]):
            line(f"end_to_end_{name}", spent, "worker seconds", spent / sum(steps.values()), "all steps")


def _import(api: Client, profile: str) -> tuple[str, int, float]:
    """(job id, rows, seconds) of one import."""
    started = time.perf_counter()
    job = api.post(f"/api/import/profiles/{profile}/import")["job"]["id"]
    while (status := api.get(f"/api/import/jobs/{job}/status"))["status"] == "running":
        time.sleep(0.2)
    if status["status"] != "completed":
        raise SystemExit(f"the import ended as {status['status']}")
    return job, status["records_processed"], time.perf_counter() - started


def _steps(running: Stack, job: str) -> dict[str, float]:
    """Seconds its Lambdas spent on a job, by step, from the line each of them logs."""
    logs = running.client("logs")
    spent: dict[str, float] = defaultdict(float)
    for group in logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
            for event in page["events"]:
                for text in event["message"].splitlines():
                    if text.startswith("{") and job in text and '"step"' in text:
                        logged = json.loads(text)
                        spent[logged["step"]] += logged["seconds"]
    return dict(spent)


if __name__ == "__main__":
    main()
