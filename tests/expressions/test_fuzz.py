"""Whatever is let through, of expressions made by chance from good and hostile parts, does nothing but read its row."""

from __future__ import annotations

import random
import re

import psycopg
import pytest

from chalicelib import expressions, messages
from chalicelib.expressions import Table, Unfit
from tests.conftest import Database
from tests.expressions import oracle
from tests.expressions.conftest import CANARY
from tests.expressions.good import GOOD
from tests.expressions.hostile import HOSTILE

TEXTS = [(known[0], text) for known, texts in GOOD.items() if len(known) == 1 for text in texts]
PARTS = [text for found in HOSTILE.values() for _, text in found if len(text) < 200]
SIGNS = sorted(
    oracle.words(
        """( ) [ ] , . :: ; -- /* */ ' " || + - * / % ^ < > = <> ~ !~ -> ->> #>> @> && & ? :x $1 %s {{ }} \\ $$ E' U&'
        NOT AND OR IS NULL IN LIKE BETWEEN CASE WHEN THEN ELSE END AS FROM SELECT ANY ALL ARRAY CAST 1 0 'a' now() ctid
        secrets.secret *"""
    )
)
_WORD = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\w+|\s+|.", re.DOTALL)


def composed(chance: random.Random, table: str) -> str:
    """Two good expressions as one, without care for brackets or types."""
    first, second = (chance.choice([text for name, text in TEXTS if name == table]) for _ in range(2))
    shape = chance.choice(
        ["{} {} {}", "({}) {} ({})", "coalesce({0}, {2})", "CASE WHEN {0} THEN {2} END", "lower({0})"]
    )
    return shape.format(
        first, chance.choice(["=", "||", "+", "AND", "OR", "~", "IS DISTINCT FROM", "IN", "->>"]), second
    )


def mutated(chance: random.Random) -> tuple[str, str]:
    """A good expression, or two, and then often a change or two, most with a part that is no good."""
    table, text = chance.choice(TEXTS)
    if chance.random() < 0.5:
        text = composed(chance, table)
    for _ in range(chance.choice([0, 1, 1, 2])):
        words = _WORD.findall(text)
        place = chance.randrange(len(words) + 1)
        match chance.randrange(8):
            case 0:
                words.insert(place, f" {chance.choice(SIGNS)} ")
            case 1:
                words.insert(place, chance.choice(PARTS))
            case 2:
                words[place : place + 1] = [chance.choice(PARTS)]
            case 3:
                words[place : place + chance.randint(1, 3)] = []
            case 4:
                words[place : place + 1] = _WORD.findall(chance.choice(PARTS))[:4]
            case 5:
                words.insert(place, chance.choice("\0\n\t\u00a0\u200b\u202e\ud800'\"\\é"))
            case 6:
                start = chance.randrange(len(words) + 1)
                words[place:place] = words[start : start + chance.randint(1, 6)]
            case _:
                words = [f"{chance.choice(['lower', 'length', 'coalesce', 'leak', 'pg_sleep'])}(", *words, ")"]
        text = "".join(words)
    return table, text


def answered(session: psycopg.Connection, text: str, table: Table) -> list[str | None] | psycopg.Error:
    """What an expression is for every row."""
    try:
        found = session.execute(f'SELECT ({text})::text FROM public."{table.name}" ORDER BY "id"'.encode())
        return [value for (value,) in found]
    except psycopg.Error as error:
        return error


def check(text: str, table: Table, session: psycopg.Connection, reading: psycopg.Connection) -> bool:
    """Hold what the guard lets through against what PostgreSQL says of it; True when it can be run."""
    try:
        checked = expressions.value(text, [table])
    except Unfit:
        return False
    assert oracle.strangers(checked.sql, {table.known_as, *(table.columns or ())}) == [], text
    assert checked.columns <= {(table.known_as, name) for name in table.columns or ()}
    assert expressions.value(checked.sql, [table]).sql == checked.sql, text
    values = answered(reading, checked.sql, table)
    before = answered(reading, text, table)
    if isinstance(before, list):  # in the schema's own case, without quotes, PostgreSQL would not find a name
        assert values == before, f"{text!r} means something else as {checked.sql!r}"
    if isinstance(values, psycopg.Error):  # of values and types: no time-out, no full memory, no missing right
        harmless = (values.sqlstate or "")[:2] in ("22", "42", "0A") and values.sqlstate != "42501"
        assert harmless, f"{values.sqlstate} {values}: {text}"
        return False
    assert CANARY not in str(values), text
    assert oracle.faults(session, checked.sql, f"public.{table.name}") == [], text
    return True


def run(
    chance: random.Random, times: int, shop: Database, tables: dict[str, Table], reading: psycopg.Connection
) -> int:
    reading.execute("SET search_path = pg_catalog; SET statement_timeout = '5s'")
    with psycopg.connect(shop.dsn) as session:
        session.execute("SET search_path = pg_catalog")
        session.commit()
        return sum(
            check(text, tables[table], session, reading) for table, text in (mutated(chance) for _ in range(times))
        )


def test_what_is_let_through_does_no_more_than_read_its_row(
    shop: Database, tables: dict[str, Table], reading: psycopg.Connection, generator: random.Random
) -> None:
    assert run(generator, 600, shop, tables, reading) >= 30


@pytest.mark.exhaustive
def test_twenty_thousand_do_no_more_than_read_their_row(
    shop: Database, tables: dict[str, Table], reading: psycopg.Connection, generator: random.Random
) -> None:
    assert run(generator, 20_000, shop, tables, reading) >= 1_000


@pytest.mark.parametrize(("table", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_what_good_expressions_call_is_on_the_list(
    table: str, text: str, shop: Database, tables: dict[str, Table]
) -> None:
    with psycopg.connect(shop.dsn) as session:
        session.execute("SET search_path = pg_catalog")
        session.commit()
        written = expressions.value(text, [tables[table]]).sql
        assert oracle.strangers(written, {table, *(tables[table].columns or ())}) == []
        assert oracle.faults(session, written, f"public.{table}") == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("(SELECT secret FROM public.secrets)", "reads public.secrets"),
        ("planted.leak(first_name)", "calls leak"),
        ("pg_sleep(1)::text", "calls pg_sleep"),
        ("nextval('public.customers_id_seq')", "calls nextval"),
        ("set_config('a.b', 'c', false)", "calls set_config"),
        ("pg_read_file('/etc/passwd')", "calls pg_read_file"),
        ("first_name OPERATOR(planted.||) last_name", "calls joined"),
        ("current_user", "holds SQLVALUEFUNCTION"),
        ("count(*)", "holds AGGREF"),
        ("company::public.postcode", "holds COERCETODOMAIN"),
        ("soundslike(company)", None),
    ],
)
def test_the_oracle_sees_what_the_guard_must_refuse(expression: str, fault: str | None, shop: Database) -> None:
    with psycopg.connect(shop.dsn) as session:
        session.execute("SET search_path = pg_catalog")
        session.commit()
        if fault:
            assert fault in oracle.faults(session, expression, "public.customers")
        else:
            with pytest.raises(psycopg.Error):
                oracle.faults(session, expression, "public.customers")


@pytest.mark.parametrize("text", ["1; 2", "1 -- x", "1 /* x */", '"secret"', "pg_sleep(1)", "$1", "a.b", "x'1f'"])
def test_the_second_reader_sees_what_does_not_belong(text: str) -> None:
    assert oracle.strangers(text, {"id"}) != []


MORE_WORDS = sorted(
    oracle.words(
        """TABLE VALUES WITH OVER FILTER WITHIN GROUP BY ORDER LIMIT UNION DISTINCT SIMILAR COLLATE OPERATOR ( OVERLAPS
        XML JSON_VALUE STRUCT MAP { } UNNEST LATERAL PIVOT USING ON SET NEXT VALUE FOR IF VARIADIC INTERVAL DATE
        ROW EXISTS ISNULL NOTNULL ESCAPE SYMMETRIC UESCAPE TRY_CAST CONVERT DECODE GLOB XOR DIV => := ** ?? ?| #- @@ <->
        ~~ !~~ <=> == !! ` # \u00a0 \u212a é 1e5 0x1F .5 1. N'a' B'1' X'1' u&"a" $a$b$a$ public. "id" '' "" """
    )
)


ALL_WORDS = [*SIGNS, *_WORD.findall(" ".join(text for _, text in TEXTS)), *oracle.PLAIN, *oracle.FUNCTIONS, *MORE_WORDS]
"""Words and signs of every kind."""


def soup(chance: random.Random) -> str:
    """Some of them in any order."""
    glue = chance.choice(["", " ", " ", "."])
    return glue.join(chance.choice(ALL_WORDS) for _ in range(chance.randint(1, 12)))


def unbroken(chance: random.Random, times: int, table: Table) -> None:
    said = set()
    for _ in range(times):
        text = soup(chance)
        try:
            expressions.condition(text, [table])
            expressions.kind_of(text)
        except Unfit as unfit:
            said.add(messages.sentence(unfit.kind, "field", **unfit.values))
        except Exception as error:
            raise AssertionError(f"{text!r} breaks the guard") from error
    assert "The field is invalid." not in said  # a kind without a sentence


def test_no_text_breaks_the_guard(tables: dict[str, Table], generator: random.Random) -> None:
    unbroken(generator, 1_500, tables["customers"])


@pytest.mark.exhaustive
def test_no_text_of_a_hundred_thousand_breaks_the_guard(tables: dict[str, Table], generator: random.Random) -> None:
    unbroken(generator, 100_000, tables["customers"])
