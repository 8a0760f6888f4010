"""GET /api/import/profiles: which profiles a filter finds."""

from __future__ import annotations

import pytest

from chalicelib import profiles
from tests.routes.conftest import Api

PROFILES = "/api/import/profiles"


@pytest.fixture
def tested(api: Api) -> Api:
    """Four profiles, named after how their latest test ended."""
    for name, ends in (
        ("untested", []),
        ("failed", [True, False]),
        ("success", [False, True]),
        ("success too", [True]),
    ):
        made = api.profile(name=name)
        for success in ends:
            profiles.note_test(profiles.get(api.org, made["id"]), {"success": success, "message": "…"})
    return api


@pytest.mark.accepts("SV-010", "SV-011")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "success"}, ["success too", "success"]),
        ({"status": "failed"}, ["failed"]),
        ({"status": "untested"}, ["untested"]),
        ({"status": "success", "search": "TOO"}, ["success too"]),
        ({"status": "failed", "search": "success"}, []),
        ({"search": "CeSS", "database_type": "postgresql"}, ["success too", "success"]),
        ({"status": "success", "per_page": 1, "page": 2}, ["success"]),
    ],
)
def test_profiles_are_found_by_their_latest_test_and_name(tested: Api, query: dict[str, str], found: list[str]) -> None:
    answer = tested.get(PROFILES, **query)
    assert answer.status_code == 200
    assert [profile["name"] for profile in answer.json_body["data"]] == found
    assert answer.json_body["meta"]["total"] == (2 if "page" in query else len(found))


@pytest.mark.accepts("SV-010", "SV-150")
@pytest.mark.parametrize("status", ["ok", "", "SUCCESS"])
def test_an_unknown_status_is_422_and_the_known_ones_are_named(api: Api, status: str) -> None:
    answer = api.get(PROFILES, status=status)
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {
        "status": ["The selected status is invalid; it may be success, failed, untested."]
    }


def test_a_filter_that_comes_twice_is_refused_and_not_half_ignored(api: Api) -> None:
    answer = api.get(f"{PROFILES}?search=a&search=b")
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {"search": ["The search must be a string."]}
