"""Where each path leads: the map that the front door opens with, so that it loads no resource nobody asked for.

What a path needs and answers stands with its function in `routes/`. A test holds the two together.
"""

from __future__ import annotations

PATHS: dict[str, tuple[str, tuple[str, ...]]] = {
    "/api/docs": ("openapi", ("GET",)),
    "/api/audit": ("audit", ("GET",)),
    "/api/health": ("health", ("GET",)),
    "/api/import/analytics/records": ("import_records", ("GET",)),
    "/api/import/jobs": ("jobs", ("GET", "POST")),
    "/api/import/jobs/stats": ("jobs", ("GET",)),
    "/api/import/jobs/{job_id}": ("jobs", ("GET",)),
    "/api/import/jobs/{job_id}/cancel": ("jobs", ("POST",)),
    "/api/import/jobs/{job_id}/errors": ("import_records", ("GET",)),
    "/api/import/jobs/{job_id}/retry": ("jobs", ("POST",)),
    "/api/import/jobs/{job_id}/status": ("jobs", ("GET",)),
    "/api/import/profiles": ("profiles", ("GET", "POST")),
    "/api/import/profiles/test-connection": ("profiles", ("POST",)),
    "/api/import/profiles/{profile_id}": ("profiles", ("DELETE", "GET", "PUT")),
    "/api/import/profiles/{profile_id}/builder/suggestions": ("builder", ("GET",)),
    "/api/import/profiles/{profile_id}/builder/tables": ("builder", ("GET",)),
    "/api/import/profiles/{profile_id}/builder/validate": ("builder", ("POST",)),
    "/api/import/profiles/{profile_id}/duplicate": ("profiles", ("POST",)),
    "/api/import/profiles/{profile_id}/import": ("jobs", ("POST",)),
    "/api/import/profiles/{profile_id}/preview": ("builder", ("GET",)),
    "/api/import/profiles/{profile_id}/preview-query": ("builder", ("POST",)),
    "/api/import/profiles/{profile_id}/queries": ("builder", ("POST",)),
    "/api/import/profiles/{profile_id}/queries/{record_type}": ("builder", ("DELETE",)),
    "/api/import/profiles/{profile_id}/schema": ("profiles", ("GET",)),
    "/api/import/profiles/{profile_id}/source": ("profiles", ("POST",)),
    "/api/import/profiles/{profile_id}/template": ("profiles", ("PUT",)),
    "/api/import/profiles/{profile_id}/test-connection": ("profiles", ("POST",)),
    "/api/import/templates": ("templates", ("GET", "POST")),
    "/api/import/templates/{template_id}": ("templates", ("DELETE", "GET", "PUT")),
    "/api/import/templates/{template_id}/copy": ("templates", ("POST",)),
    "/api/openapi.json": ("openapi", ("GET",)),
    "/api/session": ("session", ("DELETE", "GET", "POST")),
    "/api/records/{record_type}": ("records", ("GET",)),
    "/api/records/{record_type}/{record_id}": ("records", ("DELETE", "GET", "PATCH")),
}
"""Path -> the file of `routes/` it is in, and the methods it takes."""

ELSEWHERE = "/api/{proxy+}"
"""What the gateway matches when nothing else does, whatever the path and its method (API Gateway's greedy segment)."""

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""Every method the gateway hands on."""
