"""What every route has in common, asked of all of them or of one that stands for all."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chalice.app import Request
from chalice.test import Client

from chalicelib import access, replies, requests, settings
from chalicelib.paths import ELSEWHERE, METHODS
from chalicelib.requests import Endpoint, Routes
from tests.routes import matrix
from tests.routes.conftest import Api, profile_body

PROFILES = "/api/import/profiles"
MEMBERS = {"message", "code", "request_id", "type", "title", "status", "detail", "instance"}

ENDPOINTS = matrix.routes()
ROUTES = [(endpoint.method, endpoint.path, endpoint.permission) for endpoint in ENDPOINTS]
GUARDED = [(method, path) for method, path, permission in ROUTES if permission != "public"]


def fill(path: str) -> str:
    return re.sub(r"{\w+_id}", str(uuid.uuid4()), path).replace("{record_type}", "tickets")


def test_every_route_of_the_application_was_declared_with_a_permission() -> None:
    from app import app

    served = {(method, path) for path, methods in app.routes.items() for method in methods if path != ELSEWHERE}
    assert served == {(method, path) for method, path, _ in ROUTES}
    public = {path for _, path, permission in ROUTES if permission == "public"}
    assert public == {"/api/health", "/api/openapi.json", "/api/docs"}


def test_a_route_without_a_permission_cannot_be_written() -> None:
    routes = Routes()
    with pytest.raises(TypeError):
        routes.on("GET", "/api/x")  # type: ignore[call-arg]
    assert routes.endpoints == {}


def test_a_function_that_does_not_fit_its_path_cannot_be_declared() -> None:
    routes = Routes()

    def show(profile_id: str) -> dict[str, Any]:
        return {"id": profile_id}

    with pytest.raises(TypeError, match="does not fit"):
        routes.on("GET", "/api/x/{job_id}", permission="system.import", limit="monitoring")(show)

    def mine(caller: access.Caller) -> dict[str, Any]:
        return {"org": caller.org}

    with pytest.raises(TypeError, match="does not fit"):
        routes.on("GET", "/api/x", permission="public", limit="public")(mine)


@pytest.mark.accepts("SV-144")
def test_health_needs_no_token(client: Client) -> None:
    answer = Api(client, None).get("/api/health")
    assert (answer.status_code, answer.json_body) == (200, {"status": "ok"})
    assert answer.headers["X-Request-Id"]


@pytest.mark.accepts("SV-147")
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_token_is_401_on_every_route(client: Client, method: str, path: str) -> None:
    answer = Api(client, None).request(method, fill(path))
    assert answer.status_code == 401
    assert answer.json_body["message"] == "Unauthenticated."
    assert answer.json_body["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic d2hm",
        "Bearer whf_x",
        "Bearer whf_" + "a" * 43,
        "bearer\twhf_",
        "whf_" + "a" * 43,
    ],
)
@pytest.mark.accepts("SV-147")
def test_bad_tokens_are_401(client: Client, header: str) -> None:
    answer = Api(client, None).request("GET", PROFILES, headers={"Authorization": header})
    assert answer.status_code == 401


@pytest.mark.accepts("SV-147")
def test_expired_and_revoked_tokens_are_401(api: Api) -> None:
    expired = access.issue_token(api.org, api.user, "old", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert Api(api.client, expired).get(PROFILES).status_code == 401
    assert api.get(PROFILES).status_code == 200
    access.revoke_token(api.token or "")
    assert api.get(PROFILES).status_code == 401


@pytest.mark.accepts("SV-148")
@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path, needed in ROUTES if needed not in ("public", "authenticated")]
)
def test_a_user_without_the_permission_is_403_on_every_route(api: Api, method: str, path: str) -> None:
    user = access.create_user(api.org, "Bo", "bo@example.com", "USER")
    answer = Api(api.client, access.issue_token(api.org, user["id"], "t")).request(method, fill(path))
    assert answer.status_code == 403
    assert answer.json_body["message"] == "This action is unauthorized."


@pytest.mark.accepts("SV-148")
def test_a_token_narrowed_to_other_scopes_is_403(api: Api) -> None:
    token = access.issue_token(api.org, api.user, "t", scopes=["pages.import.manage"])
    assert Api(api.client, token).get(PROFILES).status_code == 403


@pytest.mark.accepts("SV-149")
@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if "_id}" in one.path], ids=matrix.name)
def test_absent_ids_are_404_whatever_their_shape(api: Api, endpoint: Endpoint) -> None:
    ids, method = matrix.absent(), endpoint.method
    body = None if method == "GET" else matrix.body(endpoint, ids)
    answers = [
        api.request(method, re.sub(r"{\w+_id}", found, endpoint.path).replace("{record_type}", "tickets"), body)
        for found in (ids["job_id"], "statistics", "1", "PROFILE%23x", "null")
    ]
    if method == "GET" or "_id}/" in endpoint.path:  # a literal sibling may answer 405
        assert [answer.status_code for answer in answers] == [404] * 5
    assert answers[0].status_code == 404
    assert answers[0].json_body["message"].endswith(" not found")
    assert set(answers[0].json_body) == MEMBERS


@pytest.mark.accepts("SV-146")
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "a", "name": "b"}',
        b'{"name": {"x": 1, "x": 2}}',
        b'{"name": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"port": ' + b"9" * 10_000 + b"}",
    ],
    ids=range(13),
)
def test_a_malformed_body_is_400(api: Api, body: bytes) -> None:
    answer = api.request("POST", PROFILES, body)
    assert answer.status_code == 400
    assert answer.json_body["code"] == "malformed_body"
    assert answer.json_body["message"] == "The request body must be a JSON object."


def test_a_large_body_is_413_before_it_is_parsed(api: Api) -> None:
    answer = api.request("POST", PROFILES, b"{" * (requests.MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert answer.json_body["code"] == "too_large"


@pytest.mark.accepts("SV-150", "SV-152")
def test_errors_have_one_body_for_both_kinds_of_reader(api: Api) -> None:
    answer = api.post(PROFILES, profile_body(host=None, port=70000))
    assert answer.status_code == 422
    body = answer.json_body
    assert body["message"] == "Validation failed"
    assert body["errors"] == {
        "host": ["The host field is required."],
        "port": ["The port must be between 1 and 65535."],
    }
    assert set(body) == MEMBERS | {"errors"}
    assert (body["status"], body["title"], body["code"]) == (422, "Unprocessable Content", "validation_failed")
    assert body["type"] == "urn:wharf:error:validation_failed"
    assert body["detail"] == "The host field is required."
    assert body["instance"] == PROFILES
    assert body["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "field", ["org", "org_id", "tenant", "id", "created_by", "template_id", "version", "last_test_result", "source_id"]
)
def test_fields_that_are_unknown_or_the_servers_own_are_refused(api: Api, field: str) -> None:
    answer = api.post(PROFILES, profile_body(**{field: "x"}))
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {field: [f"The {field} field is not known."]}


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.permission != "public"], ids=matrix.name)
def test_every_route_refuses_what_it_does_not_know(api: Api, endpoint: Endpoint) -> None:
    """In the query and in the body. Records are the exception: their types say what fields and keys they have."""
    path = endpoint.path.format(**matrix.absent())
    if endpoint.path != "/api/records/{record_type}":
        answer = api.request(endpoint.method, f"{path}?no_such=1", None)
        assert (answer.status_code, answer.json_body["code"]) == (422, "validation_failed")
        assert answer.json_body["errors"]["no_such"] == ["The no_such field is not known."]
    if endpoint.method not in ("GET", "PATCH"):
        body = matrix.body(endpoint, matrix.absent()) or {}
        answer = api.request(endpoint.method, path, body | {"no_such": 1})
        assert (answer.status_code, answer.json_body["code"]) == (422, "validation_failed")
        assert answer.json_body["errors"] == {"no_such": ["The no_such field is not known."]}


def test_a_body_where_none_is_taken_is_refused(api: Api) -> None:
    answer = api.delete(f"{PROFILES}/{api.profile()['id']}", {"force": True})
    assert answer.status_code == 422
    assert list(answer.json_body["errors"]) == ["force"]


def test_a_misspelt_filter_does_not_answer_with_everything(api: Api) -> None:
    answer = api.get(PROFILES, databse_type="postgresql")
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"databse_type": ["The databse_type field is not known."]}


def test_a_hostile_number_of_errors_is_cut(api: Api) -> None:
    answer = api.post(PROFILES, {f"field{index}": 1 for index in range(5000)})
    assert answer.status_code == 422
    assert len(answer.json_body["errors"]) == 50


@pytest.mark.accepts("SV-151")
def test_a_crash_is_500_and_tells_nothing_but_its_id(
    api: Api, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = settings.get()
    monkeypatch.setattr(settings, "get", lambda: replace(found, state_table="gone"))
    capfd.readouterr()
    answer = api.get(PROFILES)
    assert answer.status_code == 500
    assert set(answer.json_body) == MEMBERS
    crash, request = map(json.loads, capfd.readouterr().err.splitlines())
    assert (crash["level"], crash["error"], request["status"]) == ("ERROR", "ResourceNotFoundException", 500)
    assert any(re.match(r"chalicelib/dynamo\.py:\d+ call", frame) for frame in crash["stack"])
    assert {line["request_id"] for line in (crash, request)} == {answer.headers["X-Request-Id"]}
    assert answer.json_body["message"] == "Internal server error"
    assert answer.json_body["code"] == "internal"
    assert answer.json_body["request_id"] == answer.headers["X-Request-Id"]
    assert not re.search(rb"Resource|Dynamo|boto|Traceback|gone", answer.body)


def test_a_wrong_method_is_405_in_our_words(api: Api) -> None:
    answer = api.request("PATCH", PROFILES)
    assert answer.status_code == 405
    assert answer.json_body["code"] == "method_not_allowed"
    assert set(answer.json_body) == MEMBERS
    assert answer.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("method", METHODS)
def test_a_path_there_is_not_is_404_in_our_words(client: Client, method: str) -> None:
    answer = Api(client, None).request(method, "/api/no-such-thing")
    assert (answer.status_code, answer.json_body["code"]) == (404, "not_found")
    assert set(answer.json_body) == MEMBERS


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/api/health", "GET"),
        ("PATCH", "/api/import/profiles/x", "DELETE, GET, PUT"),
        ("GET", "/api/import/profiles/test-connection", "POST"),
        ("GET", "/api/import/profiles/", None),
        ("GET", "/api/import/profiles", None),
        ("GET", "/api/import", None),
        ("GET", "/api/health/x/y", None),
    ],
)
def test_what_no_route_takes_is_405_with_allow_or_404(method: str, path: str, allow: str | None) -> None:
    request = Request({"requestContext": {"httpMethod": method, "resourcePath": ELSEWHERE, "path": f"/v1{path}",
                       "stage": "v1"}, "headers": {}, "multiValueQueryStringParameters": None, "pathParameters": None,
                       "body": "", "stageVariables": None, "isBase64Encoded": False})  # fmt: skip
    answer = replies.nowhere(request)
    assert answer.status_code == (405 if allow else 404)
    assert answer.headers.get("Allow") == allow
    assert json.loads(answer.body)["instance"] == path


def test_every_request_leaves_one_line_without_secrets(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    answer = api.post(PROFILES, profile_body())
    out, err = capfd.readouterr()
    line = json.loads(err)
    assert (line["route"], line["status"]) == (f"POST {PROFILES}", 201)
    assert (line["org"], line["user"]) == (api.org, api.user)
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert "canary" not in out + err
    assert (api.token or "?") not in out + err
