"""Idempotency-Key: one request is done once, however often it is sent, and also when a sending dies half-way."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from chalice.test import HTTPResponse

from chalicelib import access, clients, dynamo, idempotency, keys
from tests.docs.test_docs import endpoints
from tests.routes.conftest import Api, profile_body
from tests.routes.test_own_templates import body as template_body
from tests.routes.test_template_routes import apply

PROFILES, JOBS, TEMPLATES = "/api/import/profiles", "/api/import/jobs", "/api/import/templates"


def send(api: Api, path: str, body: Any, key: str) -> HTTPResponse:
    return api.request("POST", path, body, headers={"Idempotency-Key": key})


def ready(api: Api) -> str:
    """A profile that can be imported."""
    profile = api.profile()["id"]
    assert apply(api, profile).status_code == 200
    return str(profile)


def made(api: Api, kind: str) -> list[dict[str, Any]]:
    return list(dynamo.query("state", f"O#{api.org}", prefix=f"{kind}#"))


def item(api: Api, key: str) -> dict[str, Any]:
    found = dynamo.get("state", keys.idempotency(api.org, api.user, key))
    assert found
    return found


def expire(api: Api, key: str, word: str) -> None:
    """As if the time had passed."""
    dynamo.update("state", keys.idempotency(api.org, api.user, key), f"SET #{word} = :past", {"past": 1})


class Killed(BaseException):
    """The process is gone: nothing runs any more, no `except Exception` either."""


@contextmanager
def dying(operation: str, when: str = "before-send") -> Iterator[None]:
    """The process dies at its first such call, and makes none after it."""
    dead = []
    found = [clients.client(service) for service in ("dynamodb", "stepfunctions", "kms")]

    def hook(request: Any, **_: Any) -> None:
        target = request.headers.get("X-Amz-Target", b"")
        name = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        if dead or name == operation:
            dead.append(name)
            raise Killed

    for one in found:
        one.meta.events.register_first(when, hook)
    try:
        with pytest.raises(Killed):
            yield
    finally:
        for one in found:
            one.meta.events.unregister(when, hook)
    assert dead


def test_every_route_that_makes_something_takes_a_key_and_mints_its_id() -> None:
    from app import app

    declared = list(endpoints(app))
    makes = {one.path for one in declared if one.method == "POST" and one.status == 201}
    assert {one.path for one in declared if one.idempotent} >= makes - {"/api/session"}
    assert {one.path for one in declared if one.idempotent} == {one.path for one in declared if "minted" in one.wants}


@pytest.mark.parametrize(
    ("path", "body", "kind"), [(PROFILES, profile_body(), "PROFILE"), (TEMPLATES, template_body(), "TEMPLATE")]
)
def test_the_same_request_is_answered_the_same_and_done_once(api: Api, path: str, body: Any, kind: str) -> None:
    first, *others = (send(api, path, body, "k-1") for _ in range(3))
    assert first.status_code == 201
    assert "Idempotency-Replayed" not in first.headers
    for other in others:
        assert (other.status_code, other.body) == (201, first.body)
        assert other.headers["Idempotency-Replayed"] == "true"
        assert other.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert len(made(api, kind)) == 1
    assert len(made(api, "AUDIT")) == 1


@pytest.mark.parametrize("own_path", [False, True])
def test_a_job_is_started_once(api: Api, own_path: bool) -> None:
    profile = ready(api)
    path, body = (f"{PROFILES}/{profile}/import", None) if own_path else (JOBS, {"profile_id": profile})
    first, again = (send(api, path, body, "k") for _ in range(2))
    assert (first.status_code, again.status_code, again.body) == (201, 201, first.body)
    assert [job["id"] for job in made(api, "JOB")] == [first.json_body["job"]["id"]]
    assert [line["action"] for line in made(api, "AUDIT")].count("job.started") == 1


def test_without_a_key_each_sending_is_a_request_of_its_own(api: Api) -> None:
    assert api.profile()["id"] != api.profile()["id"]
    assert list(dynamo.query("state", f"O#{api.org}#I#{api.user}")) == []


def test_another_request_under_the_key_is_refused(api: Api) -> None:
    assert send(api, PROFILES, profile_body(), "k").status_code == 201
    for path, body in ((PROFILES, profile_body(name="Other")), (TEMPLATES, profile_body())):
        answer = send(api, path, body, "k")
        if path == PROFILES:
            assert (answer.status_code, answer.json_body["code"]) == (422, "idempotency_key_reused")
            assert answer.json_body["message"] == "The Idempotency-Key has been used for another request."
        else:
            assert answer.status_code == 422
    assert len(made(api, "PROFILE")) == 1


def test_the_same_body_on_another_path_is_another_request(api: Api) -> None:
    one, other = ready(api), ready(api)
    assert send(api, f"{PROFILES}/{one}/import", None, "k").status_code == 201
    assert send(api, f"{PROFILES}/{other}/import", None, "k").json_body["code"] == "idempotency_key_reused"


def test_keys_belong_to_their_user(api: Api, stranger: Api) -> None:
    user = access.create_user(api.org, "Bo", "bo@example.com", "ADMIN")
    colleague = Api(api.client, access.issue_token(api.org, user["id"], "t"), api.org, user["id"])
    ids = {send(one, PROFILES, profile_body(), "k").json_body["profile"]["id"] for one in (api, colleague, stranger)}
    assert len(ids) == 3


def test_what_was_refused_can_be_mended_under_the_key(api: Api) -> None:
    assert send(api, PROFILES, profile_body(port=0), "k").status_code == 422
    assert send(api, JOBS, {"profile_id": str(uuid.uuid4())}, "k").status_code == 404
    assert send(api, PROFILES, profile_body(), "k").status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\tb"])
def test_a_malformed_key_is_refused(api: Api, key: str) -> None:
    answer = send(api, PROFILES, profile_body(), key)
    assert (answer.status_code, answer.json_body["code"]) == (400, "malformed_idempotency_key")
    assert answer.json_body["message"] == (
        "The Idempotency-Key must have 1 to 255 printable ASCII characters, none of them a space."
    )
    assert made(api, "PROFILE") == []


def test_a_key_of_255_characters_is_taken(api: Api) -> None:
    assert send(api, PROFILES, profile_body(), "~" * 255).status_code == 201


def test_a_second_sending_during_the_first_is_refused_and_done_later(api: Api) -> None:
    profile = ready(api)
    met: list[HTTPResponse] = []

    def meanwhile(**_: Any) -> None:
        if not met:
            met.append(send(api, JOBS, {"profile_id": profile}, "k"))

    events = clients.client("stepfunctions").meta.events
    events.register("before-call.sfn.StartExecution", meanwhile)
    first = send(api, JOBS, {"profile_id": profile}, "k")
    events.unregister("before-call.sfn.StartExecution", meanwhile)
    assert (met[0].status_code, met[0].json_body["code"]) == (409, "idempotency_in_flight")
    assert met[0].json_body["message"] == "A request with this Idempotency-Key is being answered now."
    assert first.status_code == 201
    assert send(api, JOBS, {"profile_id": profile}, "k").body == first.body


@pytest.mark.parametrize("operation", ["TransactWriteItems", "StartExecution", "UpdateItem"])
@pytest.mark.parametrize("when", ["before-send"])
def test_a_start_that_died_half_way_and_is_sent_again_is_the_same_job(api: Api, operation: str, when: str) -> None:
    profile = ready(api)
    body = {"profile_id": profile}
    if operation == "UpdateItem":  # the rate's and the sequence's come before: die at the one that keeps the answer
        _kill_at_the_answer(api, body)
    else:
        with dying(operation, when):
            send(api, JOBS, body, "k")
    minted = item(api, "k")["minted"]
    assert item(api, "k")["answer"] is None
    assert send(api, JOBS, body, "k").json_body["code"] == "idempotency_in_flight"
    expire(api, "k", "lease")
    again = send(api, JOBS, body, "k")
    assert (again.status_code, again.json_body["job"]["id"]) == (201, minted)
    assert again.json_body["job"]["status"] == "running"
    assert [job["id"] for job in made(api, "JOB")] == [minted]
    assert [line["subject"] for line in made(api, "AUDIT") if line["action"] == "job.started"] == [f"job/{minted}"]
    assert send(api, JOBS, body, "k").body == again.body
    started = boto3.client("stepfunctions").list_executions(stateMachineArn=_machine())["executions"]
    assert [one["name"] for one in started].count(minted) == 1


def _machine() -> str:
    from chalicelib import settings

    return settings.get().state_machine


def _kill_at_the_answer(api: Api, body: Any) -> None:
    dynamodb = clients.client("dynamodb")

    def hook(request: Any, **_: Any) -> None:
        if b"#answer = :answer" in request.body:
            raise Killed

    dynamodb.meta.events.register_first("before-send", hook)
    with pytest.raises(Killed):
        send(api, JOBS, body, "k")
    dynamodb.meta.events.unregister("before-send", hook)


@pytest.mark.parametrize(
    ("path", "body", "kind"), [(PROFILES, profile_body(), "PROFILE"), (TEMPLATES, template_body(), "TEMPLATE")]
)
def test_what_was_made_by_an_attempt_that_died_is_not_made_again(api: Api, path: str, body: Any, kind: str) -> None:
    events = clients.client("dynamodb").meta.events

    def hook(request: Any, **_: Any) -> None:
        if b"#answer = :answer" in request.body or b"#lease = :over" in request.body:
            raise Killed

    events.register_first("before-send", hook)
    with pytest.raises(Killed):
        send(api, path, body, "k")
    events.unregister("before-send", hook)
    [first] = made(api, kind)
    expire(api, "k", "lease")
    again = send(api, path, body, "k")
    assert again.status_code == 201
    assert [one["id"] for one in made(api, kind)] == [first["id"]]
    assert first["id"] in again.body.decode()
    assert len(made(api, "AUDIT")) == 1


def test_after_a_fault_of_ours_the_request_can_be_sent_at_once(api: Api) -> None:
    """The job is made, the answer is not kept, nobody has to wait for a lease."""
    from botocore.exceptions import EndpointConnectionError

    def lost(request: Any, **_: Any) -> None:
        if b"TransactItems" in request.data:
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    events = clients.client("dynamodb").meta.events
    events.register("request-created.dynamodb.TransactWriteItems", lost)
    assert send(api, PROFILES, profile_body(), "k").status_code == 503
    events.unregister("request-created.dynamodb.TransactWriteItems", lost)
    minted = item(api, "k")["minted"]
    answer = send(api, PROFILES, profile_body(), "k")
    assert (answer.status_code, answer.json_body["profile"]["id"]) == (201, minted)


def test_after_a_day_the_key_is_free(api: Api) -> None:
    """DynamoDB removes what has expired within two days; until then it counts as gone."""
    first = send(api, PROFILES, profile_body(), "k").json_body["profile"]["id"]
    assert item(api, "k")["ttl"] > 86_000
    expire(api, "k", "ttl")
    other = send(api, PROFILES, profile_body(name="Other"), "k")
    assert other.status_code == 201
    assert other.json_body["profile"]["id"] != first


def test_no_secret_and_no_request_is_kept(api: Api) -> None:
    assert send(api, PROFILES, profile_body(password="canary-77-password"), "canary-77-key").status_code == 201
    kept = json.dumps(item(api, "canary-77-key"))
    assert "canary-77" not in kept
    assert idempotency.KEPT_SECONDS == 86_400
