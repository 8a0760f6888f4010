"""Holds answers to the OpenAPI document: status, media type, headers and body of whatever a test was answered.

The tests' `Api` asks for it after each of their requests, so every test of a route is a test of the document as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from chalicelib.paths import PATHS
from chalicelib.routes.openapi import document

_SEGMENT = re.compile(r"{\w+}")

JsonSchema = dict[str, Any]


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Nothing when the answer is as documented, an AssertionError that says where it is not otherwise."""
    place = place_of(method, path.partition("?")[0])
    if place is None:
        assert status in (404, 405), f"{method} {path} is no operation and was answered {status}"
        return problem(json.loads(body))
    responses = operation(*place)["responses"]
    said = f"{method} {place[0]} answered {status}"
    assert str(status) in responses, f"{said}, which is not documented: {body[:500]!r}"
    response = responses[str(status)]
    given = {name.lower(): value for name, value in headers.items()}
    for name in response["headers"]:
        schema = document()["components"]["headers"][name]
        assert name.lower() in given or not schema.get("required"), f"{said} without {name}"
        valid = name.lower() not in given or jsonschema_rs.is_valid(schema["schema"], given[name.lower()])
        assert valid, f"{said} with {name}: {given[name.lower()]}"
    unknown = given.keys() - {name.lower() for name in response["headers"]} - {"content-type", *SAFE}
    assert not unknown, f"{said} with headers that are not documented: {sorted(unknown)}"
    ((media, content),) = response["content"].items()
    assert given["content-type"] == media, f"{said} as {given['content-type']}"
    if media == "application/json":
        errors = list(validator(*place, str(status)).iter_errors(json.loads(body)))
        found = "; ".join(f"{'.'.join(map(str, one.instance_path))}: {one.message[:300]}" for one in errors[:5])
        assert not errors, f"{said}, and not as documented: {found}"
    else:
        assert isinstance(content["schema"], dict)
    return None


SAFE = ("content-security-policy", "referrer-policy", "x-content-type-options", "content-length")
"""Headers that tell the browser what not to do; nobody programs against them."""


def problem(body: Any) -> None:
    """An answer to what is no operation still has the body of all refusals."""
    errors = list(_validator({"$ref": "#/components/schemas/Problem"}).iter_errors(body))
    assert not errors, f"not a Problem: {errors[0].message}"


def place_of(method: str, path: str) -> tuple[str, str] | None:
    """The document's path and method that a request is for, as the router finds it: literal segments win."""
    for template in sorted(PATHS, key=lambda one: one.count("{")):
        if re.fullmatch(_SEGMENT.sub("[^/]+", template), path):
            return (template, method.lower()) if method in PATHS[template][1] else None
    return None


def operation(path: str, method: str) -> dict[str, Any]:
    """An operation of the document."""
    found: dict[str, Any] = document()["paths"][path][method]
    return found


@cache
def validator(path: str, method: str, status: str) -> Any:
    """What an answer's body is held to."""
    return _validator(operation(path, method)["responses"][status]["content"]["application/json"]["schema"])


def _validator(schema: JsonSchema) -> Any:
    return jsonschema_rs.Draft202012Validator({"allOf": [schema], "components": document()["components"]})
