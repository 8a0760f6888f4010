"""The embedded cloud's process: ministack with one difference, run by `cloud.py` as a script of its own.

On AWS a Python function that raises reports the exception's class as errorType, and the state machine's Retry and
Catch go by it. Ministack reports every exception as Runtime.HandlerError, so the name is read from the traceback
it keeps beside the answer. A worker that died is Runtime.ExitError, as when Lambda's own process goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]

DIED = ("Worker process died", "Worker returned no response")


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


def with_class_names(execute: Callable[..., Answer]) -> Callable[..., Answer]:
    """Wrap ministack's executor of warm Lambdas."""

    def wrapped(*arguments: Any, **options: Any) -> Answer:
        answer = execute(*arguments, **options)
        body = answer.get("body")
        if answer.get("error") and isinstance(body, dict) and body.get("errorType") == "Runtime.HandlerError":
            message = str(body.get("errorMessage", ""))
            found = "Runtime.ExitError" if message in DIED else error_type(answer.get("log") or "", message)
            body["errorType"] = found or body["errorType"]
        return answer

    return wrapped


def main() -> None:
    """Serve until SIGTERM; everything else comes from the environment (`cloud.py`)."""
    from ministack import app
    from ministack.services import lambda_svc

    lambda_svc._execute_function_warm = with_class_names(lambda_svc._execute_function_warm)
    app.main()


if __name__ == "__main__":
    main()
