"""What the query builder may cost, whom it answers, and what it never says."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from chalicelib import access, builder, configured, connections, profiles
from chalicelib.errors import Fatal
from tests.builder.conftest import CUSTOMERS, ORDERS, leading_to
from tests.builder.test_builder_routes import changed
from tests.conftest import Database
from tests.routes.conftest import Api
from tests.routes.test_template_routes import apply
from tests.sources.servers import Lie, lying, one_more, server, valued


def test_a_wide_sample_is_cut_to_what_an_answer_may_carry(api: Api, profile: str) -> None:
    wide = [{"source": "REPEAT(subject, 200)", "target": f"custom_fields.c{place}"} for place in range(150)]
    query = ORDERS | {"fields": [*ORDERS["fields"], *wide]}
    answer = api.post(f"{profile}/preview-query", query | {"limit": 60})
    assert answer.status_code == 200, answer.body
    assert len(answer.body) < 4_000_000
    assert answer.json_body["sample_data"][0]["custom_fields.c0"].endswith("…")
    narrow = api.post(f"{profile}/preview-query", query | {"fields": [*ORDERS["fields"], wide[0] | {
        "source": "CONCAT(REPEAT(subject, 200), 'y')"}]})  # fmt: skip
    assert narrow.json_body["sample_data"][0]["custom_fields.c0"] == ("Order 3" * 200)[:1000] + "…"


def test_the_samples_of_all_types_share_what_an_answer_may_carry(api: Api, profile: str) -> None:
    wide = [{"source": "REPEAT(subject, 200)", "target": f"custom_fields.c{place}"} for place in range(150)]
    tickets = ORDERS | {"fields": [*ORDERS["fields"], *wide]}
    wide = [{"source": "REPEAT(last_name, 200)", "target": f"preferences.c{place}"} for place in range(150)]
    users = {"base_table": "customers", "fields": [{"source": "id", "target": "external_id"}, *wide,
             {"source": "last_name", "target": "name"}], "target_type": "customer_users"}  # fmt: skip
    for query in (tickets, users):
        assert api.post(f"{profile}/queries", query).status_code == 200
    answer = api.get(f"{profile}/preview", limit=40)
    assert (answer.status_code, [len(part["sample_data"]) for part in answer.json_body.values()]) == (200, [40, 40])
    names = 2 * 40 * 150 * len('"custom_fields.c100":"",')
    assert len(answer.body) < builder.MAX_CELLS * 1.1 + names


def test_who_may_not_import_builds_nothing(api: Api, stranger: Api, profile: str) -> None:
    token = access.issue_token(api.org, api.user, "t", scopes=["pages.import.manage"])
    visitor = Api(api.client, token, api.org, api.user)
    calls: list[tuple[str, str, Any]] = [
        ("GET", "builder/tables", None),
        ("POST", "builder/validate", CUSTOMERS),
        ("POST", "preview-query", CUSTOMERS),
        ("GET", "preview", None),
        ("POST", "queries", CUSTOMERS),
        ("DELETE", "queries/tickets", None),
        ("GET", "builder/suggestions", None),
    ]
    for method, path, body in calls:
        assert visitor.request(method, f"{profile}/{path}", body).status_code == 403
        answer = stranger.request(method, f"{profile}/{path}", body)
        assert (answer.status_code, answer.json_body["message"]) == (404, "Import profile not found")


def test_a_source_that_cannot_be_reached_is_told_as_such(api: Api, shop: Database) -> None:
    made = api.profile(**leading_to(shop) | {"password": "wrong"})
    path = f"/api/import/profiles/{made['id']}"
    for answer in (
        api.get(f"{path}/builder/tables"),
        api.post(f"{path}/builder/validate", CUSTOMERS),
        api.post(f"{path}/preview-query", CUSTOMERS),
        api.get(f"{path}/preview"),
        api.post(f"{path}/queries", CUSTOMERS),
        api.get(f"{path}/builder/suggestions"),
    ):
        assert answer.status_code == 422
        assert answer.json_body["connection_error"] == {
            "success": False,
            "message": "Connection failed: the server refused the login",
            "error": "Authentication failed",
        }


def test_nothing_is_written_and_no_query_runs_for_ever(
    api: Api, empty_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder.trials, "STATEMENT_SECONDS", 1)
    with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE log (at int); CREATE FUNCTION slow(x int) RETURNS int LANGUAGE plpgsql AS $$ "
                      "BEGIN INSERT INTO public.log VALUES (x); RETURN x; END $$; CREATE TABLE t (id int PRIMARY KEY); "
                      "INSERT INTO t SELECT generate_series(1, 20); "
                      "CREATE VIEW writes AS SELECT slow(id) AS id FROM t; "
                      "CREATE VIEW sleeps AS SELECT id, pg_sleep(1)::text AS s FROM t")  # fmt: skip
    path = f"/api/import/profiles/{api.profile(**leading_to(empty_db))['id']}"
    fields = [{"source": "id", "target": "external_id"}]
    answer = api.post(f"{path}/preview-query", {"base_table": "writes", "fields": fields})
    assert answer.json_body["errors"] == {
        "fields": ["The fields cannot be run by the database: the source cannot run the query (SQLSTATE 25006)."]
    }
    slow = [*fields, {"source": "s", "target": "x"}]
    answer = api.post(f"{path}/preview-query", {"base_table": "sleeps", "fields": slow})
    assert answer.json_body["errors"] == {
        "fields": ["The fields cannot be run by the database: the source took too long for a query."]
    }
    with psycopg.connect(empty_db.dsn) as admin:
        assert admin.execute("SELECT count(*) FROM log").fetchone() == (0,)


def test_the_schema_is_asked_once_and_read_anew_when_it_has_changed(
    api: Api, empty_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(text: str) -> None:
        with psycopg.connect(empty_db.dsn, autocommit=True) as admin:
            admin.execute(text.encode())

    change("CREATE TABLE t (id int PRIMARY KEY, old text)")
    path = f"/api/import/profiles/{api.profile(**leading_to(empty_db))['id']}"
    looked: list[int] = []
    schema = builder.connections.schema
    monkeypatch.setattr(builder.connections, "schema", lambda profile: looked.append(1) or schema(profile))
    body = {"base_table": "t", "fields": [{"source": "old", "target": "x"}]}
    assert api.post(f"{path}/builder/validate", body).json_body["valid"] is True
    assert api.post(f"{path}/preview-query", body).status_code == 200
    assert len(looked) == 1
    change("ALTER TABLE t RENAME old TO new")
    gone = api.post(f"{path}/builder/validate", body).json_body
    assert list(gone["fields"]) == ["fields.0.source"]
    assert len(looked) == 2, "PostgreSQL found the column gone"
    body = {"base_table": "t", "fields": [{"source": "new", "target": "x"}]}
    assert api.post(f"{path}/builder/validate", body).json_body["valid"] is True
    change("ALTER TABLE t ADD newer int")
    body = {"base_table": "t", "fields": [{"source": "newer", "target": "x"}]}
    assert api.post(f"{path}/builder/validate", body).json_body["valid"] is True
    assert len(looked) == 3, "a column that is not known may be new"
    monkeypatch.setattr(builder, "SECONDS", builder.connections.SCHEMA_SECONDS)
    change("ALTER TABLE t RENAME newer TO newest")
    assert list(api.post(f"{path}/builder/validate", body).json_body["fields"]) == ["fields.0.source"]
    assert len(looked) == 3, "a server that took its time is not asked once more: the gateway gives up after 29 s"


@pytest.mark.accepts("SV-085")
def test_a_schema_is_not_kept_for_longer_than_it_is_said(
    api: Api, empty_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = f"/api/import/profiles/{api.profile(**leading_to(empty_db))['id']}/builder/tables"
    assert api.get(tables).json_body["tables"] == []
    with psycopg.connect(empty_db.dsn) as admin:
        admin.execute("CREATE TABLE late (id int)")
    assert api.get(tables).json_body["tables"] == []
    monkeypatch.setattr(builder, "KEPT_SECONDS", 0)
    assert [table["name"] for table in api.get(tables).json_body["tables"]] == ["late"]


def test_secrets_and_host_are_in_no_answer(api: Api, profile: str, shop: Database) -> None:
    said = json.dumps([
        api.post(f"{profile}/builder/validate", changed(CUSTOMERS, "filters.0.value", "x")).json_body,
        api.post(f"{profile}/preview-query", changed(CUSTOMERS, "filters.0.value", "x")).json_body,
        api.get(f"{profile}/preview").json_body,
    ])  # fmt: skip
    assert shop.connection.password not in said


def test_more_tables_than_an_answer_carries_are_searched(
    api: Api, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.routes import builder as routes

    monkeypatch.setattr(routes, "MAX_COLUMNS", 15)
    answer = api.get(f"{profile}/builder/tables")
    assert answer.status_code == 422
    [said] = answer.json_body["errors"]["search"]
    assert said.endswith("columns, and 15 can be shown; search for less.")
    assert len(api.get(f"{profile}/builder/tables", search="emails").json_body["tables"]) == 1


@pytest.mark.accepts("SV-070", "SV-073")
def test_a_system_templates_queries_are_previewed_like_any(api: Api, freescout_db: Database) -> None:
    made = api.profile(**leading_to(freescout_db))
    apply(api, made["id"], timezone="Europe/Berlin")
    answer = api.get(f"/api/import/profiles/{made['id']}/preview", limit=3)
    assert answer.status_code == 200
    assert set(answer.json_body) >= {"accounts", "agents", "customer_users", "tickets", "ticket_notes"}
    for name, part in answer.json_body.items():
        assert part["errors"] == {}, name
        assert len(part["sample_data"]) == 3, name
        assert part["query"]["sql"].startswith(("SELECT", "WITH")), name
        assert part["query"]["estimated_count"] > 0
        assert set(part["field_mapping"]) == set(part["sample_data"][0])


def test_another_products_database_is_told_as_such(api: Api, shop: Database) -> None:
    made = api.profile(**leading_to(shop))
    path = f"/api/import/profiles/{made['id']}"
    apply(api, made["id"])
    answer = api.get(f"{path}/preview")
    assert (answer.status_code, list(answer.json_body["errors"])) == (422, ["template_id"])
    told = answer.json_body["errors"]
    assert told["template_id"][0].startswith("this is no FreeScout database: it has no ")
    assert api.post(f"{path}/queries", CUSTOMERS).status_code == 200
    for asked in ({}, {"query_type": "tickets"}):
        answer = api.get(f"{path}/preview", **asked)
        assert (answer.status_code, answer.json_body["code"]) == (422, "query_invalid")
        assert answer.json_body["errors"] == told, "a saved query does not save the import"
    stored = profiles.get(api.org, made["id"])
    with pytest.raises(Fatal) as ended:
        configured.queries(stored, connections.schema(stored))
    assert told == {"template_id": [f"{ended.value.message}."]}, "as the run ends"
    shown = api.get(f"{path}/preview", query_type="customer_users").json_body
    assert (list(shown), shown["customer_users"]["errors"]) == (["customer_users"], {})
    assert len(shown["customer_users"]["sample_data"]) == 10


LIED = "The fields cannot be run by the database: the server did not answer like PostgreSQL."

PLANS = [
    b'[{"Plan": {"Plan Rows": Infinity}}]',
    b'[{"Plan": {"Plan Rows": 1e400}}]',
    b'[{"Plan": {"Plan Rows": "many"}}]',
    b'[{"Plan": {}}]',
    b"[" * 20_000,
    b"5",
    None,
]


@pytest.mark.parametrize(
    "lie",
    [*(valued(b"EXPLAIN", 0, plan) for plan in PLANS), one_more(b"LIMIT"), valued(b"format_type(o", 1, None)],
)
def test_a_server_that_lies_of_a_query_is_told_as_such(lie: Lie, api: Api, shop: Database) -> None:
    with server(lying(shop.connection.port, lie)) as here:
        made = api.profile(**leading_to(shop) | {"host": here.host, "port": here.port, "ssl_mode": "disable"})
        path = f"/api/import/profiles/{made['id']}"
        query = ORDERS | {"fields": [*ORDERS["fields"], {"source": "state", "target": "custom_fields.state"}]}
        answer = api.post(f"{path}/builder/validate", query)
        assert (answer.status_code, answer.json_body["errors"]) == (200, [LIED])
        assert (answer.json_body["valid"], answer.json_body["columns"]) == (False, {})
        for route in ("preview-query", "queries"):
            answer = api.post(f"{path}/{route}", query)
            assert (answer.status_code, answer.json_body["errors"]) == (422, {"fields": [LIED]})


@pytest.mark.parametrize(
    "lie",
    [
        valued(b"pg_table_is_visible", 2, b"5", kind=20),
        valued(b"pg_table_is_visible", 2, b"same"),
        valued(b"pg_table_is_visible", 4, b"t", kind=16),
        valued(b"array_to_json", 5, b"5"),
        valued(b"array_to_json", 5, b"[" * 20_000),
    ],
)
def test_a_server_that_lies_of_its_tables_is_told_as_such(lie: Lie, api: Api, shop: Database) -> None:
    with server(lying(shop.connection.port, lie)) as here:
        made = api.profile(**leading_to(shop) | {"host": here.host, "port": here.port, "ssl_mode": "disable"})
        path = f"/api/import/profiles/{made['id']}"
        for answer in (
            api.get(f"{path}/builder/tables", search="x"),
            api.get(f"{path}/builder/suggestions"),
            api.get(f"{path}/schema"),
            api.post(f"{path}/builder/validate", CUSTOMERS),
            api.post(f"{path}/preview-query", CUSTOMERS),
        ):
            assert (answer.status_code, answer.json_body["code"]) == (422, "source_protocol")
            assert answer.json_body["connection_error"]["error"] == "the server did not answer like PostgreSQL"


def test_a_count_of_sixty_digits_is_a_failed_test_that_can_be_kept(api: Api, shop: Database) -> None:
    with server(lying(shop.connection.port, valued(b"pg_size_pretty", 2, b"9" * 60))) as here:
        made = api.profile(**leading_to(shop) | {"host": here.host, "port": here.port, "ssl_mode": "disable"})
        answer = api.post(f"/api/import/profiles/{made['id']}/test-connection")
    assert answer.json_body["connection_test"]["success"] is False
    assert answer.json_body["connection_test"]["error"] == "the server did not answer like PostgreSQL"
    kept = api.get(f"/api/import/profiles/{made['id']}").json_body
    assert kept["last_test_result"]["success"] is False
