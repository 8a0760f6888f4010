from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib import dynamo, jobs, keys
from tests.routes.conftest import Api
from tests.routes.test_template_routes import apply

JOBS = "/api/import/jobs"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
STATUSES = {"pending", "running", "completed", "failed", "cancelled"}


def ready(api: Api, **fields: Any) -> str:
    """The id of a profile that can be imported."""
    profile_id: str = api.profile(**fields)["id"]
    assert apply(api, profile_id).status_code == 200
    return profile_id


def started(api: Api, profile_id: str | None = None, **body: Any) -> dict[str, Any]:
    answer = api.post(JOBS, {"profile_id": profile_id or ready(api), **body})
    assert answer.status_code == 201, answer.body
    job: dict[str, Any] = answer.json_body["job"]
    return job


def end(api: Api, job_id: str, status: str = "completed", **values: Any) -> None:
    """As `finish` ends a job, by way of the state in which its workers let go."""
    job = jobs.get(api.org, job_id)
    before = next(state for state in ("running", "cancelling", "failing") if status in jobs.LEGAL[state])
    if job["status"] != before:
        job = jobs.move(job, before)
    jobs.end(job, status, {"completed_at": 1_767_264_000.0, **values})


def note(api: Api, job_id: str, **values: Any) -> None:
    """What the steps write on a job as they go."""
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
    dynamo.update("state", keys.job(api.org, job_id), expression, values)


@pytest.mark.accepts("SV-115", "SV-145")
def test_a_start_answers_201_with_the_running_job(api: Api) -> None:
    profile_id = ready(api)
    answer = api.post(JOBS, {"profile_id": profile_id})
    assert answer.status_code == 201
    assert set(answer.json_body) == {"message", "job"}
    assert answer.json_body["message"] == "Import job started successfully"
    job = answer.json_body["job"]
    assert uuid.UUID(job["id"])
    assert job["status"] == "running"
    assert job["progress_percentage"] == 0
    assert job["current_operation"] == "Initializing import with duplicate detection..."
    assert TIME.match(job["started_at"])
    assert job["profile"]["id"] == profile_id


@pytest.mark.accepts("SV-099", "SV-102", "SV-103", "SV-104", "SV-105", "SV-106", "SV-107", "SV-112", "SV-113")
def test_a_job_repeats_what_it_was_asked_and_by_whom(api: Api) -> None:
    profile_id = ready(api, name="Help desk")
    mode = {
        "import_mode": "create",
        "duplicate_detection": {
            "enabled": True,
            "strategy": "exact",
            "primary_fields": ["email"],
            "secondary_fields": ["name", "phone"],
            "confidence_threshold": 85,
        },
        "skip_duplicates": True,
        "update_duplicates": False,
        "source_identifier_field": "id",
        "matching_strategy": "weighted_fields",
    }
    job = started(api, profile_id, options={"batch_size": 50}, mode_config=mode)
    assert job["profile"] == {"id": profile_id, "name": "Help desk", "database_type": "postgresql"}
    assert job["import_options"]["batch_size"] == 50
    assert job["mode_config"] == mode
    assert job["created_by"] == {"id": api.user, "name": "Admin User"}
    for count in ("processed", "imported", "updated", "skipped", "failed"):
        assert job[f"records_{count}"] == 0


@pytest.mark.accepts("SV-134", "SV-100", "SV-102", "SV-103", "SV-104", "SV-105", "SV-106", "SV-111", "SV-114")
def test_one_job_comes_bare_with_its_counts(api: Api) -> None:
    job = started(api)
    note(api, job["id"], types=["agents", "tickets"], agents_planned=10, tickets_planned=90, agents_created=6)
    note(api, job["id"], agents_extracted=10, agents_decided=10, agents_updated=1, agents_skipped=2, agents_failed=1)
    note(api, job["id"], origins={"agents": "users", "tickets": "conversations"})
    answer = api.get(f"{JOBS}/{job['id']}")
    assert answer.status_code == 200
    shown = answer.json_body
    assert shown["id"] == job["id"]
    assert (shown["records_processed"], shown["records_imported"], shown["records_updated"]) == (10, 6, 1)
    assert (shown["records_skipped"], shown["records_failed"]) == (2, 1)
    assert shown["progress_percentage"] == 10
    assert shown["metadata"]["source_counts"] == {"agents": 10, "tickets": 90}
    assert shown["estimated_total"] == 100
    assert {"profile", "created_by"} <= set(shown)


@pytest.mark.accepts("SV-101", "SV-108", "SV-109", "SV-110")
def test_a_job_that_has_ended_says_when_and_how(api: Api) -> None:
    job = started(api)
    running = api.get(f"{JOBS}/{job['id']}").json_body
    assert running["current_operation"]
    assert running["completed_at"] is None
    assert isinstance(running["duration"], int)
    assert running["errors"] is None
    note(api, job["id"], started_at=1_767_261_300.0)
    failure = {"message": "The source was lost", "code": "source_unreachable", "type": "tickets", "chunk": 3}
    end(api, job["id"], "failed", errors=[failure])
    ended = api.get(f"{JOBS}/{job['id']}").json_body
    assert ended["current_operation"] is None
    assert ended["started_at"] == "2026-01-01T09:55:00Z"
    assert ended["completed_at"] == "2026-01-01T10:40:00Z"
    assert ended["duration"] == 2700
    assert ended["errors"] == [failure]


@pytest.mark.accepts("SV-098")
@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        ("completed", "completed"),
        ("completed_with_errors", "completed"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("running", "running"),
        ("cancelling", "running"),
        ("failing", "running"),
    ],
)
def test_a_status_is_one_of_the_documented_five(api: Api, inside: str, shown: str) -> None:
    job = started(api)
    if inside in ("cancelling", "failing"):
        jobs.move(jobs.get(api.org, job["id"]), inside)
    elif inside != "running":
        end(api, job["id"], inside)
    found = api.get(f"{JOBS}/{job['id']}/status").json_body["status"]
    assert found == shown
    assert found in STATUSES


@pytest.mark.accepts("SV-136")
def test_the_status_is_short_and_says_what_the_job_is_doing(api: Api) -> None:
    job = started(api)
    note(api, job["id"], types=["tickets"], tickets_planned=100, tickets_extracted=100, tickets_decided=100)
    note(
        api,
        job["id"],
        origins={"tickets": "conversations"},
        started_at=jobs.get(api.org, job["id"])["created_at"] - 60,
    )
    answer = api.get(f"{JOBS}/{job['id']}/status")
    assert answer.status_code == 200
    shown = answer.json_body
    assert shown["job_id"] == job["id"]
    assert shown["status"] == "running"
    assert shown["progress_percentage"] == 50
    assert shown["records_updated"] == 0
    assert shown["current_operation"] == "Processing conversations → tickets"
    assert {f"records_{word}" for word in ("processed", "imported", "skipped", "failed")} <= set(shown)
    assert TIME.match(shown["started_at"])
    assert 60 <= shown["duration"] < 90
    left = (datetime.fromisoformat(shown["estimated_completion"]) - datetime.now(UTC)).total_seconds()
    assert 55 < left < 95  # half is done after a minute


@pytest.mark.accepts("SV-091")
def test_the_list_is_the_organisations_own_newest_first(api: Api, stranger: Api) -> None:
    profiles = [ready(api, name=name) for name in ("one", "two", "three")]
    ids = [started(api, profile_id)["id"] for profile_id in profiles]
    started(stranger)
    answer = api.get(JOBS)
    assert answer.status_code == 200
    assert [job["id"] for job in answer.json_body["data"]] == ids[::-1]
    assert answer.json_body["meta"] == {"current_page": 1, "per_page": 15, "total": 3}
    page = api.get(JOBS, per_page=2).json_body
    rest = api.get(JOBS, per_page=2, cursor=page["next_cursor"]).json_body
    assert [job["id"] for job in page["data"] + rest["data"]] == ids[::-1]
    assert [job["id"] for job in api.get(JOBS, profile_id=profiles[1]).json_body["data"]] == [ids[1]]
    assert [job["id"] for job in api.get(JOBS, search="THREE").json_body["data"]] == [ids[2]]


@pytest.mark.accepts("SV-107", "SV-113", "SV-135", "SV-145")
def test_a_profile_can_be_imported_as_it_is_configured(api: Api) -> None:
    profile_id = ready(api)
    answer = api.post(f"/api/import/profiles/{profile_id}/import")
    assert answer.status_code == 201
    assert answer.json_body["message"] == "Import job started successfully"
    job = answer.json_body["job"]
    assert (job["status"], job["profile"]["id"]) == ("running", profile_id)
    assert job["import_options"] == {"batch_size": 100, "dry_run": False}
    assert job["mode_config"] == {
        "import_mode": "upsert",
        "duplicate_detection": {
            "enabled": True,
            "strategy": "exact",
            "primary_fields": ["email", "external_id"],
            "secondary_fields": [],
            "confidence_threshold": 85,
        },
        "skip_duplicates": False,
        "source_identifier_field": "id",
        "matching_strategy": "weighted_fields",
    }


@pytest.mark.accepts("SV-146")
@pytest.mark.parametrize("again", ["job", "import"])
def test_a_second_start_names_the_running_job(api: Api, again: str) -> None:
    profile_id = ready(api)
    job = started(api, profile_id)
    answer = (
        api.post(JOBS, {"profile_id": profile_id})
        if again == "job"
        else api.post(f"/api/import/profiles/{profile_id}/import")
    )
    assert answer.status_code == 400
    assert answer.json_body["code"] == "job_running"
    assert answer.json_body["running_job"] == job["id"]
    end(api, job["id"])
    assert started(api, profile_id)["id"] != job["id"]


@pytest.mark.accepts("SV-149")
@pytest.mark.parametrize("path", ["", "/status", "/cancel"])
def test_another_tenants_job_looks_exactly_absent(api: Api, stranger: Api, path: str) -> None:
    job = started(api)
    method = "POST" if path == "/cancel" else "GET"
    theirs = stranger.request(method, f"{JOBS}/{job['id']}{path}")
    absent = stranger.request(method, f"{JOBS}/{uuid.uuid4()}{path}")
    assert theirs.status_code == absent.status_code == 404
    assert theirs.json_body["message"] == absent.json_body["message"] == "Import job not found"
    assert jobs.get(api.org, job["id"])["status"] == "running"


@pytest.mark.accepts("SV-149")
def test_a_job_cannot_be_started_on_another_tenants_profile(api: Api, stranger: Api) -> None:
    answer = stranger.post(JOBS, {"profile_id": ready(api)})
    assert answer.status_code == 404
    assert answer.json_body["message"] == "Import profile not found"
    assert api.get(JOBS).json_body["data"] == []


@pytest.mark.accepts("SV-150")
def test_a_profile_with_nothing_to_import_is_422(api: Api) -> None:
    bare = api.profile()["id"]
    custom = api.profile()["id"]
    assert apply(api, custom, "custom").status_code == 200
    for answer in (
        api.post(JOBS, {"profile_id": bare}),
        api.post(f"/api/import/profiles/{bare}/import"),
        api.post(JOBS, {"profile_id": custom}),
    ):
        assert answer.status_code == 422
        assert list(answer.json_body["errors"]) == ["profile_id"]
    assert api.get(JOBS).json_body["data"] == []


@pytest.mark.accepts("SV-150", "SV-152")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"profile_id": None}, "profile_id"),
        ({"profile_id": "1"}, "profile_id"),
        ({"options": []}, "options"),
        ({"options": {"batch_size": 9}}, "options.batch_size"),
        ({"options": {"batch_size": 1001}}, "options.batch_size"),
        ({"options": {"batch_size": "100"}}, "options.batch_size"),
        ({"options": {"selected_types": ["leads"]}}, "options.selected_types.0"),
        ({"options": {"selected_types": ["tickets", "TICKETS"]}}, "options.selected_types.1"),
        ({"options": {"selected_types": "tickets"}}, "options.selected_types"),
        ({"options": {"import_filters": {"limit": 0}}}, "options.import_filters.limit"),
        ({"options": {"import_filters": {"since": 1}}}, "options.import_filters.since"),
        ({"options": {"dry_run": "yes"}}, "options.dry_run"),
        ({"options": {"org": "x"}}, "options.org"),
        ({"mode_config": {"import_mode": "merge"}}, "mode_config.import_mode"),
        ({"mode_config": {"skip_duplicates": 1}}, "mode_config.skip_duplicates"),
        ({"mode_config": {"source_identifier_field": "uuid"}}, "mode_config.source_identifier_field"),
        ({"mode_config": {"matching_strategy": "probabilistic"}}, "mode_config.matching_strategy"),
        *(
            ({"mode_config": {"duplicate_detection": {name: value}}}, f"mode_config.duplicate_detection.{field}")
            for name, value, field in (
                ("strategy", "fuzzy", "strategy"),
                ("strategy", "fuzzy_match", "strategy"),
                ("strategy", "soundex", "strategy"),
                ("primary_fields", ["shoe_size"], "primary_fields.0"),
                ("confidence_threshold", 101, "confidence_threshold"),
                ("confidence_threshold", "85", "confidence_threshold"),
                ("confidence_threshold", True, "confidence_threshold"),
                ("enabled", "on", "enabled"),
            )
        ),
    ],
)
def test_what_a_job_cannot_do_is_named(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.post(JOBS, {"profile_id": ready(api), **body})
    assert answer.status_code == 422
    assert answer.json_body["message"] == "Validation failed"
    assert list(answer.json_body["errors"]) == [field]
    assert api.get(JOBS).json_body["data"] == []


def test_fuzzy_matching_is_refused_in_so_many_words(api: Api) -> None:
    mode = {"duplicate_detection": {"strategy": "fuzzy"}}
    [sentence] = api.post(JOBS, {"profile_id": ready(api), "mode_config": mode}).json_body["errors"].values()
    assert sentence == [
        "The mode_config.duplicate_detection.strategy fuzzy is not available yet; exact and case_insensitive are."
    ]


@pytest.mark.parametrize(
    ("mode", "warned"),
    [
        ({"skip_duplicates": True, "update_duplicates": True}, True),
        ({"skip_duplicates": True, "import_mode": "update"}, True),
        ({"import_mode": "create", "update_duplicates": True}, True),
        ({"import_mode": "upsert", "update_duplicates": True}, False),
        ({"import_mode": "create", "skip_duplicates": True}, False),
        ({}, False),
    ],
)
def test_flags_that_contradict_each_other_earn_a_warning(api: Api, mode: dict[str, Any], *, warned: bool) -> None:
    answer = api.post(JOBS, {"profile_id": ready(api), "mode_config": mode}).json_body
    assert ("warnings" in answer) is warned


@pytest.mark.accepts("SV-100", "SV-102")
def test_only_a_job_that_has_ended_well_is_at_100(api: Api) -> None:
    job = started(api)
    note(api, job["id"], types=["tickets"], **{f"tickets_{word}": 10 for word in ("planned", "extracted", "decided")})
    note(api, job["id"], tickets_created=9, tickets_unprocessed=1)
    shown = api.get(f"{JOBS}/{job['id']}/status").json_body
    assert (shown["progress_percentage"], shown["records_processed"], shown["records_unprocessed"]) == (99, 9, 1)
    end(api, job["id"])
    assert api.get(f"{JOBS}/{job['id']}/status").json_body["progress_percentage"] == 100
