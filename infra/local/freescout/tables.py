"""FreeScout's tables as COPY buffers, and how they get into a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

HERE = Path(__file__).parent

MODULES = ("timelogs", "tags", "conversation_tag", "custom_fields", "conversation_custom_field")
"""Tables that only exist where the modules are installed."""

COLUMNS = {
    "users": "id first_name last_name email password role timezone type invite_state emails job_title phone created_at "
    "updated_at locale status permissions",
    "mailboxes": "id name email aliases created_at updated_at meta",
    "mailbox_user": "id mailbox_id user_id",
    "folders": "id mailbox_id user_id type total_count active_count",
    "customers": "id first_name last_name company job_title photo_type phones websites social_profiles notes address "
    "city state zip country created_at updated_at channel channel_id meta",
    "emails": "id customer_id email type",
    "customer_channel": "id customer_id channel channel_id",
    "conversations": "id number threads_count type folder_id status state subject customer_email cc bcc preview "
    "imported has_attachments mailbox_id user_id customer_id created_by_user_id created_by_customer_id source_via "
    "source_type closed_by_user_id closed_at user_updated_at last_reply_at last_reply_from created_at updated_at "
    "channel meta last_customer_reply_at",
    "threads": "id conversation_id user_id type status state action_type action_data body headers from to cc bcc "
    "has_attachments message_id source_via source_type customer_id created_by_user_id created_by_customer_id first "
    "opened_at created_at updated_at subtype meta imported",
    "attachments": "id thread_id user_id file_dir file_name mime_type type size embedded token_type",
    "followers": "id conversation_id user_id",
    "conversation_folder": "id folder_id conversation_id",
    "send_logs": "id thread_id customer_id user_id message_id email mail_type status created_at updated_at",
    "activity_logs": "id log_name description subject_id subject_type causer_id causer_type properties created_at "
    "updated_at",
    "options": "id name value",
    "modules": "id alias active activated",
    "timelogs": "id conversation_id conversation_status user_id time_spent paused finished created_at updated_at",
    "tags": "id name counter color",
    "conversation_tag": "id conversation_id tag_id",
    "custom_fields": "id mailbox_id name type options sort_order",
    "conversation_custom_field": "id conversation_id custom_field_id value",
}

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_LINES_A_WRITE = 5_000


class Table:
    """One table's rows in COPY's text format; ids are given out in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.columns = COLUMNS[name].split()
        self.lines: list[str] = []
        self.last_id = 0

    def add(self, *values: Any) -> int:
        """Add a row without its id, in the order of the columns, and return the id."""
        number = self.skip()
        if len(values) != len(self.columns) - 1:
            raise ValueError(f"{self.name}: {len(values)} values for {len(self.columns) - 1} columns")
        self.lines.append("\t".join([str(number), *map(_copied, values)]))
        return number

    def skip(self, count: int = 1) -> int:
        """Use up ids without a row, as a deleted row does; the last of them."""
        self.last_id += count
        return self.last_id

    def write(self, cursor: psycopg.Cursor[Any]) -> None:
        """Send the rows, and move the sequence of ids behind them."""
        table = sql.Identifier(self.name)
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, columns)) as copy:
            for start in range(0, len(self.lines), _LINES_A_WRITE):
                copy.write("".join(line + "\n" for line in self.lines[start : start + _LINES_A_WRITE]))
        highest = sql.SQL("greatest((SELECT max(id) FROM {}), 1)").format(table)
        cursor.execute(sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), {})").format(self.name, highest))


class Tables(dict[str, Table]):
    """All tables, each made when it is first written to."""

    def __missing__(self, name: str) -> Table:
        """The table of that name, still empty."""
        self[name] = Table(name)
        return self[name]

    def load(self, dsn: str, *, modules: bool) -> str:
        """Make the schema `public` anew and fill it; the size of the database, as PostgreSQL says it."""
        with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
            for script in ("schema.sql", "modules.sql") if modules else ("schema.sql",):
                cursor.execute((HERE / script).read_bytes())
            for name, table in self.items():
                if modules or name not in MODULES:
                    table.write(cursor)
            connection.commit()
            connection.autocommit = True
            cursor.execute("ANALYZE")
            row = cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
        return str(row[0]) if row else ""


def _copied(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)
