"""What a command says when it cannot go on: one sentence, perhaps a hint, and an exit code.

Exit codes of `wharf`: 0 ok, 1 failed, 2 usage, 3 partial (some records failed), 130 interrupted.
"""

from __future__ import annotations

FAILED = 1
USAGE = 2
PARTIAL = 3
INTERRUPTED = 130


class Failure(Exception):
    """Ends a command. `message` says what happened, `hint` what to do next."""

    exit_code = FAILED

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class Unreachable(Failure):
    """No answer came from the endpoint. The request may have been carried out; only reading is safe to repeat."""


class ApiError(Failure):
    """The API answered, and the answer is no.

    status: the HTTP status. code: the API's stable word. errors: field -> sentences. body: the whole answer.
    request_id: what an operator finds the request in the logs by.
    """

    def __init__(self, status: int, body: dict[str, object], request_id: str | None) -> None:
        message = body.get("message") or body.get("detail") or f"The API answered {status}"
        super().__init__(str(message), hint=_HINTS.get(status))
        self.status = status
        self.body = body
        self.code = str(body.get("code") or "")
        self.request_id = request_id
        errors = body.get("errors")
        self.errors: dict[str, list[str]] = (
            {str(field): [str(text) for text in texts] for field, texts in errors.items()}
            if isinstance(errors, dict)
            else {}
        )
        source = body.get("connection_error")
        self.source_error = str(source.get("error") or "") if isinstance(source, dict) else ""


_HINTS = {
    401: "Check WHARF_TOKEN or --token; `wharf doctor` tells what is wrong.",
    403: "The token's user lacks the permission for this.",
    429: "The rate limit is reached. Wait a minute and try again.",
}
