"""The whole stack on this machine: what is deployed answers, and what was stored is there after a restart."""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from infra.local import deploy
from infra.local.stack import CannotStart, Stack, stack


def get(running: Stack, path: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(running.endpoint + path)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)


def test_the_api_answers_through_the_front(deployed: Stack) -> None:
    assert get(deployed, "/api/health") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/api/no-such-thing", 404, None),
        ("POST", "/api/no/such/thing", 404, None),
        ("DELETE", "/api/health", 405, "GET"),
        ("PATCH", "/api/import/profiles/" + "0" * 36, 405, "DELETE, GET, PUT"),
        ("GET", "/api/import/profiles/test-connection", 405, "POST"),
        ("OPTIONS", "/api/import/jobs", 405, "GET, POST"),
    ],
)
def test_what_no_route_takes_is_answered_in_our_words(
    deployed: Stack, method: str, path: str, status: int, allow: str | None
) -> None:
    request = urllib.request.Request(deployed.endpoint + path, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    body = json.load(refused.value)
    assert (refused.value.code, refused.value.headers["Allow"]) == (status, allow)
    assert (body["status"], body["instance"]) == (status, path)
    assert body["request_id"] == refused.value.headers["X-Request-Id"]


def test_bootstrap_makes_an_organisation_whose_token_opens_the_api(deployed: Stack) -> None:
    made = deployed.invoke("bootstrap", {"org": "Acme", "name": "Ada", "email": "ada@acme.example"})
    assert get(deployed, "/api/import/profiles")[0] == 401
    status, body = get(deployed, "/api/import/profiles", made["token"])
    assert (status, body["data"]) == (200, [])


def test_the_sweep_runs_where_it_is_deployed(deployed: Stack) -> None:
    event = {"version": "0", "id": "e", "detail-type": "Scheduled Event", "source": "aws.events", "account": "0"}
    event |= {"time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {}}
    assert deployed.invoke("sweep", event) is not None
    rules = deployed.client("events").list_rules()["Rules"]
    assert [rule["ScheduleExpression"] for rule in rules] == ["rate(10 minutes)"]


def test_what_ministack_drops_from_a_template_is_set(deployed: Stack) -> None:
    table = deployed.client("dynamodb").describe_time_to_live(TableName=deployed.outputs["StateTable"])
    assert table["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    rules = deployed.client("s3").get_bucket_lifecycle_configuration(Bucket=deployed.outputs["Bucket"])["Rules"]
    assert [(rule["ID"], rule.get("Expiration")) for rule in rules] == [
        ("chunks", {"Days": 90}),
        ("broken-uploads", None),
    ]


def test_the_source_server_wants_its_password(deployed: Stack) -> None:
    with psycopg.connect(deployed.postgres_dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(deployed.postgres_dsn, password="wrong")


def test_nothing_listens_beyond_this_machine(deployed: Stack) -> None:
    ports = {int(url.rpartition(":")[2]) for url in (deployed.endpoint, deployed.aws_endpoint)} | {
        deployed.postgres.port
    }
    addresses = {
        connection.laddr.ip
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports
    }
    assert addresses == {"127.0.0.1"}


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="wharf-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what is deployed, to be changed."""
    for name in ("chalicelib", "infra", ".chalice"):
        shutil.copytree(deploy.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(deploy.ROOT / "app.py", tmp_path)
    return tmp_path


def test_a_second_start_deploys_nothing_and_a_changed_source_is_live_again(state: Path, sources: Path) -> None:
    marker = {"pk": {"S": "kept"}, "sk": {"S": "kept"}}
    before = set(psutil.Process().children(recursive=True))
    with stack(state, root=sources) as first:
        first.client("dynamodb").put_item(TableName=first.outputs["StateTable"], Item=marker)
        started = set(psutil.Process().children(recursive=True)) - before
    assert len(started) >= 4
    assert not [process for process in started if process.is_running() and process.status() != "zombie"]
    built = (state / "build" / "out" / "sam.json").stat().st_mtime_ns

    with stack(state, root=sources) as second:
        assert second.outputs == first.outputs
        assert (second.endpoint, second.postgres_dsn) == (first.endpoint, first.postgres_dsn)
        assert (state / "build" / "out" / "sam.json").stat().st_mtime_ns == built
        assert get(second, "/api/health")[1] == {"status": "ok"}
        with pytest.raises(CannotStart, match="another Wharf"), stack(state):
            pass

    health = sources / "chalicelib" / "routes" / "health.py"
    health.write_text(health.read_text().replace('"ok"', '"changed"'))
    with stack(state, root=sources) as third:
        assert get(third, "/api/health")[1] == {"status": "changed"}
        kept = third.client("dynamodb").get_item(TableName=third.outputs["StateTable"], Key=marker)
        assert kept["Item"] == marker
