"""A stored password: when a change of the profile keeps it, and when it is wanted again."""

from __future__ import annotations

import pytest

from chalicelib import dynamo, encryption, keys
from tests.routes.conftest import Api, profile_body


def test_update_wants_the_password_again_for_another_server(api: Api) -> None:
    made = api.profile()
    answer = api.put(
        f"/api/import/profiles/{made['id']}", profile_body(host="other.example.com", port=6543, password=None)
    )
    assert (answer.status_code, answer.json_body["errors"]) == (422, {"password": ["The password field is required."]})
    assert (
        api.put(f"/api/import/profiles/{made['id']}", profile_body(host="other.example.com", port=6543)).status_code
        == 200
    )


@pytest.mark.parametrize("password", ["", None])
@pytest.mark.accepts("SV-041")
def test_update_keeps_the_password_when_it_comes_empty(api: Api, password: str | None) -> None:
    made = api.profile()
    assert api.put(f"/api/import/profiles/{made['id']}", profile_body() | {"password": password}).status_code == 200
    stored = dynamo.get("state", keys.profile(api.org, made["id"])) or {}
    assert encryption.decrypt(stored["password"], org=api.org, owner=made["id"]) == "canary-5f2c-password"


@pytest.mark.parametrize(("method", "place"), [("POST", "test-connection"), ("GET", "schema")])
def test_a_password_that_cannot_be_read_any_more_is_asked_for_again(api: Api, method: str, place: str) -> None:
    """Copied from another profile, whose encryption context it bears."""
    made, other = api.profile(), api.profile(name="Other")
    stolen = (dynamo.get("state", keys.profile(api.org, other["id"])) or {})["password"]
    dynamo.update("state", keys.profile(api.org, made["id"]), "SET #password = :stolen", {"stolen": stolen})
    answer = api.request(method, f"/api/import/profiles/{made['id']}/{place}")
    assert (answer.status_code, answer.json_body["code"]) == (422, "secret_unusable")
    assert answer.json_body["connection_error"] == {
        "success": False,
        "message": "Connection failed: the stored password can no longer be read, enter it again",
        "error": "Stored password unreadable",
    }
