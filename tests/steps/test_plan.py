"""What plan finds gone since the job was started: it stops the job by name, before it asks the source for anything."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from chalicelib import configurations, jobs, narrowing, profiles
from chalicelib.errors import Fatal
from chalicelib.steps import plan
from tests.moto_cloud import cloud

__all__ = ["cloud"]

pytestmark = pytest.mark.usefixtures("cloud")

WHO = {"id": "u", "name": "U"}
QUERY = {
    "base_table": "orders",
    "fields": [{"source": "id", "target": "external_id"}, {"source": "name", "target": "title"}],
}
NOWHERE = {"name": "P", "host": "192.0.2.1", "port": 5432, "database": "d", "username": "u", "ssl_mode": "prefer"}


@pytest.mark.parametrize(
    ("options", "left", "said"),
    [
        ({}, [], "any type"),
        ({"selected_types": ["tickets"]}, [], "tickets"),
        ({"selected_types": ["tickets", "agents"]}, ["agents"], "tickets"),
    ],
)
def test_a_query_that_was_deleted_meanwhile_is_named(options: dict[str, Any], left: list[str], said: str) -> None:
    org = str(uuid.uuid4())
    profile = profiles.create(org, WHO, NOWHERE)
    for name in ("tickets", *left):
        profile = profiles.save_query(org, profile["id"], WHO, name, QUERY)
    job = jobs.start(org, profile, WHO, options, {})
    profiles.save_query(org, profile["id"], WHO, "tickets", None)
    with pytest.raises(Fatal) as refused:
        plan.run({"org": org, "job": job["id"]}, now=time.time, remaining=lambda: 300.0)
    assert (refused.value.code, refused.value.message) == (
        "query_missing",
        f"The profile no longer has a query of {said}",
    )


def test_a_range_of_days_over_a_query_that_fills_created_at_no_more_is_named() -> None:
    query = configurations.built(configurations.Query.model_validate(QUERY), "tickets")
    with pytest.raises(Fatal) as refused:
        narrowing.narrowed(query, None, "2026-01-01", None)
    assert refused.value.code == "date_unfit"
    assert refused.value.message == "nothing fills created_at of tickets: date_from and date_to need it"
