from __future__ import annotations

import re
import uuid
from typing import Any

import boto3
import pytest

from chalicelib import dynamo, encryption, jobs, keys
from chalicelib.errors import NotFound
from tests.routes.conftest import Api, profile_body
from tests.routes.test_template_routes import apply

PROFILES = "/api/import/profiles"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")


def one(profile: dict[str, Any]) -> str:
    return f"{PROFILES}/{profile['id']}"


def job_on(api: Api, profile_id: str) -> dict[str, Any]:
    """A job that runs on a profile, as `start` leaves it."""
    return jobs.start(api.org, dynamo.get("state", keys.profile(api.org, profile_id)) or {}, {}, {}, {})


def ended(job: dict[str, Any]) -> None:
    jobs.end(jobs.get(job["org"], job["id"]), "completed", {})


@pytest.mark.accepts("SV-032", "SV-033", "SV-145")
def test_create_answers_201_with_the_profile(api: Api) -> None:
    answer = api.post(PROFILES, profile_body())
    assert answer.status_code == 201
    assert set(answer.json_body) == {"message", "profile"}
    assert answer.json_body["message"] == "Import profile created successfully"
    sent = profile_body()
    assert {name: answer.json_body["profile"].get(name) for name in sent if name != "password"} == {
        name: value for name, value in sent.items() if name != "password"
    }


@pytest.mark.accepts("SV-014", "SV-015", "SV-016", "SV-017", "SV-018", "SV-019", "SV-020", "SV-022")
@pytest.mark.accepts("SV-023", "SV-024", "SV-025", "SV-031")
def test_a_profile_has_the_documented_fields(api: Api) -> None:
    api.profile()
    [shown] = api.get(PROFILES).json_body["data"]
    assert uuid.UUID(shown["id"])
    assert shown["name"] == "Production Database"
    assert shown["database_type"] == "postgresql"
    assert shown["host"] == "database.example.com"
    assert shown["port"] == 5432
    assert shown["database"] == "production_db"
    assert shown["username"] == "db_user"
    assert shown["ssl_mode"] == "prefer"
    assert shown["description"] == "Production database import connection"
    assert shown["notes"] == "Main production system"
    assert shown["created_by"] == {"id": api.user, "name": "Admin User"}
    assert TIME.match(shown["created_at"])
    assert TIME.match(shown["updated_at"])
    assert shown["last_tested_at"] is None
    assert shown["last_test_result"] is None


@pytest.mark.accepts("SV-027", "SV-028", "SV-029")
def test_a_new_profile_has_no_template_and_no_queries(api: Api) -> None:
    shown = api.profile()
    assert shown["template_id"] is None
    assert shown["template"] is None
    assert shown["has_custom_queries"] is False


@pytest.mark.accepts("SV-021", "SV-041")
def test_the_password_never_comes_back_and_is_kept_encrypted(api: Api) -> None:
    created = api.post(PROFILES, profile_body())
    path = one(created.json_body["profile"])
    answers = [
        created,
        api.get(PROFILES),
        api.get(path),
        api.put(path, profile_body(password="canary-5f2c-second")),
        api.post(PROFILES, profile_body(password="canary-5f2c", port=0)),
        api.post(PROFILES, profile_body(password={"canary-5f2c": 1})),
        api.post(PROFILES, profile_body(password="canary-5f2c" * 100)),
        apply(api, created.json_body["profile"]["id"]),
        api.post(f"{path}/import"),
        api.get("/api/import/jobs"),
        api.get(path),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 422, 422, 422, 200, 201, 200, 200]
    for answer in answers:
        assert b"canary-5f2c" not in answer.body
        assert b'"password":' not in answer.body.replace(b'"password":["The password ', b"")
    assert "canary-5f2c" not in repr(boto3.client("dynamodb").scan(TableName="state"))
    stored = dynamo.get("state", keys.profile(api.org, created.json_body["profile"]["id"])) or {}
    assert encryption.decrypt(stored["password"], org=api.org, owner=stored["id"]) == "canary-5f2c-second"


@pytest.mark.accepts("SV-015", "SV-016", "SV-017", "SV-018", "SV-150", "SV-152")
@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        ({"name": None}, "name", "The name field is required."),
        ({"name": "  "}, "name", "The name field is required."),
        ({"name": "x" * 256}, "name", "The name may not be greater than 255 characters."),
        ({"name": 7}, "name", "The name must be a string."),
        ({"name": "a\nb"}, "name", "The name format is invalid."),
        ({"database_type": None}, "database_type", "The database_type field is required."),
        ({"database_type": "mysql"}, "database_type", "The selected database_type is invalid."),
        ({"host": None}, "host", "The host field is required."),
        ({"host": ""}, "host", "The host field is required."),
        ({"host": "a b"}, "host", "The host format is invalid."),
        ({"host": "x@y"}, "host", "The host format is invalid."),
        ({"host": "/tmp"}, "host", "The host format is invalid."),
        ({"host": "0x7f000001"}, "host", "The host format is invalid."),
        ({"port": None}, "port", "The port field is required."),
        ({"port": 0}, "port", "The port must be between 1 and 65535."),
        ({"port": 65536}, "port", "The port must be between 1 and 65535."),
        ({"port": -1}, "port", "The port must be between 1 and 65535."),
        ({"port": "5432"}, "port", "The port must be an integer."),
        ({"port": 54.5}, "port", "The port must be an integer."),
        ({"port": True}, "port", "The port must be an integer."),
        ({"port": 10**30}, "port", "The port must be between 1 and 65535."),
        ({"database": None}, "database", "The database field is required."),
        ({"database": "a\0b"}, "database", "The database format is invalid."),
        ({"username": None}, "username", "The username field is required."),
        ({"password": None}, "password", "The password field is required."),
        ({"password": "a\0b"}, "password", "The password format is invalid."),
        ({"ssl_mode": "sometimes"}, "ssl_mode", "The selected ssl_mode is invalid."),
        ({"ssl_mode": 1}, "ssl_mode", "The selected ssl_mode is invalid."),
        ({"description": "x" * 5001}, "description", "The description may not be greater than 5000 characters."),
        ({"notes": []}, "notes", "The notes must be a string."),
    ],
)
def test_create_names_the_field_and_what_is_wrong(api: Api, fields: dict[str, Any], field: str, sentence: str) -> None:
    answer = api.post(PROFILES, profile_body(**fields))
    assert answer.status_code == 422
    assert answer.json_body["message"] == "Validation failed"
    assert answer.json_body["errors"] == {field: [sentence]}
    assert api.get(PROFILES).json_body["meta"]["total"] == 0


@pytest.mark.parametrize("port", [1, 65535])
@pytest.mark.accepts("SV-018")
def test_the_outermost_ports_are_ports(api: Api, port: int) -> None:
    assert api.profile(port=port)["port"] == port


@pytest.mark.accepts("SV-008", "SV-013")
def test_the_list_is_the_organisations_own_newest_first(api: Api, stranger: Api) -> None:
    assert api.get(PROFILES).json_body == {
        "data": [],
        "meta": {"current_page": 1, "per_page": 15, "total": 0},
        "next_cursor": None,
    }
    for name in ("first", "second", "third"):
        api.profile(name=name)
    stranger.profile(name="not yours")
    answer = api.get(PROFILES)
    assert answer.status_code == 200
    assert [profile["name"] for profile in answer.json_body["data"]] == ["third", "second", "first"]
    assert answer.json_body["meta"] == {"current_page": 1, "per_page": 15, "total": 3}


@pytest.mark.accepts("SV-008", "SV-012", "SV-013")
def test_pages_hold_15_unless_asked_otherwise(api: Api) -> None:
    for number in range(17):
        api.profile(name=f"p{number:02}")
    first = api.get(PROFILES).json_body
    assert (len(first["data"]), first["meta"]["per_page"], first["meta"]["total"]) == (15, 15, 17)
    second = api.get(PROFILES, page=2).json_body
    assert [profile["name"] for profile in second["data"]] == ["p01", "p00"]
    assert second["meta"] == {"current_page": 2, "per_page": 15, "total": 17}
    assert second["next_cursor"] is None
    assert len(api.get(PROFILES, per_page=5).json_body["data"]) == 5
    assert api.get(PROFILES, page=9).json_body["data"] == []


def test_a_cursor_stays_right_while_profiles_come_and_go(api: Api) -> None:
    made = [api.profile(name=f"p{number}") for number in range(6)]
    first = api.get(PROFILES, per_page=2).json_body
    api.profile(name="newer")
    api.delete(one(made[4]))
    second = api.get(PROFILES, per_page=2, cursor=first["next_cursor"]).json_body
    assert [profile["name"] for profile in first["data"] + second["data"]] == ["p5", "p4", "p3", "p2"]
    third = api.get(PROFILES, per_page=2, cursor=second["next_cursor"]).json_body
    assert [profile["name"] for profile in third["data"]] == ["p1", "p0"]
    assert third["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": 0}, "page"),
        ({"page": "x"}, "page"),
        ({"per_page": 0}, "per_page"),
        ({"per_page": 101}, "per_page"),
        ({"cursor": "%%%"}, "cursor"),
        ({"cursor": "/w=="}, "cursor"),
        ({"database_type": "mysql"}, "database_type"),
    ],
)
def test_nonsense_in_the_query_is_422(api: Api, query: dict[str, Any], field: str) -> None:
    answer = api.get(PROFILES, **query)
    assert answer.status_code == 422
    assert list(answer.json_body["errors"]) == [field]


@pytest.mark.accepts("SV-009")
def test_the_list_can_be_limited_to_one_database_type(api: Api) -> None:
    kept = api.profile()
    other = {**(dynamo.get("state", keys.profile(api.org, kept["id"])) or {}), "id": str(uuid.uuid4())}
    dynamo.put("state", keys.profile(api.org, other["id"]), {**_without_keys(other), "database_type": "mysql"})
    assert api.get(PROFILES).json_body["meta"]["total"] == 2
    answer = api.get(PROFILES, database_type="postgresql").json_body
    assert [profile["id"] for profile in answer["data"]] == [kept["id"]]
    assert answer["meta"]["total"] == 1


def _without_keys(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("pk", "sk")}


def test_the_list_can_be_searched_by_name(api: Api) -> None:
    for name in ("Straße DB", "Billing"):
        api.profile(name=name)
    assert [found["name"] for found in api.get(PROFILES, search="STRASSE").json_body["data"]] == ["Straße DB"]
    assert api.get(PROFILES, search="nothing").json_body["data"] == []


@pytest.mark.accepts("SV-034")
def test_one_profile_comes_bare_and_whole(api: Api) -> None:
    made = api.profile()
    answer = api.get(one(made))
    assert answer.status_code == 200
    assert {"template", "has_custom_queries", "configuration", "import_jobs"} <= set(answer.json_body)
    assert {name: value for name, value in answer.json_body.items() if name in made} == made
    assert answer.json_body["configuration"] == {"queries": {}}
    assert answer.json_body["import_jobs"] == []


@pytest.mark.accepts("SV-040")
def test_a_profile_shows_its_latest_ten_jobs(api: Api) -> None:
    made, other = api.profile(), api.profile(name="other")
    started = []
    for number in range(12):
        job = job_on(api, made["id"])
        started.append(job["id"])
        if number < 11:
            ended(job)
    job_on(api, other["id"])
    shown = api.get(one(made)).json_body["import_jobs"]
    assert [job["id"] for job in shown] == started[::-1][:10]
    assert all(set(job) == {"id", "status", "records_imported", "started_at"} for job in shown)
    assert [job["status"] for job in shown] == ["running"] + ["completed"] * 9
    assert shown[0]["records_imported"] == 0
    counted = {"types": ["tickets"], "tickets_created": 7, "tickets_updated": 2}
    dynamo.update("state", keys.job(api.org, started[-1]), "SET " + ", ".join(f"#{w} = :{w}" for w in counted), counted)
    assert api.get(one(made)).json_body["import_jobs"][0]["records_imported"] == 7
    assert TIME.match(shown[0]["started_at"])


@pytest.mark.accepts("SV-041", "SV-042")
def test_update_takes_the_same_body_and_keeps_an_omitted_password(api: Api) -> None:
    made = api.profile()
    body = profile_body(name="Renamed", database="other_db", notes="Moved", ssl_mode="require", password=None)
    answer = api.put(one(made), body)
    assert answer.status_code == 200
    assert set(answer.json_body) == {"message", "profile"}
    assert answer.json_body["message"] == "Import profile updated successfully"
    shown = answer.json_body["profile"]
    assert {name: shown[name] for name in body if name != "password"} == body
    assert api.get(one(made)).json_body["name"] == "Renamed"
    assert shown["created_by"] == made["created_by"]
    stored = dynamo.get("state", keys.profile(api.org, made["id"])) or {}
    assert encryption.decrypt(stored["password"], org=api.org, owner=made["id"]) == "canary-5f2c-password"


def test_update_keeps_optional_fields_that_are_not_sent_and_clears_nulls(api: Api) -> None:
    made = api.profile(ssl_mode="require")
    body = profile_body(notes=None, ssl_mode=None) | {"description": None}
    shown = api.put(one(made), body).json_body["profile"]
    assert (shown["notes"], shown["ssl_mode"], shown["description"]) == ("Main production system", "require", None)


@pytest.mark.accepts("SV-041")
def test_update_validates_as_create_does(api: Api) -> None:
    made = api.profile()
    answer = api.put(one(made), profile_body(host=None, port=0))
    assert answer.status_code == 422
    assert answer.json_body["errors"] == {
        "host": ["The host field is required."],
        "port": ["The port must be between 1 and 65535."],
    }


@pytest.mark.accepts("SV-043")
def test_delete_removes_the_profile(api: Api) -> None:
    made = api.profile()
    answer = api.delete(one(made))
    assert (answer.status_code, answer.json_body) == (200, {"message": "Import profile deleted successfully"})
    assert api.get(one(made)).status_code == 404
    assert api.delete(one(made)).status_code == 404
    assert api.get(PROFILES).json_body["meta"]["total"] == 0


@pytest.mark.accepts("SV-044", "SV-146")
def test_delete_is_refused_while_a_job_runs(api: Api) -> None:
    made = api.profile()
    job = job_on(api, made["id"])
    answer = api.delete(one(made))
    assert answer.status_code == 400
    assert answer.json_body["message"] == "Cannot delete profile with running import jobs"
    assert answer.json_body["running_jobs"] == 1
    assert api.get(one(made)).status_code == 200
    ended(job)
    assert api.delete(one(made)).status_code == 200


@pytest.mark.accepts("SV-044")
def test_a_lock_left_behind_by_an_ended_job_does_not_keep_the_profile(api: Api) -> None:
    made = api.profile()
    job = job_on(api, made["id"])
    ended(job)
    dynamo.put("state", keys.profile_lock(api.org, made["id"]), {"job": job["id"]})
    assert api.delete(one(made)).status_code == 200
    assert dynamo.get("state", keys.profile_lock(api.org, made["id"])) is None


@pytest.mark.accepts("SV-044")
def test_a_start_between_look_and_delete_keeps_the_profile(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = api.profile()
    look, looked = dynamo.get, []

    def start_after_the_look(table: dynamo.Table, key: keys.Key, **options: bool) -> dynamo.Item | None:
        found = look(table, key, **options)
        if key == keys.profile_lock(api.org, made["id"]) and not looked:
            looked.append(job_on(api, made["id"]))
        return found

    monkeypatch.setattr(dynamo, "get", start_after_the_look)
    assert api.delete(one(made)).json_body["running_jobs"] == 1
    assert api.get(one(made)).status_code == 200
    assert jobs.running(api.org, made["id"]) == looked[0]["id"]


@pytest.mark.accepts("SV-044")
def test_a_start_on_a_profile_deleted_meanwhile_finds_none(api: Api) -> None:
    made = api.profile()
    read_before = dynamo.get("state", keys.profile(api.org, made["id"])) or {}
    api.delete(one(made))
    with pytest.raises(NotFound):
        jobs.start(api.org, read_before, {}, {}, {})
    assert api.get("/api/import/jobs").json_body["data"] == []


def test_changes_leave_a_trail_without_values(api: Api) -> None:
    made = api.profile()
    api.put(one(made), profile_body(password="canary-5f2c-2"))
    api.delete(one(made))
    trail = list(dynamo.query("state", f"O#{api.org}", prefix="AUDIT#"))
    assert [line["action"] for line in trail] == ["profile.created", "profile.updated", "profile.deleted"]
    assert {line["subject"] for line in trail} == {f"profile/{made['id']}"}
    assert {line["user"]["id"] for line in trail} == {api.user}
    assert "password" in trail[1]["fields"]
    assert "canary" not in repr(trail)


@pytest.mark.accepts("SV-022")
def test_tls_is_preferred_unless_asked_otherwise(api: Api) -> None:
    assert api.profile(ssl_mode=None)["ssl_mode"] == "prefer"


@pytest.mark.accepts("SV-031")
def test_a_change_renews_updated_at_and_leaves_created_at(api: Api) -> None:
    made = api.profile()
    long_ago = {"created_at": "2020-01-01T00:00:00.000000+00:00", "updated_at": "2020-01-01T00:00:00.000000+00:00"}
    key = keys.profile(api.org, made["id"])
    dynamo.update("state", key, "SET #created_at = :created_at, #updated_at = :updated_at", long_ago)
    shown = api.put(one(made), profile_body()).json_body["profile"]
    assert shown["created_at"] == "2020-01-01T00:00:00Z"
    assert shown["updated_at"] >= made["updated_at"]


@pytest.mark.accepts("SV-029")
def test_saved_queries_are_said_to_be_there(api: Api) -> None:
    made = api.profile()
    dynamo.update(
        "state",
        keys.profile(api.org, made["id"]),
        "SET #has_custom_queries = :has_custom_queries",
        {"has_custom_queries": True},
    )
    assert api.get(one(made)).json_body["has_custom_queries"] is True
