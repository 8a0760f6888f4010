"""What an expression may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of the query.

    known_as: its alias, or its name. columns: column -> type as format_type writes it; None when the schema is not
    known, and then any column's name is taken: enough to say that an expression can be read, not to run it, since
    PostgreSQL takes `t.f` for a call f(t) where there is no such column. schema, name: what it is called in the
    database.
    """

    known_as: str
    columns: Mapping[str, str] | None = None
    schema: str | None = None
    name: str = ""
