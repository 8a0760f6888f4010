"""People who edit records by HTTP, and the trail they leave."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import urllib3

from chalicelib import access, dynamo
from infra.local.stack import Stack


@dataclass(frozen=True)
class Told:
    """One answer."""

    status: int
    headers: Any
    body: dict[str, Any]


class Person:
    """An administrator of an organisation, a new one unless it is named."""

    def __init__(self, deployed: Stack, org: str | None = None) -> None:
        self.org = org or f"t-{uuid.uuid4()}"
        user = access.create_user(self.org, "Ada", "ada@example.com", "ADMIN")
        self.token = access.issue_token(self.org, user["id"], "test")
        self._endpoint = deployed.endpoint
        self._pool = urllib3.PoolManager(maxsize=16, timeout=30)

    def ask(self, method: str, path: str, body: Any = None, match: str | None = None) -> Told:
        """One request; match: what was seen."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        headers |= {"If-Match": match} if match else {}
        sent = None if body is None else json.dumps(body).encode()
        answer = self._pool.request(method, self._endpoint + path, body=sent, headers=headers, retries=False)
        return Told(answer.status, answer.headers, json.loads(answer.data))

    def change(self, record_type: str, record_id: str, **fields: Any) -> dict[str, Any]:
        """Look at a record, then change it."""
        place = f"/api/records/{record_type}/{record_id}"
        told = self.ask("PATCH", place, fields, self.ask("GET", place).headers["ETag"])
        assert told.status == 200, told.body
        return told.body

    def delete(self, record_type: str, record_id: str) -> None:
        """Look at a record, then delete it."""
        place = f"/api/records/{record_type}/{record_id}"
        told = self.ask("DELETE", place, None, self.ask("GET", place).headers["ETag"])
        assert told.status == 200, told.body


def trail(org: str) -> list[tuple[str, str, list[str]]]:
    """The audit lines about records: action, subject, fields, in order of time."""
    lines = dynamo.query("state", f"O#{org}", prefix="AUDIT#", consistent=True)
    return [(one["action"], one["subject"], one["fields"]) for one in lines if one["action"].startswith("record.")]
