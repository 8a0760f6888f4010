"""Requests a minute: refused at the exact number, for the right one, and without doing anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from chalice.test import HTTPResponse

from chalicelib import access, clients, dynamo, keys, rates, settings
from chalicelib.errors import Retryable
from tests.docs.test_docs import section
from tests.routes.conftest import Api, profile_body

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
CLASSES = list(rates.A_MINUTE)

ASKED: dict[str, tuple[str, str, Any]] = {
    "profiles": ("GET", "/api/import/profiles", None),
    "connections": ("POST", "/api/import/profiles/test-connection", {}),
    "templates": ("GET", "/api/import/templates", None),
    "monitoring": ("GET", "/api/import/jobs", None),
    "records": ("GET", "/api/records/nonsense", None),
}
"""A cheap request of each class that has a route."""


@pytest.fixture
def early() -> None:
    """Early enough in a minute for all of a test's requests to be in it."""
    if time.time() % 60 > 45:
        time.sleep(60.1 - time.time() % 60)


@pytest.fixture
def caller(api: Api) -> access.Caller:
    return access.authenticate(api.token or "", now=datetime.now(UTC))


def colleague(api: Api) -> Api:
    user = access.create_user(api.org, "Bo", "bo@example.com", "ADMIN")
    return Api(api.client, access.issue_token(api.org, user["id"], "t"), api.org, user["id"])


def allowed(caller: access.Caller, rate_class: rates.RateClass, times: int, now: float = NOON) -> int:
    """How many of so many requests are let through."""
    let = 0
    for _ in range(times):
        try:
            rates.count(caller, rate_class, now=now)
        except rates.Exceeded:
            continue
        let += 1
    return let


def left(moment: float) -> int:
    """Seconds until the clock's minute is over."""
    return 60 - int(moment) % 60


@pytest.mark.usefixtures("early")
@pytest.mark.parametrize(
    ("rate_class", "limit"),
    [
        pytest.param("profiles", 60, marks=pytest.mark.accepts("SV-154")),
        pytest.param("connections", 10, marks=pytest.mark.accepts("SV-155")),
        pytest.param("templates", 20, marks=pytest.mark.accepts("SV-157")),
        pytest.param("monitoring", 120, marks=pytest.mark.accepts("SV-158")),
        pytest.param("records", 120),
    ],
)
def test_the_request_beyond_the_limit_is_refused(api: Api, rate_class: str, limit: int) -> None:
    began = time.time()
    answers = [api.request(*ASKED[rate_class]) for _ in range(limit + 2)]
    longest, shortest = left(began), left(time.time())
    assert 429 not in {answer.status_code for answer in answers[:limit]}
    assert [answer.status_code for answer in answers[limit:]] == [429, 429]
    assert [int(answer.headers["RateLimit-Remaining"]) for answer in answers] == [*range(limit - 1, -1, -1), 0, 0]
    assert {answer.headers["RateLimit-Limit"] for answer in answers} == {str(limit)}
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {f"{limit};w=60"}
    resets = [int(answer.headers["RateLimit-Reset"]) for answer in answers]
    assert longest >= resets[0] >= resets[-1] >= shortest
    assert resets == sorted(resets, reverse=True), "it falls as the minute goes"
    assert [answer.headers["Retry-After"] for answer in answers[limit:]] == [str(one) for one in resets[limit:]]


@pytest.mark.usefixtures("cloud")
@pytest.mark.accepts("SV-154", "SV-155", "SV-156", "SV-157", "SV-158")
def test_the_limits_are_the_references() -> None:
    assert {name: rates.limits(name)[0] for name in CLASSES} == {
        "profiles": 60,
        "connections": 10,
        "builder": 30,
        "templates": 20,
        "monitoring": 120,
        "records": 120,
    }
    rows = [line.split("|")[1:4] for line in section("limits.md", "Requests a minute").splitlines() if "` |" in line]
    assert {name.strip(" `"): (int(own), int(whole)) for own, whole, name in rows} == {
        name: rates.limits(name) for name in CLASSES
    }


@pytest.mark.usefixtures("early")
def test_a_refusal_says_when_to_come_again_in_the_one_body(api: Api, caller: access.Caller) -> None:
    allowed(caller, "connections", 10, time.time())
    longest = left(time.time())
    answer = api.request(*ASKED["connections"])
    assert (answer.status_code, answer.json_body["code"]) == (429, "rate_limited")
    assert answer.json_body["title"] == "Too Many Requests"
    wait = answer.headers["Retry-After"]
    assert longest >= int(wait) >= left(time.time())
    assert answer.json_body["message"] == (
        f"Too many requests: a user has 10 of this kind a minute. Try again in {wait} s."
    )


@pytest.mark.usefixtures("early")
def test_a_refused_request_does_nothing(api: Api, caller: access.Caller) -> None:
    allowed(caller, "profiles", 60, time.time())
    answer = api.post("/api/import/profiles", profile_body())
    assert answer.status_code == 429
    assert list(dynamo.query("state", f"O#{api.org}", prefix="PROFILE#")) == []
    assert list(dynamo.query("state", f"O#{api.org}", prefix="AUDIT#")) == []


@pytest.mark.parametrize(
    "rate_class",
    [
        pytest.param("profiles", marks=pytest.mark.accepts("SV-154")),
        pytest.param("connections", marks=pytest.mark.accepts("SV-155")),
        pytest.param("builder", marks=pytest.mark.accepts("SV-156")),
        pytest.param("templates", marks=pytest.mark.accepts("SV-157")),
        pytest.param("monitoring", marks=pytest.mark.accepts("SV-158")),
        "records",
    ],
)
@pytest.mark.parametrize(("second", "wait"), [(0, 60), (0.9, 60), (1, 59), (17.5, 43), (59, 1), (59.99, 1), (60, 60)])
def test_how_long_is_left_is_what_the_clocks_minute_has_left(
    caller: access.Caller, rate_class: rates.RateClass, second: float, wait: int
) -> None:
    standing = rates.count(caller, rate_class, now=NOON + second)
    assert standing
    assert standing.headers()["RateLimit-Reset"] == str(wait)
    own, _ = rates.limits(rate_class)
    allowed(caller, rate_class, own - 1, NOON + second)
    with pytest.raises(rates.Exceeded) as refused:
        rates.count(caller, rate_class, now=NOON + second)
    assert refused.value.retry_after_seconds == refused.value.standing.reset_seconds == wait
    assert refused.value.message.endswith(f"Try again in {wait} s.")


@pytest.mark.accepts("SV-156")
def test_the_next_minute_is_a_new_one(caller: access.Caller) -> None:
    assert allowed(caller, "builder", 31) == 30
    assert allowed(caller, "builder", 1, NOON + 59.9) == 0
    assert allowed(caller, "builder", 31, NOON + 60) == 30


def test_other_users_classes_and_organisations_go_on(api: Api, stranger: Api, caller: access.Caller) -> None:
    assert allowed(caller, "templates", 21) == 20
    assert allowed(caller, "profiles", 1) == 1
    for other in (colleague(api), stranger):
        assert allowed(access.authenticate(other.token or "", now=datetime.now(UTC)), "templates", 21) == 20


def test_more_tokens_are_no_more_requests(api: Api, caller: access.Caller) -> None:
    assert allowed(caller, "connections", 10) == 10
    second = access.authenticate(access.issue_token(api.org, api.user, "second"), now=datetime.now(UTC))
    assert allowed(second, "connections", 1) == 0


def test_an_organisation_has_five_users_worth_and_knocking_takes_nobodys_share(api: Api) -> None:
    callers = [access.authenticate(colleague(api).token or "", now=datetime.now(UTC)) for _ in range(6)]
    assert allowed(callers[0], "connections", 200) == 10
    assert [allowed(one, "connections", 11) for one in callers[1:]] == [10, 10, 10, 10, 0]
    with pytest.raises(rates.Exceeded, match="an organisation has 50 of this kind a minute"):
        rates.count(callers[5], "connections", now=NOON)


def test_the_count_is_gone_after_two_minutes(caller: access.Caller) -> None:
    rates.count(caller, "builder", now=NOON + 30)
    item = dynamo.get("state", keys.rate(caller.org, "builder", int(NOON)))
    assert item
    assert item["ttl"] == int(NOON) + 120


def test_without_the_permission_or_a_token_nothing_is_counted(api: Api) -> None:
    user = access.create_user(api.org, "Bo", "bo@example.com", "USER")
    refused = Api(api.client, access.issue_token(api.org, user["id"], "t")).get("/api/import/jobs")
    assert (refused.status_code, "RateLimit-Limit" in refused.headers) == (403, False)
    anonymous = Api(api.client, None).get("/api/import/jobs")
    assert (anonymous.status_code, "RateLimit-Limit" in anonymous.headers) == (401, False)
    public = Api(api.client, None).get("/api/health")
    assert (public.status_code, "RateLimit-Limit" in public.headers) == (200, False)
    assert rate_items(api.org) == []


def rate_items(org: str) -> list[Any]:
    return [item for name in CLASSES for item in dynamo.query("state", f"O#{org}#R#{name}")]


def test_what_is_wrong_with_a_counted_request_does_not_hide_where_one_stands(api: Api) -> None:
    answers: list[HTTPResponse] = [
        api.get("/api/import/profiles", nonsense=1),
        api.post("/api/import/profiles", b"{"),
        api.get("/api/import/profiles/none"),
    ]
    assert [answer.status_code for answer in answers] == [422, 400, 404]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["59", "58", "57"]


@pytest.mark.usefixtures("cloud")
def test_the_stages_factor_multiplies_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHARF_RATE_FACTOR", "0.5")
    settings.get.cache_clear()
    assert rates.limits("connections") == (5, 25)
    monkeypatch.setenv("WHARF_RATE_FACTOR", "0")
    settings.get.cache_clear()
    assert rates.limits("connections") == (1, 5)
    monkeypatch.undo()
    settings.get.cache_clear()
    stages = json.loads((Path(__file__).parents[2] / ".chalice" / "config.json").read_text())["stages"]
    assert stages["prod"]["environment_variables"]["WHARF_RATE_FACTOR"] == "1"


@pytest.fixture
def uncountable() -> Iterator[None]:
    """The table answers all but the count."""
    events = clients.client("dynamodb").meta.events

    def lost(request: Any, **_: Any) -> None:
        if b"RATE#" in request.data:
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    events.register("request-created.dynamodb.UpdateItem", lost)
    yield
    events.unregister("request-created.dynamodb.UpdateItem", lost)


@pytest.mark.usefixtures("uncountable")
def test_what_cannot_be_counted_is_let_through_but_no_connection_test(
    api: Api, caller: access.Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    answer = api.get("/api/import/profiles")
    assert (answer.status_code, "RateLimit-Limit" in answer.headers) == (200, False)
    assert json.loads(capfd.readouterr().err.splitlines()[-1])["uncounted"] == 1
    refused = api.request(*ASKED["connections"])
    assert (refused.status_code, refused.json_body["code"]) == (503, "unavailable")
    assert refused.headers["Retry-After"] == "2"
    for name in CLASSES:
        if name == "connections":
            with pytest.raises(Retryable):
                rates.count(caller, name, now=NOON)
        else:
            assert rates.count(caller, name, now=NOON) is None
