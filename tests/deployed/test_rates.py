"""Requests a minute on the deployed tables: fifty at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from chalicelib import access, rates, settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def strangers_stage(in_process: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With the limits strangers meet."""
    monkeypatch.setenv("WHARF_RATE_FACTOR", "1")
    settings.get.cache_clear()
    yield
    settings.get.cache_clear()


def let_through(caller: access.Caller) -> int:
    try:
        rates.count(caller, "builder", now=NOON)
    except rates.Exceeded:
        return 0
    return 1


@pytest.mark.accepts("SV-156")
@pytest.mark.usefixtures("strangers_stage")
def test_fifty_requests_at_once_never_let_one_too_many_through() -> None:
    made = access.bootstrap("Acme", "Ada", "ada@example.com")
    caller = access.authenticate(made["token"], now=datetime.now(UTC))
    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(let_through, [caller] * 50)) == 30


@pytest.mark.usefixtures("strangers_stage")
def test_ten_colleagues_at_once_have_no_more_than_their_organisation() -> None:
    org = access.bootstrap("Acme", "Ada", "ada@example.com")["org"]
    users = [access.create_user(org, "Bo", "bo@example.com", "ADMIN")["id"] for _ in range(10)]
    callers = [access.authenticate(access.issue_token(org, user, "t"), now=datetime.now(UTC)) for user in users]
    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(let_through, callers * 20)) == 150
