"""/api/openapi.json and /api/docs: the API described, for programs and for people.

Both need no token: they say what the source code says, and nothing of any organisation.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import import_module, resources
from typing import Any

from chalicelib.paths import PATHS
from chalicelib.requests import Endpoint, Html, Routes
from chalicelib.routes.answers import Document

routes = Routes()


@routes.on("GET", "/api/openapi.json", permission="public", limit="public", answer=Document)
def describe_api() -> dict[str, Any]:
    """The whole API as an OpenAPI 3.1 document."""
    return document()


@routes.on("GET", "/api/docs", permission="public", limit="public", answer=Html)
def show_documentation() -> Html:
    """The same for people: one page that shows the document and loads nothing from elsewhere."""
    return page()


@cache
def document() -> dict[str, Any]:
    """Made once in a process, since it loads every resource."""
    from chalicelib import openapi

    return openapi.document(endpoints())


def endpoints() -> list[Endpoint]:
    """Every route, in the order of the map."""
    return [
        import_module(f"chalicelib.routes.{resource}").routes.endpoints[method, path]
        for path, (resource, methods) in PATHS.items()
        for method in methods
    ]


@cache
def page() -> Html:
    """The page; its script and style may run because their hashes are named, and nothing else may."""
    text = resources.files("chalicelib").joinpath("openapi.html").read_text()
    script, style = (_hash(re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)) for tag in ("script", "style"))
    policy = f"default-src 'none'; connect-src 'self'; img-src data:; script-src {script}; style-src {style}; "
    return Html(text, policy + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def _hash(found: list[str]) -> str:
    (inside,) = found
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"
