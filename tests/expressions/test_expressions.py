"""Names, kinds and words: what an expression is taken for, and what a person reads when it is refused."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from chalicelib import expressions, messages
from chalicelib.expressions import Table, Unfit, allowed

CUSTOMERS = Table(
    "c",
    {"id": "integer", "first_name": "text", "Status": "text", "status": "text", "vip": "boolean"},
    "crm",
    "customers",
)
EMAILS = Table("emails", {"id": "integer", "email": "text", "customer_id": "integer"}, "crm", "emails")
UNKNOWN = Table("orders", None, None, "orders")


def said(text: str, *tables: Table, as_a: str = "value") -> str:
    """The sentence a person reads."""
    with pytest.raises(Unfit) as refused:
        getattr(expressions, as_a)(text, tables or (CUSTOMERS, EMAILS))
    return messages.sentence(refused.value.kind, "fields.0.source", **refused.value.values)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("c.first_name", '"c"."first_name"'),
        ("customers.first_name", '"c"."first_name"'),
        ("crm.customers.first_name", '"c"."first_name"'),
        ("CRM.Customers.FIRST_NAME", '"c"."first_name"'),
        ("first_name", '"c"."first_name"'),
        ("Status", '"c"."Status"'),
        ("status", '"c"."status"'),
        ("STATUS", '"c"."status"'),
        ('"Status"', '"c"."Status"'),
        ("email", '"emails"."email"'),
        ("CONCAT(c.first_name, ' ', Email)", """concat("c"."first_name", ' ', "emails"."email")"""),
        ("ROUND(c.id / 60)", 'round("c"."id" / 60)'),
        ("CAST(c.id AS VARCHAR(10))", 'CAST("c"."id" AS varchar(10))'),
        ("c.id::INT8", '"c"."id"::bigint'),
        ("c.id != 1", '"c"."id" <> 1'),
    ],
)
def test_every_name_is_a_quoted_column(text: str, written: str) -> None:
    assert expressions.value(text, [CUSTOMERS, EMAILS]).sql == written


def test_says_which_columns_it_reads() -> None:
    checked = expressions.condition("emails.customer_id = c.id AND Email <> ''", [CUSTOMERS, EMAILS])
    assert checked.columns == {("emails", "customer_id"), ("c", "id"), ("emails", "email")}


def test_a_name_with_quotation_marks_stays_one_name() -> None:
    table = Table('a"b', {'c";--': "text"}, None, 'a"b')
    assert expressions.value('"c"";--"', [table]).sql == '"a""b"."c"";--"'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("orders.anything", '"orders"."anything"'),
        ("whatever", '"orders"."whatever"'),
        ("first_name", '"c"."first_name"'),
        ("orders.Total", '"orders"."Total"'),
    ],
)
def test_without_a_schema_any_columns_name_is_taken(text: str, written: str) -> None:
    assert expressions.value(text, [UNKNOWN, CUSTOMERS]).sql == written


@pytest.mark.parametrize("text", ["ctid", "orders.xmin", "now()", "current_date", "user", "orders.*", "pg_sleep(1)"])
def test_without_a_schema_no_more_than_columns_is_taken(text: str) -> None:
    with pytest.raises(Unfit):
        expressions.value(text, [UNKNOWN])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "c.first_nam",
            "The fields.0.source names first_nam, which c does not have; did you mean first_name?",
        ),
        ("c.zzz", "The fields.0.source names zzz, which c does not have."),
        ("zzz", "The fields.0.source names zzz, which no table of the query has."),
        ("id", "The fields.0.source names id, which c and emails have; the table's name before it says which."),
        ("pets.name", "The fields.0.source names the table pets, which the query does not read."),
        (
            "lower(pg_read_file('/etc/passwd'))",
            "The fields.0.source calls pg_read_file, which is not among the allowed functions.",
        ),
        ("count(*)", "The fields.0.source calls count, which works on many rows; it may look at one row alone."),
        ("now()", "The fields.0.source uses now, which is different at every run."),
        ("'secret'::regclass", "The fields.0.source casts to regclass, which is not among the allowed types."),
        (
            "first_name SIMILAR TO 'x'",
            "The fields.0.source uses the operator SIMILAR TO, which is not among the allowed operators.",
        ),
        (
            "repeat(first_name, 5000)",
            "The fields.0.source calls repeat, whose argument 2 must be a whole number up to 1000.",
        ),
        (
            "first_name ~ '(a+)+'",
            "The fields.0.source has a regular expression with a repetition of a repetition, which is not allowed.",
        ),
        (
            "public.leak(first_name)",
            "The fields.0.source calls public.leak; a function is called by its plain name, without schema or quotes.",
        ),
        ("left(first_name)", "The fields.0.source calls left with 1 arguments; it takes 2."),
        ("(SELECT 1)", "The fields.0.source has a query in it; it may look at the row's own columns alone."),
        ("vip = NOT vip", "The fields.0.source can be read in two ways at =; brackets would say which."),
    ],
)
def test_says_what_is_wrong_and_where(text: str, sentence: str) -> None:
    assert said(text) == sentence


def test_a_name_is_repeated_as_far_as_a_name_can_be_long() -> None:
    assert said('"' + "x" * 4_000 + '"') == (
        "The fields.0.source names " + "x" * 63 + ", which no table of the query has."
    )


def test_of_a_table_that_is_read_twice_the_alias_is_asked_for() -> None:
    twice = [
        Table("first", {"id": "integer"}, "crm", "customers"),
        Table("second", {"id": "integer"}, "crm", "customers"),
    ]
    assert said("customers.id", *twice) == (
        "The fields.0.source names the table customers, which the query reads more than once; use its alias."
    )


@pytest.mark.parametrize(
    "text", ["vip", "c.id = 1", "NOT vip", "c.id IN (1)", "first_name LIKE 'a'", "coalesce(vip, false)"]
)
def test_takes_conditions(text: str) -> None:
    expressions.condition(text, [CUSTOMERS, EMAILS])


@pytest.mark.parametrize(
    "text", ["1", "'true'", "c.id + 1", "first_name || 'a'", "lower(first_name)", "c.id::text", "NULL"]
)
def test_a_condition_can_be_true_or_false(text: str) -> None:
    assert said(text, as_a="condition") == "The fields.0.source must be a condition, true or false for each row."


def test_one_column_is_no_calculation() -> None:
    assert expressions.column("c.id", [CUSTOMERS]).sql == '"c"."id"'
    for text in ("c.id + 1", "lower(first_name)", "(c.id)", "1"):
        assert said(text, as_a="column") == "The fields.0.source must be one column, without a calculation."


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("c.first_name", "column"),
        ("CASE WHEN vip THEN 1 END", "case"),
        ("(CASE c.id WHEN 1 THEN 2 END)::text", "case"),
        ("ROUND(duration_seconds / 60)", "math"),
        ("(a + 1)::integer", "math"),
        ("-a", "math"),
        ("(c.first_name)", "other"),
        ("c.first_name::text", "other"),
        ("CONCAT(a, b)", "other"),
        ("a || b", "other"),
        ("'x'", "other"),
    ],
)
def test_tells_kinds_apart(text: str, kind: str) -> None:
    assert expressions.kind_of(text) == kind


def test_depth_is_refused_however_deep_the_caller_is() -> None:
    deepest = "(" * 20 + "c.id" + ")" * 20

    def below(frames: int) -> str:
        return expressions.value(deepest, [CUSTOMERS]).sql if not frames else below(frames - 1)

    assert below(250) == "(" * 20 + '"c"."id"' + ")" * 20


def test_who_reads_no_expression_pays_for_no_parser() -> None:
    code = "import sys, chalicelib.expressions; print('sqlglot' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_every_function_that_makes_a_text_is_known_to(reading: psycopg.Connection) -> None:
    """Else a clock's word could be put together by it, and cast to a time."""
    kinds = "'text', 'text[]', 'json', 'jsonb'"
    query = f"SELECT DISTINCT proname FROM pg_proc WHERE prorettype::regtype::text IN ({kinds}) AND pronargs > 0"
    made = {name for (name,) in reading.execute(query.encode())} & allowed.FUNCTIONS.keys()
    assert allowed.FUNCTIONS.keys() >= allowed.TEXTUAL == (made - {"chr"}) | {"trim"}
