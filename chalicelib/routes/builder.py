"""/api/import/profiles/{profile_id}: the query builder and the preview of what the profile imports."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chalicelib import builder, configurations, configured, profiles, suggestions, tables, targets
from chalicelib.access import Caller
from chalicelib.errors import NotFound
from chalicelib.messages import described, sentence
from chalicelib.preconditions import IfMatch
from chalicelib.problems import SOURCE
from chalicelib.requests import Body, Query, Routes, invalid
from chalicelib.routes.answers import builder as shapes

routes = Routes()

MAX_COLUMNS = 25_000
"""Most columns of one answer: some 3 MB, of the 6 MB Lambda can send."""


@described(enum=list(targets.names()))
def _record_type(value: str) -> str:
    if value not in targets.names():
        raise PydanticCustomError("one_of", "unknown", {"allowed": ", ".join(targets.names())})
    return value


RecordType = Annotated[str, AfterValidator(_record_type)]


class QueryBody(Body, configurations.Query):
    """A configuration to try. target_type: what its rows become; until it is said, fields are not held to a type's."""

    target_type: RecordType | None = None


class PreviewBody(QueryBody):
    """A configuration to try. limit: how many rows to show; a hundred fit one answer, whatever they hold."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10


class SavedBody(QueryBody):
    """A configuration to keep. target_type: the record type it is for."""

    target_type: RecordType


class PreviewQuery(Query):
    """query_type: the one type to preview; all of the profile's when left out. limit: how many rows of each."""

    query_type: RecordType | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 10


class TablesQuery(Query):
    """search: only tables whose name contains it, in any case."""

    search: Annotated[str, StringConstraints(max_length=63)] = ""


class SuggestionsQuery(Query):
    """base_table: what to find joins for, and which columns to map; the most likely one of each type when left out.
    target_type: the type to map to; all types when left out.
    """

    base_table: configurations.Spelling | None = None
    target_type: RecordType | None = None


def _written(body: QueryBody) -> configurations.Query:
    """The configuration of a body. Raises Invalid for one larger than can be kept."""
    query = body.model_dump(exclude={"limit"}, exclude_unset=True)
    profiles.written(query)
    return configurations.Query.model_validate(query)


@routes.on(
    "GET",
    "/api/import/profiles/{profile_id}/builder/tables",
    permission="system.import",
    limit="builder",
    answer=shapes.Tables,
    refuses=SOURCE,
)
def list_tables(caller: Caller, profile_id: str, query: TablesQuery) -> dict[str, Any]:
    """The source's tables and columns, at most half a minute old."""
    wanted = query.search.casefold()
    found = builder.explored(profiles.get(caller.org, profile_id))["tables"]
    shown = [table for table in found if wanted in table["name"].casefold()]
    if (columns := sum(len(table["columns"]) for table in shown)) > MAX_COLUMNS:
        raise invalid({"search": [sentence("too_many_columns", "search", columns=columns, limit=MAX_COLUMNS)]})
    return {"tables": shown}


@routes.on(
    "POST",
    "/api/import/profiles/{profile_id}/builder/validate",
    permission="system.import",
    limit="builder",
    answer=shapes.Validated,
    refuses=SOURCE,
)
def validate_query(caller: Caller, profile_id: str, body: QueryBody) -> dict[str, Any]:
    """What PostgreSQL makes of a configuration; what is wrong with it is an answer, not an error."""
    return builder.validate(profiles.get(caller.org, profile_id), _written(body))


@routes.on(
    "POST",
    "/api/import/profiles/{profile_id}/preview-query",
    permission="system.import",
    limit="builder",
    answer=shapes.QueryPreviewed,
    refuses=(*SOURCE, "query_invalid"),
)
def preview_query(caller: Caller, profile_id: str, body: PreviewBody) -> dict[str, Any]:
    """The first rows of a configuration that need not be saved."""
    return builder.preview(profiles.get(caller.org, profile_id), _written(body), body.limit)


@routes.on(
    "GET",
    "/api/import/profiles/{profile_id}/preview",
    permission="system.import",
    limit="builder",
    answer=shapes.Previewed,
    refuses=(*SOURCE, "query_invalid"),
)
def preview_profile(caller: Caller, profile_id: str, query: PreviewQuery) -> dict[str, Any]:
    """What the profile would import now, by type."""
    return builder.preview_all(profiles.get(caller.org, profile_id), query.query_type, query.limit)


@routes.on(
    "POST",
    "/api/import/profiles/{profile_id}/queries",
    permission="system.import",
    limit="builder",
    answer=shapes.QuerySaved,
    refuses=(*SOURCE, "query_invalid"),
)
def save_query(caller: Caller, profile_id: str, if_match: IfMatch, body: SavedBody) -> dict[str, Any]:
    """Keeps a type's query as it was written, once PostgreSQL has planned it."""
    builder.check(profiles.get(caller.org, profile_id), _written(body))
    written = body.model_dump(exclude_unset=True)
    saved = profiles.save_query(caller.org, profile_id, caller.who(), body.target_type, written, if_match)
    return {"message": "Query saved successfully", "profile": _shown(saved, body.target_type)}


@routes.on(
    "DELETE",
    "/api/import/profiles/{profile_id}/queries/{record_type}",
    permission="system.import",
    limit="builder",
    answer=shapes.QuerySaved,
)
def delete_query(caller: Caller, profile_id: str, record_type: str, if_match: IfMatch) -> dict[str, Any]:
    """Forgets a type's saved query; the template's, where it has one, is imported again."""
    if record_type not in targets.names():
        raise NotFound("Saved query not found")
    saved = profiles.save_query(caller.org, profile_id, caller.who(), record_type, None, if_match)
    return {"message": "Query deleted successfully", "profile": _shown(saved)}


def _shown(profile: profiles.Profile, record_type: str | None = None) -> dict[str, Any]:
    """The profile as the builder reads it after a change: the query just saved on top."""
    return {
        "id": profile["id"],
        "has_custom_queries": profile["has_custom_queries"],
        "configuration": configured.shown(profile, top=record_type),
        "version": profile["version"],
    }


@routes.on(
    "GET",
    "/api/import/profiles/{profile_id}/builder/suggestions",
    permission="system.import",
    limit="builder",
    answer=shapes.Suggestions,
    refuses=SOURCE,
)
def suggest(caller: Caller, profile_id: str, query: SuggestionsQuery) -> dict[str, Any]:
    """Joins and mappings that are likely, each with how sure we are and why."""
    schema = builder.explored(profiles.get(caller.org, profile_id))
    try:
        base = tables.find(query.base_table, schema) if query.base_table else None
    except tables.Unknown as unknown:
        raise invalid({"base_table": [sentence(unknown.kind, "base_table", **unknown.values)]}) from None
    return suggestions.found(schema, base, query.target_type)
