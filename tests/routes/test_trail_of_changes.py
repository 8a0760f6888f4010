"""Every route that changes something leaves exactly one line in the trail, and no other route leaves any."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from chalice.test import HTTPResponse

from chalicelib import dynamo, jobs, keys
from infra.local.postgres import Postgres
from tests.conftest import Database, database
from tests.routes import editing, matrix
from tests.routes.conftest import Api
from tests.routes.test_own_templates import body as template_body
from tests.routes.test_profile_sources import reached
from tests.routes.test_template_routes import template

PROFILES, TEMPLATES, JOBS = "/api/import/profiles", "/api/import/templates", "/api/import/jobs"
PROFILE, TEMPLATE, JOB = f"{PROFILES}/{{profile_id}}", f"{TEMPLATES}/{{template_id}}", f"{JOBS}/{{job_id}}"
RECORD = "/api/records/{record_type}/{record_id}"

ASKS = {
    f"POST {PROFILES}/test-connection",
    f"POST {PROFILE}/test-connection",
    f"POST {PROFILE}/builder/validate",
    f"POST {PROFILE}/preview-query",
}
"""They ask the source and change nothing people wrote: what a connection test came to is kept beside the profile."""

FIELDS = [{"source": "id", "target": "external_id"}, {"source": "title", "target": "title"}]
QUERY = {"base_table": "cases", "fields": FIELDS, "target_type": "tickets"}


@pytest.fixture(scope="module")
def cases(postgres_server: Postgres) -> Database:
    """A database with one table."""
    found = database(postgres_server, "cases")
    with psycopg.connect(found.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE cases (id bigint PRIMARY KEY, title text NOT NULL)")
        connection.execute("INSERT INTO cases VALUES (1, 'first')")
    return found


@dataclass
class Walk:
    """One request after the other, with what each adds to the trail."""

    api: Api
    ids: dict[str, str] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)

    def trail(self) -> list[str]:
        lines = dynamo.query("state", f"O#{self.api.org}", prefix="AUDIT#", consistent=True)
        return [f"{line['action']} {line['subject'].partition('/')[0]}" for line in lines]

    def ask(self, route: str, body: Any = None, *, by: Api | None = None, **headers: str) -> Any:
        method, _, path = route.partition(" ")
        before = self.trail()
        answer: HTTPResponse = (by or self.api).request(method, path.format(**self.ids), body, headers)
        assert answer.status_code in (200, 201), (route, answer.body)
        self.left.setdefault(route, []).extend(self.trail()[len(before) :])
        return answer.json_body

    def profiles(self, cases: Database) -> None:
        body = reached(cases)
        self.ids["profile_id"] = self.ask(f"POST {PROFILES}", body)["profile"]["id"]
        self.ask(f"POST {PROFILES}/test-connection", {word: body[word] for word in body if word != "name"})
        self.ask(f"POST {PROFILE}/test-connection")
        self.ask(f"PUT {PROFILE}", body | {"name": "Renamed"})
        self.ask(f"PUT {PROFILE}/template", {"template_id": template(self.api, "custom")["id"]})
        self.ask(f"POST {PROFILE}/builder/validate", QUERY)
        self.ask(f"POST {PROFILE}/preview-query", QUERY)
        self.ask(f"POST {PROFILE}/queries", QUERY)
        imported = {"source": "s", "fingerprint": "f"}
        key = keys.profile(self.api.org, self.ids["profile_id"])
        dynamo.update("state", key, "SET #source_id = :source, #fingerprint = :fingerprint", imported)
        self.ask(f"POST {PROFILE}/source", {"decision": "same_data"})

    def jobs(self) -> None:
        self.ids["job_id"] = self.ask(f"POST {JOBS}", {"profile_id": self.ids["profile_id"]})["job"]["id"]
        self._end("failed")
        self.ids["job_id"] = self.ask(f"POST {JOB}/retry")["job"]["id"]
        self._end("completed")
        self.ids["job_id"] = self.ask(f"POST {PROFILE}/import")["job"]["id"]
        self.ask(f"POST {JOB}/cancel")
        self._end("cancelled")

    def _end(self, status: str) -> None:
        """As `finish` ends it."""
        job = jobs.get(self.api.org, self.ids["job_id"])
        if status == "failed":
            job = jobs.move(job, "failing")
        jobs.end(job, status, {"completed_at": 1.0})

    def templates(self) -> None:
        self.ids["template_id"] = self.ask(f"POST {TEMPLATES}", template_body())["template"]["id"]
        self.ask(f"PUT {TEMPLATE}", template_body(name="Renamed"))
        self.ask(f"POST {TEMPLATE}/copy", {"name": "Another"})
        self.ask(f"DELETE {TEMPLATE}")

    def rest(self) -> None:
        self.ids |= {"record_type": "tickets", "record_id": editing.given(self.api, "tickets", "1", title="first")}
        self.ask(f"PATCH {RECORD}", {"title": "second"}, **{"If-Match": "*"})
        self.ask(f"DELETE {RECORD}", **{"If-Match": "*"})
        self.ask(f"DELETE {PROFILE}/queries/{{record_type}}")
        self.ask(f"POST {PROFILE}/duplicate", {})
        self.ask(f"DELETE {PROFILE}")
        browser = matrix.cookie(self.api.token or "")
        self.ask("POST /api/session")
        self.ask("DELETE /api/session", by=Api(self.api.client, None), **browser)


LEFT = {
    f"POST {PROFILES}": "profile.created profile",
    f"PUT {PROFILE}": "profile.updated profile",
    f"PUT {PROFILE}/template": "profile.template_applied profile",
    f"POST {PROFILE}/queries": "profile.query_saved profile",
    f"DELETE {PROFILE}/queries/{{record_type}}": "profile.query_deleted profile",
    f"POST {PROFILE}/source": "profile.source_same_data profile",
    f"POST {PROFILE}/duplicate": "profile.duplicated profile",
    f"DELETE {PROFILE}": "profile.deleted profile",
    f"POST {JOBS}": "job.started job",
    f"POST {JOB}/retry": "job.started job",
    f"POST {PROFILE}/import": "job.started job",
    f"POST {JOB}/cancel": "job.cancelled job",
    f"POST {TEMPLATES}": "template.created template",
    f"PUT {TEMPLATE}": "template.updated template",
    f"POST {TEMPLATE}/copy": "template.created template",
    f"DELETE {TEMPLATE}": "template.deleted template",
    f"PATCH {RECORD}": "record.updated tickets",
    f"DELETE {RECORD}": "record.deleted tickets",
    "POST /api/session": "session.started user",
    "DELETE /api/session": "session.ended user",
}


def test_every_change_leaves_one_line_and_nothing_else_does(api: Api, cases: Database) -> None:
    walk = Walk(api)
    walk.profiles(cases)
    walk.jobs()
    walk.templates()
    walk.rest()
    assert walk.left == {route: [line] for route, line in LEFT.items()} | {route: [] for route in ASKS}
    writes = {matrix.name(one) for one in matrix.routes() if one.method != "GET"}
    assert walk.left.keys() == writes, "walk by the new route here"
    for endpoint in matrix.routes():
        if endpoint.method == "GET" and not re.search(r"{(job|template)_id}|{record", endpoint.path):
            before = walk.trail()
            api.request("GET", endpoint.path.format(**walk.ids) + matrix.query(endpoint, walk.ids))
            assert walk.trail() == before
