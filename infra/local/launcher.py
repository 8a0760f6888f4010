"""The embedded cloud's process: ministack with one difference, run by `cloud.py` as a script of its own.

On AWS a Python function that raises reports the exception's class as errorType, and the state machine's Retry and
Catch go by it. Ministack reports every exception as Runtime.HandlerError, so the name is read from the traceback
it keeps beside the answer. A worker that died is Runtime.ExitError, as when Lambda's own process goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]

_RAISED = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?::|$)")
"""The last unindented line of a traceback that starts so: "package.module.ClassName: message"."""


def error_type(trace: str) -> str | None:
    """The class name a traceback ends in, None when it holds no traceback.

    A message may run over several lines and look like anything, so the search goes forward from the last frame:
    the first unindented line behind it names the class.
    """
    head, marker, tail = trace.rpartition("Traceback (most recent call last):\n")
    if not marker and not head:
        return None
    for line in tail.splitlines():
        if line and not line[0].isspace():
            found = _RAISED.match(line)
            return found.group(1) if found else None
    return None


def with_class_names(execute: Callable[..., Answer]) -> Callable[..., Answer]:
    """Wrap ministack's executor of warm Lambdas."""

    def wrapped(*arguments: Any, **options: Any) -> Answer:
        answer = execute(*arguments, **options)
        body = answer.get("body")
        if answer.get("error") and isinstance(body, dict) and body.get("errorType") == "Runtime.HandlerError":
            if str(body.get("errorMessage")) in ("Worker process died", "Worker returned no response"):
                body["errorType"] = "Runtime.ExitError"
            else:
                body["errorType"] = error_type(answer.get("log") or "") or body["errorType"]
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
