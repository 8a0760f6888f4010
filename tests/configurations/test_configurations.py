"""Query configurations: which table a spelling means, what is refused and how, and what becomes of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import configurations, sql, tables
from chalicelib.configurations import Query
from chalicelib.errors import Fatal


def table(name: str, *columns: str, namespace: str = "public", **more: Any) -> dict[str, Any]:
    """A table as the catalogue tells of it; one outside public is found by its schema alone. "id*" is never null."""
    found = []
    for column in columns:
        word, _, kind = column.partition(":")
        found.append({"name": word.rstrip("*"), "type": kind or "integer", "nullable": not word.endswith("*")})
    outside = {} if namespace == "public" else {"schema": namespace}
    keys = {"primary_key": [], "unique_keys": [], "indexed": []}
    return {
        "name": name,
        "namespace": namespace,
        **outside,
        "kind": "table",
        "row_count": 0,
        "columns": found,
        **keys,
    } | more


SCHEMA: dict[str, Any] = {
    "tables": [
        table("orders", "id*", "customer_id", "Total:numeric", "body:text", primary_key=["id"]),
        table("customers", "tenant*", "id*", "name:text", "boss_id", primary_key=["tenant", "id"]),
        table("Mixed Case", "id*", "The Name:text", unique_keys=[["id"]]),
        table("a.b", "id"),
        table("b", "id", namespace="a"),
        table("orders", "id*", "note:text", namespace="sales"),
        table("things", "id", namespace="s1"),
        table("things", "id", namespace="s2"),
        table("Folded", "id", namespace="s1"),
        table("folded", "id", namespace="s2"),
    ]
}


@pytest.mark.parametrize(
    ("text", "namespace", "name"),
    [
        ("orders", "public", "orders"),
        ("ORDERS", "public", "orders"),
        ("public.orders", "public", "orders"),
        ("sales.orders", "sales", "orders"),
        ('"sales"."orders"', "sales", "orders"),
        ("Sales . Orders", "sales", "orders"),
        ("Mixed Case", "public", "Mixed Case"),
        ('"Mixed Case"', "public", "Mixed Case"),
        ('public."Mixed Case"', "public", "Mixed Case"),
        ("a.b", "public", "a.b"),
        ('"a.b"', "public", "a.b"),
        ('"a"."b"', "a", "b"),
        ("b", "a", "b"),
        ("Folded", "s1", "Folded"),
        ("FOLDED", "s2", "folded"),
    ],
)
def test_a_table_is_found_by_its_spelling(text: str, namespace: str, name: str) -> None:
    found = tables.find(text, SCHEMA)
    assert (found.namespace, found.name) == (namespace, name)
    assert found.schema == (None if namespace == "public" else namespace)


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("order", "unknown_table", {"nearest": "; did you mean orders?"}),
        ("xyzzy", "unknown_table", {"nearest": "."}),
        ("mixed case", "unknown_table", {"nearest": '; did you mean "Mixed Case"?'}),
        ("nowhere.orders", "unknown_table", {"nearest": "; did you mean sales.orders?"}),
        ("things", "ambiguous_table", {"tables": "s1.things, s2.things"}),
        ("(SELECT 1)", "unknown_table", {"nearest": "."}),
    ],
)
def test_a_spelling_that_means_no_table_or_several(text: str, kind: str, values: dict[str, str]) -> None:
    with pytest.raises(tables.Unknown) as unknown:
        tables.find(text, SCHEMA)
    assert (unknown.value.kind, unknown.value.values) == (kind, values)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [("cases", None, "cases"), ("Cases", None, "Cases"), ("s.T", "s", "T"), ('"a ""b"."c.d"', 'a "b', "c.d")],
)
def test_without_a_database_a_spelling_is_taken_at_its_word(text: str, schema: str | None, name: str) -> None:
    found = tables.find(text, None)
    assert (found.schema, found.name, found.columns) == (schema, name, None)


@pytest.mark.parametrize("text", ["", "a b", "a.b.c", "a;b", '"a', "(SELECT 1)", "a--", f"{'é' * 32}"])
def test_without_a_database_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(tables.Unknown) as unknown:
        tables.find(text, None)
    assert unknown.value.kind == "no_table"


def query(**parts: Any) -> Query:
    return Query.model_validate({"base_table": "orders", "fields": [{"source": "orders.id", "target": "x"}]} | parts)


def built(**parts: Any) -> sql.Query:
    found = configurations.compiled(query(**parts), None, "", SCHEMA)
    assert found.query, found.faults
    return found.query


def faults(**parts: Any) -> dict[str, list[str]]:
    return configurations.compiled(query(**parts), None, "", SCHEMA).faults


def test_the_key_is_the_tables_own_unless_another_is_asked_for() -> None:
    whole = [{"source": "id", "target": "x"}]
    assert built().key == ['"orders"."id"']
    assert built(base_table="customers", fields=whole).key == ['"customers"."tenant"', '"customers"."id"']
    assert built(base_table="Mixed Case", fields=whole).key == ['"Mixed Case"."id"'], "a unique key without nulls"
    assert built(base_table='"a"."b"', fields=whole).key == []
    assert built(key="customer_id").key == ['"orders"."customer_id"']
    assert built(key=["customer_id", "orders.id"]).key == ['"orders"."customer_id"', '"orders"."id"']
    assert list(faults(key=["customer_id", "id + 1"])) == ["key.1"]


def test_tables_of_one_name_are_kept_apart() -> None:
    found = built(
        joins=[
            {"table": "sales.orders", "on": "sales.orders.id = public.orders.id"},
            {"table": "customers", "on": "customers.id = customer_id"},
            {"type": "FULL", "table": "customers", "alias": "boss", "leftColumn": "customers.boss_id",
             "rightColumn": "id", "condition": "boss.name <> ''"},
        ],
        fields=[{"source": "sales.orders.note", "target": "x"}, {"source": "note", "target": "y"}],
    )  # fmt: skip
    assert [(join.type, join.table_schema, join.table, join.alias, join.on) for join in found.joins] == [
        ("LEFT", "sales", "orders", "sales.orders", '"sales.orders"."id" = "orders"."id"'),
        ("LEFT", "public", "customers", None, '"customers"."id" = "orders"."customer_id"'),
        ("FULL", "public", "customers", "boss", '"customers"."boss_id" = "boss"."id"'),
    ]
    assert found.joins[2].condition == '"boss"."name" <> \'\''
    assert [one.source for one in found.fields] == ['"sales.orders"."note"'] * 2
    assert (found.base_schema, found.origin, found.closed) == ("public", "orders", True)
    assert built(base_table="sales.orders", fields=[{"source": "note", "target": "x"}]).origin == "sales.orders"
    assert built(base_table='"a.b"', fields=[{"source": "id", "target": "x"}]).origin == '"a.b"', "not table b of a"


@pytest.mark.parametrize(
    ("parts", "field", "said"),
    [
        ({"base_table": "order"}, "base_table", "The base_table is no table of the database; did you mean orders?"),
        ({"base_table": "things"}, "base_table", "The base_table may be one of several tables: s1.things, s2.things."),
        (
            {"joins": [{"table": "customers", "on": "true"}, {"table": "customers", "on": "true"}]},
            "joins.1.table",
            "The joins.1.table brings a second customers; give it an alias of its own.",
        ),
        (
            {"joins": [{"table": "customers", "alias": "orders", "on": "true"}]},
            "joins.0.alias",
            "The joins.0.alias brings a second orders; give it an alias of its own.",
        ),
        ({"joins": [{"table": "customers"}]}, "joins.0.on", "The joins.0.on field is required."),
        (
            {"joins": [{"table": "customers", "rightColumn": "id"}]},
            "joins.0.leftColumn",
            "The joins.0.leftColumn field is required.",
        ),
        (
            {"joins": [{"table": "customers", "leftColumn": "customer_id", "rightColumn": "id", "on": "true"}]},
            "joins.0.on",
            "The joins.0.on cannot stand beside leftColumn and rightColumn.",
        ),
        (
            {"fields": [{"source": "orders.id", "target": "x", "transformation": "math"}]},
            "fields.0.transformation",
            "The fields.0.transformation math needs an arithmetic expression as source.",
        ),
        (
            {"fields": [{"source": "orders.id + 1", "target": "x", "transformation": "direct"}]},
            "fields.0.transformation",
            "The fields.0.transformation direct needs one column as source; an expression is custom.",
        ),
        (
            {"filters": [{"field": "orders.id", "operator": "IN", "value": 1}]},
            "filters.0.value",
            "The filters.0.value does not fit the operator IN.",
        ),
        (
            {"filters": [{"field": "orders.id", "operator": "IS NULL", "value": 1}]},
            "filters.0.value",
            "The filters.0.value does not fit the operator IS NULL.",
        ),
    ],
)
def test_a_fault_names_its_field_and_the_reason(parts: dict[str, Any], field: str, said: str) -> None:
    assert faults(**parts) == {field: [said]}


def test_all_faults_are_told_at_once_and_a_missing_table_only_once() -> None:
    found = faults(
        joins=[{"table": "nowhere", "on": "nowhere.id = orders.id"}],
        fields=[{"source": "nowhere.x", "target": "x"}, {"source": "pg_sleep(1)", "target": "x"}],
    )
    assert set(found) == {"joins.0.table", "fields.1.source", "fields.1.target"}


@pytest.mark.accepts("SV-065", "SV-086", "SV-087", "SV-088", "SV-089")
def test_the_references_four_transformations_hold_what_they_say() -> None:
    fields = [
        {"source": "customers.email", "target": "email", "transformation": "direct"},
        {"source": "CONCAT(first_name, ' ', last_name)", "target": "name", "transformation": "custom"},
        {
            "source": "CASE WHEN status = 1 THEN 'open' WHEN status = 2 THEN 'pending' ELSE 'closed' END",
            "target": "status",
            "transformation": "case_when",
        },
        {"source": "ROUND(duration_seconds / 60)", "target": "duration", "transformation": "math"},
        {"source": "id", "target": "external_id", "transformation": None},
    ]
    columns = ("id*", "email:text", "first_name:text", "last_name:text", "status", "duration_seconds")
    schema = {"tables": [table("customers", *columns)]}
    written = Query.model_validate({"base_table": "customers", "fields": fields})
    found = configurations.compiled(written, None, "", schema)
    assert found.query, found.faults
    assert [(one.source, one.target, one.transformation) for one in found.query.fields] == [
        ('"customers"."email"', "email", None),
        ('concat("customers"."first_name", \' \', "customers"."last_name")', "name", None),
        (
            'CASE WHEN "customers"."status" = 1 THEN \'open\' WHEN "customers"."status" = 2 THEN \'pending\' '
            "ELSE 'closed' END",
            "status",
            None,
        ),
        ('round("customers"."duration_seconds" / 60)', "duration", None),
        ('"customers"."id"', "external_id", None),
    ]
    kinds = ("direct", "custom", "case_when", "math")
    refused = {
        (place, kind)
        for place, one in enumerate(fields)
        for kind in kinds
        if configurations.compiled(
            Query.model_validate({"base_table": "customers", "fields": [one | {"transformation": kind}]}),
            None,
            "",
            schema,
        ).faults
    }
    assert refused == {
        (0, "case_when"), (0, "math"), (1, "direct"), (1, "case_when"), (1, "math"), (2, "direct"), (2, "math"),
        (3, "direct"), (3, "case_when"), (4, "case_when"), (4, "math"),
    }  # fmt: skip


def test_long_texts_are_measured_so_that_chunks_stay_small() -> None:
    assert built().width is None
    found = built(fields=[{"source": "UPPER(body)", "target": "x"}, {"source": "id", "target": "y"}])
    assert found.width == 'coalesce(octet_length("orders"."body"), 0)'


def test_a_query_that_no_longer_fits_the_source_stops_its_job_by_name() -> None:
    changed = {"base_table": "orders", "fields": [{"source": "orders.gone", "target": "external_id"}]}
    with pytest.raises(Fatal) as fatal:
        configurations.read(changed, "accounts", SCHEMA)
    assert fatal.value.code == "source_changed"
    assert "The query of accounts does not fit the source: The fields.0.source" in fatal.value.message
    fields = [{"source": "orders.id", "target": "external_id"}, {"source": "now()::text", "target": "name"}]
    with pytest.raises(Fatal) as fatal:
        configurations.read({"base_table": "orders", "fields": fields}, "accounts", SCHEMA)
    assert fatal.value.code == "query_invalid"


def test_a_misspelt_name_is_compared_with_the_likeliest_of_tens_of_thousands() -> None:
    """What is counted is names compared, not seconds: each takes a tenth of a millisecond."""
    import difflib
    from unittest import mock

    columns = [f"column_number_{number}_of_table" for number in range(1_500)]
    wide = {"tables": [table(f"wide_{place}", "id*", *columns, primary_key=["id"]) for place in range(21)]}
    joins = [{"table": f"wide_{place}", "on": "true"} for place in range(1, 21)]
    fields = [{"source": "colum_number_77_of_table", "target": "email"}]
    query = Query.model_validate({"base_table": "wide_0", "joins": joins, "fields": fields})
    with mock.patch(
        "difflib.SequenceMatcher.set_seq1", autospec=True, side_effect=difflib.SequenceMatcher.set_seq1
    ) as seen:
        found = configurations.compiled(query, None, "", wide)
    assert found.faults["fields.0.source"] == [
        "The fields.0.source names colum_number_77_of_table, which no table of the query has; "
        "did you mean column_number_77_of_table?"
    ]
    assert seen.call_count <= 300 + 1  # the one is of making the matcher
