"""What every answer looks like: JSON or a page, and the one body of all refusals.

In: a request, and what a route answers or why it was refused. Out: responses with the headers each must have. Nothing
of the inside gets out: a crash tells its request id and no more.
"""

from __future__ import annotations

import re
import uuid
from http import HTTPStatus
from typing import Any

from chalice.app import Request, Response
from pydantic_core import to_json

from chalicelib.errors import NotFound, RequestError, SourceUnreachable
from chalicelib.paths import PATHS

Headers = dict[str, str | list[str]]

_SEGMENT = re.compile(r"{\w+}")

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's words, which Python has from 3.13 on."""

_OWN = {
    400: ("bad_request", "Bad request"),
    403: ("forbidden", "This action is unauthorized."),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
}
"""What Chalice refuses by itself: code and message of each status."""


def answer(request: Request, status: int, body: dict[str, Any], headers: Headers | None = None) -> Response:
    """A JSON object."""
    found: Headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Request-Id": request_id(request),
        **(headers or {}),
    }
    return Response(to_json(body).decode(), headers=found, status_code=status)


def replayed(request: Request, status: int, body: str) -> Response:
    """What an earlier sending of the request was answered."""
    response = answer(request, status, {}, {"Idempotency-Replayed": "true"})
    response.body = body
    return response


def page(request: Request, text: str, policy: str) -> Response:
    """A page. policy: what it may load and run (Content-Security-Policy)."""
    headers: Headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id(request),
    }
    return Response(text, headers=headers)


def refusal(request: Request, error: RequestError) -> Response:
    """The answer to a refused request: `message` and `errors` for one reader, RFC 9457's members for the other."""
    more: dict[str, Any] = dict(error.extra)
    message = error.message
    if error.errors:
        more["errors"] = error.errors
    if isinstance(error, SourceUnreachable):
        message = "Connection test failed"
        more["connection_error"] = {"success": False, "message": error.message, "error": error.error}
    headers: Headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return problem(request, error.status, error.code, message, more, headers)


def unavailable(request: Request) -> Response:
    """The answer when a service we stand on cannot answer now."""
    return problem(request, 503, "unavailable", "Service temporarily unavailable", {}, {"Retry-After": "2"})


def chalices_own(request: Request, response: Response) -> Response:
    """What Chalice answers by itself (405, crashed views), in our body.

    A crashed view has been logged with its frames by then; the caller learns the request id and nothing else.
    """
    code, message = _OWN.get(response.status_code, ("internal", "Internal server error"))
    allow: Headers = {name: value for name, value in response.headers.items() if name == "Allow"}
    return problem(request, response.status_code, code, message, {}, allow)


def nowhere(request: Request) -> Response:
    """For what no route takes: 405 with `Allow` when the path has other methods, else 404."""
    asked = path_of(request)
    for path in sorted(PATHS, key=lambda path: path.count("{")):  # jobs/stats is no job's id
        _, methods = PATHS[path]
        if re.fullmatch(_SEGMENT.sub("[^/]+", path), asked) and request.method not in methods:
            return problem(request, 405, *_OWN[405], {}, {"Allow": ", ".join(methods)})
    return refusal(request, NotFound("Not found"))


def problem(request: Request, status: int, code: str, message: str, more: dict[str, Any], headers: Headers) -> Response:
    """The one body of all refusals. more: members that are this refusal's own."""
    request.context["code"] = code
    first = next(iter(more.get("errors", {}).values()), [message])[0]
    body = {
        "message": message,
        **more,
        "code": code,
        "request_id": request_id(request),
        "type": f"urn:wharf:error:{code}",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": more.get("connection_error", {}).get("message", first),
        "instance": path_of(request),
    }
    return answer(request, status, body, headers)


def path_of(request: Request) -> str:
    """The path as it was asked for: the gateway puts the stage's name before it."""
    asked = str(request.context.get("path") or request.path)
    return asked.removeprefix(f"/{request.context.get('stage')}")


def request_id(request: Request) -> str:
    """The gateway's id of the request: in the answer, in the log, in a support ticket."""
    found: str = request.context.get("requestId") or request.context.setdefault("madeId", str(uuid.uuid4()))
    return found
