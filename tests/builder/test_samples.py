"""The query builder over databases of many makes: whatever table there is, it is listed, mapped, shown and read whole.

Each file below samples/ is a database in the manner of one that people know; oracle.py says what is in it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from chalice.test import Client

from chalicelib import configurations, tables, targets, trials
from chalicelib.sources import postgres
from infra.local.postgres import Postgres
from tests.builder import oracle
from tests.builder.conftest import leading_to
from tests.builder.oracle import ForeignKey, Relation, quoted
from tests.builder.test_builder_routes import guessed
from tests.conftest import Database, database
from tests.routes.conftest import Api, organisation
from tests.sources.test_ranges import parts

SAMPLES = {path.stem: path for path in sorted((Path(__file__).parent / "samples").glob("*.sql"))}

MOST_FIELDS = 200
CHUNK_ROWS = 7
MAX_EXTERNAL_ID = 256

Ask = Callable[..., Any]
Query = dict[str, Any]


class Sample(NamedTuple):
    """A database, and what is in it."""

    name: str
    place: Database
    relations: list[Relation]
    foreign_keys: list[ForeignKey]
    schema: dict[str, Any]


@pytest.fixture(scope="module", params=SAMPLES)
def sample(request: pytest.FixtureRequest, postgres_server: Postgres) -> Sample:
    """Loaded once. Read only."""
    place = database(postgres_server, f"sample_{request.param}")
    with psycopg.connect(place.dsn, autocommit=True) as admin:
        admin.execute(SAMPLES[request.param].read_bytes())
    with place.session() as session:
        schema = postgres.describe(session)
    return Sample(request.param, place, *oracle.relations(place), schema)


@pytest.fixture(scope="module")
def asked(client: Client, sample: Sample) -> Ask:
    """The builder of a profile of the sample. Every 25 requests it is another organisation's, before the rate ends."""
    path, requests = "", count()

    def ask(method: str, route: str, body: Any = None, **query: Any) -> Any:
        nonlocal api, path
        if next(requests) % 25 == 0:
            api = organisation(client, "Acme", "Admin User")
            path = f"/api/import/profiles/{api.profile(**leading_to(sample.place))['id']}"
        answer = api.get(f"{path}/{route}", **query) if method == "GET" else api.post(f"{path}/{route}", body)
        assert answer.status_code == 200, answer.body
        return answer.json_body

    api: Api
    return ask


@pytest.fixture(scope="module")
def suggested(asked: Ask, sample: Sample) -> dict[str, Any]:
    """What is suggested for each relation, by how it is spelled."""
    return {one.spelled: asked("GET", "builder/suggestions", base_table=one.spelled) for one in sample.relations}


def queries(relation: Relation) -> Iterator[tuple[Query, list[int]]]:
    """Tickets of every row: queries that together read each column, and the places of those that each one reads."""
    identified = {"source": identity(relation), "target": "external_id"}
    named = {"source": f"CONCAT('Row ', {quoted(relation.columns[0][0])})", "target": "title"}
    for begin in range(0, len(relation.columns), MOST_FIELDS - 2):
        places = list(range(len(relation.columns)))[begin : begin + MOST_FIELDS - 2]
        fields = [{"source": quoted(relation.columns[n][0]), "target": target(relation, n)} for n in places]
        query = {"base_table": relation.spelled, "fields": [identified, named, *fields], "target_type": "tickets"}
        yield query, places


def target(relation: Relation, place: int) -> str:
    return f"custom_fields.{place} {re.sub('[^A-Za-z0-9_ -]', '_', relation.columns[place][0])}"


def identity(relation: Relation) -> str:
    """The external id: the key as it is, its columns in one text, or without a key the first column."""
    if len(relation.key) > 1:
        return f"CONCAT_WS('-', {', '.join(map(quoted, relation.key))})"
    return quoted(relation.key[0] if relation.key else relation.columns[0][0])


def identities(relation: Relation, values: list[Any], sent: list[Any]) -> list[Any]:
    """The external ids those queries make, as the server sends them."""
    names = [name for name, *_ in relation.columns]
    if len(relation.key) > 1:
        held = [names.index(name) for name in relation.key]
        return ["-".join(row[place] for place in held) for row in sent]
    place = names.index(relation.key[0]) if relation.key else 0
    return [row[place] for row in values]


def counted(found: Iterable[Any]) -> Counter[str]:
    return Counter(json.dumps(one, sort_keys=True) for one in found)


@pytest.mark.accepts("SV-077")
def test_every_relation_is_listed_once_as_the_catalogue_has_it(sample: Sample, asked: Ask) -> None:
    listed = asked("GET", "builder/tables")["tables"]
    shown = [
        (one["namespace"], one["name"], [tuple(column[word] for word in ("name", "type", "nullable"))
                                         for column in one["columns"]], one["primary_key"])
        for one in listed
    ]  # fmt: skip
    assert sorted(shown) == sorted((one.schema, one.name, one.columns, one.key) for one in sample.relations)
    counted = {(one.schema, one.name): one.rows for one in sample.relations if one.name != "huge"}
    for one in listed:
        assert one["row_count"] == (counted.get((one["namespace"], one["name"]), 5_000_000) or 0), one["name"]
        marked = [column["name"] for column in one["columns"] if column.get("primary_key")]
        assert sorted(marked) == sorted(one["primary_key"])
        assert one.get("schema") == (None if one["namespace"] == "public" else one["namespace"])


@pytest.mark.accepts("SV-078", "SV-079", "SV-080", "SV-081", "SV-084")
def test_every_row_and_column_is_shown_as_it_is_imported(sample: Sample, asked: Ask) -> None:
    for relation in sample.relations:
        values, sent = oracle.rows(sample.place, relation)
        held = identities(relation, values, sent)
        refused = [one for one in held if one in (None, "") or isinstance(one, bool) or len(str(one)) > MAX_EXTERNAL_ID]
        for query, places in queries(relation):
            checked = asked("POST", "builder/validate", query)
            assert checked["valid"], (relation, checked["errors"])
            assert checked["estimated_records"] == guessed(sample.place, checked["generated_sql"]), relation
            shown = asked("POST", "preview-query", query | {"limit": 100})
            assert shown["generated_query"] == checked["generated_sql"]
            wanted = counted(
                {"external_id": external_id, "title": f"Row {text[0] or ''}"}
                | {target(relation, place): row[place] for place in places}
                for external_id, row, text in zip(held, values, sent, strict=True)
            )
            found = counted(shown["sample_data"])
            assert found == wanted if len(values) <= 100 else (found <= wanted and found.total() == 100), relation
            assert all([one["field"] for one in row["errors"]] == ["external_id"] for row in shown["rejected"])
            assert len(shown["rejected"]) == len(refused) if len(values) <= 100 else not refused, relation


@pytest.mark.parametrize("cut_by", ["its own key", "its first two columns", "its last two columns"])
def test_the_run_reads_every_row_once(sample: Sample, cut_by: str) -> None:
    with sample.place.session() as session:
        for relation in sample.relations:
            columns = [quoted(name) for name, *_ in relation.columns]
            key = {"its own key": None, "its first two columns": columns[:2], "its last two columns": columns[-2:]}
            values, sent = oracle.rows(sample.place, relation)
            held = identities(relation, values, sent)
            for query, places in queries(relation):
                written = configurations.Query.model_validate(query | {"key": key[cut_by]})
                built = configurations.built(written, "tickets", sample.schema)
                cut = postgres.plan(session, built, chunk_rows=CHUNK_ROWS)
                ranges, rest = parts(session, cut)
                wanted = [
                    (external_id, f"Row {text[0] or ''}", *(row[place] for place in places))
                    for external_id, row, text in zip(held, values, sent, strict=True)
                ]
                assert counted([row for part in ranges for row in part] + rest) == counted(wanted), relation
                assert [part.rows for part in cut.ranges] == list(map(len, ranges)), relation
                if not key[cut_by] and relation.key and relation.name != "event":  # its heirs' rows have the same keys
                    assert (rest, max(map(len, ranges), default=0) <= CHUNK_ROWS) == ([], True), relation


COLUMN = re.compile(r'(?:"(?:[^"]|"")+"|\w+)\.("(?:[^"]|"")+"|\w+)')


def joined(on: str) -> list[str]:
    """The columns a condition names, in its order."""
    return [one[1:-1].replace('""', '"') if one.startswith('"') else one for one in COLUMN.findall(on)]


def test_every_foreign_key_is_a_join_either_way(sample: Sample, suggested: dict[str, Any]) -> None:
    for key in sample.foreign_keys:
        there = [name for pair in zip(key.keys, key.columns, strict=True) for name in pair]
        back = [name for pair in zip(key.columns, key.keys, strict=True) for name in pair]
        assert (there, 1.0) in joins(sample, suggested[key.own.spelled], key.other), key
        if key.own != key.other:
            assert (back, 0.95) in joins(sample, suggested[key.other.spelled], key.own), key


def joins(sample: Sample, found: dict[str, Any], other: Relation) -> list[tuple[list[str], float]]:
    """The columns by which another relation is said to be joined because of a foreign key, and how sure that is."""
    by_key = [one for one in found["joins"] if one["reason"].startswith("A foreign key: ")]
    meant = [(one, tables.find(one["table"], sample.schema)) for one in by_key]
    return [
        (joined(one["on"]), one["confidence"])
        for one, table in meant
        if (table.namespace, table.name) == (other.schema, other.name)
    ]


def test_what_is_suggested_for_any_relation_can_be_run(sample: Sample, suggested: dict[str, Any]) -> None:
    with sample.place.session() as session:
        for relation in sample.relations:
            found = suggested[relation.spelled]
            for join in found["joins"]:
                joins = [{word: join[word] for word in ("type", "table", "alias", "on") if word in join}]
                compiled = run(session, sample, {"base_table": relation.spelled, "joins": joins}, "tickets")
                compared = {owner for owner, _ in compiled.reads["joins.0.on"]}
                assert compared == set(compiled.tables), (relation, "a table is compared with itself", join)
            for record_type, mapped in found["mappings"].items():
                assert all(one["reason"] for one in mapped)
                fields = [{word: one[word] for word in ("source", "target", "transformation")} for one in mapped]
                run(session, sample, {"base_table": relation.spelled, "fields": fields}, record_type)


def run(session: Any, sample: Sample, query: Query, record_type: str) -> configurations.Compiled:
    """What becomes of a configuration, filled up with what its type requires, once PostgreSQL has run it."""
    required = {name for name, one in targets.get(record_type).Record.model_fields.items() if one.is_required()}
    fields = query.get("fields", [])
    missing = sorted({"external_id", *required} - {one["target"] for one in fields})
    whole = query | {"fields": [*fields, *({"source": "'1'", "target": name} for name in missing)]}
    body = configurations.Query.model_validate(whole | {"target_type": record_type})
    compiled = configurations.compiled(body, record_type, "", sample.schema)
    assert compiled.query, (query, compiled.faults)
    trials.tried(session, compiled.query)
    return compiled


OBVIOUS: dict[tuple[str, str, str], dict[str, str]] = {
    ("rental", '"public"."customer"', "customer_users"): {
        "external_id": "customer_id", "email": "email", "first_name": "first_name", "created_at": "created_at",
    },
    ("rental", '"public"."film"', "tickets"): {"title": "title", "description": "description"},
    ("music", '"public"."Customer"', "customer_users"): {
        "external_id": "CustomerId", "email": "Email", "last_name": "LastName", "phone": "Phone", "company": "Company",
    },
    ("trading", '"public"."customers"', "accounts"): {"external_id": "customer_id", "name": "company_name"},
    ("trading", '"public"."employees"', "agents"): {"external_id": "employee_id"},
    ("manufacturer", '"person"."person"', "customer_users"): {"first_name": "firstname", "last_name": "lastname"},
    ("manufacturer", '"person"."emailaddress"', "customer_users"): {"email": "emailaddress"},
    ("events", '"public"."event"', "tickets"): {"external_id": "id", "title": "name", "created_at": "created_at"},
    ("events", '"public"."user"', "customer_users"): {"external_id": "id", "name": "name", "email": "email"},
}  # fmt: skip


LIKELY: dict[tuple[str, str], list[str]] = {
    ("rental", "customer_users"): ["customer"],
    ("rental", "agents"): ["staff"],
    ("music", "agents"): ["Employee"],
    ("trading", "tickets"): ["orders"],
    ("trading", "customer_users"): ["customers"],
    ("manufacturer", "agents"): ["h.employee", "hr.employee"],
    ("manufacturer", "attachments"): ["production.document"],
    ("events", "agents"): ["user"],
}  # fmt: skip


def test_each_type_is_looked_for_where_tables_are_called_so(sample: Sample, suggested: dict[str, Any]) -> None:
    [found, *others] = [one["base_tables"] for one in suggested.values()]
    assert all(one == found for one in others), "whichever table is asked about"
    for (name, record_type), wanted in LIKELY.items():
        if name == sample.name:
            assert [one["table"] for one in found[record_type]][: len(wanted)] == wanted, record_type
    for one in (one for likely in found.values() for one in likely):
        assert tables.find(one["table"], sample.schema).described
        assert one["reason"]


def test_obvious_columns_are_mapped(sample: Sample, suggested: dict[str, Any]) -> None:
    for (name, spelled, record_type), wanted in OBVIOUS.items():
        if name == sample.name:
            mapped = suggested[spelled]["mappings"][record_type]
            found = {one["target"]: joined(one["source"])[0] for one in mapped}
            assert wanted.items() <= found.items(), found
            assert all(one["reason"] for one in mapped)


BY_NAME = (
    ("orders", "customers"), ("orders", "employees"), ("orders", "shippers"), ("order details", "orders"),
    ("order details", "products"), ("products", "suppliers"), ("products", "categories"), ("territories", "region"),
    ("employee_territories", "employees"), ("employee_territories", "territories"),
    ("customer_customer_demo", "customers"),
)  # fmt: skip


@pytest.mark.parametrize("sample", ["trading"], indirect=True)
def test_without_foreign_keys_names_say_what_to_join(sample: Sample, suggested: dict[str, Any]) -> None:
    assert sample.foreign_keys == []
    for own, other in BY_NAME:
        for base, wanted in ((own, other), (other, own)):
            offered = suggested[f'"public".{quoted(base)}']["joins"]
            found = [one for one in offered if tables.find(one["table"], sample.schema).name == wanted]
            assert found, (base, wanted)
            assert found[0]["reason"].endswith("no foreign key says so.")
            assert 0.4 <= found[0]["confidence"] < 0.95


@pytest.mark.parametrize("sample", ["events"], indirect=True)
def test_statistics_are_believed_for_advice_and_for_nothing_else(sample: Sample, asked: Ask) -> None:
    query = {
        "base_table": "huge",
        "fields": [{"source": "id", "target": "external_id"}, {"source": "note", "target": "title"}],
        "filters": [{"field": "note", "operator": "LIKE", "value": "note 2%"}],
        "target_type": "tickets",
    }
    shown = asked("POST", "preview-query", query | {"limit": 100})
    assert "filters.0: huge has about 5,000,000 rows and no index that begins with note." in shown["warnings"]
    assert [row["title"] for row in shown["sample_data"]] == ["note 2", *(f"note {n}" for n in range(20, 26))]


@pytest.mark.parametrize("sample", ["events"], indirect=True)
def test_an_array_of_an_enum_is_a_list_where_a_list_is_due(sample: Sample, asked: Ask) -> None:
    fields = [
        {"source": "message", "target": "external_id"},
        {"source": "'x'", "target": "title"},
        {"source": "tags", "target": "tags"},
        {"source": "tags::text[]", "target": "custom_fields.list"},
        {"source": "tags", "target": "custom_fields.text"},
    ]
    query = {"base_table": "log", "fields": fields, "target_type": "tickets", "limit": 1}
    filters = [
        {"field": "cardinality(tags)", "operator": "=", "value": 3},
        {"field": "message", "operator": "LIKE", "value": "line%"},
    ]
    [row] = asked("POST", "preview-query", query | {"filters": filters})["sample_data"]
    levels = ["debug", "info", "Warn, or so"]
    assert (row["tags"], row["custom_fields.list"]) == (levels, levels)
    assert row["custom_fields.text"] == '{debug,info,"Warn, or so"}'


@pytest.mark.parametrize("sample", ["manufacturer"], indirect=True)
def test_a_user_who_may_read_a_part_is_offered_that_part(sample: Sample, client: Client) -> None:
    grants = "GRANT USAGE ON SCHEMA person TO onlooker; GRANT SELECT ON person.person, person.emailaddress, hr.employee"
    reached = replace(sample.place.connection, username="onlooker", password="x")
    with psycopg.connect(sample.place.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE onlooker LOGIN PASSWORD 'x'; {grants} TO onlooker".encode())
        try:
            api = organisation(client, "Acme", "Admin User")
            path = f"/api/import/profiles/{api.profile(**leading_to(replace(sample.place, connection=reached)))['id']}"
            listed = api.get(f"{path}/builder/tables").json_body["tables"]
            offered = api.get(f"{path}/builder/suggestions", base_table="person.person").json_body
            fields = [{"source": "emailaddress", "target": "external_id"}]
            read = api.post(f"{path}/preview-query", {"base_table": "person.emailaddress", "fields": fields}).json_body
            fields = [{"source": "jobtitle", "target": "external_id"}]
            refused = api.post(f"{path}/builder/validate", {"base_table": "hr.employee", "fields": fields}).json_body
        finally:
            admin.execute("DROP OWNED BY onlooker; DROP ROLE onlooker")
    assert len(listed) == len(sample.relations)
    readable = {f"{one['namespace']}.{one['name']}" for one in listed if one.get("readable", True)}
    assert readable == {"person.person", "person.emailaddress"}
    assert {one["table"] for one in offered["joins"]} == {"person.emailaddress"}
    assert {one["table"] for likely in offered["base_tables"].values() for one in likely} <= readable
    assert len(read["sample_data"]) == 10
    [said] = refused["errors"]
    assert "the user may not read a table of the query" in said
