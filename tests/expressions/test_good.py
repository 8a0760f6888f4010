"""What real mappings say is accepted, and means on PostgreSQL what it meant before."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql as composed

from chalicelib import expressions
from chalicelib.expressions import Table
from tests.expressions.good import GOOD

CASES = [(known, text) for known, texts in GOOD.items() for text in texts]


def rows(session: psycopg.Connection, known: tuple[str, ...], text: str) -> list[str | None] | str:
    """The value of an expression for every row; PostgreSQL's complaint when it has one."""
    names = composed.SQL(", ").join(map(composed.Identifier, known))
    order = composed.SQL(", ").join(composed.Identifier(name, "id") for name in known)
    query = composed.SQL("SELECT ({})::text FROM {} ORDER BY {}").format(composed.SQL(text), names, order)
    try:
        return [value for (value,) in session.execute(query)]
    except psycopg.Error as error:
        return f"{error.sqlstate} {error.diag.message_primary}"


def as_postgres_names_it(text: str) -> str:
    """Spellings that are ours: the schema's own case without quotes, a column that is a keyword without its quotes."""
    return {"userId": '"userId"', "größe * 2": '"größe" * 2'}.get(text, text)


@pytest.mark.parametrize(("known", "text"), CASES, ids=[text for _, text in CASES])
def test_means_the_same_before_and_after(
    known: tuple[str, ...], text: str, tables: dict[str, Table], reading: psycopg.Connection
) -> None:
    written = rows(reading, known, as_postgres_names_it(text))
    assert isinstance(written, list), f"no example: {written}"
    reading.execute("SET search_path = pg_catalog, public")
    assert rows(reading, known, expressions.value(text, [tables[name] for name in known]).sql) == written


SHADOWED = ["lower(first_name)", "first_name || last_name", "upper(last_name) = last_name"]
"""Over varchar, which a function for varchar fits better than PostgreSQL's own for text."""


@pytest.mark.parametrize("text", SHADOWED)
def test_with_postgres_own_names_alone_nothing_planted_is_called(
    text: str, tables: dict[str, Table], reading: psycopg.Connection
) -> None:
    written = expressions.value(text, [tables["customers"]]).sql
    query = f"SELECT {written} FROM public.customers".encode()
    reading.execute("SET search_path = planted")
    with pytest.raises(psycopg.errors.RaiseException, match="TRIPPED"):
        reading.execute(query)
    reading.execute("SET search_path = pg_catalog")
    assert len(reading.execute(query).fetchall()) == 4
