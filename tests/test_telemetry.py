"""What is written down of an invocation, and above all what never is."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from chalicelib import clients, telemetry
from chalicelib.errors import Retryable, WharfError

CANARY = "canary-8d1f"


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def crash(secret: str) -> None:
    local = {"row": secret}
    raise ValueError(f"bad row {local}")


def test_numbers_stand_in_the_line_and_are_its_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    with telemetry.invocation("step", "load", request_id="r", org="o", chunk=7) as outcome:
        telemetry.count(rows=600, bytes=10)
        telemetry.count(rows=400, oddities=3)
        outcome["state"] = "done"
    (line,) = lines(capsys)
    assert (line["rows"], line["bytes"], line["oddities"], line["chunk"]) == (1000, 10, 3, 7)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Wharf", [["service", "step"]])
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        "seconds": "Seconds",
        "rows": "Count",
        "bytes": "Bytes",
    }
    assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
    assert (line["service"], line["step"]) == ("wharf", "load")


def test_the_next_invocation_starts_anew(capsys: pytest.CaptureFixture[str]) -> None:
    for org in ("first", None):
        with telemetry.invocation("step", "load", request_id="r", org=org):
            telemetry.count(rows=5)
    first, second = lines(capsys)
    assert (first["org"], first["rows"]) == ("first", 5)
    assert ("org" in second, second["rows"], second["cold_start"]) == (False, 5, False)


def test_what_is_logged_inside_bears_the_ids(capsys: pytest.CaptureFixture[str]) -> None:
    with telemetry.invocation("resource", "jobs", request_id="r-9", route="POST /api/import/jobs"):
        telemetry.identify(org="o-1", job="j-1")
        logging.getLogger("wharf").warning("job %s waits", "j-1")
    said, ended = lines(capsys)
    assert (said["message"], said["level"]) == ("job j-1 waits", "WARNING")
    for line in (said, ended):
        assert (line["request_id"], line["org"], line["job"]) == ("r-9", "o-1", "j-1")
    assert ("seconds" in said, "_aws" in said) == (False, False)


def test_an_unexpected_error_leaves_class_and_frames_and_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    def step() -> None:
        try:
            crash(CANARY)
        except ValueError as error:
            logging.getLogger("wharf").exception("step failed")
            raise RuntimeError(CANARY) from error

    with pytest.raises(RuntimeError), telemetry.invocation("step", "load", request_id="r"):
        step()
    said, ended = lines(capsys)
    assert (said["error"], ended["error"], ended["level"]) == ("ValueError", "RuntimeError", "ERROR")
    assert said["stack"][-1].startswith("tests/test_telemetry.py:")
    assert said["stack"][-1].endswith(" crash")
    assert "from ValueError" in ended["stack"]
    assert CANARY not in json.dumps([said, ended])
    assert "bad row" not in json.dumps([said, ended])


def test_an_error_of_ours_leaves_class_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WharfError), telemetry.invocation("step", "load", request_id="r"):
        raise Retryable(CANARY, code="throttled")
    (line,) = lines(capsys)
    assert (line["error"], line["code"], "stack" in line) == ("Retryable", "throttled", False)
    assert CANARY not in json.dumps(line)


def test_an_error_that_leads_to_itself_and_one_from_a_deep_recursion_end() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert telemetry.described(first)["stack"] == ["from KeyError"]

    def deep(depth: int) -> None:
        if not depth:
            raise KeyError
        deep(depth - 1)

    with pytest.raises(KeyError) as raised:
        deep(200)
    assert len(telemetry.described(raised.value)["stack"]) == telemetry.MAX_FRAMES


def test_what_a_library_says_is_kept_without_what_it_fills_in() -> None:
    record = logging.LogRecord("psycopg", logging.WARNING, "f", 1, "error in %s", (f"host={CANARY} user=u",), None)
    written = json.loads(telemetry._formatter().format(record))
    assert (written["message"], written["logger"], written["level"]) == ("error in %s", "psycopg", "WARNING")
    assert CANARY not in json.dumps(written)


def test_in_a_lambda_nothing_else_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = logging.getLogger().handlers
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "wharf-Load")
    telemetry._formatter.cache_clear()
    try:
        formatter = telemetry._formatter()
        for name in (None, "wharf"):
            assert [handler.formatter for handler in logging.getLogger(name).handlers] == [formatter]
    finally:
        logging.getLogger().handlers = kept
        monkeypatch.undo()
        telemetry._formatter.cache_clear()


# --- throttling, from an endpoint that answers as DynamoDB does

SLOW_DOWN = (400, {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"})
EMPTY: tuple[int, dict[str, Any]] = (200, {})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """What the endpoint answers, first things first; then good and empty."""
    waiting: list[tuple[int, dict[str, Any]]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = waiting.pop(0) if waiting else EMPTY
            sent = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    clients.client.cache_clear()
    yield waiting
    server.shutdown()
    server.server_close()
    clients.client.cache_clear()


@pytest.mark.parametrize(
    ("given", "throttles"),
    [
        ([], 0),
        ([SLOW_DOWN, SLOW_DOWN], 2),
        ([(200, {"Responses": [{}, {"Error": {"Code": "ThrottlingError"}}]})], 1),
        ([(200, {"Responses": [{"Error": {"Code": "ConditionalCheckFailed"}}]})], 0),
        ([(200, {"Responses": {"t": []}, "UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "a"}}]}}})], 1),
        ([(200, {"Responses": {"t": []}, "UnprocessedKeys": {}})], 0),
    ],
)
def test_answers_that_say_too_fast_are_counted_each_try_its_own(
    answers: list[tuple[int, dict[str, Any]]],
    given: list[tuple[int, dict[str, Any]]],
    throttles: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers += given
    with telemetry.invocation("step", "load", request_id="r"):
        clients.client("dynamodb").batch_get_item(RequestItems={"t": {"Keys": [{"pk": {"S": "a"}}]}})
    (line,) = lines(capsys)
    assert line.get("throttles", 0) == throttles


def test_a_transaction_that_was_throttled_is_counted(
    answers: list[tuple[int, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = [{"Code": "None"}, {"Code": "ThrottlingError"}]
    answers.append((400, {"__type": "x#TransactionCanceledException", "CancellationReasons": reasons}))
    client = clients.client("dynamodb")
    canceled = pytest.raises(client.exceptions.TransactionCanceledException)
    with telemetry.invocation("step", "load", request_id="r"), canceled:
        client.transact_write_items(TransactItems=[])
    assert lines(capsys)[0]["throttles"] == 1
