"""What a source's user may do: enough to be read with, and no more than that.

In: the catalogue's answers to OF_THE_USER and OF_ITS_TABLES. Out: `Privileges`, and warnings that each say how to make
a user that can only read. No value goes into these texts, so they carry no placeholder and no percent sign.
"""

# ruff: noqa: S608 -- no value goes into these texts

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from chalicelib import sql

NAMED = 5
"""Most names a sentence lists."""

POWERFUL = ("pg_read_server_files", "pg_write_server_files", "pg_execute_server_program", "pg_write_all_data")

_OWN = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_NAMES = ", ".join(f"'{name}'" for name in POWERFUL)

OF_THE_USER = f"""
SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole OR r.rolcreatedb OR r.rolreplication,
  has_database_privilege(current_database(), 'CREATE'),
  ARRAY(SELECT g.rolname::text FROM pg_roles g WHERE g.rolname IN ({_NAMES}) AND pg_has_role(g.oid, 'MEMBER')
    ORDER BY g.rolname),
  ARRAY(SELECT n.nspname::text FROM pg_namespace n WHERE {_OWN} AND has_schema_privilege(n.oid, 'CREATE')
    ORDER BY n.nspname LIMIT {NAMED + 1}),
  ARRAY(SELECT DISTINCT n.nspname::text FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
    WHERE {_OWN} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1 LIMIT {NAMED + 1})
FROM pg_roles r WHERE r.rolname = current_user"""

OF_ITS_TABLES = f"""
SELECT count(*),
  count(*) FILTER (WHERE NOT readable), (array_agg(name ORDER BY name) FILTER (WHERE NOT readable))[1:{NAMED}],
  count(*) FILTER (WHERE writable), (array_agg(name ORDER BY name) FILTER (WHERE writable))[1:{NAMED}],
  count(*) FILTER (WHERE hidden), (array_agg(name ORDER BY name) FILTER (WHERE hidden))[1:{NAMED}]
FROM (SELECT CASE WHEN n.nspname = 'public' THEN '' ELSE n.nspname::text || '.' END || c.relname AS name,
    has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') AS readable,
    has_schema_privilege(n.oid, 'USAGE') AND c.relkind <> 'm' AND (has_table_privilege(c.oid, 'DELETE, TRUNCATE')
      OR has_any_column_privilege(c.oid, 'INSERT, UPDATE')) AS writable,
    row_security_active(c.oid) AS hidden
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition AND {_OWN}) AS t"""


class Warned(TypedDict):
    """What works and should not stay so, and how to change it."""

    code: str
    message: str
    hint: str


class Some(NamedTuple):
    """So many, and the names of the first few."""

    number: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        """As a sentence lists them."""
        more = self.number - len(self.names)
        return ", ".join(self.names) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Privileges:
    """What the user may do, by what the catalogue says.

    tables: how many there are, views too; unreadable, writable, hidden: those of which no column may be read, some
    may be written, rows are left out by row security. roles: powerful ones it is a member of. creates_in: schemas it
    may create in. schemas: those that have tables.
    """

    is_superuser: bool
    bypasses_row_security: bool
    administers: bool
    creates_schemas: bool
    roles: tuple[str, ...]
    creates_in: tuple[str, ...]
    schemas: tuple[str, ...]
    tables: int
    unreadable: Some
    writable: Some
    hidden: Some

    @property
    def readable(self) -> int:
        """Tables of which some column may be read."""
        return self.tables - self.unreadable.number


def read(ask: Callable[[str], Iterable[tuple[Any, ...]]], said: Callable[[str], str]) -> Privileges:
    """What the user may do. ask: runs a query. said: makes a name fit to be shown."""
    ((superuser, bypasses, administers, creates, *lists),) = ask(OF_THE_USER)
    ((tables, *counts_and_names),) = ask(OF_ITS_TABLES)

    def shown(names: list[str] | None) -> tuple[str, ...]:
        return tuple(said(name) for name in (names or [])[: NAMED + 1])

    roles, creates_in, schemas = map(shown, lists)
    pairs = zip(counts_and_names[::2], counts_and_names[1::2], strict=True)
    unreadable, writable, hidden = (Some(int(number), shown(names)[:NAMED]) for number, names in pairs)
    return Privileges(
        is_superuser=bool(superuser),
        bypasses_row_security=bool(bypasses),
        administers=bool(administers),
        creates_schemas=bool(creates),
        roles=roles,
        creates_in=creates_in,
        schemas=schemas,
        tables=int(tables),
        unreadable=unreadable,
        writable=writable,
        hidden=hidden,
    )


def warnings(found: Privileges, database: str) -> list[Warned]:
    """What the user should not be able to do, or cannot see."""
    made = list(_powers(found, reader(found, database)))
    if found.tables and found.unreadable.number:
        message = f"The user may read {found.readable} of {found.tables} tables; not {found.unreadable}."
        made.append(Warned(code="tables_unreadable", message=message, hint=grants(found)))
    if found.hidden.number:
        message = f"Row security decides which rows the user sees of {found.hidden}."
        hint = "Import as a user whose policies show all rows, or take the missing ones for intended."
        made.append(Warned(code="rows_hidden", message=message, hint=hint))
    if not found.tables:
        message = "The database has no tables the user can see."
        made.append(Warned(code="no_tables", message=message, hint="Check the name of the database."))
    return made


def _powers(found: Privileges, hint: str) -> Iterable[Warned]:
    """Everything beyond reading. Of a superuser, one sentence: all of the others would be true as well."""
    if found.is_superuser:
        message = "The user is a superuser: whoever has its password can do anything to the whole server."
        yield Warned(code="superuser", message=message, hint=hint)
        return
    if found.roles:
        yield Warned(code="powerful_role", message=f"The user is a member of {', '.join(found.roles)}.", hint=hint)
    if found.writable.number:
        message = f"The user may change {found.writable.number} of {found.tables} tables: {found.writable}."
        yield Warned(code="can_write", message=message, hint=hint)
    if found.creates_schemas or found.creates_in:
        what = f"tables in {', '.join(found.creates_in[:NAMED])}" if found.creates_in else "schemas"
        yield Warned(code="can_create", message=f"The user may create {what}.", hint=hint)
    if found.administers:
        message = "The user may create roles or databases, or replicate the server."
        yield Warned(code="can_administer", message=message, hint=hint)
    if found.bypasses_row_security:
        message = "The user sees every row, whatever row security says."
        yield Warned(code="bypasses_row_security", message=message, hint=hint)


def reader(found: Privileges, database: str) -> str:
    """The SQL of a user that can read and nothing else."""
    return (
        "Wharf only reads. Give it a user of its own: CREATE ROLE wharf_reader LOGIN PASSWORD '...' NOSUPERUSER; "
        "ALTER ROLE wharf_reader SET default_transaction_read_only = on; "
        f"GRANT CONNECT ON DATABASE {sql.quoted(database)} TO wharf_reader; {_granted(found, 'wharf_reader')}"
    )


def grants(found: Privileges) -> str:
    """The SQL that lets a user read every table."""
    return f"Let the user read them: {_granted(found, 'your_user')}"


def _granted(found: Privileges, user: str) -> str:
    if not found.schemas or len(found.schemas) > NAMED:
        return f"GRANT pg_read_all_data TO {user};"
    names = ", ".join(map(sql.quoted, found.schemas))
    return f"GRANT USAGE ON SCHEMA {names} TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA {names} TO {user};"
