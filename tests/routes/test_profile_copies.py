"""POST profiles/{id}/duplicate: another profile like one there is, with a past of its own."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import connections, copies, dynamo, encryption, jobs, keys, profiles
from chalicelib.preconditions import IfMatch
from tests.routes.conftest import Api, profile_body

PASSWORD = "canary-5f2c-password"
MODE = {
    "import_mode": "create",
    "duplicate_detection": {"strategy": "case_insensitive", "primary_fields": ["email"], "confidence_threshold": 90},
    "skip_duplicates": True,
}
QUERY = {
    "name": "t",
    "base_table": "conversations",
    "fields": [{"source": "id", "target": "external_id"}, {"source": "subject", "target": "title"}],
    "target_type": "tickets",
}


def stored(api: Api, profile: str) -> dict[str, Any]:
    found = dynamo.get("state", keys.profile(api.org, profile))
    assert found
    return {name: value for name, value in found.items() if name not in ("pk", "sk")}


def setting(api: Api, profile: str, **values: Any) -> None:
    parts = ", ".join(f"#{name} = :{name}" for name in values)
    dynamo.update("state", keys.profile(api.org, profile), f"SET {parts}", values)


def place(profile: str) -> str:
    return f"/api/import/profiles/{profile}"


def lived_in(api: Api) -> str:
    """A profile with all there is to one: template, options, query, mode, tests, a source, a sync of its own."""
    made = str(api.profile(mode_config=MODE)["id"])
    template = next(t for t in api.get("/api/import/templates").json_body["data"] if t["platform"] == "freescout")
    taken = api.put(f"{place(made)}/template", {"template_id": template["id"], "options": {"timezone": "UTC"}})
    assert taken.status_code == 200
    profiles.note_test(profiles.get(api.org, made), {"success": True, "message": "Connection successful"})
    source = {"host": "database.example.com", "port": 5432, "database": "production_db", "username": "db_user"}
    setting(api, made, source_id="a" * 32, fingerprint="b" * 32, source=source | {"confirmed_at": "x"})
    profiles.save_query(api.org, made, {"id": "u", "name": "Ada"}, "tickets", QUERY)
    setting(api, made, sync_enabled=True, last_sync_at="2026-01-01T00:00:00Z", sync_stats={"runs": 3})
    setting(api, made, sync_schedule={"frequency": "daily"})
    return made


def duplicate(api: Api, profile: str, body: Any = None) -> Any:
    answer = api.post(f"{place(profile)}/duplicate", body)
    assert answer.status_code == 201, answer.body
    return answer.json_body


@pytest.mark.accepts("SV-235", "SV-236")
def test_a_duplicate_is_answered_beside_its_original(api: Api) -> None:
    original = lived_in(api)
    name, description = "Production Database - Copy", "Copy of production import configuration"
    answer = duplicate(api, original, {"name": name, "description": description})
    assert set(answer) == {"message", "original_profile", "duplicate_profile"}
    assert answer["message"] == "Import profile duplicated successfully"
    assert answer["original_profile"] == {"id": original, "name": "Production Database"}
    made = answer["duplicate_profile"]
    assert made["id"] != original
    whole = api.get(place(made["id"])).json_body
    assert made == {
        "id": whole["id"],
        "name": name,
        "description": description,
        "created_at": whole["created_at"],
        "configuration": whole["configuration"],
        "sync_enabled": False,
        "last_sync_at": None,
        "sync_stats": None,
    }
    assert (whole["name"], whole["description"], whole["version"]) == (name, description, 1)
    assert whole["created_by"]["id"] == api.user
    assert api.get("/api/import/profiles").json_body["meta"]["total"] == 2


@pytest.mark.accepts("SV-237")
def test_the_connection_is_the_originals_and_nobody_sees_the_password(api: Api) -> None:
    original = lived_in(api)
    answer = api.post(f"{place(original)}/duplicate")
    assert b"canary" not in answer.body
    copy, before = stored(api, answer.json_body["duplicate_profile"]["id"]), stored(api, original)
    for word in ("database_type", "host", "port", "database", "username", "ssl_mode"):
        assert copy[word] == before[word] == profile_body()[word]
    assert copy["password"] != before["password"]
    assert encryption.decrypt(copy["password"], org=api.org, owner=copy["id"]) == PASSWORD
    assert connections.of(copy).password == PASSWORD
    api.put(place(original), profile_body(password="another"))
    api.delete(place(original))
    assert connections.of(profiles.get(api.org, copy["id"])).password == PASSWORD


def test_a_profile_without_a_password_has_copies_without_one(api: Api) -> None:
    original = api.profile(password="")["id"]
    assert stored(api, duplicate(api, original)["duplicate_profile"]["id"])["password"] is None


@pytest.mark.accepts("SV-238", "SV-239")
def test_queries_template_and_options_are_the_originals(api: Api) -> None:
    original = lived_in(api)
    made = duplicate(api, original)["duplicate_profile"]
    whole, before = api.get(place(made["id"])).json_body, api.get(place(original)).json_body
    words = ("configuration", "template", "template_id", "template_options", "has_custom_queries")
    assert {word: whole[word] for word in words} == {word: before[word] for word in words}
    assert made["configuration"] == before["configuration"]
    assert made["configuration"]["base_table"] == "conversations"
    assert len(made["configuration"]["queries"]) > 3
    kept = ("queries", "template_copy", "template_options")
    assert [stored(api, made["id"])[word] for word in kept] == [stored(api, original)[word] for word in kept]


def test_a_copy_of_an_own_templates_queries_is_copied(api: Api) -> None:
    fields = [{"source": "id", "target": "external_id"}, {"source": "subject", "target": "title"}]
    body = {"name": "Ours", "queries": {"tickets": {"base_table": "conversations", "fields": fields}}}
    template = api.post("/api/import/templates", body).json_body["template"]["id"]
    original = api.profile()["id"]
    api.put(f"{place(original)}/template", {"template_id": template})
    api.delete(f"/api/import/templates/{template}")
    made = duplicate(api, original)["duplicate_profile"]
    assert list(made["configuration"]["queries"]) == ["tickets"]
    assert made["configuration"] == api.get(place(original)).json_body["configuration"]
    assert api.get(place(made["id"])).json_body["template"]["name"] == "Ours"


@pytest.mark.accepts("SV-240")
def test_mode_and_duplicate_detection_are_the_originals_and_its_jobs_go_by_them(api: Api) -> None:
    original = lived_in(api)
    copy = duplicate(api, original)["duplicate_profile"]["id"]
    mode = api.get(place(copy)).json_body["mode_config"]
    assert mode == api.get(place(original)).json_body["mode_config"]
    assert (mode["import_mode"], mode["duplicate_detection"]["strategy"]) == ("create", "case_insensitive")
    answer = api.post(f"{place(copy)}/import")
    assert answer.status_code == 201
    job = jobs.get(api.org, answer.json_body["job"]["id"])
    assert jobs.policy(job["mode_config"]) == {"on_match": "skip", "on_new": "create", "on_key": "skip"}
    assert answer.json_body["job"]["mode_config"]["duplicate_detection"]["primary_fields"] == ["email"]


@pytest.mark.accepts("SV-241")
def test_a_sync_is_copied_and_disabled(api: Api) -> None:
    original = lived_in(api)
    made = duplicate(api, original)["duplicate_profile"]
    assert (made["sync_enabled"], made["last_sync_at"], made["sync_stats"]) == (False, None, None)
    copy = stored(api, made["id"])
    assert (copy["sync_enabled"], copy["sync_schedule"]) == (False, {"frequency": "daily"})
    assert stored(api, original)["sync_enabled"] is True


@pytest.mark.accepts("SV-242")
def test_what_was_done_with_the_original_stays_the_originals(api: Api) -> None:
    original = lived_in(api)
    before = api.post(f"{place(original)}/import").json_body["job"]["id"]
    copy = duplicate(api, original)["duplicate_profile"]["id"]
    whole = api.get(place(copy)).json_body
    words = ("last_tested_at", "last_test_result", "last_sync_at", "sync_stats")
    assert [whole[word] for word in words] == [None] * 4
    assert whole["import_jobs"] == []
    assert [job["id"] for job in api.get("/api/import/jobs", profile_id=copy).json_body["data"]] == []
    untested = api.get("/api/import/profiles", status="untested").json_body["data"]
    assert [profile["id"] for profile in untested] == [copy]
    assert api.delete(place(copy)).status_code == 200, "the original's job does not hold the copy"
    assert api.get(place(original)).json_body["import_jobs"][0]["id"] == before


def test_a_copy_imports_into_the_originals_records(api: Api) -> None:
    original = lived_in(api)
    made = duplicate(api, original)["duplicate_profile"]["id"]
    kept = ("source_id", "fingerprint", "source")
    assert [stored(api, made)[word] for word in kept] == [stored(api, original)[word] for word in kept]


def test_nothing_but_this_differs(api: Api) -> None:
    original = lived_in(api)
    copy, before = stored(api, duplicate(api, original)["duplicate_profile"]["id"]), stored(api, original)
    assert set(copy) == set(before)
    differing = {"id", "name", "password", "version", "created_at", "updated_at", *profiles.UNTRIED}
    assert {word for word in copy if copy[word] != before[word]} == differing


def test_the_original_is_as_it_was(api: Api) -> None:
    original = lived_in(api)
    before = stored(api, original)
    duplicate(api, original, {"name": "x"})
    assert stored(api, original) == before


@pytest.mark.parametrize(
    ("body", "name", "description"),
    [
        (None, "Production Database - Copy", "Production database import connection"),
        ({}, "Production Database - Copy", "Production database import connection"),
        ({"name": None}, "Production Database - Copy", "Production database import connection"),
        ({"name": "Production Database"}, "Production Database", "Production database import connection"),
        ({"description": None}, "Production Database - Copy", None),
        ({"description": ""}, "Production Database - Copy", ""),
    ],
)
def test_name_and_description_have_defaults(api: Api, body: Any, name: str, description: str | None) -> None:
    made = duplicate(api, api.profile()["id"], body)["duplicate_profile"]
    assert (made["name"], made["description"]) == (name, description)


def test_a_copy_of_a_copy_of_a_long_name_fits(api: Api) -> None:
    longest = api.profile(name="é" * 255)["id"]
    made = duplicate(api, longest)["duplicate_profile"]
    assert (len(made["name"]), made["name"][-8:]) == (255, "é - Copy")
    assert len(duplicate(api, made["id"])["duplicate_profile"]["name"]) == 255


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"name": ""}, {"name": ["The name field is required."]}),
        ({"name": "x" * 256}, {"name": ["The name may not be greater than 255 characters."]}),
        ({"name": "a\nb"}, {"name": ["The name format is invalid."]}),
        ({"description": "x" * 5001}, {"description": ["The description may not be greater than 5000 characters."]}),
        ({"host": "evil.example.com"}, {"host": ["The host field is not known."]}),
        ({"sync_enabled": True}, {"sync_enabled": ["The sync_enabled field is not known."]}),
    ],
)
def test_a_duplicate_takes_nothing_else(api: Api, body: Any, errors: Any) -> None:
    answer = api.post(f"{place(api.profile()['id'])}/duplicate", body)
    assert (answer.status_code, answer.json_body["errors"]) == (422, errors)
    assert api.get("/api/import/profiles").json_body["meta"]["total"] == 1


def test_a_password_that_cannot_be_read_is_said_and_nothing_is_made(api: Api) -> None:
    original, other = api.profile()["id"], api.profile(name="Other")["id"]
    setting(api, original, password=stored(api, other)["password"])
    answer = api.post(f"{place(original)}/duplicate")
    said = "The stored password can no longer be read: enter it again, then duplicate the profile"
    body = answer.json_body
    assert (answer.status_code, body["code"], body["message"]) == (422, "secret_unusable", said)
    assert body["errors"] == {"password": [f"{said}."]}
    assert api.get("/api/import/profiles").json_body["meta"]["total"] == 2
    assert "profile.duplicated" not in [line["action"] for line in trail(api)]


def trail(api: Api) -> list[dict[str, Any]]:
    return list(dynamo.query("state", f"O#{api.org}", prefix="AUDIT#"))


def test_a_duplicate_leaves_a_line(api: Api) -> None:
    original = api.profile()["id"]
    duplicate(api, original)
    [line] = [line for line in trail(api) if line["action"] == "profile.duplicated"]
    assert (line["subject"], line["user"]["id"]) == (f"profile/{original}", api.user)


def test_a_strangers_profile_is_not_there(api: Api, stranger: Api) -> None:
    original = api.profile()["id"]
    answer = stranger.post(f"{place(original)}/duplicate")
    assert (answer.status_code, answer.json_body["message"]) == (404, "Import profile not found")
    for organisation in (api, stranger):
        total = organisation.get("/api/import/profiles").json_body["meta"]["total"]
        assert total == (1 if organisation is api else 0)


def test_a_copy_is_of_the_version_that_was_seen(api: Api) -> None:
    original = api.profile()["id"]
    api.put(place(original), profile_body(name="Renamed"))
    refused = api.request("POST", f"{place(original)}/duplicate", None, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.json_body["version"]) == (412, 2)
    made = api.request("POST", f"{place(original)}/duplicate", None, headers={"If-Match": '"2"'})
    assert made.json_body["duplicate_profile"]["name"] == "Renamed - Copy"


def test_a_change_in_the_middle_is_in_the_copy_whole_or_not_at_all(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new host with the old password would be one database's secret for another's server."""
    original, decrypt = api.profile()["id"], encryption.decrypt

    def overtaken(ciphertext: str, *, org: str, owner: str) -> str:
        monkeypatch.setattr(encryption, "decrypt", decrypt)
        api.put(place(original), profile_body(host="new.example.com", password="canary-new"))
        return decrypt(ciphertext, org=org, owner=owner)

    monkeypatch.setattr(encryption, "decrypt", overtaken)
    _, copy = copies.make(api.org, original, {"id": "u", "name": "U"}, {}, IfMatch('"1"'))
    assert (copy["host"], connections.of(copy).password) == ("database.example.com", PASSWORD)
    assert stored(api, original)["host"] == "new.example.com"
