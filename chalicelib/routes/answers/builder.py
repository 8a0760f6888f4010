"""What the query builder answers."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from chalicelib.catalogue import Table
from chalicelib.routes.answers.profiles import Configuration


class Tables(TypedDict):
    """The source's tables, as its schema shows them."""

    tables: list[Table]


class Validated(TypedDict):
    """What PostgreSQL makes of a query. generated_sql: the text of the run, null while something is wrong with the
    configuration itself. estimated_records: PostgreSQL's guess. warnings, errors: sentences. fields: the errors by the
    field they are about. columns: target to the type of its values.
    """

    valid: bool
    generated_sql: str | None
    estimated_records: int | None
    warnings: list[str]
    errors: list[str]
    fields: dict[str, list[str]]
    columns: dict[str, str]


class FieldError(TypedDict):
    """Why a row would be rejected."""

    field: str
    reason: str


class RejectedRow(TypedDict):
    """A row of the sample that the import would reject. row: its place in the sample, from 0."""

    row: int
    external_id: str | None
    errors: list[FieldError]


class QueryPreviewed(TypedDict):
    """The first rows of a query, values as they would be imported. columns: the targets in order."""

    sample_data: list[dict[str, Any]]
    estimated_records: int
    generated_query: str
    columns: list[str]
    rejected: list[RejectedRow]
    warnings: list[str]


class RunQuery(TypedDict):
    """The text of the run and PostgreSQL's guess at its rows; null for a query that cannot be run."""

    sql: str | None
    estimated_count: int | None


class TypePreviewed(TypedDict):
    """What a type would import now. field_mapping: target to source. applied_filters: conditions, the joins' among
    them. errors: why it cannot be run, by field.
    """

    query: RunQuery
    sample_data: list[dict[str, Any]]
    field_mapping: dict[str, str]
    applied_filters: list[str]
    rejected: list[RejectedRow]
    errors: dict[str, list[str]]


Previewed = dict[str, TypePreviewed]
"""Record type to its preview."""


class BuilderProfile(TypedDict):
    """The profile after a change of its queries. configuration: the query just saved on top."""

    id: str
    has_custom_queries: bool
    configuration: Configuration
    version: int


class QuerySaved(TypedDict):
    """The profile with the queries it has now."""

    message: str
    profile: BuilderProfile


class SuggestedJoin(TypedDict):
    """A likely join. on: the condition. leftColumn, rightColumn: there when it is one pair. confidence: 0 to 1."""

    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]
    table: str
    alias: NotRequired[str]
    on: str
    leftColumn: NotRequired[str]
    rightColumn: NotRequired[str]
    confidence: float
    reason: str


class SuggestedMapping(TypedDict):
    """A column that is likely to be a field. confidence: 0 to 1."""

    source: str
    target: str
    transformation: str | None
    confidence: float
    reason: str


class SuggestedBase(TypedDict):
    """A table that is likely to hold a record type."""

    table: str
    confidence: float
    reason: str


class Suggestions(TypedDict):
    """What is likely, the likeliest first. base_tables, mappings: by record type. joins: of the base table."""

    base_tables: dict[str, list[SuggestedBase]]
    joins: list[SuggestedJoin]
    mappings: dict[str, list[SuggestedMapping]]
