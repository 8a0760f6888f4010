"""Every route x everybody, by token and by cookie; every id of another organisation in every place."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from chalice.test import Client, HTTPResponse

from chalicelib import settings
from chalicelib.requests import Endpoint, Routes
from tests.routes import matrix
from tests.routes.conftest import Api
from tests.routes.matrix import CANARY, PRINCIPALS, Principal, World

ROUTES = matrix.routes()
BY_NAME = pytest.mark.parametrize("endpoint", ROUTES, ids=matrix.name)


@pytest.fixture(scope="module")
def world(client: Client) -> Iterator[World]:
    """Two organisations on a stage whose limits do not end the loop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHARF_RATE_FACTOR", "1000")
        settings.get.cache_clear()
        yield matrix.world(client)
    settings.get.cache_clear()


@pytest.mark.accepts("SV-003", "SV-004", "SV-005")
@BY_NAME
def test_a_route_needs_what_it_should(endpoint: Endpoint) -> None:
    assert endpoint.permission == matrix.needs(matrix.name(endpoint))


def test_no_route_comes_without_a_permission() -> None:
    with pytest.raises(TypeError):
        Routes().on("GET", "/api/x", limit="monitoring")  # type: ignore[call-arg]
    assert all(endpoint.permission for endpoint in ROUTES)
    assert all((endpoint.permission == "public") == (endpoint.limit == "public") for endpoint in ROUTES)


def judged(world: World, endpoint: Endpoint, principal: Principal, *, by_cookie: bool) -> str | None:
    """What is wrong with how the route meets the principal, None when nothing is."""
    token = world.token(principal)
    answer = world.request(endpoint, matrix.absent(), token, by_cookie=by_cookie, empty=True)
    needed = matrix.needs(matrix.name(endpoint))
    if needed == "public":
        right = answer.status_code == 200
    elif principal.may is None:
        right = (answer.status_code, answer.json_body["message"]) == (401, "Unauthenticated.")
    elif needed not in principal.may:
        right = (answer.status_code, answer.json_body["code"]) == (403, "forbidden")
    else:
        right = answer.status_code not in (401, 403) and answer.status_code < 500
    way = "cookie" if by_cookie else "token"
    return None if right else f"{matrix.name(endpoint)} for {principal.name} by {way}: {answer.status_code}"


@pytest.mark.accepts("SV-001", "SV-002", "SV-003", "SV-004", "SV-005")
@BY_NAME
def test_a_route_lets_in_whom_it_should(world: World, endpoint: Endpoint, generator: random.Random) -> None:
    drawn = generator.sample(PRINCIPALS, 2)
    found = [judged(world, endpoint, one, by_cookie=generator.random() < 0.5) for one in drawn]
    assert [one for one in found if one] == []


@pytest.mark.exhaustive
@pytest.mark.accepts("SV-001", "SV-002", "SV-003", "SV-004", "SV-005")
@pytest.mark.parametrize("by_cookie", [False, True], ids=["token", "cookie"])
@pytest.mark.parametrize("principal", PRINCIPALS, ids=lambda one: one.name)
def test_every_route_lets_in_whom_it_should(world: World, principal: Principal, by_cookie: bool) -> None:
    found = [judged(world, endpoint, principal, by_cookie=by_cookie) for endpoint in ROUTES]
    assert [one for one in found if one] == []


@pytest.mark.accepts("SV-001", "SV-003")
@pytest.mark.parametrize("endpoint", [one for one in ROUTES if one.method != "GET"], ids=matrix.name)
def test_no_change_by_cookie_goes_without_its_csrf_token(world: World, endpoint: Endpoint) -> None:
    headers = {word: value for word, value in matrix.cookie(world.first.token or "").items() if word == "Cookie"}
    path = endpoint.path.format(**world.ids)
    answer = Api(world.first.client, None).request(endpoint.method, path, None, headers)
    assert (answer.status_code, answer.json_body["code"]) == (403, "csrf_mismatch")


def same(answer: HTTPResponse, ids: dict[str, str]) -> str:
    """An answer without what differs from request to request: its id, the path asked for, the id in it."""
    body = dict(answer.json_body)
    for word in ("request_id", "instance"):
        body.pop(word, None)
    text = repr(body)
    for one in ids.values():
        text = text.replace(one, "…") if len(one) == 36 else text
    return text


@pytest.mark.accepts("SV-003", "SV-149")
@pytest.mark.parametrize("endpoint", [one for one in ROUTES if one.permission != "public"], ids=matrix.name)
def test_what_is_another_organisations_is_not_there(world: World, endpoint: Endpoint) -> None:
    ids, none = world.ids, matrix.absent()
    token = world.second.token or ""
    theirs, nothing = (world.request(endpoint, given, token) for given in (ids, none))
    assert theirs.status_code == nothing.status_code
    assert CANARY.encode() not in theirs.body + nothing.body
    if theirs.status_code >= 400:
        assert same(theirs, ids) == same(nothing, none)
    if "_id}" in endpoint.path:
        assert theirs.status_code == 404


def test_none_of_this_has_touched_what_the_first_has(world: World) -> None:
    assert world.state() == world.before


def test_the_canary_is_in_what_its_own_organisation_is_answered(world: World) -> None:
    """The control: the same requests find it. Without those that ask the source: there is none."""
    found = set()
    for endpoint in ROUTES:
        asks_the_source = endpoint.limit == "builder" or endpoint.path.endswith("/schema")
        if endpoint.method == "GET" and endpoint.permission != "public" and not asks_the_source:
            answer = world.request(endpoint, world.ids, world.first.token or "", empty="{record_type}" in endpoint.path)
            found |= {endpoint.path} if CANARY.encode() in answer.body else set()
    assert found >= {
        "/api/audit",
        "/api/import/jobs",
        "/api/import/jobs/{job_id}",
        "/api/import/profiles",
        "/api/import/profiles/{profile_id}",
        "/api/import/templates",
        "/api/import/templates/{template_id}",
        "/api/records/{record_type}",
        "/api/records/{record_type}/{record_id}",
        "/api/session",
    }
