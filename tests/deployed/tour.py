"""Everything there is, used once: every route, every step, the sweep, and the races that make them ask for more.

All of it runs in this process on the deployed tables, bucket and key, each call for the function it belongs to. A new
route gets a call here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from chalice.test import Client

import app
from chalicelib import access, clients, dynamo, jobs, keys, logins, profiles, settings, telemetry
from chalicelib.errors import Retryable
from chalicelib.steps import finish, plan
from tests.conftest import Database
from tests.deployed.faults.source import SMALL, Import, Row, fill, queries
from tests.deployed.policies import Recorder

ROWS = SMALL | {"ticket_notes": [*SMALL["ticket_notes"], Row("5", text="long " * 90_000, parent="1")]}


def context() -> Any:
    return SimpleNamespace(aws_request_id=str(uuid.uuid4()), get_remaining_time_in_millis=lambda: 300_000)


def cold() -> None:
    """As a process that has just started: what another function has left in memory is not there."""
    kept = (clients.client, settings.get, telemetry._formatter)
    for name, module in list(sys.modules.items()):
        for value in vars(module).values() if name.startswith("chalicelib") else ():
            if hasattr(value, "cache_clear") and value not in kept:
                value.cache_clear()


@dataclass
class Tour:
    """Everything there is, used once as its users do."""

    recorder: Recorder
    database: Database
    client: Client
    org: str = ""
    token: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    visited: set[tuple[str, str]] = field(default_factory=set)

    def ask(
        self, method: str, path: str, body: Any = None, *, query: str = "", status: int = 200, **headers: str | None
    ) -> Any:
        """A request to a route, `{...}` in its path filled from what the tour has met."""
        given = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}", **headers}
        sent = {name: value for name, value in given.items() if value is not None}
        raw = json.dumps(body).encode() if body is not None else b""
        cold()
        with self.recorder.running("APIHandler"):
            answer = self.client.http.request(method, path.format(**self.ids) + query, headers=sent, body=raw)
        assert answer.status_code == status, (method, path, answer.body[:500])
        self.visited.add((method, path))
        return answer.json_body

    def step(self, run: Any, event: dict[str, Any]) -> dict[str, Any]:
        """A step as Lambda and the state machine run it: by its function, again when it asks for it."""
        name = run.__module__.rpartition(".")[2]
        cold()
        with self.recorder.running(name.capitalize()):
            for _ in range(20):
                try:
                    answer: dict[str, Any] = getattr(app, name)(event, context())
                except Retryable:
                    continue
                if answer["state"] != "more":
                    return answer
        raise AssertionError(f"{name} never came to an answer")

    def again(self, function: str, operation: str, run: Any, event: dict[str, Any]) -> None:
        """The function's next such call finds that another worker has been faster."""
        self.recorder.interruptions[function, operation] = lambda: self.step(run, event)

    # --- setting up

    def begin(self) -> None:
        made = {}
        with self.recorder.running("Bootstrap"):
            made = app.bootstrap({"org": "Acme", "name": "Ada", "email": "ada@acme.example"}, context())
        self.org, self.token = made["org"], made["token"]
        for path in ("/api/health", "/api/openapi.json", "/api/docs"):
            self.ask("GET", path)
        self.sign_in_and_out()
        self.ids["profile_id"] = self.profile()

    def sign_in_and_out(self) -> None:
        """As a browser: by cookie, after a while, with the CSRF token."""
        csrf = self.ask("POST", "/api/session", status=201)["csrf_token"]
        caller = access.authenticate(self.token, now=datetime.now(UTC))
        value, _ = logins.start(caller, now=datetime.now(UTC) - timedelta(hours=1))
        cookie = f"laravel_session={value}"
        assert self.ask("GET", "/api/session", Authorization=None, Cookie=cookie)["csrf_token"] != csrf
        headers = {"Cookie": cookie, "X-CSRF-Token": logins.csrf(value)}
        self.ask("DELETE", "/api/session", Authorization=None, **headers)
        assert self.ask("GET", "/api/audit")["data"]

    def profile(self) -> str:
        where = self.database.connection
        connection = {"database_type": "postgresql", "host": where.host, "port": where.port, "ssl_mode": "prefer"}
        connection |= {"database": where.database, "username": where.username, "password": where.password}
        assert self.ask("POST", "/api/import/profiles/test-connection", connection)["connection_test"]["success"]
        body = {"name": f"P {time.monotonic_ns()}", **connection}
        made = self.ask("POST", "/api/import/profiles", body, status=201)["profile"]["id"]
        dynamo.update("state", keys.profile(self.org, made), "SET #queries = :queries", {"queries": queries()})
        return str(made)

    def look_at_profiles(self) -> None:
        """On a profile of its own, which goes again."""
        kept, self.ids["profile_id"] = self.ids["profile_id"], self.profile()
        self.ask("GET", "/api/import/profiles")
        one = "/api/import/profiles/{profile_id}"
        found = self.ask("GET", one)
        same = {word: found[word] for word in ("name", "database_type", "host", "port", "database", "username")}
        self.ask("PUT", one, same | {"password": self.database.connection.password})
        assert self.ask("POST", one + "/test-connection")["connection_test"]["success"]
        self.ask("GET", one + "/schema")
        self.look_at_queries()
        template = self.ask("GET", "/api/import/templates")["data"][0]["id"]
        self.ask("PUT", one + "/template", {"template_id": template, "options": {"timezone": "UTC"}})
        self.look_at_templates()
        copy = self.ask("POST", one + "/duplicate", {}, status=201)["duplicate_profile"]["id"]
        self.ask("DELETE", one)
        self.ids["profile_id"] = copy
        self.ask("DELETE", one)
        self.ids["profile_id"] = kept

    def look_at_queries(self) -> None:
        """One that is tried, saved, previewed and taken back."""
        one = "/api/import/profiles/{profile_id}"
        fields = [{"source": "n", "target": "external_id"}, {"source": "text", "target": "title"}]
        query = {"base_table": "conversations", "fields": fields, "target_type": "tickets"}
        assert self.ask("GET", one + "/builder/tables")["tables"]
        assert self.ask("GET", one + "/builder/suggestions")["base_tables"]["tickets"]
        assert self.ask("POST", one + "/builder/validate", query)["valid"]
        self.ask("POST", one + "/preview-query", query)
        self.ask("POST", one + "/queries", query)
        assert self.ask("GET", one + "/preview", query="?query_type=tickets")["tickets"]["errors"] == {}
        kept, self.ids["record_type"] = self.ids.get("record_type", ""), "tickets"
        self.ask("DELETE", one + "/queries/{record_type}")
        self.ids["record_type"] = kept

    def look_at_templates(self) -> None:
        """One of the organisation's own, taken by the profile there is, then removed."""
        fields = [{"source": "n", "target": "external_id"}, {"source": "text", "target": "title"}]
        body = {"name": "Ours", "queries": {"tickets": {"base_table": "conversations", "fields": fields}}}
        made = self.ask("POST", "/api/import/templates", body, status=201)["template"]["id"]
        self.ids["template_id"] = made
        one = "/api/import/templates/{template_id}"
        self.ask("GET", one)
        self.ask("PUT", one, body | {"description": "changed"})
        self.ask("PUT", "/api/import/profiles/{profile_id}/template", {"template_id": made})
        copied = self.ask("POST", one + "/copy", {"name": "A copy"}, status=201)["template"]["id"]
        for self.ids["template_id"] in (made, copied):
            self.ask("DELETE", one)

    # --- jobs

    def job(self, **options: Any) -> Import:
        body = {"profile_id": self.ids["profile_id"], "options": options}
        self.ids["job_id"] = self.ask("POST", "/api/import/jobs", body, status=201)["job"]["id"]
        return self.handle(self.ids["job_id"])

    def handle(self, job: str) -> Import:
        return Import(self.database, ROWS, org=self.org, profile=self.ids["profile_id"], job_id=job)

    def raced(self, job: Import) -> None:
        """Drive it; at the first chunk of each kind another worker is faster, and a person is at load's."""
        raced = set()
        for run, event in job.steps(self.step):
            name = run.__module__.rpartition(".")[2].capitalize()
            if name in ("Extract", "Transform", "Decide") and name not in raced:
                raced.add(name)
                self.again(name, "TransactWriteItems", run, event)
            if name == "Load" and event["type"] == "tickets" and name not in raced:
                raced.add(name)
                self.recorder.interruptions[name, "BatchExecuteStatement"] = lambda: self.edit(job, "1")
            self.step(run, event)
        self.finish(job)

    def finish(self, job: Import, **error: Any) -> None:
        self.step(finish.run, job.event | error)

    def edit(self, job: Import, ext: str) -> None:
        """A person changes a ticket at this moment; none of the product's calls."""
        key = keys.record(self.org, "tickets", job.derive("tickets", ext))
        function, self.recorder.function = self.recorder.function, None
        with contextlib.suppress(dynamo.Refused):
            dynamo.update("records", key, "ADD #ver :one", {"one": 1}, condition="attribute_exists(#pk)")
        self.recorder.function = function

    def import_everything(self) -> None:
        self.raced(self.job())
        self.look_at_records()
        fill(self.database, {name: [row.changed() for row in rows] for name, rows in ROWS.items()})
        one = self.ask("POST", "/api/import/profiles/{profile_id}/import", {}, status=201)["job"]["id"]
        self.raced(self.handle(one))
        dry = self.job(dry_run=True)
        for run, event in dry.steps(self.step):
            self.step(run, event)
        self.finish(dry)

    def move_the_source(self) -> None:
        """The same database under another name: a start looks, and a person is free to say what it is."""
        one = "/api/import/profiles/{profile_id}"
        found = self.ask("GET", one)
        same = {word: found[word] for word in ("name", "database_type", "port", "database", "username")}
        self.ask("PUT", one, same | {"host": "localhost", "password": self.database.connection.password})
        job = self.job(dry_run=True)
        assert self.ask("GET", one)["source"]["host"] == "localhost"
        self.step(plan.run, job.event)
        self.finish(job, error={"Error": "Fatal", "Cause": "seen enough"})
        self.ask("POST", one + "/source", {"decision": "same_data", "fingerprint": found["source"]["fingerprint"]})

    def stop_one(self) -> None:
        """Cancelled when some chunks are loaded and others are not."""
        fill(self.database, {name: [Row(f"n{row.ext}", text="third") for row in rows] for name, rows in ROWS.items()})
        job = self.job()
        self.ask("GET", "/api/import/jobs/{job_id}")
        self.ask("GET", "/api/import/jobs/{job_id}/status")
        self.until_loading(job)
        self.ask("POST", "/api/import/jobs/{job_id}/cancel")
        self.finish(job)
        assert job.job["status"] == "cancelled"
        self.ask("GET", "/api/import/jobs/{job_id}/errors")
        self.ids["job_id"] = self.ask("POST", "/api/import/jobs/{job_id}/retry", status=201)["job"]["id"]
        again = self.handle(self.ids["job_id"])
        for run, event in again.steps(self.step):
            self.step(run, event)
        self.finish(again)
        assert again.job["status"] == "completed"

    def until_loading(self, job: Import) -> None:
        for run, event in job.steps(self.step):
            if run.__module__.endswith("load"):
                return
            self.step(run, event)

    def sweep(self) -> None:
        """One job whose execution is over with chunks open, one that never got an execution."""
        fill(self.database, {name: [Row(f"m{row.ext}", text="fourth") for row in rows] for name, rows in ROWS.items()})
        left = self.job()
        self.until_loading(left)
        kept, self.ids["profile_id"] = self.ids["profile_id"], self.profile()
        lost = self.unstarted()
        event = dict.fromkeys(("version", "id", "detail-type", "source", "account", "time", "region"), "")
        with self.recorder.running("Sweep"):
            app.sweep({**event, "resources": [], "detail": {}}, context())
        assert left.job["status"] == "failed"
        states = clients.client("stepfunctions")
        arn = f"{settings.get().state_machine.replace(':stateMachine:', ':execution:')}:{lost}"
        assert states.describe_execution(executionArn=arn)["name"] == lost
        self.ids["profile_id"] = kept

    def unstarted(self) -> str:
        """A job from ten minutes ago; Step Functions was not there."""
        kept = os.environ["WHARF_STATE_MACHINE"]
        os.environ["WHARF_STATE_MACHINE"] = kept + "-gone"
        settings.get.cache_clear()
        profile = profiles.get(self.org, self.ids["profile_id"])
        job = jobs.start(self.org, profile, {"id": "u", "name": "U"}, {}, {}, now=time.time() - 600)
        os.environ["WHARF_STATE_MACHINE"] = kept
        settings.get.cache_clear()
        assert job["status"] == "pending"
        return str(job["id"])

    # --- what came

    def look_at_records(self) -> None:
        self.ask("GET", "/api/import/jobs")
        self.ask("GET", "/api/import/jobs/stats")
        self.ask("GET", "/api/import/analytics/records", query=f"?job_id={self.ids['job_id']}")
        self.ids["record_type"] = "ticket_notes"
        notes = self.ask("GET", "/api/records/{record_type}")["data"]
        parent = self.ask("GET", "/api/records/tickets", query="?external_id=1")["data"][0]["id"]
        assert self.ask("GET", "/api/records/{record_type}", query=f"?parent={parent}")["data"]
        assert self.ask("GET", "/api/records/customer_users", query="?email=a@x")["data"]
        one = "/api/records/{record_type}/{record_id}"
        for note in notes:
            self.ids["record_id"] = note["id"]
            self.ask("GET", one)
        self.ask("PATCH", one, {"content": "edited " * 80_000}, **{"If-Match": "*"})
        self.ids |= {"record_type": "tickets", "record_id": parent}
        self.ask("PATCH", one, {"customer_id": self.customer("3")}, **{"If-Match": "*"})
        self.ids |= {"record_type": "customer_users", "record_id": self.customer("3")}
        self.ask("PATCH", one, {"email": "new@x"}, **{"If-Match": "*"})
        self.ask("PATCH", one, {"email": "newer@x"}, **{"If-Match": "*"})
        self.ask("DELETE", one, **{"If-Match": "*"})

    def customer(self, ext: str) -> str:
        found = self.ask("GET", "/api/records/customer_users", query=f"?external_id={ext}")
        return str(found["data"][0]["id"])

    def go(self) -> None:
        fill(self.database, ROWS)
        self.begin()
        self.look_at_profiles()
        self.import_everything()
        self.move_the_source()
        self.stop_one()
        self.sweep()
