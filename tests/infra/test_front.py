"""The front: /api/* reaches the stage unchanged, what no gateway would take is refused before it is read."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.local.front import Front


class Stage(BaseHTTPRequestHandler):
    """Answers with what it was asked, and says on which connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode()}
        answer = json.dumps(asked | {"connection": self.client_address[1]}).encode()
        self.send_response(418)
        self.send_header("X-Request-Id", "r-1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 -- the names http.server calls

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    stage = ThreadingHTTPServer(("127.0.0.1", 0), Stage)
    threading.Thread(target=stage.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    running = Front(0, stage.server_address[1], "/stage")
    yield running
    running.stop()
    stage.shutdown()
    stage.server_close()


@pytest.fixture
def connection(front: Front) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", front.server_address[1], timeout=10)
    yield connection
    connection.close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_request_arrives_as_it_was_sent(connection: http.client.HTTPConnection, method: str) -> None:
    connection.request(method, "/api/x%2Fy?a=1&a=%20", b'{"n": 1}', {"Authorization": "Bearer t", "Cookie": "c"})
    answer = connection.getresponse()
    asked = json.loads(answer.read())
    assert (answer.status, answer.headers["X-Request-Id"]) == (418, "r-1")
    assert (asked["method"], asked["path"], asked["body"]) == (method, "/stage/api/x%2Fy?a=1&a=%20", '{"n": 1}')
    assert asked["headers"]["Authorization"] == "Bearer t"
    assert asked["headers"]["X-Forwarded-For"] == "127.0.0.1"


def test_head_has_no_body(connection: http.client.HTTPConnection) -> None:
    connection.request("HEAD", "/api/x")
    assert connection.getresponse().read() == b""


def test_connections_are_kept_on_both_sides(connection: http.client.HTTPConnection) -> None:
    used = set()
    for _ in range(3):
        connection.request("GET", "/api/x")
        used.add(json.loads(connection.getresponse().read())["connection"])
    assert len(used) == 1


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 404),
        ("/_ministack/reset", {}, 404),
        ("/apix", {}, 404),
        ("/api/../_ministack/reset", {}, 400),
        ("/api/%2e%2e/_ministack", {}, 400),
        ("/api/..%2f..%5c", {}, 400),
        ("/api/x", {"Content-Length": "10485761"}, 413),
        ("/api/x", {"Content-Length": "-1"}, 400),
        ("/api/x", {"Content-Length": "9" * 30}, 400),
        ("/api/x", {"Transfer-Encoding": "chunked"}, 411),
        ("/api/" + "x" * 70_000, {}, 414),
    ],
)
def test_what_no_gateway_takes_is_refused(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str], status: int
) -> None:
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == status
    assert answer.headers["Connection"] == "close"
    assert json.loads(answer.read())["status"] == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /api/\xe9 HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/\x01 HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/x HTTP/9.9\r\n\r\n", 505),
        (b"GET /api/x HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /api/x HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_in_the_same_body(front: Front, sent: bytes, status: int) -> None:
    with socket.create_connection(front.server_address[:2], timeout=10) as caller:
        caller.sendall(sent)
        answer = http.client.HTTPResponse(caller)
        answer.begin()
        body = json.loads(answer.read())
    assert (answer.status, body["status"], set(body)) == (status, status, {"message", "code", "status"})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_cloud_that_is_not_there_is_a_bad_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    front = Front(0, port, "/stage")
    try:
        connection = http.client.HTTPConnection("127.0.0.1", front.server_address[1], timeout=10)
        connection.request("GET", "/api/x")
        answer = connection.getresponse()
        assert answer.status == 502
        assert json.loads(answer.read())["code"] == "bad_gateway"
    finally:
        front.stop()
