"""What is stored against what Python makes of the raw tables: no template, no SQL of ours, no mapper between."""

from __future__ import annotations

from typing import Any

import psycopg

from chalicelib import keys, storage, targets
from tests.conftest import Database
from tests.deployed.exactly_once import stored
from tests.deployed.tenant import TYPES, ZONE
from tests.templates.freescout_expected import expected

KEYED = ("agents", "customer_users")
"""The types with a unique key, the e-mail address."""


def source_of(database: Database) -> dict[str, dict[str, Any]]:
    """type -> external id -> what the source's row should become."""
    with psycopg.connect(database.dsn) as connection:
        return expected(connection, {"timezone": ZONE})


def differences(org: str, wanted: dict[str, dict[str, Any]]) -> list[str]:
    """Every row that is lost, doubled or wrong, every claim that is missing or nobody's; nothing when all is right."""
    records, claims, links = stored(org)
    problems = []
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in TYPES}
    for record in records:
        if record["ext"] in found[record["type"]]:
            problems.append(f"{record['type']} {record['ext']} is doubled")
        found[record["type"]][record["ext"]] = record
    ids = {name: {ext: record["sk"] for ext, record in rows.items()} for name, rows in found.items()}
    ids["customer_users"] |= links
    for name, rows in wanted.items():
        merged = _merged(rows, name)
        problems += [f"{name} {ext} is lost" for ext in merged.keys() - found[name].keys()]
        problems += [f"{name} {ext} is too many" for ext in found[name].keys() - merged.keys()]
        for ext in merged.keys() & found[name].keys():
            row, record = merged[ext], found[name][ext]
            if _whole(record["data"]) != row["data"]:
                problems.append(f"{name} {ext} differs: {_whole(record['data'])} is not {row['data']}")
            if _references(record) != _wanted_references(name, row["refs"], ids):
                problems.append(f"{name} {ext} refers elsewhere: {record['refs']}")
    owners = {
        keys.claim(org, name, "email", email)[0]: ids[name][ext]
        for name in KEYED
        for ext, record in found[name].items()
        if (email := targets.normalise_key("email", record["data"].get("email") or ""))
    }
    problems += [f"the claim {key} is missing" for key in owners.keys() - claims.keys()]
    problems += [f"the claim {key} is nobody's" for key in claims.keys() - owners.keys()]
    return problems + [f"the claim {key} is another's" for key in owners.keys() & claims if owners[key] != claims[key]]


def _merged(rows: dict[str, Any], name: str) -> dict[str, Any]:
    """Rows that share a unique key become the first one's record with the last one's content."""
    if name not in KEYED:
        return rows
    first: dict[str, str] = {}
    merged: dict[str, Any] = {}
    for ext, row in rows.items():
        email = row["data"].get("email")
        owner = first.setdefault(targets.normalise_key("email", email), ext) if email else ext
        merged[owner] = row
    return merged


def _whole(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: storage.from_json(storage.get(value["$s3"])) if isinstance(value, dict) and "$s3" in value else value
        for name, value in data.items()
    }


def _references(record: dict[str, Any]) -> dict[str, Any]:
    return {
        reference: (there["type"], None if there.get("open") else there["id"])
        for reference, there in record["refs"].items()
    }


def _wanted_references(name: str, refs: dict[str, str], ids: dict[str, dict[str, str]]) -> dict[str, Any]:
    wanted = {}
    for reference, value in refs.items():
        allowed = targets.get(name).REFERENCES[reference]
        record_type, ext = (allowed[0], value) if len(allowed) == 1 else value.split(":", 1)
        wanted[reference] = (record_type, ids[record_type].get(ext))
    return wanted
