"""The embedded cloud's process: ministack with two differences, run by `cloud.py` as a script of its own.

On AWS a Python function that raises reports the exception's class as errorType, and the state machine's Retry and
Catch go by it. Ministack reports every exception as Runtime.HandlerError, so the name is read from the traceback
it keeps beside the answer. A worker that died is Runtime.ExitError, as when Lambda's own process goes.

And it reads every PartiQL statement of a batch twice, token by token, which was two thirds of a large import's time:
here the second reading gets what the first one found, and a text that is known is not taken apart again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Answer = dict[str, Any]

DIED = ("Worker process died", "Worker returned no response", "[Errno 32] Broken pipe")
"""What ministack says of a worker that went while it worked, or before it had read its event."""

DIED_STARTING = "Worker process exited immediately"


def error_type(log: str, message: str) -> str | None:
    """The class name in front of the message at the end of a log that ends in a traceback, None when there is none.

    Known from its end, because a message may hold anything, another traceback included.
    """
    text, message = log.rstrip("\n"), message.rstrip("\n")
    if message:
        if not text.endswith(f": {message}"):
            return None
        text = text.removesuffix(f": {message}")
    name = text.rpartition("\n")[2].rpartition(".")[2]
    return name if name.isidentifier() else None


def named(body: Answer, log: str) -> Any:
    """The error type AWS would give for an error as ministack reports it."""
    message, given = str(body.get("errorMessage", "")), body.get("errorType")
    if given == "RuntimeError" and message.startswith(DIED_STARTING):
        return "Runtime.ExitError"
    if given != "Runtime.HandlerError":
        return given
    return error_type(log, message) or ("Runtime.ExitError" if message in DIED else given)


def with_class_names(execute: Callable[..., Answer]) -> Callable[..., Answer]:
    """Wrap ministack's executor of warm Lambdas."""

    def wrapped(*arguments: Any, **options: Any) -> Answer:
        answer = execute(*arguments, **options)
        body = answer.get("body")
        if answer.get("error") and isinstance(body, dict):
            body["errorType"] = named(body, answer.get("log") or "")
        return answer

    return wrapped


def read_once(parse: Callable[[str, Any], Answer]) -> Callable[[str, Any], Answer]:
    """Wrap ministack's reader of statements: asked again for the very same parameters, it hands out what it read.

    Only the last one is kept, by identity, so nothing is shared between statements; a thread has its own.
    """
    last = threading.local()

    def wrapped(statement: str, parameters: Any) -> Answer:
        if getattr(last, "statement", None) != statement or last.parameters is not parameters:
            read = parse(statement, parameters)
            last.statement, last.parameters, last.read = statement, parameters, read
        return dict(last.read)

    return wrapped


def main() -> None:
    """Serve until SIGTERM; everything else comes from the environment (`cloud.py`)."""
    from ministack import app
    from ministack.services import _dynamodb_keywords, dynamodb, lambda_svc

    lambda_svc._execute_function_warm = with_class_names(lambda_svc._execute_function_warm)
    dynamodb._parse_partiql = read_once(dynamodb._parse_partiql)
    _dynamodb_keywords._tokenize = lru_cache(256)(_dynamodb_keywords._tokenize)
    app.main()


if __name__ == "__main__":
    main()
