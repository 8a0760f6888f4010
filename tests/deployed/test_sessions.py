"""The web session through gateway and front, as a browser has it: two cookies, a CSRF token, limits in headers."""

from __future__ import annotations

import http.client
import json
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import pytest

from chalicelib import access
from infra.local.stack import Stack


@pytest.fixture(scope="module")
def token(deployed: Stack, in_process: None) -> str:
    return access.bootstrap("Acme", "Ada", "ada@example.com")["token"]


def ask(
    deployed: Stack, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, Any]:
    connection = http.client.HTTPConnection(urlsplit(deployed.endpoint).netloc, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())


@pytest.mark.accepts("SV-001")
def test_a_browser_signs_in_asks_and_signs_out(deployed: Stack, token: str) -> None:
    status, headers, body = ask(deployed, "POST", "/api/session", Authorization=f"Bearer {token}")
    assert status == 201
    cookies = [SimpleCookie(line) for line in headers.get_all("Set-Cookie") or []]
    assert [list(cookie) for cookie in cookies] == [["laravel_session"], ["XSRF-TOKEN"]]
    session, xsrf = cookies[0]["laravel_session"], cookies[1]["XSRF-TOKEN"]
    assert (session["httponly"], session["samesite"], session["path"], session["secure"]) == (True, "Lax", "/", "")
    assert xsrf.value == body["csrf_token"]
    cookie = f"laravel_session={session.value}; XSRF-TOKEN={xsrf.value}"
    status, headers, body = ask(deployed, "GET", "/api/import/profiles", Cookie=cookie)
    assert (status, body["data"]) == (200, [])
    assert headers["RateLimit-Limit"] == "6000"
    assert int(headers["RateLimit-Remaining"]) < 6000
    status, _, body = ask(deployed, "DELETE", "/api/session", Cookie=cookie)
    assert (status, body["code"]) == (403, "csrf_mismatch")
    status, headers, _ = ask(deployed, "DELETE", "/api/session", Cookie=cookie, X_XSRF_TOKEN=xsrf.value)
    assert status == 200
    assert len(headers.get_all("Set-Cookie") or []) == 2
    assert ask(deployed, "GET", "/api/import/profiles", Cookie=cookie)[0] == 401


def test_a_request_is_done_once_through_the_gateway(deployed: Stack, token: str) -> None:
    """The key comes through, and so does the header that says it was answered before."""
    profile = {"name": "P", "database_type": "postgresql", "host": "db.example.com", "port": 5432}
    body = json.dumps(profile | {"database": "d", "username": "u", "password": "p"})
    named = {"Authorization": f"Bearer {token}", "Idempotency_Key": "k", "Content_Type": "application/json"}
    first, again = (ask(deployed, "POST", "/api/import/profiles", body, **named) for _ in range(2))
    assert (first[0], again[0], again[2]) == (201, 201, first[2])
    assert (first[1]["Idempotency-Replayed"], again[1]["Idempotency-Replayed"]) == (None, "true")
    assert len(ask(deployed, "GET", "/api/import/profiles", Authorization=f"Bearer {token}")[2]["data"]) == 1
