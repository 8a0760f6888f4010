"""One text: what validation, both previews and the run show and send is the same, up to key range and limit."""

from __future__ import annotations

import re
import time
from typing import Any

import psycopg
import pytest

from chalicelib import chunks, jobs, plans, sql, storage
from chalicelib.steps import extract, plan
from infra.local.postgres import Postgres
from tests.builder.conftest import CUSTOMERS, ORDERS, SHOP, leading_to
from tests.conftest import Database, database
from tests.routes.conftest import Api

EVERYTHING: dict[str, Any] = {
    "name": "Everything",
    "base_table": '"sales"."orders"',
    "key": ["number", "tenant"],
    "joins": [
        {"type": "INNER", "table": "customers", "leftColumn": "customer_id", "rightColumn": "id"},
        {"type": "LEFT", "table": "customers", "alias": "boss", "on": "boss.id = customers.boss_id"},
        {"type": "LEFT", "table": "emails", "on": "emails.customer_id = customers.id", "condition": "type = '5%'"},
    ],
    "fields": [
        {"source": "CONCAT(orders.tenant, ':', orders.number)", "target": "external_id"},
        {"source": "subject", "target": "title", "transformation": "direct"},
        {"source": "price::text", "target": "custom_fields.Price in EUR"},
        {"source": "COALESCE(boss.last_name, 'no boss')", "target": "custom_fields.boss"},
        {"source": "emails.address", "target": "custom_fields.mail"},
        {"source": "customers.preferences ->> 'n'", "target": "custom_fields.n"},
        {"source": "LOWER(valid)", "target": "custom_fields.begins"},
    ],
    "filters": [
        {"field": "orders.subject", "operator": "LIKE", "value": "Order %"},
        {"field": "orders.number % 7", "operator": "!=", "value": 3},
        {"field": "orders.state", "operator": "NOT IN", "value": ["lost", "pending"]},
        {"field": "orders.total", "operator": "BETWEEN", "value": 0.5, "value2": 100000},
        {"field": "customers.active", "operator": "=", "value": True},
        {"field": "customers.last_name", "operator": "REGEXP", "value": "^Last [0-9]+$"},
        {"field": "boss.id", "operator": "IS NULL"},
    ],
    "target_type": "tickets",
}  # fmt: skip

RIGHT: dict[str, Any] = {
    "base_table": "emails",
    "joins": [{"type": "RIGHT", "table": "customers", "on": "emails.customer_id = customers.id"}],
    "fields": [
        {"source": "CONCAT_WS('-', customers.id, emails.id)", "target": "external_id"},
        {"source": "customers.last_name", "target": "name"},
    ],
    "target_type": "customer_users",
}


@pytest.fixture
def logged(postgres_server: Postgres) -> tuple[Database, Any]:
    """The shop on a server that writes down every statement, and what it wrote down since."""
    place = database(postgres_server, "logged")
    with psycopg.connect(place.dsn, autocommit=True) as admin:
        admin.execute(SHOP.encode())
        admin.execute("ALTER DATABASE logged SET log_statement = 'all'")
    log = postgres_server.process.log
    began = log.stat().st_size

    def statements() -> list[str]:
        time.sleep(0.2)  # the log is written behind
        with log.open("rb") as file:
            file.seek(began)
            text = file.read().decode()
        found = re.findall(
            r"LOG:  execute [^:]*: (.*?)(?=^[^\t\n].*?\[\d+\] (?:LOG|DETAIL|STATEMENT)|\Z)", text, re.S | re.M
        )
        return [one.replace("\n\t", "\n").strip() for one in found]

    return place, statements


def numbered(statement: sql.Statement) -> str:
    """A statement as PostgreSQL receives it."""
    places = iter(range(1, 1000))
    return re.sub("%[%s]", lambda found: "%" if found[0] == "%%" else f"${next(places)}", statement[0])


@pytest.mark.accepts("SV-073", "SV-079", "SV-081", "SV-082")
@pytest.mark.parametrize("query", [CUSTOMERS, ORDERS, EVERYTHING, RIGHT], ids=["customers", "orders", "all", "right"])
def test_validation_previews_and_the_run_are_one_text(
    api: Api, logged: tuple[Database, Any], query: dict[str, Any]
) -> None:
    place, statements = logged
    made = api.profile(**leading_to(place))["id"]
    path, name = f"/api/import/profiles/{made}", query["target_type"]
    validated = api.post(f"{path}/builder/validate", query).json_body
    assert validated["valid"], validated
    text = validated["generated_sql"]
    shown = api.post(f"{path}/preview-query", query | {"limit": 100}).json_body
    assert shown["generated_query"] == text
    assert api.post(f"{path}/queries", query).status_code == 200
    assert api.get(f"{path}/preview", query_type=name).json_body[name]["query"]["sql"] == text

    answer = api.post(f"{path}/import")
    assert answer.status_code == 201, answer.body
    event = {"org": api.org, "job": answer.json_body["job"]["id"]}
    clocks: dict[str, Any] = {"now": time.time, "remaining": lambda: 60.0}
    planned = plan.run(event, **clocks)
    job = jobs.get(api.org, event["job"])
    frozen = plans.query(job["plan"], name)
    assert sql.shown(sql.select(frozen)) == text, "what the job froze is what was shown"

    rows = []
    for one in planned["types"]:
        for item in storage.get_json(one["manifest"]):
            extract.run({**event, "type": name, **item}, **clocks)
            rows += list(storage.get_rows(chunks.get(job, name, item["chunk"])["raw"]))
    targets = [one["target"] for one in query["fields"]]
    first = [dict(zip(targets, row, strict=True)) for row in rows]
    assert 0 < len(rows) == len(shown["sample_data"]), "all of it fits into the preview"
    assert [row["external_id"] for row in first] == [row["external_id"] for row in shown["sample_data"]]

    sent = statements()
    whole = numbered(sql.select(frozen))
    assert f"EXPLAIN (FORMAT JSON) {whole}" in sent, "validation"
    count = len(re.findall(r"\$\d+", whole))
    assert f"{whole}\nLIMIT ${count + 1}" in sent, "the previews"
    begins = whole.partition("\nORDER BY")[0]
    ran = [one for one in sent if one.startswith(begins) and "LIMIT" not in one]
    assert ran, "the run"
    for one in ran:
        rest = one[len(begins) :].partition("ORDER BY")[0]
        assert re.fullmatch(r"\s*((AND|WHERE) .*)?", rest, re.DOTALL), rest
