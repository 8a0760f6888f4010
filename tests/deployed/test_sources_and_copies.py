"""Moved databases and duplicated profiles through the deployed stack: which records their rows meet."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from chalicelib import dynamo, keys
from cli.failures import ApiError
from infra.local.freescout.generate import generate
from infra.local.postgres import Postgres
from infra.local.stack import Stack
from tests.conftest import Database, database
from tests.deployed.agreement import differences, source_of
from tests.deployed.exactly_once import stored
from tests.deployed.tenant import Tenant

CONVERSATIONS = 40
TYPES = ["customer_users", "tickets"]


@pytest.fixture(scope="module")
def desk(postgres_server: Postgres) -> Database:
    found = database(postgres_server, "small_desk")
    generate(found.dsn, CONVERSATIONS, seed=5)
    return found


@pytest.fixture(scope="module")
def moved(postgres_server: Postgres) -> Database:
    """The same rows on what is another database."""
    found = database(postgres_server, "moved_desk")
    generate(found.dsn, CONVERSATIONS, seed=5)
    return found


@pytest.fixture
def tenant(deployed: Stack, in_process: None, desk: Database) -> Tenant:
    return Tenant(deployed, desk)


def lead(tenant: Tenant, profile: str, place: Database) -> None:
    """Edit the profile's connection, as somebody whose database has moved does."""
    where, path = place.connection, f"/api/import/profiles/{profile}"
    body = {"database_type": "postgresql", "host": where.host, "port": where.port, "database": where.database}
    body |= {"username": where.username, "password": where.password, "name": tenant.api.get(path)["name"]}
    tenant.api.put(path, body)


def run(tenant: Tenant, profile: str | None = None, **options: Any) -> dict[str, Any]:
    job = tenant.wait(tenant.start(profile, **options))
    assert job["status"] == "completed", job["errors"]
    assert job["records_failed"] == 0
    return job


def refused(tenant: Tenant, profile: str) -> dict[str, Any]:
    """The question that a start is answered with."""
    with pytest.raises(ApiError) as asked:
        tenant.start(profile)
    assert (asked.value.status, asked.value.code) == (409, "source_changed")
    return asked.value.body


def counts(tenant: Tenant) -> dict[str, int]:
    records = stored(tenant.org)[0]
    return {name: sum(record["type"] == name for record in records) for name in TYPES}


def fates(job: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    words = ("created", "updated", "skipped")
    return {name: tuple(job["records"][name][word] for word in words) for name in TYPES}  # type: ignore[misc]


def test_the_same_data_in_another_database_meets_the_records_it_has(tenant: Tenant, moved: Database) -> None:
    first = run(tenant, selected_types=TYPES)
    before = stored(tenant.org)
    lead(tenant, tenant.profile, moved)
    question = refused(tenant, tenant.profile)
    assert (question["known_source"]["database"], question["found_source"]["database"]) == ("small_desk", "moved_desk")
    assert len(tenant.api.get("/api/import/jobs")["data"]) == 1
    body = {"decision": "same_data", "fingerprint": question["found_source"]["fingerprint"]}
    tenant.api.post(f"/api/import/profiles/{tenant.profile}/source", body)
    again = run(tenant, selected_types=TYPES)
    assert fates(again) == {name: (0, 0, sum(fates(first)[name])) for name in TYPES}
    assert stored(tenant.org) == before


def test_a_new_source_makes_records_of_its_own_once(tenant: Tenant, moved: Database) -> None:
    first = fates(run(tenant, selected_types=TYPES))
    before = counts(tenant)
    lead(tenant, tenant.profile, moved)
    refused(tenant, tenant.profile)
    tenant.api.post(f"/api/import/profiles/{tenant.profile}/source", {"decision": "new_source"})
    second = fates(run(tenant, selected_types=TYPES))
    assert second["tickets"] == first["tickets"]
    after = counts(tenant)
    assert after["tickets"] == 2 * before["tickets"]
    # Customers meet by their e-mail address, whatever their source; the others are new.
    assert after["customer_users"] - before["customer_users"] == second["customer_users"][0]
    assert sum(second["customer_users"]) == sum(first["customer_users"])
    third = fates(run(tenant, selected_types=TYPES))
    assert {name: found[:2] for name, found in third.items()} == {"customer_users": (0, 0), "tickets": (0, 0)}
    assert counts(tenant) == after
    lead(tenant, tenant.profile, tenant.database)
    refused(tenant, tenant.profile)
    tenant.api.post(f"/api/import/profiles/{tenant.profile}/source", {"decision": "new_source"})
    assert run(tenant, selected_types=["tickets"])["records_imported"] == 0
    assert counts(tenant) == after, "the first database has the identity it had"


def test_a_database_that_changes_behind_its_name_stops_the_job_before_it_reads(tenant: Tenant) -> None:
    run(tenant, selected_types=["agents"])
    key = keys.profile(tenant.org, tenant.profile)
    dynamo.update("state", key, "SET #fingerprint = :other", {"other": "f" * 32})
    job = tenant.wait(tenant.start())
    assert (job["status"], [error["code"] for error in job["errors"]]) == ("failed", ["source_changed"])
    assert job["records_processed"] == 0
    assert refused(tenant, tenant.profile)["known_source"]["fingerprint"] == "f" * 32


@pytest.mark.accepts("SV-237", "SV-238", "SV-239")
def test_a_copy_imports_what_its_original_would_into_the_same_records(tenant: Tenant, desk: Database) -> None:
    made = tenant.api.post(f"/api/import/profiles/{tenant.profile}/duplicate")["duplicate_profile"]
    by_copy = run(tenant, made["id"])
    assert differences(tenant.org, source_of(desk)) == []
    before = stored(tenant.org)
    by_original = run(tenant)
    assert by_original["records_imported"] == by_original["records_updated"] == 0
    assert by_original["records_skipped"] == by_copy["records_processed"]
    assert stored(tenant.org) == before
    shown = tenant.api.get(f"/api/import/profiles/{made['id']}")
    assert [job["id"] for job in shown["import_jobs"]] == [by_copy["id"]]


@pytest.mark.accepts("SV-240")
def test_a_copy_treats_what_is_there_as_its_original_does(tenant: Tenant, postgres_server: Postgres) -> None:
    changing = database(postgres_server, "changing_desk")
    generate(changing.dsn, 5, seed=6)
    lead(tenant, tenant.profile, changing)
    path = f"/api/import/profiles/{tenant.profile}"
    found = tenant.api.get(path)
    words = ("name", "database_type", "host", "port", "database", "username")
    tenant.api.put(path, {word: found[word] for word in words} | {"mode_config": {"import_mode": "create"}})
    first = run(tenant, selected_types=["tickets"])
    before = stored(tenant.org)
    with psycopg.connect(changing.dsn) as source:
        source.execute("UPDATE conversations SET subject = 'changed'")
    copy = tenant.api.post(f"{path}/duplicate")["duplicate_profile"]["id"]
    job = tenant.wait(tenant.api.post(f"/api/import/profiles/{copy}/import")["job"]["id"])
    assert job["mode_config"]["import_mode"] == "create"
    assert job["reasons"]["tickets"]["skipped:exists"] == first["records"]["tickets"]["created"] > 0
    assert job["records"]["tickets"]["created"] == job["records"]["tickets"]["updated"] == 0
    assert [record for record in stored(tenant.org)[0] if record["type"] == "tickets"] == [
        record for record in before[0] if record["type"] == "tickets"
    ]


def test_a_copy_that_is_led_elsewhere_is_asked_about_and_the_original_is_not(tenant: Tenant, moved: Database) -> None:
    run(tenant, selected_types=["tickets"])
    copy = tenant.api.post(f"/api/import/profiles/{tenant.profile}/duplicate")["duplicate_profile"]["id"]
    lead(tenant, copy, moved)
    assert refused(tenant, copy)["found_source"]["database"] == "moved_desk"
    assert run(tenant, selected_types=["tickets"])["records_imported"] == 0
    tenant.api.post(f"/api/import/profiles/{copy}/source", {"decision": "new_source"})
    before = counts(tenant)["tickets"]
    run(tenant, copy, selected_types=["tickets"])
    assert counts(tenant)["tickets"] == 2 * before
