"""If-Match on profiles and templates: who names the version it saw changes that one or nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from chalice.test import HTTPResponse

from chalicelib import access, profiles
from chalicelib.errors import PreconditionFailed, Retryable
from chalicelib.preconditions import IfMatch
from tests.routes.conftest import Api, profile_body
from tests.routes.test_own_templates import body as template_body

Thing = Callable[[Api], tuple[str, Any]]


def profile(api: Api) -> tuple[str, Any]:
    return f"/api/import/profiles/{api.profile()['id']}", profile_body(name="Renamed")


def template(api: Api) -> tuple[str, Any]:
    made = api.post("/api/import/templates", template_body(name="Seen")).json_body["template"]
    return f"/api/import/templates/{made['id']}", template_body(name="Renamed")


def send(api: Api, method: str, path: str, body: Any, tag: str) -> HTTPResponse:
    return api.request(method, path, body, headers={"If-Match": tag})


@pytest.mark.parametrize("thing", [profile, template])
def test_the_tag_of_what_was_seen_lets_a_change_through_once(api: Api, thing: Thing) -> None:
    path, body = thing(api)
    seen = api.get(path)
    assert (seen.headers["ETag"], seen.json_body["version"]) == ('"1"', 1)
    assert send(api, "PUT", path, body, '"1"').status_code == 200
    assert api.get(path).headers["ETag"] == '"2"'
    refused = send(api, "PUT", path, body | {"name": "Again"}, '"1"')
    assert (refused.status_code, refused.json_body["code"], refused.json_body["version"]) == (412, "stale_version", 2)
    what = path.split("/")[3].removesuffix("s")
    assert refused.json_body["message"] == f"The {what} has been changed meanwhile: it is at version 2."
    assert api.get(path).json_body["name"] == "Renamed"


@pytest.mark.parametrize("thing", [profile, template])
def test_a_stale_tag_deletes_nothing_and_the_right_one_does(api: Api, thing: Thing) -> None:
    path, body = thing(api)
    assert api.put(path, body).status_code == 200
    assert send(api, "DELETE", path, None, '"1"').status_code == 412
    assert api.get(path).status_code == 200
    assert send(api, "DELETE", path, None, '"1", "2"').status_code == 200
    assert api.get(path).status_code == 404


@pytest.mark.parametrize("thing", [profile, template])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_is_no_tag_is_400_and_changes_nothing(api: Api, thing: Thing, method: str) -> None:
    path, body = thing(api)
    answer = send(api, method, path, body if method == "PUT" else None, "1")
    assert (answer.status_code, answer.json_body["code"]) == (400, "malformed_if_match")
    assert api.get(path).json_body["version"] == 1


@pytest.mark.parametrize("thing", [profile, template])
def test_a_star_and_silence_mean_whatever_stands(api: Api, thing: Thing) -> None:
    path, body = thing(api)
    assert send(api, "PUT", path, body, "*").status_code == 200
    assert api.put(path, body).status_code == 200
    assert api.delete(path).status_code == 200


def test_taking_a_template_is_a_change_like_others(api: Api) -> None:
    path, _ = profile(api)
    chosen = {"template_id": api.get("/api/import/templates").json_body["data"][1]["id"]}
    assert send(api, "PUT", f"{path}/template", chosen, '"7"').status_code == 412
    assert api.get(path).json_body["template_id"] is None
    assert send(api, "PUT", f"{path}/template", chosen, '"1"').status_code == 200
    assert api.get(path).headers["ETag"] == '"2"'


def test_a_connection_test_between_looking_and_saving_takes_nothing_away(api: Api) -> None:
    path = f"/api/import/profiles/{api.profile(host='10.0.0.1')['id']}"
    assert api.post(f"{path}/test-connection").json_body["connection_test"]["success"] is False
    assert api.get(path).json_body["last_tested_at"]
    assert send(api, "PUT", path, profile_body(host="10.0.0.1", name="Renamed"), '"1"').status_code == 200


def test_a_version_that_goes_between_look_and_write_is_not_overwritten(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is conditional on the version it was let through for, not only checked before."""
    made = api.profile()
    user = access.authenticate(api.token or "", now=datetime.now(UTC)).who()
    look = profiles.get

    def overtaken(org: str, profile_id: str) -> profiles.Profile:
        found = look(org, profile_id)
        monkeypatch.setattr(profiles, "get", look)
        profiles.update(org, profile_id, user, {"name": "Faster"})
        return found

    for act in (
        lambda: profiles.update(api.org, made["id"], user, {"notes": "mine"}, IfMatch('"1"')),
        lambda: profiles.delete(api.org, made["id"], user, IfMatch('"2"')),
    ):
        monkeypatch.setattr(profiles, "get", overtaken)
        with pytest.raises((Retryable, PreconditionFailed)):
            act()
    assert (look(api.org, made["id"])["name"], look(api.org, made["id"])["notes"]) == ("Faster", made["notes"])
