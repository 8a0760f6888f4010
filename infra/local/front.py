"""One local port for browser and CLI: /api/* goes to the deployed REST stage, as CloudFront would send it.

A thread a connection, each with its own kept-alive connection to the embedded cloud. Refuses what API Gateway
refuses too: bodies above 10 MB (413), bodies of unknown length (411), paths that climb (400).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BODY_BYTES = 10 * 1024 * 1024
"""API Gateway's payload limit (API Gateway Developer Guide, "Quotas for REST APIs")."""

UPSTREAM_SECONDS = 35
"""Above the gateway's 29 s, so that its own answer comes through."""

IDLE_SECONDS = 75

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class Front(ThreadingHTTPServer):
    """Serves until `stop`. `stage_path` is where the REST stage lives upstream, without a trailing slash."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, upstream_port: int, stage_path: str) -> None:
        super().__init__(("127.0.0.1", port), _Exchange)
        self.upstream_port = upstream_port
        self.stage_path = stage_path
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Exchange(BaseHTTPRequestHandler):
    """One client connection."""

    server: Front
    protocol_version = "HTTP/1.1"
    server_version = "wharf-front"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1
    upstream: http.client.HTTPConnection | None = None

    def handle_one_request(self) -> None:
        """Route every method alike."""
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536:
            self.requestline = self.request_version = self.command = ""
            self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long.")
        elif not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self.answer()
            self.wfile.flush()

    def answer(self) -> None:
        """Forward the request, or say why not."""
        path = self.path.partition("?")[0]
        if not path.startswith("/api/"):
            self.refuse(HTTPStatus.NOT_FOUND, "Nothing lives here; the API begins at /api/.")
        elif ".." in urllib.parse.unquote(path).replace("\\", "/").split("/"):
            self.refuse(HTTPStatus.BAD_REQUEST, "The path must not climb.")
        elif not self.path.isascii() or not self.path.isprintable():
            self.refuse(HTTPStatus.BAD_REQUEST, "The address holds characters that must be percent-encoded.")
        elif "Transfer-Encoding" in self.headers:
            self.refuse(HTTPStatus.LENGTH_REQUIRED, "Send the body with a Content-Length.")
        elif (length := self.body_length()) is None:
            self.refuse(HTTPStatus.BAD_REQUEST, "Content-Length is not a number.")
        elif length > MAX_BODY_BYTES:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than 10 MB.")
        else:
            self.forward(self.rfile.read(length) if length else None)

    def body_length(self) -> int | None:
        """The declared length, 0 when there is no body, None when it is nonsense."""
        declared = self.headers.get("Content-Length", "0").strip()
        return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 16 else None

    def forward(self, body: bytes | None) -> None:
        """Pass the request on and the answer back."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["X-Forwarded-For"] = self.client_address[0]
        target = self.server.stage_path + self.path
        try:
            response, content = self.exchange(target, body, headers)
        except TimeoutError:
            self.refuse(HTTPStatus.GATEWAY_TIMEOUT, "The API did not answer in time.")
            return
        except (OSError, http.client.HTTPException):
            self.refuse(HTTPStatus.BAD_GATEWAY, "The embedded cloud cannot be reached.")
            return
        self.send_response(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP | {"content-length", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def exchange(
        self, target: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on the kept-alive connection; a connection closed while idle is opened again once."""
        for fresh in (self.upstream is None, True):
            connection = self.upstream = self.upstream if self.upstream and not fresh else self.connect()
            try:
                connection.request(self.command, target, body, headers)
                response = connection.getresponse()
                return response, response.read()
            except TimeoutError:
                self.disconnect()
                raise
            except (OSError, http.client.HTTPException) as error:
                self.disconnect()
                if fresh or not isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError)):
                    raise
        raise http.client.HTTPException("unreachable")

    def connect(self) -> http.client.HTTPConnection:
        """A new connection to the embedded cloud."""
        return http.client.HTTPConnection("127.0.0.1", self.server.upstream_port, timeout=UPSTREAM_SECONDS)

    def disconnect(self) -> None:
        """Drop the upstream connection."""
        if self.upstream:
            self.upstream.close()
            self.upstream = None

    def finish(self) -> None:
        """End of the client's connection."""
        self.disconnect()
        with contextlib.suppress(OSError):
            super().finish()

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with the API's error body and hang up, since the body was not read."""
        self.close_connection = True
        content = json.dumps({"message": message, "code": status.name.lower(), "status": status.value}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
            self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 -- the signature it overrides
        """What the standard library refuses (a malformed request line, too many headers), in the same body."""
        self.request_version = self.protocol_version  # it may not have come that far
        self.refuse(HTTPStatus(code), f"{HTTPStatus(code).phrase}.")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the signature it overrides
        """Quiet: the API's Lambdas log the requests."""
