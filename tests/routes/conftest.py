"""The API through Chalice's own router, on AWS in process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from chalice.test import Client, HTTPResponse

from chalicelib import access
from tests.moto_cloud import cloud
from tests.openapi import conformance

__all__ = ["cloud"]


@dataclass
class Api:
    """Requests as one user. `get(path, page=2)`; a body that is bytes goes out as it is.

    Every answer is held to the OpenAPI document, so whatever a test is answered has to be documented.
    """

    client: Client
    token: str | None
    org: str = ""
    user: str = ""

    def get(self, path: str, **query: Any) -> HTTPResponse:
        return self.request("GET", path + ("?" + urlencode(query, doseq=True) if query else ""))

    def post(self, path: str, body: Any = None) -> HTTPResponse:
        return self.request("POST", path, body)

    def put(self, path: str, body: Any = None) -> HTTPResponse:
        return self.request("PUT", path, body)

    def delete(self, path: str, body: Any = None) -> HTTPResponse:
        return self.request("DELETE", path, body)

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> HTTPResponse:
        sent = {"Content-Type": "application/json", "Content-Length": "0"}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.client.http.request(method, path, headers=sent | (headers or {}), body=raw)
        conformance.check(method, path, answer.status_code, answer.headers, answer.body)
        return answer

    def profile(self, **fields: Any) -> dict[str, Any]:
        """A saved profile."""
        answer = self.post("/api/import/profiles", profile_body(**fields))
        assert answer.status_code == 201, answer.body
        saved: dict[str, Any] = answer.json_body["profile"]
        return saved


def profile_body(**fields: Any) -> dict[str, Any]:
    """The body that saves a profile, as the reference shows it; None leaves a field out."""
    body = {
        "name": "Production Database",
        "database_type": "postgresql",
        "host": "database.example.com",
        "port": 5432,
        "database": "production_db",
        "username": "db_user",
        "password": "canary-5f2c-password",
        "ssl_mode": "prefer",
        "description": "Production database import connection",
        "notes": "Main production system",
    }
    return {name: value for name, value in (body | fields).items() if value is not None}


@pytest.fixture(scope="module")
def client(cloud: None) -> Client:
    from app import app

    return Client(app)


@pytest.fixture
def api(client: Client) -> Api:
    """As the admin of an organisation."""
    return organisation(client, "Acme", "Admin User")


@pytest.fixture
def stranger(client: Client) -> Api:
    """As the admin of another organisation."""
    return organisation(client, "Globex", "Mallory")


def organisation(client: Client, name: str, admin: str) -> Api:
    made = access.bootstrap(name, admin, "admin@example.com")
    return Api(client, made["token"], made["org"], made["user"])
