"""The front door: the Chalice application, and one thin function for every Lambda that is not HTTP.

In: Lambda events. Out: what the step or the route answers. A step's wrapper stands here and imports its step inside
the function: a Lambda declared in a blueprint would skip this module at run time, and one zip serves all functions,
so whatever is imported here is paid for by each of them at every cold start.
"""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from chalice.app import Blueprint, Chalice, CloudWatchEvent, Rate, Response

from chalicelib import requests, routes, telemetry
from chalicelib.errors import Fatal, WharfError

Event = dict[str, Any]

app = Chalice(app_name=telemetry.LOGGER, configure_logs=False)  # its logger is ours; telemetry puts it to work
app.register_middleware(requests.translate, "http")

for _module in sorted(module.name for module in pkgutil.iter_modules(routes.__path__)):
    _blueprint = getattr(import_module(f"chalicelib.routes.{_module}"), "routes", None)
    if isinstance(_blueprint, Blueprint):
        app.register_blueprint(_blueprint)


@app.route(requests.ELSEWHERE, methods=list(requests.METHODS), content_types=[])
def nowhere() -> Response:
    """Paths and methods that do not exist: the gateway sends here what no other route takes, else it answers a 403."""
    return requests.nowhere(app.current_request, app.routes)  # type: ignore[arg-type]  # there is one in a view


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
