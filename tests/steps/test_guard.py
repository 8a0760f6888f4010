"""What a step lets out: the state machine knows two classes, by their exact names."""

from __future__ import annotations

import json
import traceback
import uuid
from typing import Any

import pytest

from chalicelib import chunks, dynamo, errors, keys, steps, telemetry
from tests.moto_cloud import cloud

__all__ = ["cloud"]

CANARY = "canary-51aa"


def raised() -> list[Exception]:
    """One of every class there is, and some of others."""
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    passing = errors.SourceUnreachable("Connection failed", "refused", code="source_refused")
    lasting = errors.SourceUnreachable("Connection failed", "no", code="source_authentication")
    ours = [one("said") for one in classes if one not in (errors.SourceUnreachable, errors.RateLimited)]
    return [
        *ours,
        errors.RateLimited("said", retry_after_seconds=1),
        passing,
        lasting,
        KeyError(CANARY),
        ValueError(CANARY),
        dynamo.Refused(),
        dynamo.Unacceptable(CANARY),
    ]


@pytest.mark.parametrize("error", raised(), ids=lambda error: f"{type(error).__name__}-{getattr(error, 'code', '')}")
@pytest.mark.parametrize("place", [{}, {"type": "tickets", "chunk": 3}], ids=["job", "chunk"])
def test_a_step_lets_out_retryable_and_fatal_and_leaves_the_reason(
    cloud: None, error: Exception, place: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"org": "o", "job": str(uuid.uuid4()), **place}
    dynamo.put("state", keys.job("o", event["job"]), {"status": "running"})

    @steps.step
    def run(*_: Any, **__: Any) -> dict[str, Any]:
        raise error

    with pytest.raises(errors.WharfError) as out, telemetry.invocation("step", "load", request_id="r"):
        run(event, now=lambda: 0.0, remaining=lambda: 60.0)
    passing = isinstance(error, errors.Retryable) or getattr(error, "code", "") == "source_refused"
    assert type(out.value).__name__ == ("Retryable" if passing else "Fatal")
    key = keys.chunk("o", event["job"], "tickets", 3) if place else keys.job("o", event["job"])
    noted = (dynamo.get("state", key) or {})["error" if place else "note"]
    assert noted["code"] == out.value.code
    traced = "".join(traceback.format_exception(out.value))  # which is what Lambda writes of it
    assert CANARY not in json.dumps(noted) + traced + capsys.readouterr().err


def test_a_step_of_a_job_that_was_stopped_answers_so(cloud: None) -> None:
    @steps.step
    def run(*_: Any, **__: Any) -> dict[str, Any]:
        raise chunks.Stopping

    assert run({"org": "o", "job": "j"}, now=lambda: 0.0, remaining=lambda: 60.0) == {"state": "stopped"}
