"""A tiny HTTP server that answers what a test scripts, and the `wharf` command pointed at it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.access import Access
from cli.client import Client
from cli.main import app

TOKEN = "whf_" + "t" * 43

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


@dataclass
class Asked:
    """One request the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Api:
    """Answers by "METHOD /path" (query string left out); the last answer of a list stays."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, route: str, *answers: Answer) -> None:
        self.answers[route] = list(answers)

    def client(self, **options: Any) -> Client:
        return Client(Access(self.url, TOKEN, "test"), **options)


@pytest.fixture
def api() -> Iterator[Api]:
    script = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            script.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            known = script.answers.get(f"{self.command} {self.path.partition('?')[0]}")
            if not known:
                known = [(404, {"message": f"not scripted: {self.command} {self.path}", "code": "not_found"})]
            status, content, *headers = known.pop(0) if len(known) > 1 else known[0]
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield script
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No test reads the config file or the environment of whoever runs it."""
    for name in (
        "WHARF_ENDPOINT",
        "WHARF_TOKEN",
        "WHARF_SOURCE_PASSWORD",
        "AWS_ENDPOINT_URL",
        "HTTP_PROXY",
        "http_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


Wharf = Callable[..., Result]


@pytest.fixture
def wharf(api: Api) -> Wharf:
    """Run `wharf ...` against the scripted server."""

    def run(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
        access = {"WHARF_ENDPOINT": api.url, "WHARF_TOKEN": TOKEN}
        return CliRunner().invoke(app, list(arguments), input=stdin, env=access | (env or {}), prog_name="wharf")

    return run


def job(**values: Any) -> dict[str, Any]:
    """A job as the API shows it: completed, with one failed ticket unless told otherwise."""
    return {
        "id": "019a0000-0000-7000-8000-000000000001",
        "status": "completed",
        "progress_percentage": 100,
        "current_operation": None,
        "records_processed": 12,
        "records_imported": 10,
        "records_updated": 0,
        "records_skipped": 1,
        "records_failed": 1,
        "records_unprocessed": 0,
        "started_at": "2026-01-01T10:00:00Z",
        "completed_at": "2026-01-01T10:00:03Z",
        "duration": 3,
        "import_options": {"batch_size": 100},
        "errors": None,
        "profile": {"id": "p", "name": "Production", "database_type": "postgresql"},
        "created_by": {"id": "u", "name": "Ada"},
        "records": {
            "agents": {"planned": 2, "created": 1, "updated": 0, "skipped": 1, "failed": 0, "unprocessed": 0},
            "tickets": {"planned": 10, "created": 9, "updated": 0, "skipped": 0, "failed": 1, "unprocessed": 0},
        },
        **values,
    }
