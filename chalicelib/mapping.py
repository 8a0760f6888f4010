"""Source rows -> target records. Pure: rows in, accepted and rejected rows out; nothing is read or written.

A batch of rows is turned into columns, and each column is transformed and validated at once, so that no dict is made
but the ones that are kept. Only rows in which pydantic finds something wrong are looked at one by one. What a target
calls lenient is repaired with a warning; anything else rejects its row, and only it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
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

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""The source's key of a row. As the sort key of a link it has 1,024 bytes: 256 characters of four at most."""

Row = Sequence[Any]
Columns = dict[str, list[Any]]
Record = dict[str, Any]

_LENIENT = ConfigDict(coerce_numbers_to_str=True)

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
        self._names = [field.target for field in query.fields]
        self._nested: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name in self._names:
            outer, _, inner = name.partition(".")
            if inner:
                self._nested[outer].append((name, inner))
        self._transformations = [
            (field.target, transformations.get(field.transformation)) for field in query.fields if field.transformation
        ]
        known = {"external_id", *target.Record.model_fields, *target.REFERENCES}
        unknown = sorted(set(query.mapped) - known)
        if unknown:
            raise Fatal(f"{query.target_type} has no field {', '.join(unknown)}", code="unknown_field")
        self._references = tuple(name for name in target.REFERENCES if name in self._names)
        self._keys = tuple(name for name in target.UNIQUE_KEYS if name in self._names)
        fields = _fields(target)
        self._one = _record(fields)
        self._columns = {
            name: _column(kind, required=required)
            for name, (kind, required) in fields.items()
            if required or name in query.mapped
        }

    def apply(self, rows: Sequence[Row], first_row: int) -> tuple[list[Record], list[Record]]:
        """(accepted, rejected) rows, each in source order, numbered from `first_row`.

        Accepted: {row, ext, data, refs, keys, warnings}: `data` holds the fields that have a value, JSON-ready; `refs`
        external ids; `keys` the unique keys as they are compared. Rejected: {row, ext, errors: [{field, reason}]}.
        """
        if not rows:
            return [], []
        warnings: dict[int, list[str]] = {}
        columns = self._transformed(rows, warnings)
        unfit: set[int] = set()
        for name, adapter in self._columns.items():
            columns[name] = _validated(adapter, columns.get(name) or [None] * len(rows), unfit)
        rejected = []
        for place in sorted(unfit):
            record = {name: column[place] for name, column in columns.items() if column[place] is not None}
            settled, said = self._settled(record)
            if settled is None:
                rejected.append({"row": first_row + place, "ext": _external_id(record), "errors": said})
            else:
                warnings.setdefault(place, []).extend(said)
            for name, column in columns.items():
                column[place] = settled.get(name) if settled else None
        return self._accepted(columns, warnings, first_row), rejected

    def stream(self, batches: Iterable[Sequence[Row]], rejected: list[Record]) -> Iterator[Record]:
        """The accepted rows of a chunk's batches, as they are asked for; the rejected ones are put into the list."""
        first_row = 0
        for rows in batches:
            accepted, refused = self.apply(rows, first_row)
            yield from accepted
            rejected += refused
            first_row += len(rows)

    def _transformed(self, rows: Sequence[Row], warnings: dict[int, list[str]]) -> Columns:
        """The record's fields, each with its values in all rows, None where there is none."""
        columns: Columns = dict(zip(self._names, map(list, zip(*rows, strict=True)), strict=True))
        for name, transform in self._transformations:
            changed = [None if value is None else transform(value) for value in columns[name]]
            for place, value in enumerate(changed):
                if type(value) is Warned:
                    warnings.setdefault(place, []).append(f"{name}: {value.reason}")
                    changed[place] = value.value
            columns[name] = changed
        for outer, inside in self._nested.items():
            inner = _dicts({short: columns.pop(name) for name, short in inside}, len(rows))
            columns[outer] = [found or None for found in inner]
        return columns

    def _settled(self, record: Record) -> tuple[Record | None, list[Any]]:
        """An unfit record repaired, and a sentence for each repair; or None, and what is wrong with it."""
        try:
            return self._one.validate_python(record), []
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
        repaired, reasons = _repaired(record, errors, self._target)
        if repaired is not None:
            try:
                return self._one.validate_python(repaired), reasons
            except ValidationError as error:
                errors = error.errors(include_url=False, include_input=False)
        return None, _shown(errors)

    def _accepted(self, columns: Columns, warnings: dict[int, list[str]], first_row: int) -> list[Record]:
        """Validated columns as records, but for the rows without an external id, which were rejected."""
        external_ids = columns.pop("external_id")
        rows = len(external_ids)
        references = _dicts({name: columns.pop(name) for name in self._references}, rows)
        keys = _dicts({name: _normalised(name, columns[name]) for name in self._keys}, rows)
        return [
            {"row": row, "ext": ext, "refs": refs, "keys": held, "data": data, "warnings": warnings.get(place, [])}
            for place, (row, ext, refs, held, data) in enumerate(
                zip(
                    range(first_row, first_row + rows),
                    external_ids,
                    references,
                    keys,
                    _dicts(columns, rows),
                    strict=True,
                )
            )
            if ext is not None
        ]


def _normalised(name: str, column: list[Any]) -> list[Any]:
    return [None if value is None else targets.normalise_key(name, value) or None for value in column]


def _dicts(columns: Columns, rows: int) -> list[Record]:
    """One dict a row, without what is None."""
    if not columns:
        return [{} for _ in range(rows)]
    names = tuple(columns)
    return [
        {name: value for name, value in zip(names, row, strict=False) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]


def _validated(adapter: TypeAdapter[list[Any]], column: list[Any], unfit: set[int]) -> list[Any]:
    """The column as pydantic reads it. A place whose value is unfit joins the set and keeps its value."""
    try:
        return adapter.validate_python(column)
    except ValidationError as error:
        wrong = {int(detail["loc"][0]) for detail in error.errors(include_url=False, include_input=False)}
    unfit |= wrong
    fit = iter(adapter.validate_python([value for place, value in enumerate(column) if place not in wrong]))
    return [value if place in wrong else next(fit) for place, value in enumerate(column)]


def _fields(target: Target) -> dict[str, tuple[Any, bool]]:
    """A record's fields, its external id and references among them: what each holds and whether it has to be there."""
    fields: dict[str, tuple[Any, bool]] = {"external_id": (ExternalId, True)}
    for name, info in target.Record.model_fields.items():
        fields[name] = (_annotation(info), info.is_required())
    return fields | dict.fromkeys(target.REFERENCES, (ExternalId, False))


def _column(kind: Any, *, required: bool) -> TypeAdapter[list[Any]]:
    value = kind if required else kind | None
    return TypeAdapter(list[value], config=_LENIENT)  # type: ignore[valid-type]  # known only at run time


def _record(fields: dict[str, tuple[Any, bool]]) -> TypeAdapter[Record]:
    """Whole records as typed dicts: validating those makes plain dicts, without a model object on the way."""
    kinds = {name: Required[kind] if required else kind for name, (kind, required) in fields.items()}
    shape = TypedDict("Shape", kinds, total=False)  # type: ignore[misc]  # its fields are known only at run time
    return TypeAdapter(with_config(ConfigDict(extra="forbid", **_LENIENT))(shape))  # type: ignore[arg-type]  # likewise


def _annotation(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _repaired(record: Record, errors: list[ErrorDetails], target: Target) -> tuple[Record | None, list[str]]:
    """The record with what is wrong cut, replaced or left out, and a sentence for each; None if that is not allowed.

    Never cut: ids, references and unique keys, which would become someone else's.
    """
    repaired, reasons, lenient = dict(record), [], target.LENIENT
    texts = target.Record.model_fields.keys() - set(target.UNIQUE_KEYS)
    for detail in errors:
        name = str(detail["loc"][0])
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
    return [{"field": ".".join(map(str, detail["loc"])), "reason": _sentence(detail)} for detail in errors]


def _sentence(detail: ErrorDetails) -> str:
    """What is wrong with a value, without repeating it."""
    sentence = _SENTENCES.get(detail["type"])
    return sentence.format(**detail.get("ctx", {})) if sentence else detail["msg"]


def _external_id(record: Record) -> str | None:
    value = record.get("external_id")
    return None if value is None else str(value)[:512]
