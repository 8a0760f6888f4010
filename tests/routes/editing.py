"""Records as an import leaves them, requests that edit them, and what stands in the store afterwards."""

from __future__ import annotations

from typing import Any

from chalice.test import HTTPResponse

from chalicelib import dynamo, keys, records
from chalicelib.dynamo import Item
from tests.routes.conftest import Api
from tests.routes.test_record_routes import RECORDS, SOURCE

MARK = "job#type#0#0"
HASH = "5" * 64


def given(api: Api, record_type: str, ext: str, *, refs: dict[str, Any] | None = None, **data: Any) -> str:
    """A record as an import leaves it, with its claim. Returns its id."""
    record_id = keys.record_id(api.org, record_type, SOURCE, record_type, ext)
    records.note_origins(api.org, SOURCE, {record_type: record_type})
    held = [("email", data["email"].lower())] if "email" in data else []
    item: Item = {
        "origin": {"source": SOURCE, "table": record_type, "ext": ext, "at": "2026-01-01T10:00:00Z"},
        "data": data,
        "refs": refs or {},
        "ver": 1,
        "by": MARK,
        "hash": HASH,
    }
    if record_type in ("agents", "customer_users"):
        item["keys"] = held
    parent = records.listed_below(api.org, record_type, refs or {})
    dynamo.put("records", keys.record(api.org, record_type, record_id), item | ({"parent": parent} if parent else {}))
    for key in held:
        dynamo.transact([records.claim(api.org, record_type, record_id, *key)])
    return record_id


def patch(api: Api, record_type: str, record_id: str, body: Any, match: str | None = '"1"') -> HTTPResponse:
    headers = {} if match is None else {"If-Match": match}
    return api.request("PATCH", f"{RECORDS}/{record_type}/{record_id}", body, headers)


def delete(api: Api, record_type: str, record_id: str, match: str | None = '"1"') -> HTTPResponse:
    headers = {} if match is None else {"If-Match": match}
    return api.request("DELETE", f"{RECORDS}/{record_type}/{record_id}", None, headers)


def item(api: Api, record_type: str, record_id: str) -> Item:
    return dynamo.get("records", keys.record(api.org, record_type, record_id)) or {}


def holder(api: Api, record_type: str, email: str) -> str | None:
    """Who has an e-mail address."""
    held = dynamo.get("records", keys.claim(api.org, record_type, "email", email))
    return held["id"] if held else None


def trail(api: Api) -> list[tuple[str, str, list[str]]]:
    """The audit lines about records: action, subject, fields, in order of time; all by the admin."""
    lines = [line for line in dynamo.query("state", f"O#{api.org}", prefix="AUDIT#") if "record." in line["action"]]
    assert {(line["user"]["id"], line["user"]["name"]) for line in lines} <= {(api.user, "Admin User")}
    return [(line["action"], line["subject"], line["fields"]) for line in lines]


def refused(answer: HTTPResponse, status: int, code: str, errors: dict[str, list[str]] | None = None) -> dict[str, Any]:
    assert (answer.status_code, answer.json_body["code"], answer.json_body.get("errors")) == (status, code, errors)
    body: dict[str, Any] = answer.json_body
    return body
