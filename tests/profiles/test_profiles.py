from __future__ import annotations

import time
from typing import Any

import pytest

from chalicelib import configured, connections, dynamo, keys, profiles
from chalicelib.errors import Fatal, Invalid, NotFound, Retryable, SourceUnreachable

pytestmark = pytest.mark.usefixtures("cloud")

USER = {"id": "u1", "name": "Ada"}


def values(**fields: Any) -> dict[str, Any]:
    return {
        "name": "Help desk",
        "database_type": "postgresql",
        "host": "db.example.com",
        "port": 5432,
        "database": "freescout",
        "username": "reader",
        "password": "canary-7d1a",
        "ssl_mode": "require",
        **fields,
    }


def test_a_connection_has_the_password_in_clear_and_does_not_show_it() -> None:
    found = connections.of(profiles.create("o1", USER, values()))
    assert (found.host, found.port, found.database, found.username) == ("db.example.com", 5432, "freescout", "reader")
    assert (found.password, found.ssl_mode) == ("canary-7d1a", "require")
    assert "canary" not in repr(found)


def test_a_profile_without_a_password_connects_without_one() -> None:
    assert connections.of(profiles.create("o1", USER, values(password=""))).password == ""


def test_a_ciphertext_moved_to_another_profile_opens_nothing() -> None:
    first, second = (profiles.create("o1", USER, values()) for _ in range(2))
    with pytest.raises(SourceUnreachable, match="can no longer be read"):
        connections.of({**second, "password": first["password"]})


def test_the_ids_of_other_organisations_do_not_exist() -> None:
    made = profiles.create("o1", USER, values())
    for act in (
        lambda: profiles.get("o2", made["id"]),
        lambda: profiles.update("o2", made["id"], USER, {"name": "mine"}),
        lambda: profiles.delete("o2", made["id"], USER),
        lambda: profiles.note_test(made | {"org": "o2"}, {}),
        lambda: profiles.apply_template("o2", made["id"], USER, "t", {}),
    ):
        with pytest.raises(NotFound):
            act()
    assert profiles.get("o1", made["id"])["name"] == "Help desk"
    assert dynamo.get("state", keys.profile("o2", made["id"])) is None


def test_a_change_raises_the_version_and_leaves_the_other_fields_a_connection_test_does_not() -> None:
    made = profiles.create("o1", USER, values())
    profiles.note_test(made, {"success": True})
    changed = profiles.update("o1", made["id"], USER, {"name": "Renamed"})
    assert (made["version"], changed["version"]) == (1, 2)
    assert changed["last_test_result"] == {"success": True}
    assert (changed["host"], changed["password"]) == (made["host"], made["password"])


@pytest.mark.parametrize(
    "change", [{"host": "b.example.com", "password": "x"}, {"database": "other"}, {"password": "another"}]
)
def test_another_connection_is_not_yet_tested(change: dict[str, Any]) -> None:
    """Nor is it by a test of the one before that ends only now."""
    made = profiles.create("o1", USER, values())
    profiles.note_test(made, {"success": True})
    for act in (
        lambda: profiles.update("o1", made["id"], USER, change),
        lambda: profiles.note_test(made, {"success": 1}),
    ):
        act()
        found = profiles.get("o1", made["id"])
        assert (profiles.connection_status(found), found["last_tested_at"]) == ("untested", None)


def test_a_password_given_at_the_same_moment_follows_the_profile_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two changes: one gives the profile its first password, the other, which saw none, leads it to another server."""
    made = profiles.create("o1", USER, values() | {"password": None})
    stored = profiles.get
    first = iter([True])

    def seen(org: str, profile_id: str) -> dict[str, Any]:
        found = stored(org, profile_id)
        if next(first, False):
            profiles.update(org, profile_id, USER, {"password": "secret"})
        return found

    monkeypatch.setattr(profiles, "get", seen)
    with pytest.raises(Retryable):
        profiles.update("o1", made["id"], USER, {"host": "evil.example.com"})
    found = stored("o1", made["id"])
    assert (found["host"], connections.of(found).password) == (made["host"], "secret")


def test_a_change_does_not_bring_a_deleted_profile_back() -> None:
    made = profiles.create("o1", USER, values())
    profiles.delete("o1", made["id"], USER)
    with pytest.raises(NotFound):
        profiles.update("o1", made["id"], USER, {"name": "ghost"})
    assert dynamo.get("state", keys.profile("o1", made["id"])) is None


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"host": "evil.example.com"}, True),
        ({"port": 5433}, True),
        ({"username": "postgres"}, True),
        ({"ssl_mode": "prefer"}, True),
        ({"ssl_mode": "disable", "name": "Renamed"}, True),
        ({"ssl_mode": "verify-full"}, False),
        ({"name": "Renamed", "database": "other", "notes": "x"}, False),
        ({"host": "db.example.com", "port": 5432, "username": "reader", "ssl_mode": "require"}, False),
    ],
)
@pytest.mark.parametrize("password", [None, "", "absent"])
def test_a_stored_password_does_not_follow_to_another_server(
    change: dict[str, Any], password: str | None, *, moves: bool
) -> None:
    profile_id = profiles.create("o1", USER, values())["id"]
    made = profiles.get("o1", profile_id)
    sent = change if password == "absent" else change | {"password": password}
    if moves:
        with pytest.raises(Invalid) as refused:
            profiles.update("o1", made["id"], USER, sent)
        assert refused.value.errors == {"password": ["The password field is required."]}
        assert profiles.get("o1", made["id"]) == made
    else:
        assert profiles.update("o1", made["id"], USER, sent)["password"] == made["password"]
    moved = profiles.update("o1", made["id"], USER, change | {"password": "canary-new"})
    assert connections.of(moved).password == "canary-new"


def test_without_a_stored_password_there_is_nothing_to_keep_from_moving() -> None:
    made = profiles.create("o1", USER, values(password=""))
    assert profiles.update("o1", made["id"], USER, {"host": "new.example.com"})["host"] == "new.example.com"


def test_a_profile_that_moves_with_its_password_at_the_same_moment_does_not_move_back_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = profiles.create("o1", USER, values())
    profiles.update("o1", made["id"], USER, {"host": "new.example.com", "password": "canary-new"})
    monkeypatch.setattr(profiles, "get", lambda *_: made)  # as it was when this change began
    with pytest.raises(Retryable):
        profiles.update("o1", made["id"], USER, {"host": made["host"]})


def test_saved_queries_replace_the_templates() -> None:
    from chalicelib import templates

    freescout = next(template for template in templates.all() if template.PLATFORM == "freescout")
    made = profiles.create("o1", USER, values())
    made = profiles.apply_template("o1", made["id"], USER, freescout.ID, {})
    before = configured.shown(made)["queries"]
    own = {"base_table": "people", "fields": [{"source": "id", "target": "external_id"}], "target_type": "agents"}
    saved = profiles.save_query("o1", made["id"], USER, "agents", own)
    after = configured.shown(saved)["queries"]
    assert (after["agents"], saved["has_custom_queries"]) == (own, True)
    assert list(after) == list(before), "in the order of import"
    assert {name: after[name] for name in after if name != "agents"} == {
        name: before[name] for name in before if name != "agents"
    }
    gone = profiles.save_query("o1", made["id"], USER, "agents", None)
    assert (configured.shown(gone)["queries"], gone["has_custom_queries"]) == (before, False)


def test_a_check_ends_in_time_whatever_the_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.sources import postgres

    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(postgres, "check", lambda *_, **__: time.sleep(1))
    started = time.monotonic()
    result = connections.check(connections.typed(values(host="8.8.8.8")))
    assert time.monotonic() - started < 0.5
    assert result["success"] is False
    assert result["message"] == "Connection failed: the server did not answer in time"
    assert result["error"] == "Connection timed out"


@pytest.mark.parametrize("code", ["source_changed", "permission_denied"])
def test_a_schema_that_cannot_be_read_is_a_connection_error(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    from chalicelib import sessions

    def fail(*_: Any, **__: Any) -> None:
        raise Fatal("The role may not read it", code=code)

    monkeypatch.setattr(sessions, "connect", fail)
    with pytest.raises(SourceUnreachable) as refused:
        connections.schema(profiles.create("o1", USER, values(host="8.8.8.8")))
    assert refused.value.error == "The role may not read it"
