"""What a job is asked to do: which rows by the time they were made, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib import dynamo, keys
from tests.routes.conftest import Api
from tests.routes.test_job_routes import JOBS, ready

DATED = ["agents", "customer_users", "tickets", "ticket_notes", "time_entries"]
"""Types of the FreeScout template that say when a row was made."""


def asked(api: Api, profile: str, **options: Any) -> Any:
    return api.post(JOBS, {"profile_id": profile, "options": options})


@pytest.mark.accepts("SV-116", "SV-117", "SV-118", "SV-119", "SV-120", "SV-121")
def test_a_job_shows_what_it_was_asked_for(api: Api) -> None:
    options = {
        "batch_size": 100,
        "timeout": 3600,
        "selected_types": ["customer_users", "tickets"],
        "import_filters": {"date_from": "2024-01-01", "date_to": "2024-12-31", "limit": 10000},
    }
    answer = asked(api, ready(api), **options)
    assert answer.status_code == 201, answer.json_body
    assert answer.json_body["job"]["import_options"] == options | {"dry_run": False}
    shown = api.get(f"{JOBS}/{answer.json_body['job']['id']}").json_body
    assert shown["import_options"] == options | {"dry_run": False}


@pytest.mark.accepts("SV-116", "SV-121")
def test_the_smallest_and_the_largest_that_can_be_asked_for_are_kept(api: Api) -> None:
    for batch_size, limit in ((10, 1), (1_000, 10_000_000)):
        answer = asked(api, ready(api), batch_size=batch_size, import_filters={"limit": limit})
        assert answer.status_code == 201, answer.json_body
        kept = {"batch_size": batch_size, "import_filters": {"limit": limit}, "dry_run": False}
        assert answer.json_body["job"]["import_options"] == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2024-02-29", "2024-02-29"),
        ("2024-01-31T10:00", "2024-01-31T10:00:00Z"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("2024-01-31T10:00:00.5+02:00", "2024-01-31T08:00:00.500000Z"),
        ("0001-01-01", "0001-01-01"),
        ("9999-12-31", "9999-12-31"),
    ],
)
def test_a_day_is_kept_and_a_time_is_kept_in_utc(api: Api, given: str, kept: str) -> None:
    answer = asked(api, ready(api), selected_types=["tickets"], import_filters={"date_from": given})
    assert answer.json_body["job"]["import_options"]["import_filters"] == {"date_from": kept}


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        *(
            ({"timeout": value}, "options.timeout", said)
            for value, said in (
                (59, "The options.timeout must be between 60 and 86400."),
                (86_401, "The options.timeout must be between 60 and 86400."),
                ("3600", "The options.timeout must be an integer."),
                (True, "The options.timeout must be an integer."),
            )
        ),
        *(
            pytest.param(
                {"batch_size": value},
                "options.batch_size",
                f"The options.batch_size must {must}.",
                marks=pytest.mark.accepts("SV-116"),
            )
            for value, must in (
                (9, "be between 10 and 1000"),
                (0, "be between 10 and 1000"),
                (1_001, "be between 10 and 1000"),
                ("100", "be an integer"),
            )
        ),
        *(
            pytest.param(
                {"import_filters": {"limit": value}},
                "options.import_filters.limit",
                f"The options.import_filters.limit must {must}.",
                marks=pytest.mark.accepts("SV-121"),
            )
            for value, must in (
                (0, "be between 1 and 10000000"),
                (-1, "be between 1 and 10000000"),
                (10_000_001, "be between 1 and 10000000"),
                ("10", "be an integer"),
            )
        ),
        *(
            (
                {"import_filters": {"date_from": value}},
                "options.import_filters.date_from",
                "The options.import_filters.date_from is not a valid date.",
            )
            for value in (
                "", "yesterday", "2024-02-30", "2024-2-3", "20240203", "2024-W05", "2024-01-31 10:00", "2024-01-31\n",
                "2024-01-31T25:00", "0001-01-01T00:00+02:00", "\uff12\uff10\uff12\uff14-01-31", "0000-01-01",
            )
        ),
        (
            {"import_filters": {"date_from": "2024-02-02", "date_to": "2024-02-01"}},
            "options.import_filters.date_to",
            "The options.import_filters.date_to must be a date after or equal to date_from.",
        ),
        (
            {"import_filters": {"date_from": "2024-02-02T12:00:00.5", "date_to": "2024-02-02T12:00"}},
            "options.import_filters.date_to",
            "The options.import_filters.date_to must be a date after or equal to date_from.",
        ),
        (
            {"import_filters": {"date_from": "2024-02-02T12:00", "date_to": "2024-02-02T11:59"}},
            "options.import_filters.date_to",
            "The options.import_filters.date_to must be a date after or equal to date_from.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name(api: Api, options: dict[str, Any], field: str, said: str) -> None:
    answer = asked(api, ready(api), **({"selected_types": ["tickets"]} | options))
    assert (answer.status_code, answer.json_body["errors"]) == (422, {field: [said]})
    assert api.get(JOBS).json_body["data"] == []


def test_a_range_may_be_one_day_and_end_within_it(api: Api) -> None:
    for begin, end in (
        ("2024-02-02", "2024-02-02"),
        ("2024-02-02T12:00", "2024-02-02"),
        ("2024-02-02", "2024-02-02T00:00"),
        ("2024-02-02T10:00:00", "2024-02-02T10:00:00.5"),
    ):
        profile, filters = ready(api), {"date_from": begin, "date_to": end}
        assert asked(api, profile, selected_types=["tickets"], import_filters=filters).status_code == 201


@pytest.mark.accepts("SV-119", "SV-120")
def test_types_that_do_not_say_when_a_row_was_made_are_named(api: Api) -> None:
    profile = ready(api)
    answer = asked(api, profile, import_filters={"date_from": "2024-01-01", "date_to": "2024-12-31"})
    sentence = (
        "The options.import_filters.{} cannot be applied to accounts, attachments: nothing fills their created_at. "
        "Leave them out by options.selected_types."
    )
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {
        f"options.import_filters.{end}": [sentence.format(end)] for end in ("date_from", "date_to")
    }
    answer = asked(api, profile, selected_types=DATED, import_filters={"date_to": "2024-12-31"})
    assert answer.status_code == 201


def test_a_saved_query_says_when_its_rows_were_made_by_its_own_fields(api: Api) -> None:
    fields = [{"source": "id", "target": "external_id"}, {"source": "title", "target": "title"}]
    saved = {"base_table": "cases", "fields": fields}
    profile = ready(api)

    def save(query: dict[str, Any]) -> None:
        values = {"queries": {"tickets": json.dumps(query)}}
        dynamo.update("state", keys.profile(api.org, profile), "SET #queries = :queries", values)

    save(saved)
    answer = asked(api, profile, selected_types=["tickets"], import_filters={"date_from": "2024-01-01"})
    assert answer.status_code == 422
    assert "cannot be applied to tickets:" in answer.json_body["errors"]["options.import_filters.date_from"][0]
    save(saved | {"fields": [*fields, {"source": "opened", "target": "created_at"}]})
    assert (
        asked(api, profile, selected_types=["tickets"], import_filters={"date_from": "2024-01-01"}).status_code == 201
    )
