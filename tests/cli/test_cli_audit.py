"""`wharf audit list`: what is asked, and how the trail is shown."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cli.conftest import Api, Wharf

ROUTE = "GET /api/audit"


def line(number: int, **values: Any) -> dict[str, Any]:
    return {
        "at": f"2026-01-01T10:{number:02d}:00.000000Z",
        "user": {"id": "u", "name": "Ada"},
        "action": "profile.updated",
        "subject": f"profile/{number}",
        "fields": ["host", "password"],
        **values,
    }


def page(*lines: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"data": list(lines), "next_cursor": cursor}


def test_the_trail_is_listed_newest_first(api: Api, wharf: Wharf) -> None:
    api.on(ROUTE, (200, page(line(2), line(1, user=None, fields=[]))))
    shown = wharf("audit", "list")
    assert shown.exit_code == 0
    first, second = (row for row in shown.stdout.splitlines() if "profile/" in row)
    assert "2026-01-01 10:02 UTC" in first
    assert "Ada" in first
    assert "host, password" in first
    assert "Ada" not in second


def test_filters_are_asked_of_the_api(api: Api, wharf: Wharf) -> None:
    api.on(ROUTE, (200, page()))
    asked = ["--user", "u", "--action", "job", "--subject", "job/1", "--from", "2026-01-01", "--to", "2026-01-31"]
    assert wharf("audit", "list", *asked, "--limit", "7").exit_code == 0
    assert parse_qs(urlsplit(api.asked[0].path).query) == {
        "user": ["u"],
        "action": ["job"],
        "subject": ["job/1"],
        "date_from": ["2026-01-01"],
        "date_to": ["2026-01-31"],
        "per_page": ["7"],
    }


def test_pages_are_followed_also_empty_ones_and_more_is_said(api: Api, wharf: Wharf) -> None:
    api.on(ROUTE, (200, page(line(3), cursor="a")), (200, page(cursor="b")), (200, page(line(2), line(1))))
    shown = wharf("audit", "list", "--limit", "2", "--json")
    assert [one["subject"] for one in json.loads(shown.stdout)] == ["profile/3", "profile/2"]
    assert [parse_qs(urlsplit(one.path).query).get("cursor") for one in api.asked] == [None, ["a"], ["b"]]
    api.on(ROUTE, (200, page(line(3), line(2), line(1))))
    assert "There are more than these 2" in wharf("audit", "list", "--limit", "2").stderr


def test_a_token_that_may_not_is_told_so(api: Api, wharf: Wharf) -> None:
    api.on(ROUTE, (403, {"message": "This action is unauthorized.", "code": "forbidden"}))
    refused = wharf("audit", "list")
    assert refused.exit_code == 1
    assert "This action is unauthorized." in refused.stderr
