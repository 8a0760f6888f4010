"""Connection tests and schemas: servers that refuse, are silent, are not there, and a real one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from chalicelib import profiles
from tests.routes.conftest import Api, profile_body

TEST = "/api/import/profiles/test-connection"
CONNECTION = ("database_type", "host", "port", "database", "username", "password", "ssl_mode")


def connection_body(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in profile_body(**fields).items() if name in CONNECTION}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.mark.accepts("SV-045", "SV-047")
def test_a_refused_connection_is_an_answer_not_an_error(api: Api) -> None:
    answer = api.post(TEST, connection_body(host="127.0.0.1", port=free_port()))
    assert answer.status_code == 200
    test = answer.json_body["connection_test"]
    assert set(answer.json_body) == {"connection_test"}
    assert set(test) == {"success", "message", "error"}
    assert test["success"] is False
    assert test["message"].startswith("Connection failed: ")
    assert test["error"] == "Connection refused"


@pytest.mark.accepts("SV-047")
def test_a_silent_server_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "CHECK_SECONDS", 0.3)
    with silent_server() as port:
        started = time.monotonic()
        test = api.post(TEST, connection_body(host="127.0.0.1", port=port)).json_body["connection_test"]
    assert time.monotonic() - started < 3
    assert (test["success"], test["error"]) == (False, "Connection timed out")


@pytest.mark.accepts("SV-047")
@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00:ec2::254", "192.168.1.1"])
def test_private_addresses_are_refused_without_a_connection(
    api: Api, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    test = api.post(TEST, connection_body(host=host)).json_body["connection_test"]
    assert test == {
        "success": False,
        "message": "Connection failed: the host is not allowed",
        "error": "The host does not lead to a public address",
    }


@pytest.mark.accepts("SV-045", "SV-150")
def test_what_is_wrong_with_the_body_is_said_before_anything_is_tried(api: Api) -> None:
    answer = api.post(TEST, connection_body(host=None, port=0, ssl_mode="maybe"))
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {
        "host": ["The host field is required."],
        "port": ["The port must be between 1 and 65535."],
        "ssl_mode": ["The selected ssl_mode is invalid."],
    }
    assert api.post(TEST, connection_body() | {"name": "x"}).status_code == 422


@pytest.mark.accepts("SV-026", "SV-030", "SV-048")
def test_a_failed_test_is_kept_on_the_profile(api: Api) -> None:
    made = api.profile(host="127.0.0.1", port=free_port())
    answer = api.post(f"/api/import/profiles/{made['id']}/test-connection")
    assert answer.status_code == 200
    test = answer.json_body["connection_test"]
    assert test["success"] is False
    kept = api.get(f"/api/import/profiles/{made['id']}").json_body
    assert kept["last_test_result"] == test
    assert kept["last_tested_at"].endswith("Z")


@pytest.mark.accepts("SV-150", "SV-153")
def test_the_schema_of_an_unreachable_source_is_a_connection_error(api: Api) -> None:
    made = api.profile(host="127.0.0.1", port=free_port())
    answer = api.get(f"/api/import/profiles/{made['id']}/schema")
    assert answer.status_code == 422
    assert answer.json_body["message"] == "Connection test failed"
    error = answer.json_body["connection_error"]
    assert set(error) == {"success", "message", "error"}
    assert error["success"] is False
    assert error["message"].startswith("Connection failed: ")
    assert error["error"] == "Connection refused"
    assert b"canary" not in answer.body
    assert b"db_user" not in answer.body


@pytest.mark.accepts("SV-153")
def test_the_schema_of_a_silent_source_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "SCHEMA_SECONDS", 0.3)
    with silent_server() as port:
        made = api.profile(host="127.0.0.1", port=port)
        answer = api.get(f"/api/import/profiles/{made['id']}/schema")
    assert answer.status_code == 422
    assert answer.json_body["connection_error"]["error"] == "Connection timed out"
