from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from chalicelib import access
from chalicelib.errors import Unauthorized

pytestmark = pytest.mark.usefixtures("cloud")

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def everything() -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = boto3.client("dynamodb").scan(TableName="state")["Items"]
    return items


def test_bootstrap_makes_an_organisation_whose_token_may_do_everything() -> None:
    made = access.bootstrap("Acme", "Ada", "ada@example.com")
    caller = access.authenticate(made["token"], now=NOW)
    assert (caller.org, caller.user_id, caller.name) == (made["org"], made["user"], "Ada")
    assert caller.role == "SUPER_ADMIN"
    assert "system.import" in caller.permissions
    assert "system.configure" in caller.permissions
    assert caller.who() == {"id": made["user"], "name": "Ada"}


def test_two_bootstraps_are_two_organisations() -> None:
    first, second = (access.bootstrap("Acme", "Ada", "ada@example.com") for _ in range(2))
    assert first["org"] != second["org"]
    assert access.authenticate(second["token"], now=NOW).org == second["org"]


def test_the_token_is_stored_only_as_a_hash() -> None:
    token = access.bootstrap("Acme", "Ada", "ada@example.com")["token"]
    assert len(token) == 47
    assert token not in repr(everything())
    assert token[-4:] in repr(everything())


@pytest.mark.parametrize("token", ["", "whf_", "whf_" + "a" * 43, "whf_" + "a" * 42 + "\n", "x" * 5000, "☃"])
def test_unknown_and_malformed_tokens_are_refused_alike(token: str) -> None:
    with pytest.raises(Unauthorized, match="Unauthenticated"):
        access.authenticate(token, now=NOW)


def test_a_token_ends_at_its_hour() -> None:
    made = access.bootstrap("Acme", "Ada", "ada@example.com")
    token = access.issue_token(made["org"], made["user"], "ci", expires_at=NOW)
    assert access.authenticate(token, now=NOW - timedelta(seconds=1)).org == made["org"]
    with pytest.raises(Unauthorized):
        access.authenticate(token, now=NOW)


def test_a_revoked_token_stops_at_once_and_others_go_on() -> None:
    made = access.bootstrap("Acme", "Ada", "ada@example.com")
    other = access.issue_token(made["org"], made["user"], "ci")
    access.revoke_token(made["token"])
    access.revoke_token(made["token"])
    with pytest.raises(Unauthorized):
        access.authenticate(made["token"], now=NOW)
    assert access.authenticate(other, now=NOW).org == made["org"]


def test_revoking_an_unknown_token_makes_none() -> None:
    before = len(everything())
    access.revoke_token("whf_" + "a" * 43)
    assert len(everything()) == before


@pytest.mark.parametrize(
    ("role", "extra", "scopes", "expected"),
    [
        ("ADMIN", (), None, {"system.import", "pages.import.manage"}),
        ("PRO", (), None, set()),
        ("USER", (), None, set()),
        ("USER", ("system.import",), None, {"system.import"}),
        ("ADMIN", (), ["system.import"], {"system.import"}),
        ("ADMIN", (), [], set()),
        ("ADMIN", (), ["system.configure"], set()),
    ],
)
def test_permissions_are_the_roles_and_the_users_within_the_tokens_scopes(
    role: access.Role, extra: tuple[str, ...], scopes: list[str] | None, expected: set[str]
) -> None:
    org = access.bootstrap("Acme", "Ada", "ada@example.com")["org"]
    user = access.create_user(org, "Bo", "bo@example.com", role, extra)
    token = access.issue_token(org, user["id"], "t", scopes=scopes)
    assert access.authenticate(token, now=NOW).permissions == expected


def test_users_are_numbered_within_their_organisation() -> None:
    made = [access.bootstrap("Acme", "Ada", "ada@example.com") for _ in range(2)]
    numbers = [access.create_user(one["org"], "Bo", "bo@example.com", "USER")["number"] for one in made]
    assert numbers == [2, 2]
