"""The mode a profile keeps: what it is, and which jobs go by it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.routes.conftest import Api, profile_body

MODE = {"import_mode": "update", "duplicate_detection": {"primary_fields": ["external_id"]}}
WHOLE = {
    "import_mode": "update",
    "duplicate_detection": {
        "enabled": True,
        "strategy": "exact",
        "primary_fields": ["external_id"],
        "secondary_fields": [],
        "confidence_threshold": 85,
    },
    "skip_duplicates": False,
    "update_duplicates": None,
    "source_identifier_field": "id",
    "matching_strategy": "weighted_fields",
}


def importing(api: Api, **fields: Any) -> str:
    """A profile with something to import."""
    made = str(api.profile(**fields)["id"])
    template = next(t for t in api.get("/api/import/templates").json_body["data"] if t["platform"] == "freescout")
    api.put(f"/api/import/profiles/{made}/template", {"template_id": template["id"], "options": {"timezone": "UTC"}})
    return made


def started(api: Api, profile: str, **body: Any) -> Any:
    answer = api.post("/api/import/jobs", {"profile_id": profile, **body})
    assert answer.status_code == 201, answer.body
    return answer.json_body


def test_a_profile_has_none_unless_it_is_given_one(api: Api) -> None:
    assert api.profile()["mode_config"] is None
    assert started(api, importing(api))["job"]["mode_config"]["import_mode"] == "upsert"


def test_a_mode_is_kept_whole_replaced_whole_and_cleared(api: Api) -> None:
    made = api.profile(mode_config=MODE)
    one = f"/api/import/profiles/{made['id']}"
    assert made["mode_config"] == api.get(one).json_body["mode_config"] == WHOLE
    assert api.put(one, profile_body()).json_body["profile"]["mode_config"] == WHOLE
    changed = api.put(one, profile_body(mode_config={"skip_duplicates": True})).json_body["profile"]["mode_config"]
    assert (changed["import_mode"], changed["skip_duplicates"], set(changed)) == ("upsert", True, set(WHOLE))
    assert api.put(one, profile_body() | {"mode_config": None}).json_body["profile"]["mode_config"] is None


def test_a_job_goes_by_its_own_mode_else_by_the_profiles(api: Api) -> None:
    shown = {name: value for name, value in WHOLE.items() if value is not None}
    assert started(api, importing(api, mode_config=MODE))["job"]["mode_config"] == shown
    own = started(api, importing(api, mode_config=MODE), mode_config={"import_mode": "create"})["job"]["mode_config"]
    assert (own["import_mode"], own["duplicate_detection"]["primary_fields"]) == ("create", ["email", "external_id"])
    none = started(api, importing(api, mode_config=MODE), mode_config=None)["job"]["mode_config"]
    assert none == shown


def test_flags_of_a_kept_mode_that_contradict_are_said_at_every_start(api: Api) -> None:
    profile = importing(api, mode_config={"import_mode": "update", "skip_duplicates": True})
    answer = api.post(f"/api/import/profiles/{profile}/import").json_body
    assert answer["warnings"] == [
        "skip_duplicates is set, so records that are there already are skipped and not updated."
    ]


@pytest.mark.parametrize(
    ("mode", "errors"),
    [
        ({"import_mode": "replace"}, {"mode_config.import_mode": ["The selected mode_config.import_mode is invalid."]}),
        ({"sync": True}, {"mode_config.sync": ["The mode_config.sync field is not known."]}),
        ("upsert", {"mode_config": ["The mode_config must be an object."]}),
        (
            {"duplicate_detection": {"confidence_threshold": 101}},
            {
                "mode_config.duplicate_detection.confidence_threshold": [
                    "The mode_config.duplicate_detection.confidence_threshold must be between 0 and 100."
                ]
            },
        ),
    ],
)
def test_a_mode_that_no_job_could_have_is_refused(api: Api, mode: Any, errors: Any) -> None:
    made = api.profile()
    for answer in (
        api.post("/api/import/profiles", profile_body(mode_config=mode)),
        api.put(f"/api/import/profiles/{made['id']}", profile_body(mode_config=mode)),
    ):
        assert (answer.status_code, answer.json_body["errors"]) == (422, errors)


@pytest.mark.parametrize(("sent", "kept"), [(0, 0), (0.85, 0.85), (100, 100), (1e-300, 0), (66.6666666, 66.666667)])
def test_a_threshold_is_kept_to_six_decimals(api: Api, sent: float, kept: float) -> None:
    mode = {"duplicate_detection": {"confidence_threshold": sent}}
    made = api.profile(mode_config=mode)
    shown = api.get(f"/api/import/profiles/{made['id']}").json_body["mode_config"]
    assert shown["duplicate_detection"]["confidence_threshold"] == kept
    job = started(api, importing(api), mode_config=mode)["job"]["mode_config"]
    assert job["duplicate_detection"]["confidence_threshold"] == kept
