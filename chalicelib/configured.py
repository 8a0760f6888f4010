"""What a profile imports: its template's queries, and those saved on it.

In: a profile, as stored. Out: configurations as people wrote them, or `sql.Query`s for a source of which the schema is
known. Nothing is written here; `profiles.save_query` does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chalicelib import targets

if TYPE_CHECKING:
    from chalicelib import sql

Profile = dict[str, Any]


def queries(profile: Profile, schema: dict[str, Any]) -> dict[str, sql.Query]:
    """What the profile imports from a source of that schema, by record type in dependency order; saved queries replace
    the template's, which leaves out tables that are not there. Raises Fatal for a query that does not fit the source.
    """
    from chalicelib import configurations

    found = _of_template(profile, schema)
    for name, query in saved(profile).items():
        found[name] = configurations.read(query, name, schema)
    return {name: found[name] for name in targets.names() if name in found}


def types(profile: Profile) -> list[str]:
    """What the profile imports as far as one can tell without its source, in dependency order."""
    known = shown(profile)["queries"]
    return [name for name in targets.names() if name in known]


def saved(profile: Profile) -> dict[str, dict[str, Any]]:
    """The queries saved on the profile, exactly as they were written, by type in dependency order."""
    return {name: json.loads(profile["queries"][name]) for name in targets.names() if name in profile["queries"]}


def shown(profile: Profile, top: str | None = None) -> dict[str, Any]:
    """The saved query at top level, as the query builder reads it, and all queries by type in `queries`.

    Queries that people wrote are shown exactly as they wrote them. A template's are nobody's saved one. Of several
    saved ones the type of `top`, else the first in the order of import is shown.
    """
    written = saved(profile)
    found = _shown_template(profile) | written
    first = top if top in written else next(iter(written), None)
    builder = {"target_type": first} | written[first] if first else {}
    every = {name: {"target_type": name} | found[name] for name in targets.names() if name in found}
    return {part: builder[part] for part in _BUILDER_PARTS if part in builder} | {"queries": every}


def _shown_template(profile: Profile) -> dict[str, dict[str, Any]]:
    copy = profile.get("template_copy") or {}
    written: dict[str, dict[str, Any]] = json.loads(copy.get("queries", "{}"))
    built = _of_template(profile | {"template_copy": copy | {"queries": "{}"} if copy else None}, None)
    return {name: query.model_dump(mode="json") for name, query in built.items()} | written


_BUILDER_PARTS = ("name", "base_table", "key", "joins", "fields", "filters", "target_type")


def _of_template(profile: Profile, schema: dict[str, Any] | None) -> dict[str, sql.Query]:
    from chalicelib import own_templates, templates

    if copy := profile.get("template_copy"):
        return own_templates.queries(copy, profile["template_options"], schema)
    if profile["template_id"]:
        return templates.get(profile["template_id"]).queries(profile["template_options"], schema)
    return {}
