"""Imports through the deployed stack: what arrives is what the source holds, and every way to end is clean."""

from __future__ import annotations

import time
from typing import Any

import pytest

from chalicelib import keys
from cli.failures import ApiError
from infra.local.stack import Stack
from tests.conftest import Database
from tests.deployed.agreement import differences, source_of
from tests.deployed.exactly_once import stored
from tests.deployed.tenant import TYPES, Tenant, fates


@pytest.fixture(scope="module")
def tenant(deployed: Stack, in_process: None, freescout_db: Database) -> Tenant:
    return Tenant(deployed, freescout_db)


@pytest.fixture
def other(deployed: Stack, in_process: None, freescout_db: Database) -> Tenant:
    """A second organisation, for tests that change what is stored."""
    return Tenant(deployed, freescout_db)


@pytest.fixture(scope="module")
def imported(tenant: Tenant) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The job of a whole import, and every status seen on the way."""
    seen: list[dict[str, Any]] = []
    job = tenant.wait(tenant.start(), seen.append)
    return job, seen


@pytest.mark.accepts("SV-102", "SV-103", "SV-104", "SV-105", "SV-106", "SV-109", "SV-111", "SV-114")
def test_every_row_of_the_source_is_counted_once(imported: Any, freescout_db: Database) -> None:
    job, _ = imported
    source = {name: len(rows) for name, rows in source_of(freescout_db).items()}
    assert job["status"] == "completed"
    assert job["metadata"]["source_counts"] == source
    assert {name: fates(job, name) for name in TYPES} == source
    total = sum(source.values())
    assert job["estimated_total"] == job["records_processed"] == total
    assert job["records_imported"] + job["records_updated"] == total
    assert (job["records_skipped"], job["records_failed"]) == (0, 0)
    assert job["duration"] is not None


@pytest.mark.accepts("SV-100", "SV-101", "SV-136", "SV-137")
def test_progress_rises_and_says_what_is_being_done(imported: Any) -> None:
    _, seen = imported
    percentages = [status["progress_percentage"] for status in seen]
    assert percentages == sorted(percentages)
    assert len(set(percentages)) > 3
    operations = {status["current_operation"] for status in seen}
    assert "Processing conversations → tickets" in operations
    processed = [status["records_processed"] for status in seen]
    assert processed == sorted(processed)


def test_store_and_source_agree_row_by_row_and_field_by_field(
    tenant: Tenant, imported: Any, freescout_db: Database
) -> None:
    assert differences(tenant.org, source_of(freescout_db)) == []


def test_orphans_and_broken_values_survive_as_warnings(tenant: Tenant, imported: Any) -> None:
    job, _ = imported
    assert job["reasons"]["time_entries"]["warnings"] > 0
    shown = tenant.api.get("/api/import/analytics/records", job_id=job["id"], target_type="time_entries", per_page=100)
    warned = [row for row in shown["data"] if row["warnings"]]
    assert any("has not been imported" in warning for row in warned for warning in row["warnings"])
    assert all(row["import_action"] == "created" for row in warned)


def test_importing_again_writes_nothing(tenant: Tenant, imported: Any) -> None:
    before = stored(tenant.org)
    job = tenant.wait(tenant.start())
    assert stored(tenant.org) == before
    assert job["records_skipped"] == job["records_processed"] == imported[0]["records_processed"]
    assert all(set(words) <= {"skipped:unchanged", "warnings"} for words in job["reasons"].values())


def test_a_dry_run_shows_every_count_and_writes_nothing(other: Tenant, imported: Any) -> None:
    job = other.wait(other.start(dry_run=True))
    assert stored(other.org) == ([], {}, {})
    words = ("created", "updated", "skipped", "failed")
    real = imported[0]["records"]
    assert {n: [c[w] for w in words] for n, c in job["records"].items()} == {
        n: [c[w] for w in words] for n, c in real.items()
    }
    # References are resolved against what the run itself would bring: the same orphans, no more.
    assert job["reasons"] == imported[0]["reasons"]


def test_references_heal_when_the_missing_records_come(other: Tenant) -> None:
    first = other.wait(other.start(selected_types=["tickets"]))
    opened = [record for record in stored(other.org)[0] if "customer" in record["refs"]]
    assert opened
    assert all(record["refs"]["customer"]["open"] for record in opened)
    second = other.wait(other.start())
    assert second["records"]["tickets"]["updated"] > 0.9 * first["records"]["tickets"]["created"]
    healed = [r for r in stored(other.org)[0] if r["type"] == "tickets" and "customer" in r["refs"]]
    assert sum("open" in record["refs"]["customer"] for record in healed) < 0.1 * len(healed)


@pytest.mark.accepts("SV-138")
def test_a_cancelled_job_settles_and_leaves_nothing_running(other: Tenant) -> None:
    job = other.start()
    other.until(job, lambda now: now["records_processed"] >= 30)
    answer = other.api.post(f"/api/import/jobs/{job}/cancel")
    assert answer["message"] == "Import job cancelled successfully"
    ended = other.wait(job)
    assert ended["status"] == "cancelled"
    records, _, _ = stored(other.org)
    assert sum(fates(ended, name) for name in TYPES) == ended["estimated_total"]
    assert ended["records_unprocessed"] > 0
    assert len(records) == ended["records_imported"]
    time.sleep(2)
    assert stored(other.org)[0] == records, "no row is written after `cancelled` is visible"
    again = other.wait(other.start())
    assert again["status"] == "completed"
    assert again["records_imported"] + len(records) == len(stored(other.org)[0])


@pytest.mark.accepts("SV-146")
def test_a_second_start_is_refused_and_names_the_running_job(other: Tenant) -> None:
    job = other.start()
    with pytest.raises(ApiError) as refused:
        other.start()
    assert refused.value.status == 400
    assert refused.value.body["running_job"] == job
    with pytest.raises(ApiError) as kept:
        other.api.delete(f"/api/import/profiles/{other.profile}")
    assert kept.value.body["running_jobs"] == 1
    other.api.post(f"/api/import/jobs/{job}/cancel")
    other.wait(job)


def test_two_jobs_on_the_same_records_take_turns(other: Tenant) -> None:
    """Two profiles on one database: the second waits for the first type by type, and finds everything there."""
    first = other.start(selected_types=["agents", "customer_users"])
    second = other.start(other.add_profile(), selected_types=["agents", "customer_users"])
    done = [other.wait(job) for job in (first, second)]
    assert [job["status"] for job in done] == ["completed", "completed"]
    records = stored(other.org)[0]
    assert sum(job["records_imported"] for job in done) == len(records)
    assert len({record["sk"] for record in records}) == len(records)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"password": "wrong"}, "source_authentication"), ({"database": "nowhere"}, "source_database")],
)
def test_a_source_that_refuses_fails_the_job_with_its_reason(other: Tenant, changes: dict[str, str], code: str) -> None:
    profile = other.add_profile(**changes)
    job = other.wait(other.start(profile))
    assert job["status"] == "failed"
    assert [error["code"] for error in job["errors"]] == [code]
    assert "wrong" not in str(job)
    assert other.api.delete(f"/api/import/profiles/{profile}")["message"] == "Import profile deleted successfully"


def test_another_tenant_sees_nothing_of_it(tenant: Tenant, other: Tenant, imported: Any) -> None:
    for path in (f"jobs/{imported[0]['id']}", f"jobs/{imported[0]['id']}/status", f"profiles/{tenant.profile}"):
        with pytest.raises(ApiError) as refused:
            other.api.get(f"/api/import/{path}")
        assert refused.value.status == 404
    ticket = stored(tenant.org)[0][0]
    with pytest.raises(ApiError) as refused:
        other.api.get(f"/api/records/{ticket['type']}/{ticket['sk']}")
    assert refused.value.status == 404


def test_record_ids_are_the_ones_source_rows_derive(tenant: Tenant, imported: Any) -> None:
    """A child names its parent without asking, and another profile on the same database meets the same records."""
    [ticket, *_] = [record for record in stored(tenant.org)[0] if record["type"] == "tickets"]
    assert ticket["sk"] == keys.record_id(
        tenant.org, "tickets", ticket["origin"]["source"], "conversations", ticket["ext"]
    )
