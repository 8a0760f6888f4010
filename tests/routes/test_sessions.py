"""The web session: begun with a token, kept in a cookie, ended by time, by hand, or with its token and user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from chalice.test import Client, HTTPResponse

from chalicelib import access, dynamo, keys, logins, settings
from chalicelib.errors import Unauthorized
from tests.routes.conftest import Api, profile_body

SESSION, PROFILES = "/api/session", "/api/import/profiles"


@dataclass
class Browser:
    """A browser in which somebody has signed in: it sends the cookie, and what a page tells it to."""

    api: Api
    value: str
    csrf: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> HTTPResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"Cookie": f"theme=dark; laravel_session={self.value}; x=1", "X-CSRF-Token": self.csrf} | given
        sent = {name: value for name, value in given.items() if value is not None}
        return Api(self.api.client, None).request(method, path, body, headers=sent)


def sign_in(api: Api) -> Browser:
    answer = api.post(SESSION)
    assert answer.status_code == 201, answer.body
    value = re.match("laravel_session=([^;]+);", answer.headers["Set-Cookie"][0])
    assert value
    return Browser(api, value[1], answer.json_body["csrf_token"])


@pytest.fixture
def browser(api: Api) -> Browser:
    return sign_in(api)


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Settings that can be changed."""
    yield monkeypatch
    monkeypatch.undo()
    settings.get.cache_clear()


def later(browser: Browser, **time: int) -> access.Caller:
    return logins.authenticate(browser.value, now=datetime.now(UTC) + timedelta(**time))


@pytest.mark.accepts("SV-001")
def test_a_session_is_begun_with_a_token_and_comes_in_a_cookie(api: Api) -> None:
    answer = api.post(SESSION)
    session, xsrf = answer.headers["Set-Cookie"]
    assert re.fullmatch(
        r"laravel_session=whs_[\w-]{43}; HttpOnly; Path=/; Max-Age=43200; SameSite=Lax; Secure", session
    )
    token = answer.json_body["csrf_token"]
    assert xsrf == f"XSRF-TOKEN={token}; Path=/; Max-Age=43200; SameSite=Lax; Secure"
    ends = datetime.fromisoformat(answer.json_body["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < ends < timedelta(hours=12, minutes=1)
    assert token not in session


@pytest.mark.accepts("SV-001", "SV-002")
def test_it_may_what_the_token_may(api: Api, browser: Browser) -> None:
    made = browser.ask("POST", PROFILES, profile_body())
    assert made.status_code == 201
    assert made.json_body["profile"]["created_by"] == {"id": api.user, "name": "Admin User"}
    by_cookie, by_token = browser.ask("GET", PROFILES), api.get(PROFILES)
    assert by_cookie.status_code == 200
    assert by_cookie.body == by_token.body


@pytest.mark.accepts("SV-004")
def test_a_narrowed_tokens_session_is_as_narrow(api: Api) -> None:
    narrow = Api(api.client, access.issue_token(api.org, api.user, "t", scopes=["system.configure"]))
    browser = sign_in(narrow)
    assert browser.ask("GET", SESSION).json_body["permissions"] == ["system.configure"]
    assert browser.ask("GET", PROFILES).status_code == 403


def test_who_am_i(api: Api, browser: Browser) -> None:
    said = browser.ask("GET", SESSION).json_body
    assert said == {
        "user": {"id": api.user, "name": "Admin User"},
        "organisation": api.org,
        "role": "SUPER_ADMIN",
        "permissions": ["import.global", "pages.import.manage", "system.configure", "system.import"],
        "csrf_token": browser.csrf,
    }
    assert api.get(SESSION).json_body == said | {"csrf_token": None}


def test_each_sign_in_has_a_new_value_whatever_cookie_it_came_with(api: Api) -> None:
    planted = "whs_" + "a" * 43
    answer = api.request("POST", SESSION, headers={"Cookie": f"laravel_session={planted}"})
    assert answer.status_code == 201
    assert planted not in str(answer.headers["Set-Cookie"])
    assert Browser(api, planted, "").ask("GET", SESSION).status_code == 401
    assert sign_in(api).value != sign_in(api).value


def test_no_session_begins_another_so_none_lives_longer(browser: Browser) -> None:
    answer = browser.ask("POST", SESSION)
    assert (answer.status_code, answer.json_body["code"]) == (400, "bad_request")
    assert answer.json_body["message"] == "A session is begun with a token, not with another session."


def test_signing_out_ends_this_session_only(api: Api, browser: Browser) -> None:
    other = sign_in(api)
    answer = browser.ask("DELETE", SESSION)
    assert (answer.status_code, answer.json_body) == (200, {"message": "Signed out successfully"})
    assert [cookie.partition(";")[0] for cookie in answer.headers["Set-Cookie"]] == ["laravel_session=", "XSRF-TOKEN="]
    assert all("Max-Age=0" in cookie for cookie in answer.headers["Set-Cookie"])
    assert browser.ask("GET", SESSION).status_code == 401
    assert other.ask("GET", SESSION).status_code == api.get(SESSION).status_code == 200


def test_a_token_is_no_session_to_end(api: Api) -> None:
    answer = api.delete(SESSION)
    assert (answer.status_code, answer.json_body["message"]) == (404, "Session not found")


@pytest.mark.accepts("SV-003")
def test_it_ends_with_its_token(api: Api, browser: Browser) -> None:
    access.revoke_token(api.token or "")
    answer = browser.ask("GET", PROFILES)
    assert (answer.status_code, answer.json_body["message"]) == (401, "Unauthenticated.")


def test_it_ends_when_its_token_expires(api: Api) -> None:
    token = access.issue_token(api.org, api.user, "t", expires_at=datetime.now(UTC) + timedelta(minutes=1))
    browser = sign_in(Api(api.client, token))
    assert later(browser, seconds=50).org == api.org
    with pytest.raises(Unauthorized):
        later(browser, seconds=61)


def test_it_ends_with_its_user(api: Api, browser: Browser) -> None:
    dynamo.delete("state", keys.user(api.org, api.user))
    assert browser.ask("GET", PROFILES).status_code == 401


def test_it_ends_after_twelve_hours_however_much_it_is_used(browser: Browser) -> None:
    for hour in range(1, 12):
        assert later(browser, hours=hour)
    assert later(browser, hours=11, minutes=59)
    with pytest.raises(Unauthorized):
        later(browser, hours=12)


def test_it_ends_after_two_idle_hours(browser: Browser) -> None:
    assert later(browser, minutes=119)
    assert later(browser, minutes=238)
    with pytest.raises(Unauthorized):
        later(browser, minutes=238 + 120)


def test_use_is_noted_every_five_minutes_and_revives_nothing(api: Api, browser: Browser) -> None:
    caller = later(browser, minutes=4)
    key = keys.login(caller.session or "")
    begun = dynamo.get("state", key) or {}
    later(browser, minutes=4, seconds=58)
    assert dynamo.get("state", key) == begun
    later(browser, minutes=6)
    assert (dynamo.get("state", key) or {})["seen"] > begun["seen"]
    logins.end(caller)
    logins.end(caller)
    with pytest.raises(Unauthorized):
        later(browser, minutes=12)
    assert dynamo.get("state", key) is None


def test_the_value_is_kept_as_a_hash_alone(browser: Browser) -> None:
    everything = repr(boto3.client("dynamodb").scan(TableName="state")["Items"])
    assert browser.value not in everything
    assert browser.csrf not in everything


@pytest.mark.parametrize("value", ["", "x", "whs_", "whs_" + "a" * 43, "whs_" + "a" * 42 + "é", "whf_" + "a" * 43])
@pytest.mark.accepts("SV-003")
def test_other_cookies_are_401(client: Client, value: str) -> None:
    answer = Api(client, None).request("GET", PROFILES, headers={"Cookie": f"laravel_session={value}"})
    assert (answer.status_code, answer.json_body["message"]) == (401, "Unauthenticated.")


def test_a_cookie_that_is_there_twice_is_none(api: Api, browser: Browser) -> None:
    """A neighbouring host can plant a second one and cannot take the first away."""
    twice = f"laravel_session=whs_{'a' * 43}; laravel_session={browser.value}"
    assert browser.ask("GET", SESSION, Cookie=twice).status_code == 401


def test_the_authorization_header_alone_counts_when_it_is_sent(api: Api, stranger: Api, browser: Browser) -> None:
    both = {"Cookie": f"laravel_session={browser.value}"}
    assert stranger.request("GET", SESSION, headers=both).json_body["organisation"] == stranger.org
    assert browser.ask("GET", SESSION, Authorization="Bearer nonsense").status_code == 401
    assert browser.ask("GET", SESSION, Authorization="Basic eDp5").status_code == 401
    assert stranger.request("POST", PROFILES, profile_body(), headers=both).status_code == 201  # no CSRF token needed


# --- changes by cookie


CHANGES = [("POST", PROFILES), ("PUT", f"{PROFILES}/x"), ("PATCH", "/api/records/tickets/x"), ("DELETE", SESSION)]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize("token", [None, "", "x", "0" * 64])
def test_a_change_without_the_csrf_token_is_403(browser: Browser, method: str, path: str, token: str | None) -> None:
    answer = browser.ask(method, path, X_CSRF_Token=token)
    assert (answer.status_code, answer.json_body["code"]) == (403, "csrf_mismatch")
    assert answer.json_body["message"] == "CSRF token mismatch."
    assert browser.ask("GET", SESSION, X_CSRF_Token=token).status_code == 200


def test_another_sessions_csrf_token_is_none(api: Api, browser: Browser) -> None:
    assert browser.ask("POST", PROFILES, profile_body(), X_CSRF_Token=sign_in(api).csrf).status_code == 403


def test_the_token_may_come_as_axios_sends_it(browser: Browser) -> None:
    headers = {"X_CSRF_Token": None, "X_XSRF_TOKEN": browser.csrf}
    assert browser.ask("POST", PROFILES, profile_body(), **headers).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "same-origin"}, 201),
        ({"Sec_Fetch_Site": "same-site"}, 201),
        ({"Sec_Fetch_Site": "none"}, 201),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "nonsense"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://anything.example"}, 201),
    ],
)
def test_where_the_browser_says_a_change_comes_from(browser: Browser, headers: dict[str, str], status: int) -> None:
    answer = browser.ask("POST", PROFILES, profile_body(), **headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json_body["code"] == "csrf_mismatch"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 201),
        ("https://app.example.com", 201),
        ("https://evil.example", 403),
        ("https://app.example.com.evil.example", 403),
        ("http://app.example.com", 403),
        ("null", 403),
    ],
)
def test_a_stage_that_knows_its_pages_origin_takes_no_other(
    browser: Browser, plainly: pytest.MonkeyPatch, origin: str | None, status: int
) -> None:
    plainly.setenv("WHARF_WEB_ORIGIN", "https://app.example.com")
    settings.get.cache_clear()
    assert browser.ask("POST", PROFILES, profile_body(), Origin=origin).status_code == status


def test_a_stage_names_the_cookie_and_the_local_one_needs_no_tls(api: Api, plainly: pytest.MonkeyPatch) -> None:
    plainly.setenv("WHARF_SESSION_COOKIE", "__Host-wharf")
    plainly.setenv("WHARF_COOKIE_SECURE", "false")
    settings.get.cache_clear()
    session, xsrf = api.post(SESSION).headers["Set-Cookie"]
    assert session.startswith("__Host-wharf=whs_")
    assert "Secure" not in session + xsrf
    value = session.partition("=")[2].partition(";")[0]
    assert Api(api.client, None).request("GET", SESSION, headers={"Cookie": f"__Host-wharf={value}"}).status_code == 200
    assert Browser(api, value, "").ask("GET", SESSION).status_code == 401
