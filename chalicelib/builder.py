"""The query builder: a configuration tried on its source before it is saved.

In: a profile and a configuration as it was written. Out: what the run would send, how many rows that should give, the
first of them as they would be written, and sentences about what is wrong or unwise. Everything comes from the run's own
parts: sql.py writes the text, mapping.py makes the records.

The schema found is kept for half a minute in this process, for one version of one profile, so that a preview that
follows every key stroke asks the catalogue once; a query that finds a table or column gone has it read anew.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from chalicelib import advice, configurations, configured, connections, mapping, sql, targets, trials
from chalicelib.configurations import Compiled, Errors, Query
from chalicelib.errors import Fatal, Invalid
from chalicelib.messages import MAX_FIELDS, sentence
from chalicelib.profiles import Profile

SECONDS = 25
"""For one answer; the gateway gives up after 29."""

KEPT_SECONDS = 30
"""How long a schema is kept, at most: a new column shows after that, or at once when it is used."""

KEPT_SCHEMAS = 4
"""Most schemas kept at a time; one of 8,000 columns takes some 10 MB."""

MAX_CELL = 1_000
"""Characters shown of one value of a sample."""

MAX_CELLS = 800_000
"""Characters of all values of an answer, so that it stays far below the 6 MB Lambda can send, however they are
escaped."""

_schemas: dict[tuple[str, str, int], tuple[float, dict[str, Any]]] = {}


@dataclass
class Trial:
    """What came of trying a query. tried: None where there are faults. faults: field -> sentences."""

    query: sql.Query | None = None
    tried: trials.Tried | None = None
    faults: Errors = field(default_factory=dict)
    stale: bool = False


def explored(profile: Profile, *, anew: bool = False) -> dict[str, Any]:
    """The source's schema, at most half a minute old. Raises SourceUnreachable."""
    key = (profile["org"], profile["id"], int(profile["version"]))
    now = time.monotonic()
    known = _schemas.get(key)
    if known and not anew and now - known[0] < KEPT_SECONDS:
        return known[1]
    found = connections.schema(profile)
    for old in [old for old, (since, _) in _schemas.items() if now - since >= KEPT_SECONDS or old[:2] == key[:2]]:
        del _schemas[old]
    while len(_schemas) >= KEPT_SCHEMAS:
        del _schemas[min(_schemas, key=lambda one: _schemas[one][0])]
    _schemas[key] = (time.monotonic(), found)
    return found


def validate(profile: Profile, query: Query) -> dict[str, Any]:
    """{valid, generated_sql, estimated_records, warnings, errors, fields, columns}, whatever is wrong with the query.

    errors: sentences; fields: the same by the field they are about. Raises SourceUnreachable.
    """
    found, trial = _tried(profile, query, query.target_type)
    said = [text for texts in trial.faults.values() for text in texts]
    return {
        "valid": not said,
        "generated_sql": shown(trial.query),
        "estimated_records": trial.tried.estimate if trial.tried else None,
        "warnings": _warnings(query, found, trial),
        "errors": said,
        "fields": trial.faults,
        "columns": trial.tried.columns if trial.tried else {},
    }


def preview(profile: Profile, query: Query, limit: int) -> dict[str, Any]:
    """{sample_data, estimated_records, generated_query, columns, rejected, warnings} of a query that need not be saved.

    Raises Invalid naming the fields, SourceUnreachable.
    """
    found, trial = _tried(profile, query, query.target_type, limit)
    if trial.faults or not trial.query or not trial.tried:
        raise Invalid("Validation failed", code="query_invalid", errors=trial.faults)
    sample, rejected = sampled(trial.query, trial.tried.rows, query.target_type)
    return {
        "sample_data": sample,
        "estimated_records": trial.tried.estimate,
        "generated_query": shown(trial.query),
        "columns": [one.target for one in query.fields],
        "rejected": rejected,
        "warnings": _warnings(query, found, trial),
    }


def check(profile: Profile, query: Query) -> None:
    """Whether a query may be saved: PostgreSQL has planned it. Raises Invalid naming the fields, SourceUnreachable."""
    _, trial = _tried(profile, query, query.target_type)
    if trial.faults:
        raise Invalid("Validation failed", code="query_invalid", errors=trial.faults)


def preview_all(profile: Profile, wanted: str | None, limit: int) -> dict[str, Any]:
    """type -> {query, sample_data, field_mapping, applied_filters, rejected, errors}: what each type of the profile, or
    the one that is wanted, would import now. A type that cannot be tried says why in `errors`, unless none can.

    Raises Invalid, also for a template that does not fit the source, unless a saved query alone is wanted; and
    SourceUnreachable.
    """
    began = time.monotonic()
    built, faults = _queries(profile, explored(profile), wanted)
    trial_of = _run(profile, built, limit, began) if built else {}
    written = configured.saved(profile)
    found: dict[str, Any] = {}
    share = MAX_CELLS // max(1, len(built))
    for name in targets.names():
        if name in faults:
            found[name] = _previewed(name, None, Trial(faults=faults[name]), written.get(name), share)
        elif name in built:
            found[name] = _previewed(name, built[name], trial_of[name], written.get(name), share)
    broken = {name: part["errors"] for name, part in found.items() if part["errors"]}
    if broken and len(broken) == len(found):
        first = {f"{name}.{place}": texts for name, errors in broken.items() for place, texts in errors.items()}
        raise Invalid("Validation failed", code="query_invalid", errors=dict(list(first.items())[:MAX_FIELDS]))
    return found


def _queries(
    profile: Profile, schema: dict[str, Any], wanted: str | None
) -> tuple[dict[str, sql.Query], dict[str, Errors]]:
    """The profile's queries by type, and what is wrong with those that do not fit the source."""
    written = configured.saved(profile)
    built: dict[str, sql.Query] = {}
    faults: dict[str, Errors] = {}
    try:
        built = configured.queries(profile | {"queries": {}}, schema)
    except Fatal as unfit:  # as it will end every import, whatever is saved beside the template
        if wanted not in written:
            errors = {"template_id": [f"{unfit.message}."]}
            raise Invalid("Validation failed", code="query_invalid", errors=errors) from None
    for name, query in written.items():
        built.pop(name, None)
        found = configurations.compiled(Query.model_validate(query), name, "", schema)
        if found.query:
            built[name] = found.query
        else:
            faults[name] = found.faults
    if wanted is not None:
        built = {name: query for name, query in built.items() if name == wanted}
        faults = {name: errors for name, errors in faults.items() if name == wanted}
        if not built and not faults:
            said = sentence("no_query", "query_type")
            raise Invalid("Validation failed", errors={"query_type": [said]})
    return built, faults


def _previewed(
    name: str, query: sql.Query | None, trial: Trial, written: dict[str, Any] | None, most: int
) -> dict[str, Any]:
    sample, rejected = sampled(query, trial.tried.rows, name, most) if query and trial.tried else ([], [])
    parts = written or (query.model_dump(mode="json") if query else {})
    return {
        "query": {"sql": shown(query), "estimated_count": trial.tried.estimate if trial.tried else None},
        "sample_data": sample,
        "field_mapping": {one["target"]: one["source"] for one in parts.get("fields", ())},
        "applied_filters": applied_filters(parts),
        "rejected": rejected,
        "errors": trial.faults,
    }


def applied_filters(query: dict[str, Any]) -> list[str]:
    """The conditions on a query's rows as people read them: its filters, and the joins' own conditions."""
    said = [_sentence(item) for item in query.get("filters", ())]
    return said + [join["condition"] for join in query.get("joins", ()) if join.get("condition")]


def _sentence(item: dict[str, Any]) -> str:
    value, operator = item.get("value"), item["operator"]
    if operator in ("IS NULL", "IS NOT NULL"):
        return f"{item['field']} {operator}"
    if operator == "BETWEEN":
        return f"{item['field']} BETWEEN {_value(value)} AND {_value(item.get('value2'))}"
    if isinstance(value, list):
        return f"{item['field']} {operator} ({', '.join(map(_value, value))})"
    return f"{item['field']} {operator} {_value(value)}"


def _value(value: Any) -> str:
    return sql.literal(value) if isinstance(value, str) else json.dumps(value)


def shown(query: sql.Query | None) -> str | None:
    """The text that the run sends, for people to read: its key ranges are all that is missing."""
    return sql.shown(sql.select(query)) if query else None


def _tried(profile: Profile, query: Query, record_type: str | None, limit: int = 0) -> tuple[Compiled, Trial]:
    """A configuration against its source: compiled, then planned, then its first rows read."""
    began = time.monotonic()
    for anew in (False, True):
        schema = explored(profile, anew=anew)
        fresh = _age(profile) < time.monotonic() - began
        found = configurations.compiled(query, record_type, "", schema)
        trial = Trial(faults=found.faults)
        if found.query:
            trial = _run(profile, {"": found.query}, limit, began)[""]
        in_time = SECONDS - (time.monotonic() - began) >= connections.SCHEMA_SECONDS
        if fresh or not in_time or not (trial.stale or found.kinds & configurations.GONE):
            break
    return found, trial


def _age(profile: Profile) -> float:
    since, _ = _schemas[profile["org"], profile["id"], int(profile["version"])]
    return time.monotonic() - since


def _run(profile: Profile, queries: dict[str, sql.Query], limit: int, began: float) -> dict[str, Trial]:
    """Each query on one connection, what cannot be run with the field it stumbles over."""

    def ask(session: Any) -> dict[str, Trial]:
        return {name: _asked(session, query, limit) for name, query in queries.items()}

    left = SECONDS - (time.monotonic() - began)
    unanswered, each = "Connection failed: the query could not be tried", trials.STATEMENT_SECONDS
    return connections.asked(profile, ask, left, unanswered, statement_seconds=each)


def _asked(session: Any, query: sql.Query, limit: int) -> Trial:
    trial = Trial(query=query)
    try:
        trial.tried = trials.tried(session, query, limit)
    except trials.Failed as failed:
        if failed.lost:
            raise failed.error from None
        place = failed.place or "fields"
        trial.faults = {place: [sentence("refused_by_source", place, reason=failed.reason)]}
        trial.stale = failed.error.code == "source_changed"
    return trial


def _warnings(query: Query, found: Compiled, trial: Trial) -> list[str]:
    if not found.query:
        return []
    return advice.warnings(query, found, query.target_type, trial.tried.columns if trial.tried else {})


def sampled(
    query: sql.Query, rows: list[tuple[Any, ...]], record_type: str | None, most: int = MAX_CELLS
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows under their target names, rows that the import would reject). A value is the one the import would write,
    where a transformation or a repair changes it; long ones are cut, so that all have `most` characters.
    """
    names = [one.target for one in query.fields]
    longest = max(20, min(MAX_CELL, most // max(1, len(names) * len(rows))))
    sample = [dict(zip(names, row, strict=True)) for row in rows]
    rejected: list[dict[str, Any]] = []
    if record_type:
        accepted, refused = mapping.Mapper(query, targets.get(record_type)).apply(rows, 0)
        rejected = [{"row": one["row"], "external_id": one["ext"], "errors": one["errors"]} for one in refused]
        for record in accepted:
            _write(sample[record["row"]], record)
    return [{name: _cut(value, longest) for name, value in row.items()} for row in sample], rejected


def _write(row: dict[str, Any], record: dict[str, Any]) -> None:
    """Put into a sample's row what the import makes of it. A number stays one where the record has it as text."""
    held = {"external_id": record["ext"], **record["refs"], **record["data"]}
    for name, raw in row.items():
        outer, _, inner = name.partition(".")
        value = held.get(outer)
        if inner and isinstance(value, dict):
            value = value.get(inner)
        if value is None or str(value) != str(raw):
            row[name] = value


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False)
        return value if len(text) <= longest else f"{text[:longest]}…"
    return f"{value[:longest]}…" if isinstance(value, str) and len(value) > longest else value
