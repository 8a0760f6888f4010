"""Source rows -> target records. Pure: rows in, accepted and rejected rows out; nothing is read or written.

A chunk is validated at once by pydantic (1.5 µs a row; row by row it is 6), and only rows pydantic complains about
are looked at one by one. What a target calls lenient is repaired with a warning; anything else rejects its row, and
only it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Required

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError, with_config
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from chalicelib import targets, transformations
from chalicelib.errors import Fatal
from chalicelib.sql import Query
from chalicelib.targets import Target
from chalicelib.transformations import Warned

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=512)]
"""The source's key of a row. 512 characters keep every key built from it below DynamoDB's 1,024 bytes of sort key."""

Row = Sequence[Any]
Record = dict[str, Any]
Finding = tuple[str, ErrorDetails]

_SENTENCES = {
    "missing": "is required",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "is not a time between the years 0000 and 9999",
    "literal_error": "is none of {expected}",
    "greater_than_equal": "is less than {ge}",
    "extra_forbidden": "is not a field of this record type",
}


class Mapper:
    """Maps one query's rows to one target; made once, used for every chunk."""

    def __init__(self, query: Query, target: Target) -> None:
        self._target = target
        names = [field.target for field in query.fields]
        self._flat = [(index, name) for index, name in enumerate(names) if "." not in name]
        self._nested: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for index, name in enumerate(names):
            outer, _, inner = name.partition(".")
            if inner:
                self._nested[outer].append((index, inner))
        self._transformed = [
            (index, field.target, transformations.get(field.transformation))
            for index, field in enumerate(query.fields)
            if field.transformation
        ]
        known = {"external_id", *target.Record.model_fields, *target.REFERENCES}
        unknown = sorted(set(query.mapped) - known)
        if unknown:
            raise Fatal(f"{query.target_type} has no field {', '.join(unknown)}", code="unknown_field")
        self._references = tuple(name for name in target.REFERENCES if name in names)
        self._keys = tuple(name for name in target.UNIQUE_KEYS if name in names)
        shape = _shape(target)
        self._all: TypeAdapter[list[Record]] = TypeAdapter(list[shape])  # type: ignore[valid-type]
        self._one: TypeAdapter[Record] = TypeAdapter(shape)

    def apply(self, rows: Sequence[Row], first_row: int) -> tuple[list[Record], list[Record]]:
        """(accepted, rejected) rows, each in source order, numbered from `first_row`.

        Accepted: {row, ext, data, refs, keys, warnings}: `data` holds the fields that have a value, JSON-ready; `refs`
        external ids; `keys` the unique keys as they are compared. Rejected: {row, ext, errors: [{field, reason}]}.
        """
        warnings: dict[int, list[str]] = {}
        records = self._records(self._transform(rows, warnings))
        errors: dict[int, list[ErrorDetails]] = {}
        try:
            valid: list[Record | None] = list(self._all.validate_python(records))
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                errors.setdefault(int(detail["loc"][0]), []).append(detail)
            valid = self._sort_out(records, errors, warnings)
        accepted = [
            self._accepted(first_row + index, record, warnings.get(index))
            for index, record in enumerate(valid)
            if record is not None
        ]
        rejected = [
            {"row": first_row + index, "ext": _external_id(records[index]), "errors": _shown(errors[index])}
            for index, record in enumerate(valid)
            if record is None
        ]
        return accepted, rejected

    def _transform(self, rows: Sequence[Row], warnings: dict[int, list[str]]) -> Iterable[Row]:
        """The rows with every transformation applied, column by column."""
        if not self._transformed or not rows:
            return rows
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for index, name, transform in self._transformed:
            changed = [None if value is None else transform(value) for value in columns[index]]
            for place, value in enumerate(changed):
                if type(value) is Warned:
                    changed[place] = value.value
                    warnings.setdefault(place, []).append(f"{name}: {value.reason}")
            columns[index] = changed
        return zip(*columns, strict=True)

    def _records(self, rows: Iterable[Row]) -> list[Record]:
        """One dict a row, without the fields that have no value."""
        if not self._nested:
            names = [name for _, name in self._flat]
            return [{name: value for name, value in zip(names, row, strict=True) if value is not None} for row in rows]
        records = []
        for row in rows:
            record = {name: row[index] for index, name in self._flat if row[index] is not None}
            for outer, inside in self._nested.items():
                inner = {name: row[index] for index, name in inside if row[index] is not None}
                if inner:
                    record[outer] = inner
            records.append(record)
        return records

    def _sort_out(
        self, records: list[Record], errors: dict[int, list[ErrorDetails]], warnings: dict[int, list[str]]
    ) -> list[Record | None]:
        """Every record validated, None where a row has to be rejected; `errors` then keeps its reasons."""
        clean = iter(self._all.validate_python([row for place, row in enumerate(records) if place not in errors]))
        valid: list[Record | None] = []
        for place, record in enumerate(records):
            if place not in errors:
                valid.append(next(clean))
                continue
            repaired, reasons = _repaired(record, errors[place], self._target)
            try:
                valid.append(self._one.validate_python(repaired) if repaired is not None else None)
                warnings.setdefault(place, []).extend(reasons)
            except ValidationError as error:
                errors[place] = [
                    {**detail, "loc": (place, *detail["loc"])}
                    for detail in error.errors(include_url=False, include_input=False)
                ]
                valid.append(None)
        return valid

    def _accepted(self, number: int, record: Record, warnings: list[str] | None) -> Record:
        return {
            "row": number,
            "ext": record.pop("external_id"),
            "refs": {name: record.pop(name) for name in self._references if name in record},
            "keys": {name: targets.normalise_key(name, record[name]) for name in self._keys if name in record},
            "data": record,
            "warnings": warnings or [],
        }


def _shape(target: Target) -> Any:
    """The target's record, with its external id and references, as a typed dict: validating that makes plain dicts
    without a model object on the way, which is four times as fast.
    """
    fields: dict[str, Any] = {"external_id": Required[ExternalId]}
    for name, info in target.Record.model_fields.items():
        fields[name] = Required[_annotation(info)] if info.is_required() else _annotation(info)
    fields |= dict.fromkeys(target.REFERENCES, ExternalId)
    shape = TypedDict("Shape", fields, total=False)  # type: ignore[misc]
    return with_config(ConfigDict(extra="forbid", coerce_numbers_to_str=True))(shape)


def _annotation(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _repaired(record: Record, errors: list[ErrorDetails], target: Target) -> tuple[Record | None, list[str]]:
    """The record with what is wrong cut, replaced or left out, and a sentence for each; None if that is not allowed.

    Never cut: ids, references and unique keys, which would become someone else's.
    """
    repaired, reasons, lenient = dict(record), [], target.LENIENT
    texts = target.Record.model_fields.keys() - set(target.UNIQUE_KEYS)
    for detail in errors:
        name = str(detail["loc"][1]) if len(detail["loc"]) > 1 else ""
        value = repaired.get(name)
        if detail["type"] == "string_too_long" and isinstance(value, str) and name in texts:
            longest = detail["ctx"]["max_length"]
            repaired[name] = value[:longest]
            reasons.append(f"{name}: cut to {longest} characters")
        elif name in lenient and detail["type"] != "missing":
            fallback = lenient[name]
            repaired.pop(name, None)
            if fallback is not None:
                repaired[name] = fallback
            reasons.append(f"{name}: {_sentence(detail)}, {'left out' if fallback is None else f'taken as {fallback}'}")
        else:
            return None, []
    return repaired, reasons


def _shown(errors: list[ErrorDetails]) -> list[dict[str, str]]:
    return [{"field": ".".join(map(str, detail["loc"][1:])), "reason": _sentence(detail)} for detail in errors]


def _sentence(detail: ErrorDetails) -> str:
    """What is wrong with a value, without repeating it."""
    sentence = _SENTENCES.get(detail["type"])
    return sentence.format(**detail.get("ctx", {})) if sentence else detail["msg"]


def _external_id(record: Record) -> str | None:
    value = record.get("external_id")
    return None if value is None else str(value)[:512]
