"""What a function says of itself: one line of JSON an invocation, which is its metrics as well.

In: where the invocation stands (ids), what it counts on its way, how it ends. Out: a line on stderr, by Powertools,
from which CloudWatch takes the metrics (embedded metric format), so nothing calls CloudWatch. Refused: everything but
ids, words and numbers. No event, query, header or body, no exception's message, no local value is ever written.
Fields, metrics and alarms: docs/observability.md.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from chalicelib.errors import WharfError

LOGGER = "wharf"
"""The logger of all our code, and, by the application's name, Chalice's."""

NAMESPACE = "Wharf"
"""CloudWatch's namespace of all our metrics."""

UNITS = {
    "seconds": "Seconds",
    "rows": "Count",
    "bytes": "Bytes",
    "rejects": "Count",
    "throttles": "Count",
    "requests": "Count",
    "failures": "Count",
}
"""CloudWatch's unit of each metric."""

METRICS: dict[str, tuple[str, ...]] = {
    "step": ("seconds", "rows", "bytes", "rejects", "throttles"),
    "resource": ("seconds", "requests", "failures", "throttles"),
}
"""Dimension beside `service` -> metrics that are kept by it. No organisation: each would cost as much as all steps."""

MAX_FRAMES = 30
"""The innermost frames of an exception that are written: more is a recursion, and a line has 256 KB at most."""

Dimension = Literal["step", "resource"]
_ENDED: dict[Dimension, str] = {"step": "step ended", "resource": "request ended"}
Fields = dict[str, Any]

_ROOT = f"{Path(__file__).resolve().parent.parent}{os.sep}"

_THROTTLED = {
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingError",
    "ThrottlingException",
    "TooManyRequestsException",
}
"""The services' words for "too fast", as error codes, of a statement in a batch, as a reason of a transaction."""


class _Process:
    """What belongs to the process; Lambda gives it one invocation at a time."""

    cold = True
    counted: Counter[str] = Counter()


def count(**amounts: float) -> None:
    """Add to the invocation's numbers: `rows`, `bytes`, `rejects`, ... They stand in its line, those of METRICS as
    metrics."""
    _Process.counted.update(amounts)


def identify(**ids: Any) -> None:
    """Put ids on every line the invocation still writes; None leaves one out."""
    _formatter().append_keys(**{name: value for name, value in ids.items() if value is not None})


@contextmanager
def invocation(dimension: Dimension, place: str, **ids: Any) -> Iterator[Fields]:
    """Write the line of what happens inside.

    place: the step or resource, the metrics' dimension. ids: on this line and all that are written inside. The block
    puts into the yielded dict how it ended. An exception goes on, after its class and code have been written, with
    its frames when it is none of ours.
    """
    formatter = _formatter()
    formatter.clear_state()
    _Process.counted.clear()
    identify(cold_start=_Process.cold, **{dimension: place}, **ids)
    _Process.cold = False
    outcome: Fields = {}
    started = time.perf_counter()
    try:
        yield outcome
    except Exception as error:
        outcome |= described(error)
        raise
    finally:
        count(seconds=round(time.perf_counter() - started, 4))
        level = logging.ERROR if "error" in outcome or outcome.get("status", 0) >= 500 else logging.INFO
        fields = outcome | _Process.counted | _metrics(dimension, place)
        logging.getLogger(LOGGER).log(level, _ENDED[dimension], extra=fields)


def described(error: BaseException) -> Fields:
    """An exception as it may be written: class, our code, and where it came from unless it is one of ours."""
    if isinstance(error, WharfError):
        return {"error": type(error).__name__, "code": error.code}
    return {"error": type(error).__name__, "stack": list(_frames(error))}


def _frames(error: BaseException) -> Iterator[str]:
    """The frames of an exception, outermost first, as "file:line function", then those of what led to it."""
    seen: set[int] = set()  # an exception that is kept and raised again can lead to itself
    behind: BaseException | None = error
    while behind and id(behind) not in seen:
        if seen:
            yield f"from {type(behind).__name__}"
        for frame in traceback.extract_tb(behind.__traceback__)[-MAX_FRAMES:]:
            yield f"{frame.filename.removeprefix(_ROOT)}:{frame.lineno} {frame.name}"
        seen.add(id(behind))
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)


def note_throttling(parsed_response: Fields | None = None, **_: Any) -> None:
    """A botocore `response-received` hook: counts answers, each attempt's own, that say "too fast"."""
    if parsed_response and _is_throttled(parsed_response):
        count(throttles=1)


def _is_throttled(answer: Fields) -> bool:
    """Whether a call, a statement of its batch or an operation of its transaction was throttled, or keys are left."""
    responses = answer.get("Responses")
    statements = responses if isinstance(responses, list) else []
    codes = [part.get("Error", {}).get("Code") for part in (answer, *statements)]
    codes += [reason.get("Code") for reason in answer.get("CancellationReasons", ())]
    return bool(answer.get("UnprocessedKeys")) or not _THROTTLED.isdisjoint(codes)


def _metrics(dimension: Dimension, place: str) -> Fields:
    """The invocation's numbers in the embedded metric format, values as plain numbers so that a line reads well."""
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

    counted = {name: _Process.counted[name] for name in METRICS[dimension] if name in _Process.counted}
    metrics = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=_service())
    metrics.add_dimension("service", _service())
    metrics.add_dimension(dimension, place)
    for name, value in counted.items():
        metrics.add_metric(name, UNITS[name], value)
    return {**metrics.serialize_metric_set(), **counted}


def _service() -> str:
    """The stack's name, which tells the metrics of several stacks in an account apart."""
    return os.environ.get("POWERTOOLS_SERVICE_NAME", LOGGER)


@cache
def _formatter() -> Any:
    """The formatter of every line, put to work at first use: its import is no matter of `import app`."""
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

    class Formatter(LambdaPowertoolsFormatter):
        def format(self, record: logging.LogRecord) -> str:
            return super().format(_cleared(record))

    formatter = Formatter(
        log_record_order=["level", "timestamp", "message"],
        location=None,
        utc=True,
        use_rfc3339=True,
        serialize_stacktrace=False,
        service=_service(),
        xray_trace_id=None,
    )
    handler = _Stderr()
    handler.setFormatter(formatter)
    ours = logging.getLogger(LOGGER)
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        logging.getLogger().handlers = [handler]  # the runtime's own writes what libraries say as it is
    return formatter


def _cleared(record: logging.LogRecord) -> logging.LogRecord:
    """The record without what may hold a person's data: an exception's message, and what a library has filled in."""
    cleared = logging.makeLogRecord(record.__dict__)
    if record.exc_info and record.exc_info[1]:
        cleared.__dict__ |= described(record.exc_info[1])
        cleared.exc_info = cleared.exc_text = None
    if record.name != LOGGER:  # psycopg, for one, names host and user
        cleared.args = None
        cleared.__dict__["logger"] = record.name
    return cleared


class _Stderr(logging.Handler):
    """To stderr as it is now. CloudWatch keeps it like stdout; the embedded cloud waits 50 ms for a handler that writes
    nothing there."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record, one line."""
        sys.stderr.write(self.format(record) + "\n")
