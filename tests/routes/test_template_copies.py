"""Copies of templates: the system's, which keep no SQL, and the organisation's own."""

from __future__ import annotations

import json

import pytest

from chalicelib import access, dynamo
from tests.routes.conftest import Api
from tests.routes.test_own_templates import PEOPLE, body, created, one, take
from tests.routes.test_template_routes import TEMPLATES, template


@pytest.mark.accepts("SV-061")
def test_a_system_template_is_copied_without_its_sql(api: Api) -> None:
    system = template(api, "freescout")
    answer = api.post(f"{one(system)}/copy", {"name": "Our FreeScout"})
    assert (answer.status_code, answer.json_body["message"]) == (201, "Template copied successfully")
    copied = answer.json_body["template"]
    assert (copied["name"], copied["is_system"], copied["based_on"]) == ("Our FreeScout", False, system["id"])
    assert copied["queries"] == {}
    assert copied["options"] == system["options"]
    assert "SELECT" not in json.dumps(dynamo.query("state", f"O#{api.org}", prefix="TEMPLATE#"), default=str).upper()
    path = api.profile()["id"]
    answer = take(api, path, copied["id"], timezone="Europe/Berlin")
    assert answer.status_code == 200, answer.body
    queries = answer.json_body["profile"]["configuration"]["queries"]
    assert "Europe/Berlin" in repr(queries["tickets"])
    assert answer.json_body["profile"]["template"]["name"] == "Our FreeScout"
    taken = take(api, api.profile()["id"], system["id"], timezone="Europe/Berlin").json_body["profile"]
    assert queries == taken["configuration"]["queries"], "what the system's own gives, until something is replaced"

    fewer = [name for name in copied["supported_types"] if name != "time_entries"]
    changed = body(name="Our FreeScout", queries={"customer_users": PEOPLE}, supported_types=fewer)
    answer = api.put(one(copied), changed)
    assert answer.status_code == 200, answer.body
    assert answer.json_body["template"]["based_on"] == system["id"]
    kept = take(api, path, copied["id"], timezone="Europe/Berlin").json_body["profile"]["configuration"]["queries"]
    assert kept["customer_users"] == PEOPLE | {"target_type": "customer_users"}
    assert "time_entries" not in kept
    assert kept["agents"] == queries["agents"]


def test_a_copy_is_the_organisations_own(api: Api, stranger: Api) -> None:
    made = created(api, metadata={"n": 1})
    answer = api.post(f"{one(made)}/copy", {"name": "Second"})
    copied = answer.json_body["template"]
    own = ("platform", "description", "supported_types", "queries", "metadata", "based_on")
    assert {word: copied[word] for word in own} == {word: made[word] for word in own}
    assert copied["id"] != made["id"]
    assert api.post(f"{one(made)}/copy", {"name": "second"}).json_body["errors"] == {
        "name": ["The name has already been taken."]
    }
    assert stranger.post(f"{one(made)}/copy", {"name": "Mine"}).status_code == 404
    token = access.issue_token(api.org, api.user, "t", scopes=["system.import"])
    importer = Api(api.client, token, api.org, api.user)
    assert importer.post(f"{one(made)}/copy", {"name": "Third"}).status_code == 403
    sneaky = api.post(f"{one(made)}/copy", {"name": "Fourth", "based_on": made["id"]})
    assert sneaky.json_body["errors"] == {"based_on": ["The based_on field is not known."]}
    assert api.post(TEMPLATES, body(name="Fifth", based_on=template(api, "freescout")["id"])).status_code == 422
