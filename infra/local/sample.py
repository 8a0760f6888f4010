"""The sample source: a FreeScout database in the embedded PostgreSQL, and what independent SQL says of it.

The database is filled when it is absent or was filled with another size or seed. The import reads it through a role
that may only read, as one would set it up at a customer's.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from chalicelib.templates import freescout
from infra.local.freescout import generate, reconcile
from infra.local.postgres import Postgres
from infra.local.reconciliation import Counted

DATABASE = "freescout"
READER = "wharf_reader"

TEMPLATE_OPTIONS = {"timezone": "Europe/Berlin"}
"""What nobody can read from a FreeScout database: the zone its clock ran in. The sample's is arbitrary."""

_TICKET = """
    SELECT c.id FROM conversations c JOIN threads t ON t.conversation_id = c.id
    WHERE c.state = 2 AND c.status IN (1, 2, 3) AND t.state = 2 AND t.type IN (1, 2, 3, 8)
    GROUP BY c.id
    ORDER BY bool_or(t.type = 1) AND bool_or(t.type = 2) AND bool_or(t.type = 3) DESC,
        count(*) BETWEEN 3 AND 5 DESC,
        c.user_id IN (SELECT id FROM users WHERE type = 1) IS TRUE DESC,
        c.customer_id IN (SELECT id FROM customers WHERE first_name ~ '^[A-Za-z]+$') IS TRUE DESC,
        (c.subject ~ '^[#0-9A-Za-z .!?]{10,60}$') IS TRUE DESC,
        min(length(coalesce(t.body, ''))) > 40 DESC, max(length(t.body)) < 900 DESC, c.id LIMIT 1
"""
"""A conversation with a question, a reply and an internal note, short enough to read."""

_CUSTOMER = """
    SELECT c.id FROM customers c JOIN emails e ON e.customer_id = c.id
    GROUP BY c.id HAVING count(*) > 1
    ORDER BY (bool_and(e.email ~ '^[a-z0-9.]+@[a-z0-9.]+$') AND c.first_name ~ '^[A-Za-z]+$') IS TRUE DESC,
        (c.company <> '') IS TRUE DESC, (c.phones LIKE '[{%') IS TRUE DESC, count(*) DESC, c.id LIMIT 1
"""
"""A customer with several e-mail addresses, and with company and phones if there is one."""


class Sample:
    """The sample database of one size and seed."""

    def __init__(self, postgres: Postgres, state: Path, conversations: int, seed: int) -> None:
        self.postgres = postgres
        self.conversations = conversations
        self.seed = seed
        self.name = f"{conversations}/{seed}"
        self._marker = state / "sample.json"
        self._password = secrets.token_urlsafe(24)

    @property
    def dsn(self) -> str:
        """The database, as its owner."""
        return self.postgres.dsn(DATABASE)

    def fill(self) -> str:
        """Make the database unless it is there already; says which."""
        if self._is_filled():
            self._let_read()
            return "as before"
        self._marker.unlink(missing_ok=True)
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as admin:
            name = sql.Identifier(DATABASE)
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
        generate.generate(self.dsn, self.conversations, self.seed)
        self._let_read()
        self._marker.write_text(json.dumps({"name": self.name, "made_at": int(time.time())}))
        return "generated"

    def connection(self) -> dict[str, Any]:
        """The fields of a profile that reads it."""
        return {
            "host": self.postgres.host,
            "port": self.postgres.port,
            "database": DATABASE,
            "username": READER,
            "password": self._password,
            "ssl_mode": "prefer",
        }

    def counted(self) -> dict[str, Counted]:
        """Record type -> rows and rows left out, counted by SQL that shares nothing with the template."""
        sentences = {
            (record_type, rule.name): f"{rule.name.replace('_', ' ')}: {rule.sentence}"
            for record_type, rules in freescout.exclusions(TEMPLATE_OPTIONS).items()
            for rule in rules
        }
        return {
            record_type: Counted(
                counts["source"],
                {sentences.get((record_type, rule), rule): rows for rule, rows in counts["excluded"].items()},
            )
            for record_type, counts in reconcile.reconcile(self.dsn).items()
        }

    def worth_seeing(self) -> list[tuple[str, str]]:
        """(type, external id) of a ticket with a conversation and of a customer with several addresses."""
        with psycopg.connect(self.dsn) as connection:
            found = [
                (record_type, connection.execute(query).fetchone())
                for record_type, query in (("tickets", _TICKET), ("customer_users", _CUSTOMER))
            ]
        return [(record_type, str(row[0])) for record_type, row in found if row]

    def _is_filled(self) -> bool:
        try:
            if json.loads(self._marker.read_text())["name"] != self.name:
                return False
            with psycopg.connect(self.dsn) as connection:
                return connection.execute("SELECT to_regclass('conversations') IS NOT NULL").fetchone() == (True,)
        except (OSError, ValueError, KeyError, psycopg.Error):
            return False

    def _let_read(self) -> None:
        """A role that can read everything and write nothing, with a password of this run."""
        role, password = sql.Identifier(READER), sql.Literal(self._password)
        with psycopg.connect(self.postgres.dsn(), autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchone():
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE pg_read_all_data").format(role))
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))
