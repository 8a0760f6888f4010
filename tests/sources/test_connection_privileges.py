"""What a source's user could do and should not: each with a warning, and the SQL that mends it."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from chalicelib import connections
from tests.conftest import Database
from tests.sources.servers import DONE, head, liar, message, row, server
from tests.sources.shop import PASSWORD, READS_ALL, ROLE, environment, owner, shop, warned

__all__ = ["environment", "shop"]


@pytest.mark.parametrize(
    ("granted", "code", "message"),
    [
        (
            f"GRANT INSERT ON orders TO {ROLE}",
            "can_write",
            "The user may change 1 of 3 tables: orders.",
        ),
        (
            f'GRANT TRUNCATE ON "Old Shop".orders TO {ROLE}',
            "can_write",
            "The user may change 1 of 3 tables: Old Shop.orders.",
        ),
        (
            f"GRANT UPDATE (total) ON orders TO {ROLE}; GRANT DELETE ON users TO {ROLE}",
            "can_write",
            "The user may change 2 of 3 tables: orders, users.",
        ),
        (f"ALTER TABLE users OWNER TO {ROLE}", "can_write", "The user may change 1 of 3 tables: users."),
        (f"GRANT CREATE ON SCHEMA public TO {ROLE}", "can_create", "The user may create tables in public."),
        (f"GRANT CREATE ON DATABASE scratch TO {ROLE}", "can_create", "The user may create schemas."),
        (
            f"ALTER ROLE {ROLE} CREATEROLE",
            "can_administer",
            "The user may create roles or databases, or replicate the server.",
        ),
        (
            f"ALTER ROLE {ROLE} BYPASSRLS",
            "bypasses_row_security",
            "The user sees every row, whatever row security says.",
        ),
        (
            f"GRANT pg_read_server_files, pg_execute_server_program TO {ROLE}",
            "powerful_role",
            "The user is a member of pg_execute_server_program, pg_read_server_files.",
        ),
        (
            f"ALTER ROLE {ROLE} SUPERUSER",
            "superuser",
            "The user is a superuser: whoever has its password can do anything to the whole server.",
        ),
        (
            f"REVOKE SELECT ON users FROM {ROLE}",
            "tables_unreadable",
            "The user may read 2 of 3 tables; not users.",
        ),
        (
            f'REVOKE USAGE ON SCHEMA "Old Shop" FROM {ROLE}',
            "tables_unreadable",
            "The user may read 2 of 3 tables; not Old Shop.orders.",
        ),
        (
            "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
            "rows_hidden",
            "Row security decides which rows the user sees of orders.",
        ),
    ],
)
def test_what_goes_beyond_reading_earns_a_warning(shop: Database, granted: str, code: str, message: str) -> None:
    owner(shop, *READS_ALL, *granted.split("; "))
    test = connections.check(shop.connection)
    assert test["success"] is True
    assert warned(test) == {code: message}
    assert all(one["hint"] for one in test["warnings"])


def test_the_sql_of_the_warning_makes_a_user_that_passes(shop: Database) -> None:
    owner(shop, *READS_ALL, f"GRANT INSERT ON orders TO {ROLE}")
    [warning] = [one for one in connections.check(shop.connection)["warnings"] if one["code"] == "can_write"]
    advice = warning["hint"].removeprefix("Wharf only reads. Give it a user of its own: ")
    owner(shop, *advice.replace("'...'", f"'{PASSWORD}'").rstrip(";").split("; "))
    test = connections.check(replace(shop.connection, username="wharf_reader"))
    assert test["success"] is True
    assert warned(test) == {}
    assert test["stages"][5]["message"] == "The user may read 3 of 3 tables."


def test_a_column_is_enough_to_read_a_table(shop: Database) -> None:
    owner(shop, f"GRANT SELECT (total) ON orders TO {ROLE}")
    test = connections.check(shop.connection)
    assert test["success"] is True
    assert test["stages"][5]["message"] == "The user may read 1 of 3 tables."


def test_an_empty_database_is_reached_with_a_warning(empty_db: Database) -> None:
    owner(empty_db, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    test = connections.check(replace(empty_db.connection, username=ROLE, password=PASSWORD))
    owner(empty_db, f"DROP ROLE {ROLE}")
    assert test["success"] is True
    assert warned(test) == {"no_tables": "The database has no tables the user can see."}


def test_names_a_server_makes_up_are_few_short_and_on_one_line(shop: Database) -> None:
    """A lie about privileges is shown as any other server's word: tamed."""
    name = b'"\x1b[31m<x>\n' + b"x" * 100_000 + b'"'
    names = b"{" + b",".join([name] * 5) + b"}"
    lies = [
        [b"16.3", b"db", b"3", b"1 MB"],
        [b"f", b"f", b"f", b"f", b"{}", b"{}", names],
        [b"9", b"5", names, b"5", names, b"5", names],
    ]
    kinds = [[25] * 4, [16] * 4 + [1009] * 3, [20, 20, 1009, 20, 1009, 20, 1009]]

    def serve(caller: socket.socket) -> None:
        for number, (values, of) in enumerate(zip(lies, kinds, strict=True)):
            if number:
                caller.recv(65_536)
            caller.sendall(
                message(b"1") + message(b"2")
                + message(b"T", len(of).to_bytes(2, "big") + b"".join(_column(kind) for kind in of))
                + row(list(values)) + DONE
            )  # fmt: skip

    with server(liar(serve)) as address:
        test = connections.check(replace(shop.connection, port=address.port))
    assert {"can_write", "tables_unreadable", "rows_hidden"} <= set(warned(test))
    said = [text for one in [*test["warnings"], *test["stages"]] for text in (one["message"], one["hint"] or "")]
    assert all(text.isprintable() and len(text) < 4_000 for text in said)


def _column(kind: int) -> bytes:
    return head(1, kind)[-20:]
