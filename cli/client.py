"""The HTTP API as Python calls: the only way the command line reaches Wharf, local or deployed.

In: an `Access`. Out: decoded answers. Raises ApiError for an answer that says no, Unreachable when none came.
Reading is repeated after 429, 5xx and lost connections; writing only after 429, which says nothing was done.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, NameResolutionError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as TimedOut

from cli.access import Access
from cli.failures import ApiError, Unreachable

CONNECT_SECONDS = 5
READ_SECONDS = 35
"""API Gateway answers within 29 s or not at all; a little more, so that its own answer is seen."""

ATTEMPTS = 4
"""Tries of one request: with waits of 0.5, 1 and 2 s, about what a deployment's restart takes."""

LONGEST_WAIT_SECONDS = 60
"""A Retry-After beyond the rate limit's window is not waited for."""


class Client:
    """One API, one principal. Keeps connections open; use as a context manager or drop."""

    def __init__(
        self, access: Access, *, attempts: int = ATTEMPTS, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.access = access
        self._attempts = attempts
        self._sleep = sleep
        self._pool = _pool(access.endpoint)
        self._headers = {"Accept": "application/json", "User-Agent": "wharf-cli/0.1"}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"

    def get(self, path: str, **query: Any) -> Any:
        """Read. `query` values of None are left out; lists repeat the name."""
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Any = None) -> Any:
        """Create or start something."""
        return self._call("POST", path, body={} if body is None else body)

    def put(self, path: str, body: Any) -> Any:
        """Replace something."""
        return self._call("PUT", path, body=body)

    def patch(self, path: str, body: Any, *, version: int) -> Any:
        """Change something that is still at the version that was seen."""
        return self._call("PATCH", path, body=body, version=version)

    def delete(self, path: str, *, version: int | None = None) -> Any:
        """Remove something; with a version, only if it is still at that."""
        return self._call("DELETE", path, version=version)

    def pages(self, path: str, *, per_page: int = 100, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list that answers `data` with page numbers or a cursor, as they are read."""
        page, cursor = 1, None
        while True:
            place = {"cursor": cursor} if cursor else {"page": page if page > 1 else None}
            answer = self.get(path, per_page=per_page, **query, **place)
            yield from answer["data"]
            meta = answer.get("meta") or {}
            by_cursor = "next_cursor" in answer or "next_cursor" in meta
            cursor, seen = answer.get("next_cursor") or meta.get("next_cursor"), page * per_page
            page += 1
            if not cursor and (by_cursor or not answer["data"] or seen >= meta.get("total", 0)):
                return

    def response(self, path: str) -> urllib3.BaseHTTPResponse:
        """The bare answer to a GET, whatever its status; for looking at headers. Tried once."""
        try:
            return self._pool.request(
                "GET", self.access.endpoint + path, headers=self._headers, retries=False, redirect=False
            )
        except HTTPError as error:
            raise _unreachable(self.access.endpoint, error) from None

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        version: int | None = None,
    ) -> Any:
        headers, content = dict(self._headers), None
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        url = self.access.endpoint + path + _query(query or {})
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                answer = self._pool.request(method, url, body=content, headers=headers, retries=False, redirect=False)
            except HTTPError as error:
                # A refused connection is repeated by nobody: nothing listens there. Others may be a passing loss.
                if method != "GET" or last or isinstance(error, (NewConnectionError, SSLError)):
                    raise _unreachable(self.access.endpoint, error) from None
                self._sleep(_backoff_seconds(attempt))
                continue
            if answer.status < 300:
                return _decoded(answer) if answer.data else None
            wait = _wait_seconds(answer, attempt)
            if last or wait is None or not _repeatable(method, answer.status):
                raise _refusal(answer)
            self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def _pool(endpoint: str) -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    parts = urllib.parse.urlsplit(endpoint)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, timeout=timeout)
    return urllib3.PoolManager(timeout=timeout)


def _query(query: dict[str, Any]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(name, str(one)) for one in values if one is not None]
    return "?" + urllib.parse.urlencode(pairs) if pairs else ""


def _repeatable(method: str, status: int) -> bool:
    return status == 429 or (method == "GET" and status >= 500)


def _backoff_seconds(attempt: int) -> float:
    return float(0.5 * 2 ** (attempt - 1))


def _wait_seconds(answer: urllib3.BaseHTTPResponse, attempt: int) -> float | None:
    asked = answer.headers.get("Retry-After", "")
    if not asked.isdigit():
        return _backoff_seconds(attempt)
    return None if int(asked) > LONGEST_WAIT_SECONDS else float(asked)


def _decoded(answer: urllib3.BaseHTTPResponse) -> Any:
    try:
        return json.loads(answer.data)
    except ValueError:
        raise ApiError(
            answer.status, {"message": "The endpoint answers something else than the Wharf API does."}, None
        ) from None


def _refusal(answer: urllib3.BaseHTTPResponse) -> ApiError:
    try:
        body = json.loads(answer.data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"message": f"The endpoint answered {answer.status} {answer.reason or ''}".rstrip() + "."}
    return ApiError(answer.status, body, answer.headers.get("X-Request-Id") or body.get("request_id"))


def _unreachable(endpoint: str, error: HTTPError) -> Unreachable:
    cause: BaseException | None = error
    if isinstance(error, MaxRetryError) and error.reason:
        cause = error.reason
    if isinstance(cause, NameResolutionError):
        why, hint = "its name cannot be resolved", "Check the spelling of the address."
    elif isinstance(cause, NewConnectionError):
        why, hint = "nothing answers there", "Is it running? Locally: `make run`."
    elif isinstance(cause, (SSLError, ssl.SSLError)):
        why, hint = "its certificate or TLS is not acceptable", "Check the address and the machine's clock."
    elif isinstance(cause, TimedOut):
        why, hint = "it did not answer in time", "Try again; `wharf doctor` measures the way there."
    else:
        why, hint = "the connection was lost", "Try again."
    return Unreachable(f"Cannot reach {endpoint}: {why}.", hint=hint)
