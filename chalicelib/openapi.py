"""The API in the words of OpenAPI 3.1, made from what the routes declare, so that it cannot say anything else.

In: the declared endpoints. Out: the document, the same for the same code. Where its words come from: summaries and
descriptions are docstrings (`field: text` in a model's docstring describes the field), limits are those of the pydantic
models, statuses follow from what a route takes and from what it says it refuses.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from chalicelib import problems
from chalicelib.requests import Endpoint, Headed, Html, NoBody

VERSION = "0.1.0"
"""Of the API, as pyproject.toml has it."""

Json = dict[str, Any]
Place = tuple[str, str, str]
"""Method, path, and which of its models: "query", "body" or "answer"."""

_SEGMENT = re.compile(r"{(\w+)}")
_MARK = re.compile(r"(?:^|(?<=[.:;!)\"`] ))((?:\w+, )*\w+): ")
_INTRODUCTION = """Import any PostgreSQL database into one record store.

Send `Authorization: Bearer whf_...`. Every refusal is a `Problem`: `code` is a stable word for programs, `message` and
`errors` are for people. Unknown fields and parameters are refused. Every operation says the permission it needs
(`x-permission`) and the class its requests are counted in (`x-rate-limit`)."""


def document(endpoints: Iterable[Endpoint]) -> Json:
    """The whole document: info, tags, paths in the given order, components, each schema once."""
    declared = list(endpoints)
    schemas, components = _schemas(declared)
    paths: Json = {}
    for endpoint in declared:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    made = {
        "openapi": "3.1.0",
        "info": {"title": "Wharf", "version": VERSION, "description": _INTRODUCTION},
        "servers": [{"url": "..", "description": "Where this document came from, the stage's name included"}],
        "tags": [{"name": name, "description": text} for name, text in _tags(declared).items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": HEADERS,
            "securitySchemes": SECURITY,
        },
    }
    return _renamed(made, components)


HEADERS: Json = {
    "X-Request-Id": {
        "description": "The request's id: in the log, and in a support ticket.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Cache-Control": {
        "description": "Answers are not for caches.",
        "required": True,
        "schema": {"enum": ["no-store", "no-cache"]},
    },
    "ETag": {
        "description": "The version of what is shown, for If-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": r'^"\d+"$'},
    },
    "Set-Cookie": {
        "description": "The session (HttpOnly) and its CSRF token (XSRF-TOKEN), each in a header of its own.",
        "required": True,
        "schema": {},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^\d+$"},
    },
    "WWW-Authenticate": {
        "description": "How to say who you are.",
        "required": True,
        "schema": {"const": "Bearer"},
    },
    "Idempotency-Replayed": {
        "description": "There when an earlier sending of the request was answered like this.",
        "required": False,
        "schema": {"const": "true"},
    },
    "RateLimit-Limit": {
        "description": "Requests of this kind you may send in a minute. Absent where they could not be counted.",
        "schema": {"type": "string", "pattern": r"^\d+$"},
    },
    "RateLimit-Remaining": {
        "description": "How many of them are left.",
        "schema": {"type": "string", "pattern": r"^\d+$"},
    },
    "RateLimit-Reset": {
        "description": "Seconds until they can all be sent again.",
        "schema": {"type": "string", "pattern": r"^\d+$"},
    },
    "RateLimit-Policy": {
        "description": "The limit and its window in seconds.",
        "schema": {"type": "string", "pattern": r"^\d+;w=\d+$"},
    },
}

SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API token: `whf_` and 43 more characters."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "laravel_session",
        "description": "A web session, see POST /api/session. Changes need its CSRF token in X-CSRF-Token as well.",
    },
}

IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "description": "The version that was seen: the ETag of an answer, several with commas, or `*` for whatever stands.",
    "schema": {"type": "string"},
    "example": '"1"',
}


IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request under the same key is done once in 24 hours, however often it is sent.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "7f1a7c0e-7f0b-4c57-9a38-3b5b0f6f2d11",
}


def codes(endpoint: Endpoint) -> set[str]:
    """Every code the endpoint may refuse with: those that come with what it takes, and its own."""
    found = {"validation_failed", "internal", "unavailable", *endpoint.refuses}
    if endpoint.permission != "public":
        found |= {"unauthenticated", "forbidden", "rate_limited"}
        found |= {"csrf_mismatch"} if endpoint.method != "GET" else set()
    if "{" in endpoint.path:
        found |= {"not_found"}
    if endpoint.body:
        found |= {"malformed_body", "too_large"}
    if "if_match" in endpoint.wants:
        found |= {"malformed_if_match", "stale_version"}
    if endpoint.idempotent:
        found |= {"malformed_idempotency_key", "idempotency_in_flight", "idempotency_key_reused"}
    return found


def _operation(endpoint: Endpoint, schemas: dict[Place, Json]) -> Json:
    summary, description = _sentence_and_rest(inspect.getdoc(endpoint.call) or "")
    public = endpoint.permission == "public"
    operation: Json = {
        "operationId": getattr(endpoint.call, "__name__", ""),
        "tags": [_resource(endpoint)],
        "summary": summary,
        "description": description,
        "x-permission": endpoint.permission,
        "x-rate-limit": endpoint.limit,
        "security": [] if public else [{name: []} for name in SECURITY],
        "parameters": [*_segments(endpoint), *_query(endpoint, schemas), *_headers(endpoint)],
    }
    body = schemas.get((endpoint.method, endpoint.path, "body"))
    if body:
        required = bool(endpoint.body and any(one.is_required() for one in endpoint.body.model_fields.values()))
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
    operation["responses"] = _responses(endpoint, schemas)
    return {name: value for name, value in operation.items() if value or name == "security"}


def _sentence_and_rest(text: str) -> tuple[str, str]:
    first, _, rest = " ".join(text.split()).partition(". ")
    return first.removesuffix(".") + ".", rest


def _segments(endpoint: Endpoint) -> Iterator[Json]:
    for name in _SEGMENT.findall(endpoint.path):
        kind = {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": kind}


def _query(endpoint: Endpoint, schemas: dict[Place, Json]) -> Iterator[Json]:
    """A parameter for each field of the query; null, the absent one, cannot be sent."""
    model = schemas[endpoint.method, endpoint.path, "query"]
    for name, schema in model.get("properties", {}).items():
        kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            schema = kinds[0] | {word: value for word, value in schema.items() if word not in ("anyOf", "default")}
        described = {"description": schema["description"]} if "description" in schema else {}
        kind = {word: value for word, value in schema.items() if word != "description"}
        yield {"name": name, "in": "query", "required": name in model.get("required", ()), **described, "schema": kind}


def _headers(endpoint: Endpoint) -> Iterator[Json]:
    if "if_match" in endpoint.wants:
        yield IF_MATCH | {"required": "precondition_required" in endpoint.refuses}
    if endpoint.idempotent:
        yield IDEMPOTENCY_KEY


def _responses(endpoint: Endpoint, schemas: dict[Place, Json]) -> Json:
    media = "text/html; charset=utf-8" if endpoint.answer is Html else "application/json"
    shape = (
        {"type": "string"} if endpoint.answer is Html else schemas.get((endpoint.method, endpoint.path, "answer"), {})
    )
    headers = [*_with_all(endpoint, endpoint.status), *(["ETag"] if endpoint.versioned else [])]
    headers += ["Idempotency-Replayed"] if endpoint.idempotent else []
    headers += ["Set-Cookie"] if get_type_hints(endpoint.call).get("return") is Headed else []
    title = HTTPStatus(endpoint.status).phrase
    answers: Json = {
        str(endpoint.status): {"description": title, "headers": _named(headers), "content": {media: {"schema": shape}}}
    }
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes(endpoint)):
        by_status.setdefault(problems.STATUS[code], []).append(code)
    for status, words in sorted(by_status.items()):
        answers[str(status)] = _refusal(endpoint, status, words)
    return answers


def _with_all(endpoint: Endpoint, status: int) -> list[str]:
    """The headers that come with every answer; who is not let in is not counted."""
    counted = endpoint.limit != "public" and status != 401
    return ["X-Request-Id", "Cache-Control", *([name for name in HEADERS if "RateLimit" in name] if counted else [])]


def _refusal(endpoint: Endpoint, status: int, words: list[str]) -> Json:
    headers = _with_all(endpoint, status)
    headers += {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    schema = {"allOf": [_PROBLEM, {"properties": {"code": {"enum": words}, "status": {"const": status}}}]}
    return {
        "description": ", ".join(f"`{word}`" for word in words),
        "headers": _named(headers),
        "content": {"application/json": {"schema": schema}},
    }


_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def _named(headers: list[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _tags(endpoints: list[Endpoint]) -> dict[str, str]:
    """Each resource with the first sentence of its file."""
    found = {}
    for endpoint in endpoints:
        text, _ = _sentence_and_rest(sys.modules[endpoint.call.__module__].__doc__ or "")
        found[_resource(endpoint)] = text
    return found


def _resource(endpoint: Endpoint) -> str:
    return endpoint.call.__module__.rpartition(".")[2].replace("_", " ")


# --- schemas


def _schemas(endpoints: list[Endpoint]) -> tuple[dict[Place, Json], Json]:
    """The schema of each model of each endpoint, and the components they refer to."""
    inputs: list[tuple[Any, Any, TypeAdapter[Any]]] = [("problem", "serialization", TypeAdapter(problems.Problem))]
    for endpoint in endpoints:
        place = endpoint.method, endpoint.path
        if endpoint.body not in (None, NoBody):
            inputs.append(((*place, "body"), "validation", TypeAdapter(endpoint.body)))
        if endpoint.answer not in (None, Html):
            inputs.append(((*place, "answer"), "serialization", TypeAdapter(endpoint.answer)))
        inputs.append(((*place, "query"), "validation", TypeAdapter(endpoint.query)))
    found, defined = TypeAdapter.json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=Words
    )
    schemas, components = {place: schema for (place, _), schema in found.items()}, defined["$defs"]
    queries = {place: schema["$ref"].rpartition("/")[2] for place, schema in schemas.items() if place[-1] == "query"}
    schemas |= {place: components[name] for place, name in queries.items()}  # parameters: no one refers to the model
    return schemas, {name: schema for name, schema in components.items() if name not in queries.values()}


class Words(GenerateJsonSchema):
    """JSON Schema with what our validators let through, descriptions out of docstrings, and no titles."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 -- the name says it
        """Never: a title would only repeat the field's name."""
        return False

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        """What is validated, narrowed by what the validator says of itself."""
        return _narrowed(super().function_after_schema(schema), schema["function"]["function"])

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """What is validated, narrowed by what the validator says of itself."""
        return _narrowed(super().function_before_schema(schema), schema["function"]["function"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """A request's model."""
        return _told(super().model_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        """An answer's shape; it has no other members, unless it says so."""
        return {"additionalProperties": False} | _told(super().typed_dict_schema(schema), schema.get("cls"))


def _narrowed(schema: Json, validator: Any) -> Json:
    """The schema with a validator's own keywords; where both have a pattern, both have to hold."""
    keywords: Json = getattr(validator, "json_schema", {})
    if "pattern" in schema and "pattern" in keywords:
        return {"allOf": [schema, keywords]}
    return schema | keywords


def _told(schema: Json, cls: Any) -> Json:
    """The schema with its class's docstrings: `name: text` describes a field, what comes before describes the whole."""
    schema = {word: value for word, value in schema.items() if word not in ("title", "description")}
    properties = schema.get("properties", {})
    head = ""
    for one in reversed(list(_family(cls))):
        text = " ".join((vars(one).get("__doc__") or "").split())
        marks = [mark for mark in _MARK.finditer(text) if set(mark[1].split(", ")) <= properties.keys()]
        head = text[: marks[0].start()].strip() if marks else text
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        for mark, end in zip(marks, ends, strict=False):
            for name in mark[1].split(", "):
                properties[name] = properties[name] | {"description": text[mark.end() : end].strip()}
    return schema | ({"description": head} if head else {})


def _family(cls: Any) -> Iterator[Any]:
    """The class and what it is made of, of ours. A TypedDict's bases are kept beside it."""
    if not str(getattr(cls, "__module__", "")).startswith("chalicelib"):
        return
    yield cls
    for other in getattr(cls, "__orig_bases__", None) or cls.__bases__:
        yield from _family(other)


def _renamed(made: Json, components: Json) -> Json:
    """The document with short names: pydantic writes out the module where two classes have one name."""
    names = {
        long: "".join(part.capitalize() if part.islower() else part for part in long.split("__")[-2:])
        for long in components
        if "__" in long
    }

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            names.get(key, key): f"#/components/schemas/{names.get(one.rpartition('/')[2], one.rpartition('/')[2])}"
            if key == "$ref" and "/schemas/" in one
            else walk(one)
            for key, one in value.items()
        }

    return dict(walk(made))
