"""The name of the class a Lambda raised, as AWS would report it."""

from __future__ import annotations

import traceback

import pytest

from chalicelib.errors import Fatal, Retryable
from infra.local.launcher import error_type, read_once, with_class_names


def log_of(error: Exception, printed: str = "") -> str:
    try:
        try:
            raise ValueError("the cause")
        except ValueError as cause:
            raise error from cause
    except type(error):
        return f"{printed}\n{traceback.format_exc()}"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Retryable("the source is busy"), "Retryable"),
        (Fatal(""), "Fatal"),
        (Fatal("two\nlines"), "Fatal"),
        (Fatal("ends in a line\n"), "Fatal"),
        (Fatal("it said:\nTraceback (most recent call last):\n  x\nRetryable: no"), "Fatal"),
        (KeyError("org"), "KeyError"),
    ],
)
def test_the_class_is_found_whatever_the_message_holds(error: Exception, name: str) -> None:
    assert error_type(log_of(error, printed='{"step": "load"}'), str(error)) == name


def test_no_traceback_no_name() -> None:
    assert error_type("", "Worker init failed") is None
    assert error_type("Worker init failed: no module", "Worker init failed: no module") is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"body": {"errorMessage": "Worker process died", "errorType": "Runtime.HandlerError"}}, "Runtime.ExitError"),
        (
            {"body": {"errorMessage": "[Errno 32] Broken pipe", "errorType": "Runtime.HandlerError"}},
            "Runtime.ExitError",
        ),
        (
            {"body": {"errorMessage": "Worker process exited immediately. stderr: ", "errorType": "RuntimeError"}},
            "Runtime.ExitError",
        ),
        ({"body": {"errorMessage": "No JSON init response", "errorType": "RuntimeError"}}, "RuntimeError"),
        (
            {
                "body": {"errorMessage": "[Errno 32] Broken pipe", "errorType": "Runtime.HandlerError"},
                "log": "BrokenPipeError: [Errno 32] Broken pipe",
            },
            "BrokenPipeError",
        ),
        ({"body": {"errorMessage": "Task timed out", "errorType": "Sandbox.Timedout"}}, "Sandbox.Timedout"),
        ({"body": {"errorMessage": "odd", "errorType": "Runtime.HandlerError"}}, "Runtime.HandlerError"),
        ({"body": {"errorMessage": "m", "errorType": "Runtime.HandlerError"}, "log": "a.b.Fatal: m\n"}, "Fatal"),
    ],
)
def test_only_unnamed_errors_get_a_name(answer: dict[str, object], expected: str) -> None:
    assert with_class_names(lambda: {**answer, "error": True})()["body"]["errorType"] == expected


def test_an_answer_passes_through() -> None:
    answer = {"body": {"errorMessage": "data", "errorType": "Runtime.HandlerError"}, "log": "x.Fatal: data"}
    assert with_class_names(lambda: dict(answer))() == answer


def test_a_statement_is_read_once_for_the_same_parameters_and_anew_for_others() -> None:
    calls = []

    def parse(statement: str, parameters: list[str]) -> dict[str, object]:
        calls.append((statement, *parameters))
        if not parameters:
            raise ValueError
        return {"op": statement, "item": parameters}

    read = read_once(parse)
    first, equal = ["a"], ["a"]
    once = read("INSERT", first)
    once["op"] = "changed by its user"
    assert read("INSERT", first) == {"op": "INSERT", "item": ["a"]}
    assert calls == [("INSERT", "a")]
    read("UPDATE", first)
    read("UPDATE", equal)
    assert calls[1:] == [("UPDATE", "a"), ("UPDATE", "a")]
    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011
            read("INSERT", [])
