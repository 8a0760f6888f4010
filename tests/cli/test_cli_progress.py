"""Watching: what is said, how often, and through which losses."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from cli import progress
from cli.failures import ApiError
from tests.cli.conftest import Api, job

ID = "019a0000-0000-7000-8000-000000000001"
STATUS = f"GET /api/import/jobs/{ID}/status"


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def status(
    percent: int, operation: str | None = "Reading tickets", state: str = "running"
) -> tuple[int, dict[str, object]]:
    return 200, {
        "job_id": ID,
        "status": state,
        "progress_percentage": percent,
        "current_operation": operation,
        "records_processed": percent * 10,
    }


def watch(api: Api, *, terminal: bool = False) -> tuple[dict[str, object], str, Clock]:
    api.on(f"GET /api/import/jobs/{ID}", (200, job()))
    clock, screen = Clock(), io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    client = api.client(sleep=clock.sleep)
    return progress.watch(client, ID, console=console, clock=clock, sleep=clock.sleep), screen.getvalue(), clock


def test_returns_the_ended_job_in_full(api: Api) -> None:
    api.on(STATUS, status(10), status(100, None, "completed"))
    found, _, _ = watch(api)
    assert found["records_imported"] == 10


def test_without_a_terminal_a_line_comes_at_least_every_five_seconds(api: Api) -> None:
    api.on(STATUS, *[status(7)] * 23, status(100, None, "completed"))
    _, said, _ = watch(api)
    times = [float(line.split(" s ")[0]) for line in said.splitlines()]
    assert max(b - a for a, b in itertools.pairwise(times)) <= 5
    assert len(times) < 10
    assert "\x1b" not in said


def test_every_operation_gets_its_line(api: Api) -> None:
    api.on(
        STATUS, status(1, "Reading a"), status(2, "Writing a"), status(3, "Reading b"), status(100, None, "completed")
    )
    _, said, _ = watch(api)
    assert [word in said for word in ("Reading a", "Writing a", "Reading b", "completed")] == [True] * 4


def test_on_a_terminal_there_is_a_bar(api: Api) -> None:
    api.on(STATUS, status(40, "Reading [red]tickets"), status(100, None, "completed"))
    _, said, _ = watch(api, terminal=True)
    assert "\x1b" in said
    assert "[red]tickets" in said


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_every_final_state_ends_the_watching(api: Api, state: str) -> None:
    api.on(STATUS, status(50, None, state))
    assert watch(api)[2].now == 0


def test_an_endpoint_that_is_away_for_a_while_is_waited_for(api: Api) -> None:
    gone = (502, {"message": "gone"})
    api.on(STATUS, status(10), *[gone] * 12, status(100, None, "completed"))
    found, said, _ = watch(api)
    assert found["status"] == "completed"
    assert "Waiting for the endpoint" in said


def test_an_endpoint_that_stays_away_is_given_up_after_a_minute(api: Api) -> None:
    api.on(STATUS, status(10), (503, {"message": "gone"}))
    with pytest.raises(ApiError):
        watch(api)


def test_a_refusal_is_not_waited_for(api: Api) -> None:
    api.on(STATUS, (401, {"message": "Unauthenticated."}))
    with pytest.raises(ApiError, match="Unauthenticated"):
        watch(api)
    assert len(api.asked) == 1
