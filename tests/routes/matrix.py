"""Who may ask what: every route of the application, a valid request for each, and everybody who may come.

What a route needs is written down here once more, on purpose: a permission that slips in the code meets this table.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chalice.test import Client, HTTPResponse

from chalicelib import access, dynamo, keys, logins
from chalicelib.requests import Endpoint
from tests.docs.test_docs import endpoints
from tests.routes import editing
from tests.routes.conftest import Api, organisation, profile_body
from tests.routes.test_own_templates import body as template_body
from tests.routes.test_template_routes import apply

NEEDS = (
    (r"GET /api/(health|docs|openapi\.json)", "public"),
    (r"(GET|POST|DELETE) /api/session", "authenticated"),
    (r"GET /api/audit", "system.configure"),
    (r"GET /api/import/templates(/{template_id})?", "system.import"),
    (r"(POST|PUT|DELETE) /api/import/templates.*", "system.configure"),
    (r"(GET|POST|PUT|PATCH|DELETE) /api/(import|records)/.*", "system.import"),
)
"""The first that fits a route says what it needs."""

PERMISSIONS = ("system.import", "system.configure", "pages.import.manage", "import.global")
HELD = {
    "SUPER_ADMIN": {"authenticated", *PERMISSIONS},
    "ADMIN": {"authenticated", "system.import", "pages.import.manage"},
    "PRO": {"authenticated"},
    "USER": {"authenticated"},
}

CANARY = "canary-8e41"
"""In everything the first organisation has, and in nothing else."""


def needs(route: str) -> str:
    return next(permission for pattern, permission in NEEDS if re.fullmatch(pattern, route))


def name(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def routes() -> list[Endpoint]:
    from app import app

    return list(endpoints(app))


# --- everybody who may come


@dataclass(frozen=True)
class Principal:
    """Somebody: how their token comes to be, and what they may do; None when nobody lets them in."""

    name: str
    token: Callable[[Api], str]
    may: frozenset[str] | None


def _user(role: access.Role, *permissions: str, scopes: list[str] | None = None) -> Callable[[Api], str]:
    def made(api: Api) -> str:
        user = access.create_user(api.org, role, f"{uuid.uuid4()}@example.com", role, permissions)
        return access.issue_token(api.org, user["id"], "t", scopes=scopes)

    return made


def _expired(api: Api) -> str:
    return access.issue_token(api.org, api.user, "t", expires_at=datetime.now(UTC) - timedelta(seconds=1))


def _revoked(api: Api) -> str:
    token = access.issue_token(api.org, api.user, "t")
    access.revoke_token(token)
    return token


PRINCIPALS = (
    Principal("anonymous", lambda _: "", None),
    Principal("malformed", lambda _: "whf_nonsense", None),
    Principal("unknown", lambda _: "whf_" + "a" * 43, None),
    Principal("expired", _expired, None),
    Principal("revoked", _revoked, None),
    *(Principal(role, _user(role), frozenset(held)) for role, held in HELD.items()),  # type: ignore[arg-type]
    *(Principal(f"only {one}", _user("USER", one), frozenset({"authenticated", one})) for one in PERMISSIONS),
    Principal("narrowed to nothing", _user("SUPER_ADMIN", scopes=[]), frozenset({"authenticated"})),
    *(
        Principal(f"narrowed to {one}", _user("SUPER_ADMIN", scopes=[one]), frozenset({"authenticated", one}))
        for one in PERMISSIONS
    ),
    Principal("scopes beyond the role", _user("USER", scopes=[*PERMISSIONS]), frozenset({"authenticated"})),
)


def cookie(token: str) -> dict[str, str]:
    """What a browser sends in which that token's session was begun; the session of a token that has ended since."""
    if len(token) != 47:
        return {"Cookie": f"laravel_session={token}"} if token else {}
    value, _ = logins.start(
        access.Caller("org", "user", "Somebody", "USER", frozenset(), keys.sha256(token)), now=datetime.now(UTC)
    )
    return {"Cookie": f"laravel_session={value}", "X-CSRF-Token": logins.csrf(value)}


# --- what they ask


@dataclass
class World:
    """Two organisations; the first has one of everything, `ids` by the name of the path's segment."""

    first: Api
    second: Api
    ids: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)

    def token(self, principal: Principal) -> str:
        """The principal's, the same each time."""
        if principal.name not in self.tokens:
            self.tokens[principal.name] = principal.token(self.first)
        return self.tokens[principal.name]

    def state(self) -> dict[str, Any]:
        """All that the first organisation has, but for the trail of who signed in."""
        pages = [("state", f"O#{self.first.org}"), ("state", f"O#{self.first.org}#P#{self.ids['profile_id']}")]
        pages += [("records", keys.record(self.first.org, "tickets", self.ids["record_id"])[0])]
        found = [item for table, page in pages for item in dynamo.query(table, page)]  # type: ignore[arg-type]
        kept = [item for item in found if not str(item.get("action")).startswith("session.")]
        return {item["pk"] + item["sk"]: item for item in kept if not item["sk"].startswith(("USER", "SEQ"))}

    def request(
        self, endpoint: Endpoint, ids: dict[str, str], token: str, *, by_cookie: bool = False, empty: bool = False
    ) -> HTTPResponse:
        """A request for the route, valid unless `empty`; every id, wherever it stands, from `ids`."""
        path = endpoint.path.format(**ids) + ("" if empty else query(endpoint, ids))
        headers = cookie(token) if by_cookie else {"Authorization": f"Bearer {token}"} if token else {}
        if "{record_id}" in endpoint.path:
            headers |= {"If-Match": "*"}
        content = None if empty or endpoint.method == "GET" else body(endpoint, ids)
        return Api(self.first.client, None).request(endpoint.method, path, content, headers)


def world(client: Client) -> World:
    first, second = organisation(client, "Acme", CANARY), organisation(client, "Globex", "Mallory")
    profile = first.profile(name=CANARY, notes=CANARY, host=f"{CANARY}.example.com")["id"]
    assert apply(first, profile).status_code == 200
    job = first.post("/api/import/jobs", {"profile_id": profile}).json_body["job"]["id"]
    template = first.post("/api/import/templates", template_body(name=CANARY)).json_body["template"]["id"]
    record = editing.given(first, "tickets", "1", title=CANARY)
    ids = {"profile_id": profile, "job_id": job, "template_id": template, "record_id": record, "record_type": "tickets"}
    made = World(first, second, ids)
    made.before = made.state()
    return made


def absent() -> dict[str, str]:
    """Ids of nothing."""
    words = ("profile_id", "job_id", "template_id", "record_id")
    return {word: str(uuid.uuid4()) for word in words} | {"record_type": "tickets"}


_QUERY = {"base_table": "cases", "fields": [{"source": "id", "target": "external_id"}], "target_type": "tickets"}


def body(endpoint: Endpoint, ids: dict[str, str]) -> Any:
    """A valid body for the route; a new route with a body that has to hold something is added here."""
    connection = profile_body()
    typed = {word: value for word, value in connection.items() if word not in ("name", "description", "notes")}
    known = {
        "POST /api/import/jobs": {"profile_id": ids["profile_id"]},
        "POST /api/import/profiles": connection,
        "PUT /api/import/profiles/{profile_id}": connection,
        "POST /api/import/profiles/test-connection": typed | {"host": "10.0.0.1"},
        "PUT /api/import/profiles/{profile_id}/template": {"template_id": ids["template_id"]},
        "POST /api/import/profiles/{profile_id}/source": {"decision": "same_data"},
        "POST /api/import/profiles/{profile_id}/builder/validate": _QUERY,
        "POST /api/import/profiles/{profile_id}/preview-query": _QUERY,
        "POST /api/import/profiles/{profile_id}/queries": _QUERY,
        "POST /api/import/templates": template_body(name=str(uuid.uuid4())),
        "PUT /api/import/templates/{template_id}": template_body(name=str(uuid.uuid4())),
        "POST /api/import/templates/{template_id}/copy": {"name": str(uuid.uuid4())},
        "PATCH /api/records/{record_type}/{record_id}": {"title": "changed"},
    }
    return known.get(name(endpoint))


def query(endpoint: Endpoint, ids: dict[str, str]) -> str:
    """The ids a route takes in its query, and what it cannot do without."""
    known = {
        "GET /api/import/analytics/records": f"?job_id={ids['job_id']}",
        "GET /api/import/jobs": f"?profile_id={ids['profile_id']}",
        "GET /api/records/{record_type}": f"?parent={ids['record_id']}",
    }
    return known.get(name(endpoint), "")
