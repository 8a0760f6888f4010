"""Query configurations: what a record type is read by, as people write it.

In: tables by their names, SQL expressions, values; and the source's schema (see catalogue.py) where it is known. Out:
an `sql.Query` in which every expression was checked and written anew (see expressions.py). Refused, each by its place:
tables and columns that are not there, expressions the guard does not let through, fields the record type does not have,
values that do not fit their operator, transformations that are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib import sql
from chalicelib.configurations.compiler import Compiled, Compiler
from chalicelib.configurations.shapes import Errors, Query, Schema, Spelling
from chalicelib.errors import Fatal

__all__ = ["Compiled", "Errors", "Query", "Schema", "Spelling", "built", "compiled", "faults", "read"]


def faults(query: Query, record_type: str, at: str = "", schema: Schema | None = None) -> Errors:
    """What is wrong with a query, its parts being well formed: field -> sentences. at: the field it stands in."""
    return compiled(query, record_type, at, schema).faults


def built(query: Query, record_type: str, schema: Schema | None = None) -> sql.Query:
    """The query as it is run. Raises Fatal, which names field and reason: `source_changed` where a table or column that
    it names is not there, else `query_invalid`.
    """
    found = compiled(query, record_type, "", schema)
    if found.query is None:
        said = " ".join(text for texts in found.faults.values() for text in texts)
        code = "source_changed" if found.kinds & GONE else "query_invalid"
        raise Fatal(f"The query of {record_type} does not fit the source: {said}"[:MAX_SAID], code=code)
    return found.query


def read(saved: Mapping[str, Any], record_type: str, schema: Schema | None) -> sql.Query:
    """A configuration as it was saved, built. Raises as `built`."""
    return built(Query.model_validate(saved), record_type, schema)


MAX_SAID = 1_000
"""Characters of what is wrong with a saved query, on the job that it stopped."""

GONE = {"unknown_table", "sql_unknown_column", "sql_unread_table"}


def compiled(query: Query, record_type: str | None, at: str = "", schema: Schema | None = None) -> Compiled:
    """The query, checked and built. record_type: None while nobody has said what the rows become."""
    return Compiler(query, record_type, at, schema).compiled()
