"""The OpenAPI document is whole: every route, parameter, field, header and code, from what runs; and it is valid."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
import schemathesis
from chalice.test import Client

from chalicelib import openapi, problems, rates, targets
from chalicelib.access import Permission
from chalicelib.paths import METHODS, PATHS
from chalicelib.requests import Endpoint, NoBody
from chalicelib.routes.openapi import document, endpoints
from tests.moto_cloud import cloud as cloud
from tests.openapi.conformance import check
from tests.routes.conftest import Api
from tests.routes.conftest import client as client

ROOT = Path(__file__).parents[2]
EACH = pytest.mark.parametrize("endpoint", endpoints(), ids=lambda one: f"{one.method} {one.path}")


def operation(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][endpoint.path][endpoint.method.lower()]
    return found


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(one)


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    """The members of an object's schema, through references and alternatives."""
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found = dict(schema.get("properties", {}))
    for one in [*schema.get("anyOf", ()), *schema.get("allOf", ())]:
        found |= properties(one)
    for one in (schema.get("items"), schema.get("additionalProperties")):
        found |= properties(one) if isinstance(one, dict) else {}
    return found


# --- whole


def test_every_path_and_method_of_the_map_is_there_and_no_other() -> None:
    described = {(method.upper(), path) for path, item in document()["paths"].items() for method in item}
    assert described == {(method, path) for path, (_, methods) in PATHS.items() for method in methods}


@EACH
def test_an_operation_says_what_it_is_and_needs(endpoint: Endpoint) -> None:
    found = operation(endpoint)
    assert found["summary"].endswith(".")
    assert found["x-permission"] == endpoint.permission
    assert found["x-permission"] in (*get_args(Permission), "authenticated", "public")
    assert found["x-rate-limit"] == endpoint.limit
    assert found["x-rate-limit"] in {*rates.A_MINUTE, "public"}
    assert found["security"] == ([] if endpoint.permission == "public" else [{one: []} for one in openapi.SECURITY])


@EACH
def test_every_parameter_is_there_with_its_limits(endpoint: Endpoint) -> None:
    given = operation(endpoint).get("parameters", [])
    names = Counter((one["in"], one["name"]) for one in given)
    assert set(names.values()) <= {1}
    segments = {("path", name) for name in re.findall(r"{(\w+)}", endpoint.path)}
    query = {("query", name) for name in endpoint.query.model_fields}
    headers = {("header", "If-Match")} if "if_match" in endpoint.wants else set()
    headers |= {("header", "Idempotency-Key")} if endpoint.idempotent else set()
    assert {*segments, *query, *headers} <= set(names)
    for one in given:
        if one["in"] == "query" and one["name"] in endpoint.query.model_fields:
            assert one["required"] == endpoint.query.model_fields[one["name"]].is_required()
            assert {"type": "null"} not in one["schema"].get("anyOf", [])


def shown(model: Any, schema: dict[str, Any], at: str = "") -> Iterator[str]:
    """Fields of a model that its schema lacks."""
    members = properties(schema)
    for name, info in model.model_fields.items():
        if name not in members:
            yield at + name
            continue
        inner = [one for one in (info.annotation, *_parts(info.annotation)) if hasattr(one, "model_fields")]
        for one in inner:
            yield from shown(one, members[name], f"{at}{name}.")


def _parts(annotation: Any) -> Iterator[Any]:
    for one in get_args(annotation):
        yield one
        yield from _parts(one)


def test_a_record_is_looked_up_by_every_unique_key_of_any_type() -> None:
    kinds = [targets.get(name) for name in targets.names()]
    unique = {key for kind in kinds for key in kind.UNIQUE_KEYS}
    assert unique
    asked = document()["paths"]["/api/records/{record_type}"]["get"]["parameters"]
    assert unique <= {one["name"] for one in asked if one["in"] == "query"}


@EACH
def test_every_field_of_a_body_is_there(endpoint: Endpoint) -> None:
    body = operation(endpoint).get("requestBody")
    if endpoint.body in (None, NoBody):
        assert body is None
        return
    schema = body["content"]["application/json"]["schema"]
    assert list(shown(endpoint.body, schema)) == []
    whole = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert whole.get("additionalProperties", True) is (endpoint.body.model_config.get("extra") == "allow")


@EACH
def test_every_answer_has_a_shape(endpoint: Endpoint) -> None:
    assert endpoint.answer is not None, f"{endpoint.method} {endpoint.path} has no answer="
    response = operation(endpoint)["responses"][str(endpoint.status)]
    (content,) = response["content"].values()
    assert content["schema"]
    assert "ETag" in response["headers"] or not endpoint.versioned


@EACH
def test_every_code_a_route_may_refuse_with_is_known(endpoint: Endpoint) -> None:
    codes = openapi.codes(endpoint)
    assert codes - problems.STATUS.keys() == set()
    listed = {
        code: int(status)
        for status, response in operation(endpoint)["responses"].items()
        for code in re.findall(r"`(\w+)`", response["description"])
    }
    assert listed == {code: problems.STATUS[code] for code in codes}


def registry() -> dict[str, int]:
    """Code -> status of the tables of docs/errors.md that speak of answers."""
    text = (ROOT / "docs" / "errors.md").read_text()
    answers, rest = text.split("## Answers of the API")[1].split("## A source that cannot be reached")
    found = {code: int(status) for code, status in re.findall(r"^\| `(\w+)` \| (\d+) \|", answers, re.MULTILINE)}
    unreachable = rest.split("\n## ")[0]
    return found | dict.fromkeys(re.findall(r"^\| `(\w+)` \|", unreachable, re.MULTILINE), 422)


def test_every_code_of_the_registry_of_errors_has_its_status() -> None:
    documented = registry()
    assert {code: problems.STATUS.get(code) for code in documented} == documented
    in_runs_only = set(problems.STATUS) - set(documented)
    text = (ROOT / "docs" / "errors.md").read_text()
    assert {code for code in in_runs_only if f"`{code}`" not in text} == set()
    assert in_runs_only <= set(problems.SOURCE)


# --- valid


def test_the_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(document()).validate()


def test_every_schema_is_valid_json_schema() -> None:
    for name, schema in document()["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"}), name
    for found in walk(document()["paths"]):
        if isinstance(found.get("schema"), dict):
            assert jsonschema_rs.meta.is_valid(
                found["schema"] | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
            )


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = {one["$ref"] for one in walk(document()) if "$ref" in one}
    there = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in document()["components"][kind]
    }
    assert used == there


def test_components_have_plain_names() -> None:
    assert [name for name in document()["components"]["schemas"] if not re.fullmatch(r"[A-Z]\w*(-\w+)?", name)] == []
    assert [name for name in document()["components"]["schemas"] if "__" in name] == []


def test_operation_ids_are_unique() -> None:
    ids = Counter(found["operationId"] for item in document()["paths"].values() for found in item.values())
    assert [one for one, times in ids.items() if times > 1] == []


def test_tags_are_declared() -> None:
    used = {tag for item in document()["paths"].values() for found in item.values() for tag in found["tags"]}
    assert used == {tag["name"] for tag in document()["tags"]}
    assert all(tag["description"].endswith(".") for tag in document()["tags"])


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "import hashlib, json; from chalicelib.routes.openapi import document; "
        "print(hashlib.sha256(json.dumps(document()).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_its_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert document()["info"]["version"] == project["version"]


# --- what no operation takes


@pytest.mark.parametrize("path", PATHS)
def test_methods_that_are_not_described_are_refused_with_those_that_are(client: Client, path: str) -> None:
    _, methods = PATHS[path]
    asked = re.sub(r"{\w+_id}", "0" * 8 + "-0000-4000-8000-" + "0" * 12, path).replace("{record_type}", "tickets")
    for method in sorted({*METHODS} - {*methods, "OPTIONS"}):  # Chalice's own gateway answers OPTIONS by itself
        answer = Api(client, None).request(method, asked)
        allowed = answer.headers["Allow"].split(", ")
        assert (answer.status_code, allowed) == (405, list(methods)), method
        assert answer.json_body["code"] == "method_not_allowed"


# --- what validators let through


def validators(schema: Any) -> Iterator[Any]:
    """The functions in a model's core schema, but those that look at several fields."""
    if isinstance(schema, dict):
        if str(schema.get("type", "")).startswith("function-") and not hasattr(
            schema["function"]["function"], "__self__"
        ):
            yield schema["function"]["function"]
        for one in schema.values():
            yield from validators(one)
    elif isinstance(schema, list | tuple):
        for one in schema:
            yield from validators(one)


@EACH
def test_every_validator_of_ours_says_what_it_lets_through(endpoint: Endpoint) -> None:
    models = [endpoint.query, *([endpoint.body] if endpoint.body else [])]
    found = [one for model in models for one in validators(model.__pydantic_core_schema__)]
    ours = {one for one in found if one.__module__.startswith("chalicelib")}
    silent = {f"{one.__module__}.{one.__name__}" for one in ours if not hasattr(one, "json_schema")}
    assert silent == set(), "mark them with messages.described(...)"


# --- served


def test_it_is_served_without_a_token(client: Client) -> None:
    answer = Api(client, None).get("/api/openapi.json")
    assert answer.status_code == 200
    assert answer.json_body == json.loads(json.dumps(document()))
    assert len(answer.body) < 3_000_000, "Lambda answers at most 6 MB, escaped"


def test_asking_for_the_application_makes_no_document() -> None:
    code = "import sys, app; print('chalicelib.openapi' in sys.modules, 'pydantic' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


# --- the tests' own measure


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (202, {}, b"{}", "which is not documented"),
        (200, {"X-Request-Id": ""}, b"{}", "without Cache-Control"),
        (200, {"X-Odd": "1"}, b"{}", "headers that are not documented"),
        (200, {"Content-Type": "text/plain"}, b"{}", "as text/plain"),
        (200, {}, b"{}", "not as documented"),
        (200, {}, b'{"status": "ok", "more": 1}', "not as documented"),
    ],
)
def test_answers_that_differ_from_the_document_are_noticed(
    status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    good = {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Request-Id": "r"}
    check("GET", "/api/health", 200, good, b'{"status": "ok"}')
    given = headers if "X-Request-Id" in headers else good | headers
    with pytest.raises(AssertionError, match=said):
        check("GET", "/api/health", status, given, body)
