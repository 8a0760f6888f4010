"""What a person reads when a field is refused: the one catalogue, in the words of the import API's reference.

In: pydantic's findings. Out: {field: [sentence]}, fields dotted as they were sent ("options.batch_size"). A sentence
names its field and never repeats the value, which may be a secret.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydantic_core import ErrorDetails, PydanticCustomError

MAX_FIELDS = 50
"""Most fields one answer names; a hostile body can be wrong in a hundred thousand places."""

MAX_FIELD_NAME = 120
"""Longest name repeated from the body."""

_SENTENCES = {
    "missing": "The {field} field is required.",
    "extra_forbidden": "The {field} field is not known.",
    "string_type": "The {field} must be a string.",
    "string_too_long": "The {field} may not be greater than {max_length} characters.",
    "string_too_short": "The {field} field is required.",
    "string_pattern_mismatch": "The {field} format is invalid.",
    "int_type": "The {field} must be an integer.",
    "int_parsing": "The {field} must be an integer.",
    "int_from_float": "The {field} must be an integer.",
    "finite_number": "The {field} is a number that is too large.",
    "float_type": "The {field} must be a number.",
    "bool_type": "The {field} field must be true or false.",
    "bool_parsing": "The {field} field must be true or false.",
    "literal_error": "The selected {field} is invalid.",
    "enum": "The selected {field} is invalid.",
    "uuid_type": "The {field} must be a valid UUID.",
    "uuid_parsing": "The {field} must be a valid UUID.",
    "date_type": "The {field} is not a valid date.",
    "date_parsing": "The {field} is not a valid date.",
    "date_from_datetime_parsing": "The {field} is not a valid date.",
    "model_type": "The {field} must be an object.",
    "model_attributes_type": "The {field} must be an object.",
    "dict_type": "The {field} must be an object.",
    "list_type": "The {field} must be an array.",
    "too_long": "The {field} may not have more than {max_length} items.",
    "too_short": "The {field} field is required.",
    "greater_than_equal": "The {field} must be at least {ge}.",
    "less_than_equal": "The {field} must be at most {le}.",
    # our own, raised by the validators below and by models
    "between": "The {field} must be between {low} and {high}.",
    "selected": "The selected {field} is invalid.",
    "format": "The {field} format is invalid.",
    "cursor": "The {field} is not valid.",
    "one_of": "The selected {field} is invalid; it may be {allowed}.",
    "order": "The {field} must be a date after or equal to {other}.",
    "taken": "The {field} has already been taken.",
    "column": "The {field} must be a column, `name` or `table.name`; expressions are not available yet.",
    "link": "The {field} must say which columns are equal: `table.column = table.column`, several with AND between.",
    "unknown_target": "The {field} is no field of {target_type}.",
    "no_object": "The {field} goes below {outer}, which is no object.",
    "whole_and_part": "The {field} fills a part of {outer}, which another field fills whole.",
    "value": "The {field} must be a text of up to {length} characters, a number of 64 bits, true or false.",
    "values": "The {field} must have 1 to {limit} values.",
    "unread_table": "The {field} names a table that the query does not read.",
    "repeated": "The {field} is there twice.",
    "operand": "The {field} does not fit the operator {operator}.",
    "unfilled": "The {field} do not fill {missing}.",
    "unnamed": "The {field} lack {types}, which the template has queries for.",
    "too_many_bytes": "The {field} and the metadata may not have more than {limit} bytes together.",
    "only_one": "Only one key can be asked for at a time.",
    "too_large_number": "The {field} has a number that is too large.",
    "unstorable_number": "The {field} has a number of more than 38 digits or not from 1e-130 to 1e125.",
    "read_only": "The {field} field cannot be changed.",
    "no_record": "The {field} is the id of no record of {record_type}.",
    "reserved": "The {field} may not have the key {key}.",
    "duplicate": "Duplicate entry found for key '{field}'.",
    "later": "The {field} is not available yet.",
    "fuzzy": "The {field} fuzzy is not available yet; exact and case_insensitive are.",
}


Number = TypeVar("Number", int, float)
Check = TypeVar("Check", bound=Callable[..., Any])


def described(**keywords: Any) -> Callable[[Check], Check]:
    """Marks a validator with what it lets through, in keywords of JSON Schema; the OpenAPI document shows them."""

    def mark(check: Check) -> Check:
        vars(check)["json_schema"] = keywords
        return check

    return mark


def between(low: int, high: int) -> Callable[[Number], Number]:
    """A validator for both bounds at once, so that the sentence can name both."""

    @described(minimum=low, maximum=high)
    def check(value: Number) -> Number:
        if not low <= value <= high:
            raise PydanticCustomError("between", "out of range", {"low": low, "high": high})
        return value

    return check


@described(pattern=r"^[^\x00-\x1f\x7f]*$")
def printable(value: str) -> str:
    """A validator: a control character in a name is an attack or an accident."""
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise PydanticCustomError("format", "control character")
    return value


def numbers(value: Any) -> Iterator[int | float]:
    """The numbers in a JSON value, however deep."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@described()
def finite(value: Any) -> Any:
    """A validator: JSON's 1e999 is read as infinity, which no JSON can say again."""
    if not all(isinstance(number, int) or math.isfinite(number) for number in numbers(value)):
        raise PydanticCustomError("too_large_number", "infinite")
    return value


def sentence(kind: str, field: str, **values: Any) -> str:
    """The sentence of a kind of refusal for a field."""
    return _SENTENCES.get(kind, "The {field} is invalid.").format(field=field, **values)


def by_field(details: Iterable[ErrorDetails]) -> dict[str, list[str]]:
    """pydantic's findings as {field: [sentence]}, the first 50 fields."""
    errors: dict[str, list[str]] = {}
    for detail in details:
        field = ".".join(str(part) for part in detail["loc"])[:MAX_FIELD_NAME]
        if field not in errors and len(errors) >= MAX_FIELDS:
            break
        found = sentence(detail["type"], field, **detail.get("ctx", {}))
        if found not in errors.setdefault(field, []):
            errors[field].append(found)
    return errors
