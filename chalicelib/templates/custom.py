"""Any other PostgreSQL database: brings no queries, the person writes them."""

from __future__ import annotations

from typing import Any

from chalicelib.sql import Query
from chalicelib.templates import Option

ID = "5a8f8c9e-2f6b-5d39-9d0c-6f2a47b1c9e2"
NAME = "Custom Database"
PLATFORM = "custom"
DESCRIPTION = "Flexible template for custom database structures"
SUPPORTED_TYPES = ("customer_users", "tickets", "time_entries", "agents", "accounts")
TYPES: tuple[str, ...] = ()
CREATED_AT = "2026-01-01T00:00:00Z"
OPTIONS: tuple[Option, ...] = ()


def queries(options: dict[str, Any], schema: dict[str, Any] | None = None) -> dict[str, Query]:
    """None: they are saved on the profile."""
    return {}
