"""A tiny PostgreSQL with three tables, and an import of it, driven in this process from its plan on.

customers have a unique key (customer_users), conversations none (tickets), threads belong to conversations
(ticket_notes). Chunks hold two rows (`CHUNK_ROWS`), so that a handful of rows makes several.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from chalicelib import dynamo, jobs, keys, profiles, storage
from chalicelib.errors import Fatal
from chalicelib.steps import decide, extract, finish, load, match, plan, transform
from tests.conftest import Database
from tests.deployed.faults.calls import Clock, Kill, insist

TABLES = {"customer_users": "customers", "tickets": "conversations", "ticket_notes": "threads"}
TEXT = {"customer_users": "name", "tickets": "title", "ticket_notes": "content"}
"""The field a row's text goes to."""

PARENTS = {"tickets": "customer", "ticket_notes": "ticket"}
"""The reference a row's parent is given as."""

STEPS = {step.run.__module__.rsplit(".", 1)[-1]: step.run
         for step in (plan, extract, transform, match, decide, load, finish)}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A source row as the audit knows it: external id, unique key (customers), a text to tell versions, parent."""

    ext: str
    email: str | None = None
    text: str = "first"
    parent: str | None = None

    def changed(self) -> Row:
        """The same row, later: another text, another key."""
        return Row(self.ext, self.email and f"new-{self.email}", f"{self.text} 2", self.parent)


Rows = dict[str, list[Row]]
"""type -> rows in the order of the source."""

SMALL: Rows = {
    "customer_users": [Row("1", "a@x"), Row("2", "b@x"), Row("3"), Row("4", "b@x", "later"), Row("5", "a@x", "far")],
    "tickets": [Row("1", parent="1"), Row("2", parent="2"), Row("1", text="across", parent="9"), Row("4", parent="4")],
    "ticket_notes": [Row("1", parent="1"), Row("2", parent="1"), Row("3", parent="2"), Row("4")],
}
"""Two chunks and more of each: keys that meet inside a chunk and across, a row that comes twice, a parent that never
comes (9) and one that was merged into another (4)."""


def fill(database: Database, rows: Rows) -> None:
    """Give the tables these rows; whoever reads them at the moment keeps what he sees."""
    columns = "n int PRIMARY KEY, ext text, email text, text text, parent text"
    with psycopg.connect(database.dsn) as connection:
        for name, table in TABLES.items():
            connection.execute(f'CREATE TABLE IF NOT EXISTS "{table}" ({columns})')
            connection.execute(f'DELETE FROM "{table}"')
            with connection.cursor() as cursor:
                cursor.executemany(
                    f'INSERT INTO "{table}" VALUES (%s, %s, %s, %s, %s)',
                    [(n, row.ext, row.email, row.text, row.parent) for n, row in enumerate(rows.get(name, []), 1)],
                )


CHUNK_ROWS = 2
"""What `plan` holds a chunk to where the `undriven` fixture stands."""


def queries() -> dict[str, str]:
    """What is saved on the profile."""
    found = {}
    for name, table in TABLES.items():
        # A note's external id is what its chunks are cut by, so its rows never meet; the others' may.
        fields = {"external_id": "n" if name == "ticket_notes" else "ext", TEXT[name]: "text"}
        if name == "customer_users":
            fields["email"] = "email"
        if name in PARENTS:
            fields[PARENTS[name]] = "parent"
        mapped = [{"source": source, "target": target} for target, source in fields.items()]
        found[name] = json.dumps({"name": name, "base_table": table, "key": "n", "fields": mapped})
    return found


Invoke = Callable[[Any, dict[str, Any]], dict[str, Any]]


@dataclass
class Import:
    """One organisation's import of the tiny database, by a job that `start` makes and `drive` brings to its end."""

    database: Database
    rows: Rows
    types: tuple[str, ...] = tuple(TABLES)
    mode: dict[str, Any] = field(default_factory=dict)
    org: str = field(default_factory=lambda: f"t-{uuid.uuid4()}")
    profile: str = ""
    job_id: str = ""
    clock: Clock = field(default_factory=Clock)
    dry_run: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=queries)

    def start(self) -> Import:
        """Take the profile (made at the first time) and make the job, as the API does."""
        if not self.profile:
            self.profile = self._profile()
        options = {"selected_types": list(self.types), "dry_run": self.dry_run, **self.options}
        user = {"id": "u1", "name": "U"}
        self.job_id = jobs.start(self.org, profiles.get(self.org, self.profile), user, options, self.mode)["id"]
        return self

    def _profile(self) -> str:
        where = self.database.connection
        values = {"name": "P", "database_type": "postgresql", "host": where.host, "port": where.port}
        values |= {"database": where.database, "username": where.username, "password": where.password}
        made = profiles.create(self.org, {"id": "u1", "name": "U"}, values | {"ssl_mode": "prefer"})
        key = keys.profile(self.org, made["id"])
        dynamo.update("state", key, "SET #queries = :queries", {"queries": self.queries})
        return str(made["id"])

    def again(self, rows: Rows | None = None, **changes: Any) -> Import:
        """The same source imported once more, by a new job of the same profile; with other rows if need be."""
        if rows:
            fill(self.database, rows)
        said = {"types": self.types, "mode": self.mode, "org": self.org, "profile": self.profile}
        said |= {"queries": self.queries} | changes
        return Import(self.database, rows or self.rows, **said).start()

    def retry(self) -> Import:
        """The job gone on with by a new one, as the API does it."""
        parent, user = self.job, {"id": "u1", "name": "U"}
        profile = profiles.get(self.org, self.profile)
        made = jobs.start(self.org, profile, user, parent["options"], self.mode, retry_of=self.job_id)
        return replace(self, job_id=made["id"], clock=Clock())

    @property
    def job(self) -> jobs.Job:
        return jobs.get(self.org, self.job_id)

    @property
    def event(self) -> dict[str, Any]:
        return {"org": self.org, "job": self.job_id}

    def derive(self, record_type: str, ext: str) -> str:
        return keys.record_id(self.org, record_type, self.job["source_id"], TABLES[record_type], ext)

    def insist(self, run: Any, event: dict[str, Any]) -> dict[str, Any]:
        return insist(run, event, clock=self.clock)

    def drive(self, invoke: Invoke | None = None) -> None:
        """Every step to the end, as the state machine drives them; what ends for good leads to finish."""
        invoke = invoke or self.insist
        ending = self.event
        try:
            for run, event in self.steps(invoke):
                invoke(run, event)
        except Fatal as error:
            ending |= {"error": {"Error": "Fatal", "Cause": error.message}}
        invoke(finish.run, ending)

    def steps(self, invoke: Invoke) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Each invocation before finish. Plan and match are invoked here: what follows hangs on their answers."""
        planned = invoke(plan.run, self.event)
        if planned["state"] != "planned":
            return
        for listed in planned["types"]:
            here = self.event | {"type": listed["type"]}
            for item in storage.get_json(listed["manifest"]):
                yield extract.run, here | item
                yield transform.run, here | {"chunk": item["chunk"]}
            settled = invoke(match.run, here)
            if settled["state"] == "empty":
                continue
            if settled["state"] != "ready":
                return
            items = storage.get_json(settled["manifest"])
            yield from ((decide.run, here | item) for item in items)
            if not planned["dry_run"]:
                yield from ((load.run, here | item) for item in items)


@contextmanager
def killed_while_reading(after_rows: int, statement: int = 0) -> Iterator[list[int]]:
    """The worker dies once: when the source has sent so many rows of its statement of that index, or all there are.

    Yields the rows of each statement.
    """
    stream = psycopg.Cursor.stream
    read: list[int] = []
    dead: list[bool] = []

    def mortal(self: Any, *args: Any, **options: Any) -> Iterator[Any]:
        mine = len(read)
        read.append(0)
        for row in stream(self, *args, **options):
            if not dead and mine == statement and read[mine] == after_rows:
                dead.append(True)
                raise Kill
            read[mine] += 1
            yield row
        if not dead and mine == statement:
            dead.append(True)
            raise Kill

    psycopg.Cursor.stream = mortal  # type: ignore[method-assign]
    try:
        yield read
    finally:
        psycopg.Cursor.stream = stream  # type: ignore[method-assign]
