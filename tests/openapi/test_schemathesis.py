"""Requests nobody would think of, to every operation: schemathesis draws them from the document, in process.

Nothing is answered with 5xx or with what is not documented, bad data and bad tokens are refused. A handful of each by
default, at least 200 of each with `-m exhaustive`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from chalice.test import Client
from hypothesis import given, settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from chalicelib import settings as wharf_settings
from chalicelib.routes.openapi import document
from tests.conftest import Database
from tests.moto_cloud import cloud as cloud
from tests.openapi.world import CHECKS, CONFIG, DRAWN, World, build, wsgi
from tests.routes.conftest import client as client
from tests.routes.conftest import organisation

CLIENT: list[Client] = []

SCHEMA = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_dict(CONFIG))
SCHEMA.app = wsgi(lambda: CLIENT[0])


@pytest.fixture(scope="module")
def world(client: Client, freescout_db: Database) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("WHARF_RATE_FACTOR", "1000000")
        wharf_settings.get.cache_clear()
        CLIENT[:] = [client]
        yield build(organisation(client, "Acme", "Admin User"), freescout_db)
    wharf_settings.get.cache_clear()


def ask(world: World, case: Case) -> None:
    """One request, answered as documented."""
    world.aim(case)
    try:
        case.call_and_validate(headers=world.headers, checks=CHECKS)
    finally:
        if case.method != "GET":
            world.restore()
            world.unlock()


@SCHEMA.parametrize()
@settings(DRAWN, max_examples=10)
def test_every_operation_answers_as_documented(world: World, case: Case) -> None:
    ask(world, case)


@pytest.mark.exhaustive
@SCHEMA.parametrize()
@settings(DRAWN, max_examples=200)
def test_every_operation_answers_as_documented_in_full(world: World, case: Case) -> None:
    ask(world, case)


def test_who_asks_too_often_is_refused_as_documented(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limits strangers meet: ten connection tests a minute."""
    monkeypatch.setenv("WHARF_RATE_FACTOR", "1")
    wharf_settings.get.cache_clear()
    seen: Counter[int] = Counter()

    @given(case=SCHEMA["/api/import/profiles/{profile_id}/test-connection"]["POST"].as_strategy())
    @settings(DRAWN, max_examples=30)
    def ask_once(case: Case) -> None:
        world.aim(case)
        seen[case.call_and_validate(headers=world.headers, checks=CHECKS).status_code] += 1

    ask_once()
    assert set(seen) <= {200, 404, 429}
    assert seen[429] >= 5
    monkeypatch.undo()
    wharf_settings.get.cache_clear()
