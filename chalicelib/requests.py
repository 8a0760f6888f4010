"""What every request meets, in one place: token, permission, rate, ids, query, body, answer, errors.

A route is declared on `Routes` with the permission it needs; there is no other way to make one. The function says by
its parameters what it wants: `caller`, `query` and `body` (pydantic models), `if_match`, `minted` (the id of what it
makes, see idempotency.py), the segments of its path.
Refused: unknown fields, malformed JSON, large bodies, ids of the wrong shape. Every refusal has the same body (see
replies.py).
"""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from chalice.app import MultiDict, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import from_json

from chalicelib import access, idempotency, logins, messages, preconditions, rates, replies, telemetry
from chalicelib.errors import (
    BadRequest,
    Forbidden,
    Invalid,
    NotFound,
    RequestError,
    Retryable,
    TooLarge,
    Unauthorized,
)
from chalicelib.paths import PATHS

MAX_BODY_BYTES = 1_048_576
"""Far above any real body (the largest are query configurations, some 10 KB), far below Lambda's 6 MB."""

Public = Literal["public"]
Authenticated = Literal["authenticated"]
"""The permission everybody has who is somebody."""

RateClass = rates.RateClass | Public
"""What a route's requests are counted as; each class has so many a minute (see docs/limits.md). Public ones, which ask
for nobody's data, are not counted: there is nobody to count them by.
"""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
View = TypeVar("View", bound=Callable[..., "dict[str, Any] | Html | Headed"])

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_SEGMENT = re.compile(r"{(\w+)}")
_INDEX = re.compile(r"\[\d*\]\Z")


UuidText = Annotated[str, StringConstraints(to_lower=True, pattern=f"^{_UUID.pattern[:-2]}$")]
"""An id inside a query or body."""


class Body(BaseModel):
    """A request body: nothing unknown, nothing converted (a port is a number, not "5432")."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Query(BaseModel):
    """A query string: nothing unknown, so that a misspelt filter cannot answer with everything."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NoBody(Body):
    """For writes that take none: empty, or an empty object."""


class NoQuery(Query):
    """For routes without parameters."""


@dataclass(frozen=True)
class Html:
    """An answer that is a page. policy: what it may load and run (Content-Security-Policy)."""

    text: str
    policy: str


@dataclass(frozen=True)
class Headed:
    """An answer with headers of its own."""

    body: dict[str, Any]
    headers: replies.Headers


@dataclass(frozen=True)
class Endpoint:
    """One declared route: what it needs, what it reads, what it calls, what it answers."""

    method: Method
    path: str
    permission: access.Permission | Authenticated | Public
    limit: RateClass
    status: int
    query: type[Query]
    body: type[Body] | None
    call: Callable[..., dict[str, Any] | Html | Headed]
    wants: frozenset[str]
    versioned: bool = False
    idempotent: bool = False
    answer: Any = None
    refuses: tuple[str, ...] = ()


class Routes:
    """The routes of one resource. Only endpoints with a permission get in; `paths.PATHS` leads to them."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, str], Endpoint] = {}

    def on(
        self,
        method: Method,
        path: str,
        *,
        permission: access.Permission | Authenticated | Public,
        limit: RateClass,
        status: int = 200,
        versioned: bool = False,
        idempotent: bool = False,
        answer: Any = None,
        refuses: tuple[str, ...] = (),
    ) -> Callable[[View], View]:
        """Declare the route `method path`, answered with `status` by the decorated function.

        limit: what its requests are counted as. versioned: the answer's `version` is its entity tag too, in the ETag
        header. idempotent: takes an Idempotency-Key. answer: its shape, a TypedDict of routes/answers, or Html.
        refuses: the error codes that are this route's own; openapi.py knows those that come with what a route takes.
        """

        def declare(function: View) -> View:
            endpoint = _endpoint(method, path, permission, limit, status, function)
            endpoint = replace(endpoint, versioned=versioned, idempotent=idempotent, answer=answer, refuses=refuses)
            self.endpoints[method, path] = endpoint
            return function

        return declare

    def answer(self, request: Request, segments: dict[str, str]) -> Response:
        """The answer to a request for one of these."""
        return _answer(self.endpoints[request.method, request.path], request, segments)


def _endpoint(
    method: Method,
    path: str,
    permission: access.Permission | Authenticated | Public,
    limit: RateClass,
    status: int,
    function: Callable[..., dict[str, Any] | Html | Headed],
) -> Endpoint:
    wants = frozenset(inspect.signature(function).parameters)
    segments = set(_SEGMENT.findall(path))
    if wants - {"caller", "query", "body", "if_match", "minted"} != segments or (
        permission == "public" and "caller" in wants
    ):
        raise TypeError(f"{method} {path}: {function.__name__} does not fit its path or permission")
    hints = get_type_hints(function)
    body = hints.get("body", NoBody) if method != "GET" else None
    return Endpoint(method, path, permission, limit, status, hints.get("query", NoQuery), body, function, wants)


def _answer(endpoint: Endpoint, request: Request, segments: dict[str, str]) -> Response:
    try:
        given = _arguments(endpoint, request, segments)
        key = request.headers.get("idempotency-key")
        if endpoint.idempotent and key is not None:
            return _once(endpoint, request, given, str(key))
        return _called(endpoint, request, given)
    except RequestError as error:
        return replies.refusal(request, error)
    except Retryable as error:
        request.context["error"] = error
        return replies.unavailable(request)


def _once(endpoint: Endpoint, request: Request, given: dict[str, Any], key: str) -> Response:
    """The answer to a request that bears an Idempotency-Key: the one its first sending got, if that got one."""
    said = f"{request.method} {replies.path_of(request)}\n".encode() + _raw(request)
    with idempotency.attempt(given["caller"], key, said, now=time.time()) as attempt:
        if attempt.answer:
            return replies.replayed(request, *attempt.answer)
        response = _called(endpoint, request, given | {"minted": attempt.minted})
        attempt.answer = response.status_code, str(response.body)
        return response


def _called(endpoint: Endpoint, request: Request, given: dict[str, Any]) -> Response:
    answer = endpoint.call(**{name: value for name, value in given.items() if name in endpoint.wants})
    if isinstance(answer, Html):
        return replies.page(request, answer.text, answer.policy)
    if isinstance(answer, Headed):
        return replies.answer(request, endpoint.status, answer.body, answer.headers)
    tag: replies.Headers = {"ETag": preconditions.tag(answer["version"])} if endpoint.versioned else {}
    return replies.answer(request, endpoint.status, answer, tag)


def _arguments(endpoint: Endpoint, request: Request, segments: dict[str, str]) -> dict[str, Any]:
    """What the function may get. The order is the order of trust: who, may they, how often, which, what."""
    arguments: dict[str, Any] = {}
    if endpoint.permission != "public":
        caller = _caller(request)
        telemetry.identify(org=caller.org, user=caller.user_id)
        if endpoint.permission not in {*caller.permissions, "authenticated"}:
            raise Forbidden("This action is unauthorized.")
        _count(endpoint, request, caller)
        arguments["caller"] = caller
    arguments |= {name: _segment(name, value) for name, value in segments.items()}
    arguments["query"] = _query(endpoint.query, request)
    arguments["if_match"] = preconditions.IfMatch(request.headers.get("if-match"))
    if endpoint.body:
        arguments["body"] = _body(endpoint.body, request)
    if endpoint.idempotent:
        arguments["minted"] = idempotency.fresh()
    return arguments


def _count(endpoint: Endpoint, request: Request, caller: access.Caller) -> None:
    """Count the request, and keep for its answer where the caller stands. Raises as rates.count."""
    if endpoint.limit == "public":
        return
    try:
        standing = rates.count(caller, endpoint.limit, now=time.time())
    except rates.Exceeded as exceeded:
        request.context["rate"] = exceeded.standing.headers()
        raise
    if standing:
        request.context["rate"] = standing.headers()


def _caller(request: Request) -> access.Caller:
    """Who asks: by the Authorization header, and only without one by the session's cookie.

    A browser adds cookies by itself, whoever wrote the page: changes by cookie have to prove where they come from.
    """
    now = datetime.now(UTC)
    cookie = logins.sent(request.headers.get("cookie"))
    if "authorization" in request.headers or cookie is None:
        return access.authenticate(_bearer(request), now=now)
    caller = logins.authenticate(cookie, now=now)
    if request.method != "GET":
        logins.prove(caller, request.headers)
    return caller


def _bearer(request: Request) -> str:
    scheme, _, token = str(request.headers.get("authorization", "")).partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("Unauthenticated.")
    return token.strip()


def _segment(name: str, value: str) -> str:
    """A segment named `..._id` must look like one: "jobs/stats" is never a job, and no odd id becomes a key."""
    if not name.endswith("_id"):
        return value
    found = value.lower()
    if not _UUID.match(found):
        raise NotFound(_absent(name))
    telemetry.identify(**{name.removesuffix("_id"): found})
    return found


def _absent(name: str) -> str:
    return _ABSENT.get(name, "Not found")


_ABSENT = {
    "profile_id": "Import profile not found",
    "job_id": "Import job not found",
    "record_id": "Record not found",
    "template_id": "Template not found",
}


def _query(model: type[Query], request: Request) -> Query:
    try:
        return model.model_validate(_sent(request))
    except ValidationError as error:
        raise invalid(messages.by_field(error.errors(include_url=False, include_input=False))) from None


def _sent(request: Request) -> dict[str, str | list[str]]:
    """The query's values by name; a list where a name comes twice or ends in brackets (`status[]=a`, `status[0]=a`)."""
    params = request.query_params or MultiDict({})
    values: dict[str, list[str]] = {}
    lists = set()
    for sent in params:
        name = _INDEX.sub("", sent)
        values.setdefault(name, []).extend(params.getlist(sent))
        if name != sent or len(values[name]) > 1:
            lists.add(name)
    return {name: found if name in lists else found[0] for name, found in values.items()}


def _body(model: type[Body], request: Request) -> Body:
    try:
        raw = _raw(request)
        if len(raw) > MAX_BODY_BYTES:
            raise TooLarge(f"The request body may not be larger than {MAX_BODY_BYTES} bytes.")
        if not isinstance(from_json(raw, allow_inf_nan=False), dict):
            raise ValueError("not an object")
        json.loads(raw, object_pairs_hook=_without_twins)
    except ValueError:  # malformed; jiter has also refused lone surrogates, NaN and nesting beyond 200 levels
        raise BadRequest("The request body must be a JSON object.", code="malformed_body") from None
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(messages.by_field(error.errors(include_url=False, include_input=False))) from None


def _raw(request: Request) -> bytes:
    """The body as it was sent; nothing is an empty object."""
    raw = request.raw_body or b"{}"
    return raw.encode() if isinstance(raw, str) else raw


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A field sent twice is refused: parsers disagree on which one counts."""
    whole = dict(pairs)
    if len(whole) != len(pairs):
        raise ValueError("duplicate field")
    return whole


def invalid(errors: dict[str, list[str]]) -> Invalid:
    """The refusal of fields, in the one sentence every such answer has."""
    return Invalid("Validation failed", errors=errors)


def translate(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Middleware: Chalice's own answers (405, crashed views) get our body, and every request its line in the log."""
    resource, _ = PATHS.get(request.path, ("elsewhere", ()))
    route = f"{request.method} {request.path}"
    with telemetry.invocation("resource", resource, request_id=replies.request_id(request), route=route) as outcome:
        response = get_response(request)
        if not isinstance(response.body, str):
            response = replies.chalices_own(request, response)
        response.headers |= request.context.get("rate", {})
        outcome |= {"status": response.status_code, "code": request.context.get("code")}
        if "error" in request.context:
            outcome |= telemetry.described(request.context["error"])
        telemetry.count(requests=1, failures=int(response.status_code >= 500))
    return response
