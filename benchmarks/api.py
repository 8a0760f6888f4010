"""What the API itself costs a request, in process: routing, who and how often, models, the answer, the log line.

DynamoDB is a dictionary at the edge of botocore: requests are built, signed and parsed as ever, and nothing waits for a
network or a server. `against` is what the request cannot do without: a bare Chalice application, or the same calls to
DynamoDB made directly. The count for the rate limits is in all guarded requests, and once more by itself.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.awsrequest import AWSResponse
from chalice import Chalice
from chalice.test import Client

from benchmarks.source import line
from chalicelib import access, clients, dynamo, keys, rates, settings

ROUNDS = int(os.environ.get("BENCH_API_ROUNDS", "15"))
REQUESTS = 100
"""Of each round; figures are the medians of the rounds."""

ORG, USER, JOB = "0b6cbb5e-5b0c-4a44-9d0b-1f4ad0a0a001", "5f1f1d36-1111-4222-8333-944a5f0a0b0c", keys.mint_id()
TOKEN, SESSION = "whf_" + "a" * 43, "whs_" + "b" * 43
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "WHARF_STATE_TABLE": "state",
    "WHARF_RECORDS_TABLE": "records",
    "WHARF_BUCKET": "bucket",
    "WHARF_KMS_KEY": "key",
    "WHARF_STATE_MACHINE": "machine",
}


class Body:
    """The raw answer as botocore reads it."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        """All at once."""
        yield self.content


class Table:
    """Items by key; updates are answered as the first of their minute."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], bytes] = {}

    def put(self, key: keys.Key, item: dict[str, Any]) -> None:
        """Keep an item, as the service would send it."""
        encoded = dynamo.encode_item({"pk": key[0], "sk": key[1], **item})
        self.items[key] = json.dumps({"Item": encoded}).encode()

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        """A `before-send` hook: what DynamoDB says."""
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        asked = json.loads(request.body)
        if operation == "GetItem":
            content = self.items[asked["Key"]["pk"]["S"], asked["Key"]["sk"]["S"]]
        elif operation == "UpdateItem":
            counted = {"total": {"N": "1"}, "u" + USER.replace("-", ""): {"N": "1"}}
            content = json.dumps({"Attributes": counted}).encode()
        else:
            content = b'{"Items": [], "Count": 0, "Responses": {}}'
        return AWSResponse(request.url, 200, {"Content-Type": "application/x-amz-json-1.0"}, Body(content))


def furnished() -> Table:
    """An organisation with a user, a token, a session and a job that has ended."""
    table, now = Table(), int(time.time())
    token = {"org": ORG, "user_id": USER, "scopes": None, "expires_at": None, "revoked_at": None}
    table.put(keys.token(keys.sha256(TOKEN)), token)
    table.put(keys.login(keys.sha256(SESSION)), {"token": keys.sha256(TOKEN), "seen": now, "ttl": now + 40_000})
    table.put(keys.user(ORG, USER), {"id": USER, "name": "Ada", "role": "ADMIN", "permissions": []})
    job = {
        "id": JOB,
        "number": 1,
        "org": ORG,
        "profile": {"id": USER, "name": "Help desk", "database_type": "postgresql"},
        "status": "completed",
        "dry_run": False,
        "options": {},
        "mode_config": {},
        "created_by": {"id": USER, "name": "Ada"},
        "created_at": now - 100.5,
        "started_at": now - 99.5,
        "completed_at": now - 1.5,
        "types": ["customer_users", "tickets"],
        "errors": [],
    }
    counted = {
        f"{name}_{word}": 1000 for name in job["types"] for word in ("planned", "extracted", "decided", "created")
    }
    table.put(keys.job(ORG, JOB), job | counted)
    return table


def spent(work: Callable[[], Any]) -> float:
    """Microseconds of CPU a call, the median of the rounds."""
    found = []
    for _ in range(ROUNDS + 1):
        began = time.process_time()
        for _ in range(REQUESTS):
            work()
        found.append((time.process_time() - began) / REQUESTS * 1e6)
    return statistics.median(found[1:])


def bare() -> Callable[[], Any]:
    """GET of an application that is Chalice alone."""
    application = Chalice(app_name="bare")
    application.route("/")(lambda: {"status": "ok"})
    client = Client(application)
    return lambda: client.http.get("/")


def asked(path: str, headers: dict[str, str] | None = None) -> Callable[[], None]:
    """GET of a path of ours; the log line is written, to nowhere."""
    from app import app

    client = Client(app)

    def ask() -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            answer = client.http.get(path, headers=headers or {})
        assert answer.status_code == 200, answer.body

    return ask


def calls() -> None:
    """What a request for a job's status asks of DynamoDB."""
    dynamo.get("state", keys.token(keys.sha256(TOKEN)))
    dynamo.get("state", keys.user(ORG, USER))
    count()
    dynamo.get("state", keys.job(ORG, JOB))


CALLER = access.Caller(ORG, USER, "Ada", "ADMIN", frozenset(), keys.sha256(TOKEN))


def count() -> None:
    """A request counted."""
    rates.count(CALLER, "monitoring", now=datetime.now(UTC).timestamp())


def main() -> None:
    """Print the figures."""
    os.environ |= ENVIRONMENT
    settings.get.cache_clear()
    clients.client("dynamodb").meta.events.register_first("before-send.dynamodb", furnished().answer)
    chalice, health = spent(bare()), spent(asked("/api/health"))
    line("api_health", health, "us CPU", health / chalice, f"a bare Chalice application, {chalice:.0f} us")
    status = f"/api/import/jobs/{JOB}/status"
    direct, by_token = spent(calls), spent(asked(status, {"Authorization": f"Bearer {TOKEN}"}))
    line("api_job_status", by_token, "us CPU", by_token / direct, f"its four DynamoDB calls alone, {direct:.0f} us")
    by_cookie = spent(asked(status, {"Cookie": f"laravel_session={SESSION}"}))
    line("api_job_status_by_cookie", by_cookie, "us CPU", by_cookie / by_token, f"by token, {by_token:.0f} us")
    counted = spent(count)
    line("api_rate_count", counted, "us CPU", counted / by_token, f"the whole request, {by_token:.0f} us")


if __name__ == "__main__":
    main()
