"""Live feedback of the query builder: validate and preview, against psycopg asking the very same directly.

Both sides open a connection of their own, as every request does. Ours also reads the stored password, checks every
expression, asks in a thread that can be given up, maps the rows and looks for what may be unwise; the schema is warm,
as it is for all but the first of a row of requests.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import psycopg

from benchmarks.driven import deployment, tenant
from benchmarks.source import line
from chalicelib import builder, configurations, profiles, sql
from infra.local.sample import Sample

CONVERSATIONS = 5000
ROUNDS = 40
LIMIT = 10

WRITTEN = {
    "base_table": "conversations",
    "joins": [
        {"type": "LEFT", "table": "customers", "on": "customers.id = conversations.customer_id"},
        {"type": "LEFT", "table": "users", "on": "users.id = conversations.user_id", "condition": "users.status = 1"},
    ],
    "fields": [
        {"source": "conversations.id", "target": "external_id", "transformation": "direct"},
        {"source": "COALESCE(NULLIF(conversations.subject, ''), '(none)')", "target": "title"},
        {
            "source": "CASE WHEN conversations.status = 1 THEN 'open' WHEN conversations.status = 2 THEN 'pending' "
            "ELSE 'closed' END",
            "target": "status",
            "transformation": "case_when",
        },
        {"source": "CONCAT(customers.first_name, ' ', customers.last_name)", "target": "custom_fields.customer"},
        {"source": "conversations.created_at", "target": "created_at"},
    ],
    "filters": [{"field": "conversations.state", "operator": "IN", "value": [1, 2]}],
    "target_type": "tickets",
}


def main() -> None:
    """Print the figures."""
    with deployment(CONVERSATIONS) as (running, sample):
        _, profile_id, org = tenant(running, sample)
        query = configurations.Query.model_validate(WRITTEN)
        profile = profiles.get(org, profile_id)
        text, bound = sql.shown(_run_text(profile, query)), ()
        started = time.perf_counter()
        builder.validate(profile, query)
        line("validate_cold", (time.perf_counter() - started) * 1000, "ms, the schema read as well")
        explained = f"EXPLAIN (FORMAT JSON) {text}"
        sides = {
            "validate": (lambda: builder.validate(profile, query), [explained]),
            "preview": (lambda: builder.preview(profile, query, LIMIT), [explained, f"{text}\nLIMIT {LIMIT}"]),
        }
        for name, (ours, texts) in sides.items():
            mine, direct = _alternate(ours, lambda texts=texts: _asked(sample, texts, bound))
            line(name, mine * 1000, "ms, median", mine / direct, "psycopg: connect and the same statements")


def _run_text(profile: profiles.Profile, query: configurations.Query) -> sql.Statement:
    """The statement the run would send."""
    compiled = configurations.compiled(query, "tickets", "", builder.explored(profile))
    assert compiled.query, compiled.faults
    return sql.select(compiled.query)


def _asked(sample: Sample, texts: list[str], bound: tuple[object, ...]) -> None:
    reached = sample.connection()
    wanted = {"host": reached["host"], "port": reached["port"], "dbname": reached["database"]}
    with psycopg.connect(**wanted, user=reached["username"], password=reached["password"]) as connection:
        for text in texts:
            connection.execute(text.encode(), bound or None).fetchall()


def _alternate(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of both, asked in turns after a round that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for side, ask in enumerate((ours, theirs)):
            started = time.perf_counter()
            ask()
            if turn:
                times[side].append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
