"""Connection tests and schemas: servers that refuse, are silent, are not there, and a real one."""

from __future__ import annotations

import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chalicelib import connections
from infra.local.postgres import Postgres, run
from tests.routes.conftest import Api, profile_body

TEST = "/api/import/profiles/test-connection"
CONNECTION = ("database_type", "host", "port", "database", "username", "password", "ssl_mode")


def connection_body(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in profile_body(**fields).items() if name in CONNECTION}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A real PostgreSQL with a small database `shop`."""
    # Not pytest's own folder: as root, PostgreSQL's user is let through, which pytest takes back at its next start.
    directory = Path(tempfile.mkdtemp(prefix="wharf-test-"))
    running = run(directory, free_port(), log=directory / "postgres.log")
    try:
        with psycopg.connect(running.dsn(), autocommit=True) as session:
            session.execute("CREATE DATABASE shop")
        with psycopg.connect(running.dsn("shop")) as session:
            session.execute(SHOP)
        yield running
    finally:
        running.stop()
        shutil.rmtree(directory, ignore_errors=True)


SHOP = """
CREATE TABLE users (id serial PRIMARY KEY, first_name varchar(255), active boolean NOT NULL DEFAULT true);
CREATE TABLE conversations (id bigserial PRIMARY KEY, user_id integer REFERENCES users (id), subject text);
INSERT INTO users (first_name) SELECT 'user ' || n FROM generate_series(1, 15) AS n;
"""


def reachable(server: Postgres, **fields: Any) -> dict[str, Any]:
    """What leads to the shop."""
    return {
        "host": server.host,
        "port": server.port,
        "database": "shop",
        "username": server.user,
        "password": server.password,
        **fields,
    }


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
    assert set(test) == {"success", "message", "error", "stages", "warnings"}
    assert test["success"] is False
    assert test["message"].startswith("Connection failed: ")
    assert test["error"] == "Connection refused"


@pytest.mark.accepts("SV-047")
def test_a_silent_server_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.3)
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
    assert test["success"] is False
    assert test["message"] == "Connection failed: the host is not allowed"
    assert test["error"] == "The host does not lead to a public address"
    assert [stage["status"] for stage in test["stages"]] == ["failed", *["skipped"] * 5]


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
    nothing = api.post(TEST, {}).json_body["errors"]
    assert set(nothing) == set(CONNECTION) - {"ssl_mode"}


@pytest.mark.accepts("SV-026", "SV-030", "SV-048")
def test_a_failed_test_is_kept_on_the_profile(api: Api) -> None:
    made = api.profile(host="127.0.0.1", port=free_port())
    answer = api.post(f"/api/import/profiles/{made['id']}/test-connection")
    assert answer.status_code == 200
    test = answer.json_body["connection_test"]
    assert test["success"] is False
    kept = api.get(f"/api/import/profiles/{made['id']}").json_body
    assert kept["last_test_result"] == test
    assert abs(datetime.now(UTC) - datetime.fromisoformat(kept["last_tested_at"])) < timedelta(minutes=1)


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
    monkeypatch.setattr(connections, "SCHEMA_SECONDS", 0.3)
    with silent_server() as port:
        made = api.profile(host="127.0.0.1", port=port)
        answer = api.get(f"/api/import/profiles/{made['id']}/schema")
    assert answer.status_code == 422
    assert answer.json_body["connection_error"]["error"] == "Connection timed out"


@pytest.mark.accepts("SV-045", "SV-046", "SV-144")
def test_a_connection_that_works_says_what_is_there(api: Api, server: Postgres) -> None:
    answer = api.post(TEST, connection_body(**reachable(server)))
    assert answer.status_code == 200
    test = answer.json_body["connection_test"]
    assert (test["success"], test["message"]) == (True, "Connection successful")
    found = test["database_info"]
    assert re.match(r"PostgreSQL \d+", found["version"])
    assert found["database"] == "shop"
    assert found["table_count"] == 2
    assert re.match(r"\d+ (kB|MB)\Z", found["size"])
    assert server.password.encode() not in answer.body


@pytest.mark.accepts("SV-045", "SV-046", "SV-048")
def test_stages_and_warnings_stand_beside_the_reference_shape_and_are_kept(api: Api, server: Postgres) -> None:
    """The test server's user is its superuser, and it speaks no TLS."""
    made = api.profile(**reachable(server))
    test = api.post(f"/api/import/profiles/{made['id']}/test-connection").json_body["connection_test"]
    assert set(test) == {"success", "message", "database_info", "stages", "warnings"}
    assert [(stage["name"], stage["status"]) for stage in test["stages"]] == [
        ("dns", "ok"),
        ("tcp", "ok"),
        ("tls", "skipped"),
        ("auth", "ok"),
        ("select", "ok"),
        ("privileges", "ok"),
    ]
    assert [warning["code"] for warning in test["warnings"]] == ["not_encrypted", "superuser"]
    assert "CREATE ROLE wharf_reader" in test["warnings"][1]["hint"]
    assert api.get(f"/api/import/profiles/{made['id']}").json_body["last_test_result"] == test


@pytest.mark.accepts("SV-045", "SV-047")
@pytest.mark.parametrize(
    ("fields", "stage"),
    [({"password": "wrong"}, "auth"), ({"database": "nowhere"}, "auth"), ({"ssl_mode": "require"}, "tls")],
)
def test_a_failed_stage_has_a_hint(api: Api, server: Postgres, fields: dict[str, str], stage: str) -> None:
    answer = api.post(TEST, connection_body(**reachable(server, **fields)))
    [failed] = [one for one in answer.json_body["connection_test"]["stages"] if one["status"] == "failed"]
    assert failed["name"] == stage
    assert failed["hint"]
    assert server.password.encode() not in answer.body


@pytest.mark.accepts("SV-045", "SV-047")
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"password": "wrong"}, "Authentication failed"),
        ({"database": "nowhere"}, "Database does not exist"),
        ({"ssl_mode": "require"}, "TLS failed"),  # the test server speaks none
    ],
)
def test_a_server_that_says_no_is_quoted_in_fixed_words(
    api: Api, server: Postgres, fields: dict[str, str], error: str
) -> None:
    answer = api.post(TEST, connection_body(**reachable(server, **fields)))
    test = answer.json_body["connection_test"]
    assert (test["success"], test["error"]) == (False, error)
    assert server.user.encode() not in answer.body.replace(b"postgresql", b"")


@pytest.mark.accepts("SV-026", "SV-030", "SV-048")
def test_a_stored_profile_is_tested_with_its_own_password(api: Api, server: Postgres) -> None:
    made = api.profile(**reachable(server))
    answer = api.post(f"/api/import/profiles/{made['id']}/test-connection")
    assert answer.status_code == 200
    test = answer.json_body["connection_test"]
    assert test["success"] is True
    [kept] = api.get("/api/import/profiles").json_body["data"]
    assert kept["last_test_result"] == test
    assert {"version", "database", "table_count"} <= set(kept["last_test_result"]["database_info"])
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", kept["last_tested_at"])
    api.put(f"/api/import/profiles/{made['id']}", profile_body(**reachable(server, password="wrong")))
    assert api.post(f"/api/import/profiles/{made['id']}/test-connection").json_body["connection_test"]["error"] == (
        "Authentication failed"
    )
    [kept] = api.get("/api/import/profiles").json_body["data"]
    assert kept["last_test_result"]["success"] is False


@pytest.mark.accepts("SV-049", "SV-050", "SV-051", "SV-052", "SV-053")
def test_the_schema_shows_tables_columns_relationships_and_server(api: Api, server: Postgres) -> None:
    made = api.profile(**reachable(server))
    answer = api.get(f"/api/import/profiles/{made['id']}/schema")
    assert answer.status_code == 200
    assert set(answer.json_body) == {"schema", "server_info"}
    tables = {table["name"]: table for table in answer.json_body["schema"]["tables"]}
    assert set(tables) == {"users", "conversations"}
    assert tables["users"]["row_count"] == 15
    assert tables["users"]["columns"] == [
        {"name": "id", "type": "integer", "nullable": False, "primary_key": True},
        {"name": "first_name", "type": "character varying(255)", "nullable": True},
        {"name": "active", "type": "boolean", "nullable": False},
    ]
    assert answer.json_body["schema"]["relationships"] == [
        {"table": "conversations", "column": "user_id", "referenced_table": "users", "referenced_column": "id"}
    ]
    info = answer.json_body["server_info"]
    assert set(info) == {"version", "encoding", "collation"}
    assert info["version"].startswith("PostgreSQL ")
    assert info["encoding"] == "UTF8"
