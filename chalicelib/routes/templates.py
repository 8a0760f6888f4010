"""/api/import/templates: the system templates a profile can take."""

from __future__ import annotations

from typing import Any

from chalicelib.access import Caller
from chalicelib.requests import Routes

routes = Routes(__name__)


@routes.on("GET", "/api/import/templates", permission="system.import")
def list_templates(caller: Caller) -> dict[str, Any]:  # noqa: ARG001 -- the same for every tenant until they own some
    """All templates; there are a handful, so no pages."""
    from chalicelib import templates

    return {"data": [show(template) for template in templates.all()]}


def show(template: Any) -> dict[str, Any]:
    """A template as lists show it, `options` being what it can be asked to do."""
    return {
        "id": template.ID,
        "name": template.NAME,
        "platform": template.PLATFORM,
        "database_type": "postgresql",
        "description": template.DESCRIPTION,
        "supported_types": list(template.SUPPORTED_TYPES),
        "is_system": True,
        "options": list(template.OPTIONS),
        "created_at": template.CREATED_AT,
    }
