"""The front door: the Chalice application, and one thin function for every Lambda that is not HTTP.

In: Lambda events. Out: what the step or the route answers. Steps and routes are imported inside the functions: one zip
serves all Lambdas, so whatever is imported here is paid for by each of them at every cold start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, Request, Response

from chalicelib import telemetry
from chalicelib.errors import Fatal, WharfError
from chalicelib.paths import ELSEWHERE, METHODS, PATHS

Event = dict[str, Any]

app = Chalice(app_name=telemetry.LOGGER, configure_logs=False)  # its logger is ours; telemetry puts it to work


@app.middleware("http")
def translate(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Every answer in our words, every request with its line in the log."""
    from chalicelib import requests

    return requests.translate(request, get_response)


def view(**segments: str) -> Response:
    """Every path of the map: its file answers."""
    request: Any = app.current_request  # there is one in a view
    resource, _ = PATHS[request.path]
    answer: Response = import_module(f"chalicelib.routes.{resource}").routes.answer(request, segments)
    return answer


for _path, (_, _methods) in PATHS.items():
    # Chalice would refuse a GET for the type of its empty body; a body that is not JSON is refused as such.
    app.route(_path, methods=list(_methods), content_types=[])(view)


@app.route(ELSEWHERE, methods=list(METHODS), content_types=[])
def nowhere() -> Response:
    """Paths and methods that do not exist: the gateway sends here what no other route takes, else it answers a 403."""
    from chalicelib import replies

    return replies.nowhere(app.current_request)  # type: ignore[arg-type]  # there is one in a view


@app.lambda_function(name="plan")
def plan(event: Event, context: Any) -> Event:
    """Freeze the profile into the job, count the source, write the chunk manifests."""
    from chalicelib.steps import plan as step

    return invoke("plan", step.run, event, context)


@app.lambda_function(name="extract")
def extract(event: Event, context: Any) -> Event:
    """One key range of the source to an immutable chunk."""
    from chalicelib.steps import extract as step

    return invoke("extract", step.run, event, context)


@app.lambda_function(name="transform")
def transform(event: Event, context: Any) -> Event:
    """A chunk's rows to accepted and rejected records."""
    from chalicelib.steps import transform as step

    return invoke("transform", step.run, event, context)


@app.lambda_function(name="match")
def match(event: Event, context: Any) -> Event:
    """Group the rows of a type that share a key."""
    from chalicelib.steps import match as step

    return invoke("match", step.run, event, context)


@app.lambda_function(name="decide")
def decide(event: Event, context: Any) -> Event:
    """Write a chunk's ledger."""
    from chalicelib.steps import decide as step

    return invoke("decide", step.run, event, context)


@app.lambda_function(name="load")
def load(event: Event, context: Any) -> Event:
    """Apply a chunk's ledger."""
    from chalicelib.steps import load as step

    return invoke("load", step.run, event, context)


@app.lambda_function(name="finish")
def finish(event: Event, context: Any) -> Event:
    """Settle the job: the only writer of terminal states."""
    from chalicelib.steps import finish as step

    return invoke("finish", step.run, event, context)


@app.schedule(Rate(10, unit=Rate.MINUTES), name="sweep")
def sweep(event: CloudWatchEvent) -> Event:
    """Every ten minutes: start pending jobs that have no execution, finish jobs whose execution has died."""
    from chalicelib.steps import sweep as step

    return invoke("sweep", step.run, {}, event.context)


@app.lambda_function(name="bootstrap")
def bootstrap(event: Event, context: Any) -> Event:
    """Invoked with AWS credentials by whoever sets the platform up: an organisation, its admin, a token."""
    from chalicelib import access

    def run(event: Event, **_: Any) -> Event:
        return access.bootstrap(event["org"], event["name"], event["email"])

    return invoke("bootstrap", run, event, context)


def invoke(name: str, run: Callable[..., Event], event: Event, context: Any) -> Event:
    """Run a step with the clock and the seconds it has left, and write one line of JSON about it.

    Only our own errors go out. Lambda writes what it is left with into the log, message and all.
    """
    ids = {key: event[key] for key in ("org", "job", "type", "chunk") if "job" in event and key in event}

    def remaining() -> float:
        """Seconds until Lambda ends this invocation."""
        return float(context.get_remaining_time_in_millis()) / 1000

    try:
        with telemetry.invocation("step", name, request_id=context.aws_request_id, **ids) as outcome:
            answer = run(event, now=time.time, remaining=remaining)
            outcome["state"] = answer.get("state", "done")
            return answer
    except WharfError:
        raise
    except Exception:  # noqa: BLE001 -- it has been written down
        raise Fatal("An internal error occurred", code="internal") from None
