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
    "undated": "The {field} cannot be applied to {types}: nothing fills their created_at. Leave them out by "
    "options.selected_types.",
    "order": "The {field} must be a date after or equal to {other}.",
    "taken": "The {field} has already been taken.",
    "column": "The {field} must be a column, `name` or `table.name`; expressions are not available yet.",
    "link": "The {field} must say which columns are equal: `table.column = table.column`, several with AND between.",
    "unknown_target": "The {field} is no field of {target_type}.",
    "no_object": "The {field} goes below {outer}, which is no object.",
    "whole_and_part": "The {field} fills a part of {outer}, which another field fills whole.",
    # SQL expressions of people, refused by what they hold
    "sql_too_long": "The {field} may not be greater than {limit} characters.",
    "sql_too_many_words": "The {field} may not have more than {limit} words and signs.",
    "sql_too_deep": "The {field} may not be nested more than {limit} deep.",
    "sql_too_tangled": "The {field} takes too long to read; shorter parts in brackets would help.",
    "sql_character": "The {field} has a character that cannot stand in an expression.",
    "sql_unreadable": "The {field} cannot be read as one SQL expression.",
    "sql_brackets": "The {field} can be read in two ways at {name}; brackets would say which.",
    "sql_comment": "The {field} has a comment, which is not allowed.",
    "sql_statement": "The {field} has a semicolon; it must be one expression.",
    "sql_placeholder": "The {field} has a parameter or template sign; values stand in it as literals.",
    "sql_literal": "The {field} has a literal with a prefix or dollar signs; texts stand in single quotes ('text').",
    "sql_number": "The {field} has a number that is not plain digits, or longer than {limit} characters.",
    "sql_subquery": "The {field} has a query in it; it may look at the row's own columns alone.",
    "sql_whole_row": "The {field} has a *; columns are named one by one.",
    "sql_construct": "The {field} uses {name}, which is not among the allowed parts of an expression.",
    "sql_operator": "The {field} uses the operator {name}, which is not among the allowed operators.",
    "sql_function": "The {field} calls {name}, which is not among the allowed functions.",
    "sql_qualified_call": "The {field} calls {name}; a function is called by its plain name, without schema or quotes.",
    "sql_aggregate": "The {field} calls {name}, which works on many rows; it may look at one row alone.",
    "sql_clock": "The {field} uses {name}, which is different at every run.",
    "sql_composed": "The {field} makes a {name} of a text that is put together from literals alone; "
    "write that as one literal.",
    "sql_arguments": "The {field} calls {name} with {count} arguments; it takes {allowed}.",
    "sql_argument": "The {field} calls {name}, whose argument {place} must be {must}.",
    "sql_pattern": "The {field} has a regular expression with {reason}, which is not allowed.",
    "sql_growth": "The {field} could become more than {limit} times as long as its columns.",
    "sql_elements": "The {field} has an array of more than {limit} elements.",
    "sql_type": "The {field} casts to {name}, which is not among the allowed types.",
    "sql_unknown_column": "The {field} names {name}, which {owner}{guess}",
    "sql_unread_table": "The {field} names the table {name}, which the query does not read.",
    "sql_ambiguous": "The {field} names {name}, which {tables} have; the table's name before it says which.",
    "sql_ambiguous_table": "The {field} names the table {name}, which the query reads more than once; use its alias.",
    "sql_system_column": "The {field} names {name}, a column of PostgreSQL's own, which is not allowed.",
    "sql_no_column": "The {field} must be one column, without a calculation.",
    "sql_no_condition": "The {field} must be a condition, true or false for each row.",
    "value": "The {field} must be a text of up to {length} characters, a number of 64 bits, true or false.",
    "values": "The {field} must have 1 to {limit} values.",
    "unread_table": "The {field} names a table that the query does not read.",
    "unknown_table": "The {field} is no table of the database{nearest}",
    "ambiguous_table": "The {field} may be one of several tables: {tables}.",
    "no_table": "The {field} must be a table, `name`, `schema.name` or quoted.",
    "same_name": "The {field} brings a second {name}; give it an alias of its own.",
    "needs_alias": "The {field} has a name of more than 63 bytes; give it an alias.",
    "on_or_columns": "The {field} cannot stand beside leftColumn and rightColumn.",
    "not_direct": "The {field} direct needs one column as source; an expression is custom.",
    "not_case_when": "The {field} case_when needs a CASE expression as source.",
    "not_math": "The {field} math needs an arithmetic expression as source.",
    "refused_by_source": "The {field} cannot be run by the database: {reason}.",
    "too_many_columns": "The {field} fits tables of {columns} columns, and {limit} can be shown; search for less.",
    "no_query": "The {field} has no query in this profile.",
    "too_long_query": "The {field} may not have more than {limit} bytes as JSON.",
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
