"""From a command's context to the API, and from what people type to ids."""

from __future__ import annotations

import uuid
from typing import Any

import typer

from cli.access import find
from cli.client import Client
from cli.failures import USAGE, Failure

PROFILES = "/api/import/profiles"
JOBS = "/api/import/jobs"
TEMPLATES = "/api/import/templates"
RECORDS = "/api/records"


def client(ctx: typer.Context) -> Client:
    """The API as the command line and the environment name it. Raises Failure when there is no token."""
    given = ctx.find_root().obj or {}
    access = find(given.get("endpoint"), given.get("token"))
    if not access.token:
        raise Failure(
            f"No token for {access.endpoint} is known.",
            hint="Set WHARF_TOKEN, or save one with `wharf login`.",
            exit_code=USAGE,
        )
    return Client(access)


def is_id(text: str) -> bool:
    """Whether the text is a UUID in its usual form."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def profile(api: Client, wanted: str) -> dict[str, Any]:
    """The profile of an id or a name. Raises Failure when no profile, or more than one, has the name."""
    if is_id(wanted):
        found: dict[str, Any] = api.get(f"{PROFILES}/{wanted.lower()}")
        return found
    return _named(list(api.pages(PROFILES, search=wanted)), wanted, "profile")


def template(api: Client, wanted: str) -> dict[str, Any]:
    """The template of an id, a name or a platform ("freescout"). Raises Failure when none, or more than one, fits.

    An id and an exact name come first; anything else has to mean one template alone, as it may be about to be deleted.
    """
    templates: list[dict[str, Any]] = api.get(TEMPLATES)["data"]
    folded = wanted.casefold()
    meant = [item for item in templates if folded == item["id"]] or [
        item for item in templates if item["name"] == wanted
    ]
    found = meant or [item for item in templates if folded in (item["name"].casefold(), item["platform"])]
    return _only(found, wanted, "template")


def newest_job(api: Client) -> str:
    """The id of the job started last. Raises Failure when there is none."""
    for job in api.get(JOBS, per_page=1)["data"]:
        return str(job["id"])
    raise Failure("There are no import jobs yet.", hint="Start one with `wharf import run --profile NAME`.")


def _named(items: list[dict[str, Any]], wanted: str, kind: str) -> dict[str, Any]:
    exact = [item for item in items if item["name"] == wanted]
    found = exact or [item for item in items if item["name"].casefold() == wanted.casefold()]
    return _only(found, wanted, kind)


def _only(found: list[dict[str, Any]], wanted: str, kind: str) -> dict[str, Any]:
    if len(found) == 1:
        return found[0]
    if not found:
        raise Failure(f"There is no {kind} named {wanted!r}.", hint=f"`wharf {kind}s list` shows them.")
    raise Failure(
        f"{len(found)} {kind}s are named {wanted!r}.", hint="Give an id: " + ", ".join(item["id"] for item in found)
    )
