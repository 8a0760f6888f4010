"""The trail: one line a change, newest first, for administrators, without values."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib import access, audit, dynamo, keys
from chalicelib.pages import cursor_of
from chalicelib.routes.audit import LOOKED_AT
from tests.routes.conftest import Api, profile_body

AUDIT = "/api/audit"


def seeded(api: Api, count: int, action: str = "profile.updated", begin: int = 0) -> None:
    """Lines as `audit.line` writes them, a minute apart, from the first of January on."""
    for number in range(begin, begin + count):
        at = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat(timespec="microseconds")
        line = {"user": {"id": api.user, "name": "Ada"}, "action": action, "subject": f"profile/{number}"}
        dynamo.put("state", keys.audit(api.org, f"{at}#{uuid.uuid4()}"), line | {"fields": ["name"], "at": at})


def walked(api: Api, **query: Any) -> list[list[str]]:
    """The subjects of every page, following the cursor."""
    pages, cursor = [], None
    while True:
        answer = api.get(AUDIT, **query, **({"cursor": cursor} if cursor else {})).json_body
        pages.append([line["subject"] for line in answer["data"]])
        cursor = answer["next_cursor"]
        if cursor is None:
            return pages


def test_who_did_what_without_values(api: Api) -> None:
    profile = api.profile(password="canary-a1", notes="canary-a2")
    api.put(f"/api/import/profiles/{profile['id']}", profile_body(name="canary-a3", password="canary-a4"))
    api.delete(f"/api/import/profiles/{profile['id']}")
    answer = api.get(AUDIT)
    shown = answer.json_body["data"]
    assert [line["action"] for line in shown] == ["profile.deleted", "profile.updated", "profile.created"]
    assert {line["subject"] for line in shown} == {f"profile/{profile['id']}"}
    assert all(line["user"] == {"id": api.user, "name": "Admin User"} for line in shown)
    assert {"name", "password"} <= set(shown[1]["fields"])
    assert datetime.fromisoformat(shown[0]["at"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert b"canary" not in answer.body


def test_pages_follow_each_other_without_loss(api: Api) -> None:
    seeded(api, 7)
    expected = [f"profile/{number}" for number in reversed(range(7))]
    for size in (1, 2, 3, 7, 100):
        pages = walked(api, per_page=size)
        assert [subject for page in pages for subject in page] == expected
        assert max(map(len, pages)) <= size
    assert len(walked(api, per_page=7)) == 1


def test_lines_that_come_meanwhile_move_no_page(api: Api) -> None:
    seeded(api, 4)
    first = api.get(AUDIT, per_page=2).json_body
    seeded(api, 2, begin=10)
    rest = api.get(AUDIT, per_page=2, cursor=first["next_cursor"]).json_body
    assert [line["subject"] for line in rest["data"]] == ["profile/1", "profile/0"]


def test_filters(api: Api) -> None:
    seeded(api, 2)
    seeded(api, 1, "profile.deleted", begin=2)
    seeded(api, 1, "profiles.other", begin=3)
    other = str(uuid.uuid4())
    dynamo.transact([audit.line(api.org, {"id": other, "name": "Bo"}, "job.started", "job/1")])
    assert walked(api, action="profile.updated") == [["profile/1", "profile/0"]]
    assert walked(api, action="profile") == [["profile/2", "profile/1", "profile/0"]]
    assert walked(api, subject="profile/1") == [["profile/1"]]
    assert walked(api, user=other) == [["job/1"]]
    assert walked(api, user=str(uuid.uuid4())) == [[]]


def test_days_include_both_ends(api: Api) -> None:
    seeded(api, 3, begin=24 * 60 - 1)  # 23:59, 0:00, 0:01
    assert walked(api, date_from="2026-01-01", date_to="2026-01-01") == [["profile/1439"]]
    assert walked(api, date_from="2026-01-02", date_to="2026-01-02") == [["profile/1441", "profile/1440"]]
    assert walked(api, date_from="2026-01-03") == walked(api, date_to="2025-12-31") == [[]]
    assert len(walked(api, date_to="2026-01-02")[0]) == 3
    assert walked(api, date_from="2026-01-02", date_to="2026-01-02", per_page=1) == [["profile/1441"], ["profile/1440"]]


def test_a_rare_filter_looks_at_so_many_lines_and_goes_on_by_cursor(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.routes.audit.LOOKED_AT", 3)
    seeded(api, 1, "job.started")
    seeded(api, 7, begin=1)
    assert walked(api, action="job") == [[], [], ["profile/0"]]
    assert LOOKED_AT == 1000


@pytest.mark.parametrize("query", [{"cursor": "%%"}, {"per_page": 0}, {"user": "x"}, {"when": "now"}, {"action": ""}])
def test_wrong_queries_are_422(api: Api, query: dict[str, Any]) -> None:
    answer = api.get(AUDIT, **query)
    assert (answer.status_code, list(answer.json_body["errors"])) == (422, list(query))


def test_a_cursor_leads_nowhere_else(api: Api, stranger: Api) -> None:
    """It is a place in the caller's own trail, whatever it says."""
    seeded(stranger, 2)
    cursor = api.get(AUDIT).json_body["next_cursor"]
    assert cursor is None
    stolen = stranger.get(AUDIT, per_page=1).json_body["next_cursor"]
    assert api.get(AUDIT, cursor=stolen).json_body["data"] == []
    for place in ("~~~~", "", "zzz"):
        assert api.get(AUDIT, cursor=cursor_of(place)).json_body["data"] == []


@pytest.mark.accepts("SV-005")
def test_only_administrators_and_each_their_own(api: Api, stranger: Api) -> None:
    seeded(api, 1)
    assert walked(stranger) == [[]]
    admin = access.create_user(api.org, "Bo", "bo@example.com", "ADMIN")
    assert Api(api.client, access.issue_token(api.org, admin["id"], "t")).get(AUDIT).status_code == 403
