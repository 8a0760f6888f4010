"""What a configuration is held to beside its tables and expressions: the fields of its record type, fit values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from chalicelib import targets
from chalicelib.configurations.shapes import Filter, Query

KINDS = {"direct": "column", "case_when": "case", "math": "math"}
"""What a source has to be for each transformation that says so; `custom` lets it be anything."""

TRANSFORMATIONS = ("direct", "custom", "case_when", "math")


def size(column: Mapping[str, Any]) -> str | None:
    """The SQL of a value's bytes, `{}` being its column; None for types that are never long. What is stored compressed
    is taken as ten times as large.
    """
    kind = column.get("base_type", column["type"])
    if kind in ("text", "character varying", "bytea", "xml"):
        return "coalesce(octet_length({}::text), 0)" if kind == "xml" else "coalesce(octet_length({}), 0)"
    if kind in ("json", "jsonb") or kind.endswith("[]"):
        return "coalesce(pg_column_size({}) * 10, 0)"
    return None


def reading(record_type: str | None, target: str) -> str | None:
    """How a value becomes what the field holds, where PostgreSQL has a text of its own for it."""
    info = targets.get(record_type).Record.model_fields.get(target) if record_type else None
    if info is None:
        return None
    if info.annotation == targets.Timestamp | None:
        return "time"
    if info.annotation == targets.Object | None:
        return "object"
    return "array" if list in holds(info.annotation) else None


def holds(annotation: Any) -> set[Any]:
    """The plain types a field's values may be: list of `Annotated[list[str], ...] | None`."""
    plain = (getattr(one, "__origin__", one) for one in get_args(annotation) or (annotation,))
    return {get_origin(one) or one for one in plain}


def misfits(query: Query, record_type: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is wrong beside tables and expressions: (place, kind of sentence, its values)."""
    if record_type is not None:
        if query.target_type not in (None, record_type):
            yield "target_type", "selected", {}
        yield from _unfit_targets(query, targets.get(record_type), record_type)
    seen: set[str] = set()
    for place, one in enumerate(query.fields):
        if one.target in seen:
            yield f"fields.{place}.target", "repeated", {}
        seen.add(one.target)
    for place, item in enumerate(query.filters):
        for word in _unfit_values(item):
            yield f"filters.{place}.{word}", "operand", {"operator": item.operator}


def _unfit_targets(query: Query, target: targets.Target, record_type: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    known = {"external_id", *target.Record.model_fields, *target.REFERENCES}
    objects = {name for name, info in target.Record.model_fields.items() if info.annotation == targets.Object | None}
    whole = {one.target for one in query.fields}
    for place, one in enumerate(query.fields):
        outer, dot, _ = one.target.partition(".")
        if outer not in known:
            yield f"fields.{place}.target", "unknown_target", {"target_type": record_type}
        elif dot and outer not in objects:
            yield f"fields.{place}.target", "no_object", {"outer": outer}
        elif dot and outer in whole:
            yield f"fields.{place}.target", "whole_and_part", {"outer": outer}
    required = {name for name, info in target.Record.model_fields.items() if info.is_required()} | {"external_id"}
    if missing := sorted(required - whole):
        yield "fields", "unfilled", {"missing": ", ".join(missing)}


def _unfit_values(item: Filter) -> Iterator[str]:
    """Which of the filter's values do not fit its operator."""
    several = isinstance(item.value, list)
    match item.operator:
        case "IS NULL" | "IS NOT NULL":
            fits = item.value is None
        case "IN" | "NOT IN":
            fits = several and len({type(one) for one in item.value}) == 1
        case "LIKE" | "ILIKE" | "NOT LIKE" | "REGEXP":
            fits = isinstance(item.value, str)
        case _:
            fits = item.value is not None and not several
    if not fits:
        yield "value"
    if (item.value2 is not None) != (item.operator == "BETWEEN"):
        yield "value2"
