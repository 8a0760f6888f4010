"""A profile that comes to lead to another database: a start asks, a person says what it is. On real databases."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from chalice.test import HTTPResponse

from chalicelib import connections, dynamo, identities, jobs, keys, profiles
from chalicelib.errors import Fatal, Retryable
from chalicelib.steps import plan
from infra.local.postgres import Postgres
from tests.conftest import Database, database
from tests.deployed.faults.source import SMALL, fill, queries
from tests.routes.conftest import Api

ASKED = (
    "The profile leads to another database than the one it imported before. Say whether that holds the same data "
    "(same_data) or is a new source (new_source)."
)


@pytest.fixture(scope="module")
def places(postgres_server: Postgres) -> tuple[Database, Database]:
    """Two databases of one server: their names tell them apart."""
    found = database(postgres_server, "desk"), database(postgres_server, "moved")
    for place in found:
        fill(place, SMALL)
    return found


def reached(place: Database, **fields: Any) -> dict[str, Any]:
    where = place.connection
    body = {"name": "Desk", "database_type": "postgresql", "host": where.host, "port": where.port}
    body |= {"database": where.database, "username": where.username, "password": where.password}
    return body | fields


def add(api: Api, place: Database) -> str:
    made = api.post("/api/import/profiles", reached(place)).json_body["profile"]["id"]
    key = keys.profile(api.org, made)
    dynamo.update("state", key, "SET #queries = :queries", {"queries": queries()})
    return str(made)


def start(api: Api, profile: str) -> HTTPResponse:
    return api.post("/api/import/jobs", {"profile_id": profile})


def run(api: Api, profile: str) -> jobs.Job:
    """A job as far as its plan, which looks which database is there; then it is over."""
    answer = start(api, profile)
    assert answer.status_code == 201, answer.body
    job = jobs.get(api.org, answer.json_body["job"]["id"])
    try:
        plan.run({"org": api.org, "job": job["id"]}, now=lambda: 0.0, remaining=lambda: 60.0)
    finally:
        job = jobs.move(jobs.get(api.org, job["id"]), "failing")
        jobs.end(job, "failed", {"completed_at": 1})
    return job


def decide(api: Api, profile: str, decision: str, **body: Any) -> HTTPResponse:
    return api.post(f"/api/import/profiles/{profile}/source", {"decision": decision, **body})


def source(api: Api, profile: str) -> Any:
    return api.get(f"/api/import/profiles/{profile}").json_body["source"]


def stored(api: Api, profile: str) -> dict[str, Any]:
    found = dynamo.get("state", keys.profile(api.org, profile))
    assert found
    return found


def moved(api: Api, places: tuple[Database, Database]) -> str:
    """A profile that imported from the first database and leads to the second."""
    profile = add(api, places[0])
    run(api, profile)
    assert api.put(f"/api/import/profiles/{profile}", reached(places[1])).status_code == 200
    return profile


def test_before_the_first_import_any_database_will_do(api: Api, places: tuple[Database, Database]) -> None:
    profile = add(api, places[0])
    assert source(api, profile) is None
    refused = decide(api, profile, "same_data")
    assert (refused.status_code, refused.json_body["code"]) == (400, "no_source")
    assert refused.json_body["message"] == "The profile has not imported anything yet: any database will do"
    api.put(f"/api/import/profiles/{profile}", reached(places[1]))
    job = run(api, profile)
    assert source(api, profile) | {"confirmed_at": ""} == {
        "host": places[1].connection.host,
        "port": places[1].connection.port,
        "database": "moved",
        "fingerprint": job["source_id"],
        "confirmed_at": "",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", source(api, profile)["confirmed_at"])


def test_another_database_is_asked_about_before_a_job_is_made(api: Api, places: tuple[Database, Database]) -> None:
    profile = moved(api, places)
    before, known = stored(api, profile), source(api, profile)
    for answer in (start(api, profile), api.post(f"/api/import/profiles/{profile}/import")):
        body = answer.json_body
        assert (answer.status_code, body["code"], body["message"]) == (409, "source_changed", ASKED)
        assert body["known_source"] == known
        with places[1].session() as session:
            found = {"host": session.info.host, "port": session.info.port, "database": "moved"}
        assert {word: body["found_source"][word] for word in found} == found
        assert re.fullmatch(r"[0-9a-f]{32}", body["found_source"]["fingerprint"])
        assert body["found_source"]["fingerprint"] != known["fingerprint"]
        assert body["decide"] == {
            "method": "POST",
            "path": f"/api/import/profiles/{profile}/source",
            "decisions": ["same_data", "new_source"],
        }
        assert places[1].connection.password not in answer.body.decode()
    assert len(list(jobs.listing(api.org))) == 1
    assert stored(api, profile) == before


@pytest.mark.parametrize("decision", ["same_data", "new_source"])
def test_what_a_person_says_settles_it(api: Api, places: tuple[Database, Database], decision: str) -> None:
    profile = moved(api, places)
    before = stored(api, profile)
    asked = start(api, profile).json_body["found_source"]["fingerprint"]
    answer = decide(api, profile, decision, fingerprint=asked)
    assert (answer.status_code, answer.json_body["message"]) == (200, "Import source confirmed successfully")
    assert answer.json_body["source"]["fingerprint"] == asked
    assert answer.json_body["source"] == source(api, profile)
    after = stored(api, profile)
    assert after["source_id"] == (before["source_id"] if decision == "same_data" else asked)
    assert (after["fingerprint"], after["version"]) == (asked, before["version"] + 1)
    assert answer.json_body["profile"]["version"] == after["version"]
    assert run(api, profile)["source_id"] == after["source_id"]
    trail = list(dynamo.query("state", f"O#{api.org}", prefix="AUDIT#"))
    [line] = [line for line in trail if "source" in line["action"]]
    changed = ["fingerprint"] if decision == "same_data" else ["fingerprint", "source_id"]
    assert (line["action"], line["subject"], line["fields"], line["user"]["id"]) == (
        f"profile.source_{decision}",
        f"profile/{profile}",
        changed,
        api.user,
    )


def test_leading_it_back_is_asked_too_and_new_source_finds_the_first_identity(
    api: Api, places: tuple[Database, Database]
) -> None:
    profile = moved(api, places)
    first = stored(api, profile)["source_id"]
    assert decide(api, profile, "new_source").status_code == 200
    assert stored(api, profile)["source_id"] != first
    api.put(f"/api/import/profiles/{profile}", reached(places[0]))
    assert start(api, profile).status_code == 409
    assert decide(api, profile, "new_source").status_code == 200
    assert run(api, profile)["source_id"] == first


def test_the_same_database_under_another_name_is_no_question_and_remembered(
    api: Api, places: tuple[Database, Database]
) -> None:
    profile = add(api, places[0])
    job = run(api, profile)
    api.put(f"/api/import/profiles/{profile}", reached(places[0], host="localhost"))
    version = stored(api, profile)["version"]
    assert run(api, profile)["source_id"] == job["source_id"]
    assert source(api, profile)["host"] == "localhost"
    assert stored(api, profile)["version"] == version


def test_a_start_looks_only_when_the_connection_has_changed(api: Api, postgres_server: Postgres) -> None:
    gone = database(postgres_server, "gone")
    fill(gone, SMALL)
    profile = add(api, gone)
    run(api, profile)
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as admin:
        admin.execute('DROP DATABASE "gone" WITH (FORCE)')
    with pytest.raises(Fatal):
        run(api, profile)  # it was started: only its plan finds that out
    api.put(f"/api/import/profiles/{profile}", reached(gone, host="localhost"))
    answer = start(api, profile)
    assert (answer.status_code, answer.json_body["code"]) == (422, "source_database")
    assert answer.json_body["connection_error"]["success"] is False
    assert decide(api, profile, "same_data").json_body["connection_error"] == answer.json_body["connection_error"]


def test_a_decision_is_about_the_database_that_was_shown(api: Api, places: tuple[Database, Database]) -> None:
    profile = moved(api, places)
    asked = start(api, profile).json_body
    before = stored(api, profile)
    answer = decide(api, profile, "new_source", fingerprint="0" * 32)
    assert (answer.status_code, answer.json_body["code"]) == (409, "source_changed")
    assert answer.json_body["found_source"] == asked["found_source"]
    assert stored(api, profile) == before


def test_a_decision_does_not_hold_for_a_connection_that_was_edited_meanwhile(
    api: Api, places: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = moved(api, places)
    look = connections.fingerprint

    def overtaken(found: profiles.Profile) -> str:
        seen = look(found)
        user = {"id": "u", "name": "U"}
        profiles.update(api.org, profile, user, {"host": "localhost", "password": found["password"]})
        return seen

    monkeypatch.setattr(connections, "fingerprint", overtaken)
    before = stored(api, profile)["fingerprint"]
    with pytest.raises(Retryable):
        identities.decide(api.org, profile, {"id": "u", "name": "U"}, "same_data")
    assert stored(api, profile)["fingerprint"] == before


def test_of_two_decisions_at_once_one_stands(
    api: Api, places: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = moved(api, places)
    first, look, user = stored(api, profile)["source_id"], connections.fingerprint, {"id": "u", "name": "U"}

    def overtaken(found: profiles.Profile) -> str:
        monkeypatch.setattr(connections, "fingerprint", look)
        identities.decide(api.org, profile, user, "same_data")
        return look(found)

    monkeypatch.setattr(connections, "fingerprint", overtaken)
    with pytest.raises(Retryable):
        identities.decide(api.org, profile, user, "new_source")
    assert stored(api, profile)["source_id"] == first


def test_a_database_that_changes_behind_its_name_stops_the_job_and_the_next_start_asks(
    api: Api, places: tuple[Database, Database]
) -> None:
    profile = add(api, places[0])
    identity = run(api, profile)["source_id"]
    key = keys.profile(api.org, profile)
    before = dynamo.update("state", key, "SET #fingerprint = :other", {"other": "f" * 32})
    with pytest.raises(Fatal) as stopped:
        run(api, profile)
    assert stopped.value.code == "source_changed"
    assert stopped.value.message == "The profile now leads to another database than the one it imported before"
    answer = start(api, profile)
    assert (answer.status_code, answer.json_body["known_source"]["fingerprint"]) == (409, "f" * 32)
    assert stored(api, profile)["version"] == before["version"]
    assert decide(api, profile, "same_data").status_code == 200
    assert run(api, profile)["source_id"] == identity


def test_a_doubt_goes_when_the_right_database_is_back(api: Api, places: tuple[Database, Database]) -> None:
    profile = add(api, places[0])
    identity = run(api, profile)["source_id"]
    key = keys.profile(api.org, profile)
    dynamo.update("state", key, "SET #fingerprint = :other", {"other": "f" * 32})
    with pytest.raises(Fatal):
        run(api, profile)
    assert stored(api, profile)["source"]["in_doubt"] is True
    dynamo.update("state", key, "SET #fingerprint = :right", {"right": identity})
    assert run(api, profile)["source_id"] == identity
    assert "in_doubt" not in stored(api, profile)["source"]


def test_where_the_user_may_not_see_the_cluster_the_address_stands_for_it(
    api: Api, places: tuple[Database, Database]
) -> None:
    with psycopg.connect(places[0].dsn) as owner:
        owner.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        owner.execute("DROP ROLE IF EXISTS short_sighted")
        owner.execute("CREATE ROLE short_sighted LOGIN PASSWORD 'x' IN ROLE pg_read_all_data")
    profile = add(api, places[0])
    whole = run(api, profile)["source_id"]
    blind = reached(places[0], username="short_sighted", password="x")
    api.put(f"/api/import/profiles/{profile}", blind)
    assert start(api, profile).status_code == 409
    assert decide(api, profile, "same_data").status_code == 200
    assert run(api, profile)["source_id"] == whole
    api.put(f"/api/import/profiles/{profile}", blind | {"host": "localhost"})
    assert start(api, profile).status_code == 409
    api.put(f"/api/import/profiles/{profile}", blind)
    assert run(api, profile)["source_id"] == whole


def test_of_two_first_plans_one_says_which_database_it_is(api: Api, places: tuple[Database, Database]) -> None:
    profile = profiles.get(api.org, add(api, places[0]))
    assert identities.confirm(profile, "a" * 32) == "a" * 32
    assert identities.confirm(profile, "b" * 32) is None
    assert identities.confirm(profile, "a" * 32) == "a" * 32
    assert stored(api, profile["id"])["source_id"] == "a" * 32


def test_a_profile_that_imported_before_decisions_were_kept_has_its_identity_for_fingerprint(
    api: Api, places: tuple[Database, Database]
) -> None:
    profile = add(api, places[0])
    identity = run(api, profile)["source_id"]
    dynamo.update("state", keys.profile(api.org, profile), "REMOVE #fingerprint, #source")
    assert source(api, profile) == {
        "host": None,
        "port": None,
        "database": None,
        "fingerprint": identity,
        "confirmed_at": None,
    }
    assert run(api, profile)["source_id"] == identity
    assert source(api, profile)["database"] == "desk"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"decision": ["The decision field is required."]}),
        ({"decision": "whatever"}, {"decision": ["The selected decision is invalid."]}),
        ({"decision": "same_data", "source_id": "x"}, {"source_id": ["The source_id field is not known."]}),
        ({"decision": "same_data", "fingerprint": 1}, {"fingerprint": ["The fingerprint must be a string."]}),
    ],
)
def test_a_decision_is_one_of_two(api: Api, body: Any, errors: Any) -> None:
    made = api.profile()
    answer = api.post(f"/api/import/profiles/{made['id']}/source", body)
    assert (answer.status_code, answer.json_body["errors"]) == (422, errors)


def test_a_stranger_decides_nothing(api: Api, stranger: Api, places: tuple[Database, Database]) -> None:
    profile = moved(api, places)
    answer = decide(stranger, profile, "same_data")
    assert (answer.status_code, answer.json_body["message"]) == (404, "Import profile not found")
    assert start(api, profile).status_code == 409
