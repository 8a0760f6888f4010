"""An organisation of its own on the deployed stack, with a profile on a help desk; everything by the HTTP API."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cli.access import Access
from cli.client import Client
from infra.local.stack import Stack
from tests.conftest import Database

ZONE = "Australia/Lord_Howe"
"""Half an hour of daylight saving: a zone that nobody gets right by accident."""

TYPES = ["accounts", "agents", "customer_users", "tickets", "ticket_notes", "attachments", "time_entries"]


class Tenant:
    """An organisation of its own with a profile on the help desk."""

    def __init__(self, deployed: Stack, database: Database) -> None:
        made = deployed.invoke("bootstrap", {"org": "Imports", "name": "Ada", "email": "ada@imports.example"})
        self.org: str = made["org"]
        self.api = Client(Access(deployed.endpoint, made["token"], "test"))
        self.database = database
        self.profile = self.add_profile()

    def add_profile(self, **changes: Any) -> str:
        where = self.database.connection
        body = {
            "name": f"Help desk {time.monotonic_ns()}",
            "database_type": "postgresql",
            "host": where.host,
            "port": where.port,
            "database": where.database,
            "username": where.username,
            "password": where.password,
            "ssl_mode": "prefer",
        }
        profile = self.api.post("/api/import/profiles", body | changes)["profile"]
        templates = self.api.get("/api/import/templates")["data"]
        freescout = next(template for template in templates if template["platform"] == "freescout")
        chosen = {"template_id": freescout["id"], "options": {"timezone": ZONE}}
        self.api.put(f"/api/import/profiles/{profile['id']}/template", chosen)
        return str(profile["id"])

    def start(self, profile: str | None = None, **options: Any) -> str:
        body = {"profile_id": profile or self.profile, "options": options}
        return str(self.api.post("/api/import/jobs", body)["job"]["id"])

    def status(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/api/import/jobs/{job}/status")
        return found

    def until(self, job: str, reached: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first status that has reached something; a job that ends or takes two minutes before fails the test."""
        deadline = time.monotonic() + 120
        while not reached(now := self.status(job)):
            assert now["status"] == "running", now
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now

    def wait(self, job: str, seen: Callable[[dict[str, Any]], Any] = lambda _: None) -> dict[str, Any]:
        """Ask until the job has ended; every answer is shown to `seen`."""
        deadline = time.monotonic() + 180
        while (now := self.status(job))["status"] == "running":
            seen(now)
            assert time.monotonic() < deadline, now
            time.sleep(0.1)
        found: dict[str, Any] = self.api.get(f"/api/import/jobs/{job}")
        return found


def fates(job: dict[str, Any], name: str) -> int:
    return sum(job["records"][name][word] for word in ("created", "updated", "skipped", "failed", "unprocessed"))
