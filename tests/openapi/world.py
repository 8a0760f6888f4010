"""What generated requests meet: an organisation with one of everything, and where they are led.

Generated ids hit nothing and generated hosts are other people's, so before it is sent a well-formed id becomes mostly
the one there is, and a well-formed host the test's own PostgreSQL. What a request destroys is put back.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from chalice.test import Client
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as openapi_checks

from chalicelib import dynamo, jobs, keys, network
from tests.conftest import Database
from tests.routes.conftest import Api
from tests.routes.editing import given
from tests.routes.test_own_templates import body as template_body

CHECKS = [
    not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.unsupported_method,
    openapi_checks.ignored_auth,
]

CONFIG: dict[str, Any] = {
    "base-url": "http://localhost",
    "generation": {"deterministic": True, "database": "none"},
    "phases": {"coverage": {"enabled": False}, "stateful": {"enabled": False}},
}
"""Deterministic, so that a failure is the same tomorrow."""

DRAWN = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
"""How many is each test's own; shrinking would ask for minutes."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


@dataclass
class World:
    """An organisation, its admin's token, and an id of each kind; `kept` is what is put back."""

    token: str
    ids: dict[str, str]
    database: Database
    kept: list[tuple[str, keys.Key, dict[str, Any]]] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def aim(self, case: Case) -> None:
        """Lead a request to what is there, and one that is meant to be good past the first checks.

        A bad one stays bad: of it, only what is well-formed is changed, for the like.
        """
        good = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
        for values in (case.path_parameters, case.query, case.body):
            self._lead(values, good=good)

    def _lead(self, values: Any, *, good: bool) -> None:
        if isinstance(values, list):
            for one in values:
                self._lead(one, good=good)
        if not isinstance(values, dict):
            return
        for name, value in values.items():
            if name in self.ids and isinstance(value, str) and _UUID.match(value) and self.chance.random() < 0.8:
                values[name] = self.ids[name]
            elif name == "host" and isinstance(value, str) and network.is_host(value):
                values[name] = self.database.connection.host
            elif name == "port" and isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
                values[name] = self.database.connection.port
            elif good and name in self.likely and isinstance(value, str) and self.chance.random() < 0.8:
                values[name] = self.chance.choice(self.likely[name])
            else:
                self._lead(value, good=good)

    @property
    def likely(self) -> dict[str, list[str]]:
        """What a person would send."""
        where = self.database.connection
        return {
            "host": [where.host],
            "database": [where.database],
            "username": [where.username],
            "password": [where.password],
            "template_id": [self.ids["template_id"], "freescout"],
            "record_type": ["tickets"],
            "target_type": ["customer_users"],
            "base_table": ["customers", "public.customers"],
            "table": ["emails", '"conversations"'],
            "on": ["emails.customer_id = customers.id", "true"],
            "source": ["id", "first_name", "coalesce(first_name, 'x')", "id + 1", "CASE WHEN id = 1 THEN 'a' END"],
            "field": ["id", "first_name"],
            "target": ["external_id", "name", "custom_fields.x"],
            "alias": ["e"],
            "condition": ["id > 1"],
        }

    def restore(self) -> None:
        """Everything as it was."""
        for table, key, item in self.kept:
            dynamo.put(table, key, {name: value for name, value in item.items() if name not in ("pk", "sk")})

    def unlock(self) -> None:
        """Whatever job a request has started on the profile lets go of it."""
        lock = keys.profile_lock(keys.organisation_of(self.kept[0][1][0]), self.ids["profile_id"])
        dynamo.transact([("Delete", dynamo.delete_operation("state", lock))])


def build(api: Api, database: Database) -> World:
    """One profile that can be reached, one template of one's own, one ended job, one record."""
    where = database.connection
    reached = {"host": where.host, "port": where.port, "database": where.database, "username": where.username}
    profile = api.profile(**reached, password=where.password)["id"]
    taken = {"template_id": api.get("/api/import/templates").json_body["data"][0]["id"], "options": {"timezone": "UTC"}}
    assert api.put(f"/api/import/profiles/{profile}/template", taken).status_code == 200
    own = api.post("/api/import/templates", template_body())
    assert own.status_code == 201, own.body
    template = own.json_body["template"]["id"]
    job = api.post(f"/api/import/profiles/{profile}/import").json_body["job"]["id"]
    jobs.end(jobs.get(api.org, job), "completed", {"completed_at": jobs.get(api.org, job)["created_at"] + 60})
    record = given(api, "tickets", "1", title="A ticket")
    made = World(
        api.token or "",
        {"profile_id": profile, "template_id": template, "job_id": job, "record_id": record},
        database,
    )
    for table, key in [
        ("state", keys.profile(api.org, profile)),
        ("state", keys.template(api.org, template)),
        ("state", keys.job(api.org, job)),
        ("records", keys.record(api.org, "tickets", record)),
    ]:
        item = dynamo.get(table, key)
        assert item is not None
        made.kept.append((table, key, item))
    return made


def wsgi(client: Callable[[], Client]) -> Callable[..., Iterable[bytes]]:
    """The application as WSGI: what schemathesis speaks in process. Routing and answers are Chalice's own."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/%:@!$&'()*+,;=~-._")
        query = environ.get("QUERY_STRING")
        headers = {
            name[5:].replace("_", "-").title(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        headers["Content-Type"] = environ.get("CONTENT_TYPE", "")
        body = environ.get("wsgi.input", io.BytesIO()).read(int(environ.get("CONTENT_LENGTH") or 0))
        headers["Content-Length"] = str(len(body))
        answer = client().http.request(
            environ["REQUEST_METHOD"], path + (f"?{query}" if query else ""), headers=headers, body=body
        )
        start_response(f"{answer.status_code} -", [(name, str(value)) for name, value in answer.headers.items()])
        yield answer.body

    return application
