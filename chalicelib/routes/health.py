"""GET /api/health: the service answers. Says nothing else, so it needs no token."""

from __future__ import annotations

from typing import Any

from chalicelib.requests import Routes
from chalicelib.routes.answers import Health

routes = Routes()


@routes.on("GET", "/api/health", permission="public", limit="public", answer=Health)
def health() -> dict[str, Any]:
    """That a request reaches the code."""
    return {"status": "ok"}
