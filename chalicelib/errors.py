"""Every exception of Wharf, sorted by what happens next.

    WharfError
    ├── Retryable            the state machine tries the step again
    ├── Fatal                the job stops and says why
    └── RequestError         the caller gets a 4xx (raised below the routes, mapped once in requests.py)
        ├── BadRequest 400   ├── Unauthorized 401  ├── Forbidden 403   ├── NotFound 404
        ├── Conflict 409     ├── TooLarge 413      ├── Invalid 422
        ├── PreconditionFailed 412                 ├── PreconditionRequired 428      ├── RateLimited 429
        └── SourceUnreachable 422, with `connection_error`

The state machine matches the exact class names `Retryable` and `Fatal`; steps let out only these two. Finer
detail is in `.code`, a word of docs/errors.md. Messages carry no secret and no row content.
"""

from __future__ import annotations


class WharfError(Exception):
    """Root of the tree. `code` is a stable word for programs, the message is for people."""

    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code:
            self.code = code


class Retryable(WharfError):
    """Nothing is wrong with the input: the same step may succeed when it is run again."""

    code = "retryable"


class Fatal(WharfError):
    """No repetition helps: the job ends as failed with this message.

    Of a statement the source refused: `state`, its SQLSTATE; `position`, the letter of the statement at which it
    stopped, counted from 0; `parameter`, the value it could not read, counted from 1.
    """

    code = "fatal"
    state = ""
    position: int | None = None
    parameter: int | None = None


class RequestError(WharfError):
    """The caller asked for something that cannot be done. `status` is the HTTP status of the answer.

    retry_after_seconds: when the same request may succeed; None when time does not help.
    """

    status = 400
    code = "bad_request"
    retry_after_seconds: int | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        errors: dict[str, list[str]] | None = None,
        extra: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.errors = errors
        self.extra = extra or {}


class BadRequest(RequestError):
    """400: a malformed body, or the right request in the wrong state."""


class Unauthorized(RequestError):
    """401: no valid token came with the request."""

    status = 401
    code = "unauthenticated"


class Forbidden(RequestError):
    """403: the token is valid and lacks the permission."""

    status = 403
    code = "forbidden"


class NotFound(RequestError):
    """404: absent, or another tenant's, which must look the same."""

    status = 404
    code = "not_found"


class Conflict(RequestError):
    """409: the state of the resource forbids it until a person decides."""

    status = 409
    code = "conflict"


class PreconditionFailed(RequestError):
    """412: the resource is not what the caller saw; nothing was changed. `extra` has the version that stands."""

    status = 412
    code = "stale_version"


class PreconditionRequired(RequestError):
    """428: the caller has to say which version it saw."""

    status = 428
    code = "precondition_required"


class TooLarge(RequestError):
    """413: the body is larger than the documented limit."""

    status = 413
    code = "too_large"


class Invalid(RequestError):
    """422: well-formed, but a field's value is not acceptable. `errors` names field and reason."""

    status = 422
    code = "validation_failed"


class RateLimited(RequestError):
    """429: too many requests in this minute; nothing was done."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SourceUnreachable(RequestError):
    """422: the source refused, timed out or is not there.

    `message` is a fixed sentence ("Connection failed: ..."), `error` the short cause. Neither repeats the
    driver's text, which echoes hosts and user names.
    """

    status = 422
    code = "source_unreachable"

    def __init__(self, message: str, error: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.error = error
