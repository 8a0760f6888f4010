"""A source that is cut off, falls silent, is written to or loses a column while it is imported."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from infra.local.freescout.generate import generate
from infra.local.postgres import Postgres
from infra.local.stack import Stack
from tests.conftest import Database, database
from tests.deployed.agreement import differences, source_of
from tests.deployed.exactly_once import stored
from tests.deployed.tenant import TYPES, Tenant, fates
from tests.deployed.workings import hurried, task_failures
from tests.sources.wire import Fault, wire

CONVERSATIONS = 120


@pytest.fixture
def desk(postgres_server: Postgres) -> Database:
    """A help desk that may be changed."""
    found = database(postgres_server, "faulty")
    generate(found.dsn, CONVERSATIONS, seed=5)
    return found


@pytest.fixture
def tenant(deployed: Stack, in_process: None, desk: Database) -> Tenant:
    return Tenant(deployed, desk)


def assert_all_there(tenant: Tenant, job: dict[str, Any]) -> None:
    wanted = source_of(tenant.database)
    assert differences(tenant.org, wanted) == []
    assert {name: fates(job, name) for name in TYPES} == {name: len(rows) for name, rows in wanted.items()}
    assert job["records_failed"] == job["records_unprocessed"] == 0


# --- the wire


class Cuts:
    """Cuts connections to the source somewhere in the server's answer until there have been enough.

    Two of three, so that of the seven tries a step has, one gets through.
    """

    def __init__(self, generator: random.Random, cuts: int) -> None:
        self.generator, self.left = generator, cuts
        self.lock = threading.Lock()

    def __call__(self, number: int) -> Fault | None:
        with self.lock:
            if not self.left or number % 3 == 2:
                return None
            self.left -= 1
            return Fault("reset", int(4 ** self.generator.uniform(0, 5.5)))


def test_a_wire_that_is_cut_twenty_times_brings_every_row_once(
    deployed: Stack, tenant: Tenant, generator: random.Random
) -> None:
    cuts = Cuts(generator, 20)
    with wire(tenant.database.address.port, cuts) as line, hurried(deployed):
        job = tenant.wait(tenant.start(tenant.add_profile(port=line.port)))
        failed = task_failures(deployed, job["id"])
        assert (job["status"], job["errors"]) == ("completed", None), failed
        assert {error for _, error in failed} == {"Retryable"}
        assert line.cuts == failed.total() > 8
        assert {function for function, _ in failed} == {"plan", "extract"}
    assert_all_there(tenant, job)


def test_a_wire_that_stays_cut_fails_the_job_by_name_and_the_next_start_brings_the_rest(
    deployed: Stack, tenant: Tenant
) -> None:
    """Broken from the third connection on: planned, one type read, then never again."""
    broken = threading.Event()
    broken.set()

    def plan(number: int) -> Fault | None:
        return Fault("reset", 3_000) if number >= 3 and broken.is_set() else None

    with wire(tenant.database.address.port, plan) as line, hurried(deployed):
        profile = tenant.add_profile(port=line.port)
        job = tenant.wait(tenant.start(profile))
        assert job["status"] == "failed"
        [error] = job["errors"]
        assert (error["code"], error["message"]) == ("source_lost", "the connection to the source was lost")
        assert (error["type"], error["chunk"]) == ("customer_users", 0)
        assert {name: fates(job, name) for name in TYPES} == job["metadata"]["source_counts"]
        assert job["records_imported"] == len(stored(tenant.org)[0]) > 0
        assert job["records_unprocessed"] > 0
        broken.clear()
        again = tenant.wait(tenant.start(profile))
    assert (again["status"], again["records_failed"]) == ("completed", 0)
    assert again["records_imported"] + job["records_imported"] == len(stored(tenant.org)[0])
    assert differences(tenant.org, source_of(tenant.database)) == []


def test_a_server_that_falls_silent_once_or_drips_only_delays_the_import(deployed: Stack, tenant: Tenant) -> None:
    def plan(number: int) -> Fault | None:
        faults = {2: Fault("silence"), 4: Fault("drip", 1_000, drip_bytes=500, drip_seconds=0.01)}
        return faults.get(number)

    with wire(tenant.database.address.port, plan) as line, hurried(deployed):
        job = tenant.wait(tenant.start(tenant.add_profile(port=line.port)))
        assert (job["status"], line.cuts) == ("completed", 2)
        assert task_failures(deployed, job["id"]) == {("extract", "Retryable"): 1}
    assert_all_there(tenant, job)


# --- a writer beside the reader


class Writer(threading.Thread):
    """Inserts, changes and deletes rows of a help desk until it is told to stop, each change a transaction.

    Every row it touches is noted as (type, external id); what it never touches must arrive as it was.
    """

    def __init__(self, dsn: str, generator: random.Random) -> None:
        super().__init__(daemon=True)
        self.dsn, self.generator = dsn, generator
        self.touched: set[tuple[str, str]] = set()
        self.inserted: set[tuple[str, str]] = set()
        self.turns = 0
        self.well = False
        self.over = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.over.wait(0.02):
                self.generator.choice([self.change, self.change, self.insert, self.delete])(connection)
                self.turns += 1
        self.well = True

    def change(self, connection: psycopg.Connection[Any]) -> None:
        for table, column, name in (
            ("conversations", "subject", "tickets"),
            ("threads", "body", "ticket_notes"),
            ("customers", "job_title", "customer_users"),
        ):
            number = self.some(connection, table)
            text = f"changed {self.turns}"
            connection.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [text, number])  # type: ignore[call-overload]
            self.touched.add((name, str(number)))
            self.inserted.discard((name, str(number)))  # it may be read as it was between the two

    def insert(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            customer = self.one(connection, "INSERT INTO customers (first_name) VALUES ('New') RETURNING id")
            address = f"new-{customer}@example.com"
            connection.execute("INSERT INTO emails (customer_id, email) VALUES (%s, %s)", [customer, address])
            ticket = self.one(
                connection,
                "INSERT INTO conversations (number, type, folder_id, state, subject, preview, mailbox_id, customer_id,"
                " source_via, source_type) SELECT max(number) + 1, 1, 1, 2, 'New', '', 1, %s, 1, 1 FROM conversations"
                " RETURNING id",
                customer,
            )
            note = self.one(
                connection,
                "INSERT INTO threads (conversation_id, type, state, body, source_via, source_type)"
                " VALUES (%s, 1, 2, 'New', 1, 1) RETURNING id",
                ticket,
            )
        for name, number in (("customer_users", customer), ("tickets", ticket), ("ticket_notes", note)):
            self.touched.add((name, str(number)))
            self.inserted.add((name, str(number)))

    def delete(self, connection: psycopg.Connection[Any]) -> None:
        query = "DELETE FROM threads WHERE id = (SELECT min(id) FROM threads WHERE id % 3 = 1) RETURNING id"
        for (number,) in connection.execute(query).fetchall():
            self.touched.add(("ticket_notes", str(number)))
            files = connection.execute("DELETE FROM attachments WHERE thread_id = %s RETURNING id", [number])
            self.touched |= {("attachments", str(file)) for (file,) in files.fetchall()}

    def some(self, connection: psycopg.Connection[Any], table: str) -> int:
        query = f"SELECT id FROM {table} WHERE id %% 3 = 0 ORDER BY md5(id::text || %s) LIMIT 1"
        return self.one(connection, query, str(self.generator.random()))

    @staticmethod
    def one(connection: psycopg.Connection[Any], query: str, *bound: Any) -> int:
        row = connection.execute(query, bound).fetchone()  # type: ignore[call-overload]
        assert row
        return int(row[0])


def test_a_source_that_is_written_to_meanwhile_is_imported_as_one_of_its_states_and_then_caught_up_with(
    tenant: Tenant, generator: random.Random
) -> None:
    before = source_of(tenant.database)
    writer = Writer(tenant.database.dsn, generator)
    writer.start()
    job = tenant.wait(tenant.start())
    writer.over.set()
    writer.join()
    assert writer.well
    assert writer.turns > 20
    assert (job["status"], job["records_failed"], job["records_unprocessed"]) == ("completed", 0, 0)
    assert {name: fates(job, name) for name in TYPES} == {n: job["records"][n]["extracted"] for n in TYPES}
    after = source_of(tenant.database)
    untouched = {
        name: {
            ext: row for ext, row in rows.items() if (name, ext) not in writer.touched and after[name].get(ext) == row
        }
        for name, rows in before.items()
    }
    assert sum(map(len, untouched.values())) > 0.4 * sum(map(len, before.values()))
    records = stored(tenant.org)[0]
    theirs = {f"{record['type']} {record['ext']}" for record in records} - {
        f"{name} {ext}" for name, rows in untouched.items() for ext in rows
    }
    wrong = [one for one in differences(tenant.org, untouched) if one.removesuffix(" is too many") not in theirs]
    assert [one for one in wrong if "refers elsewhere" not in one and "nobody's" not in one] == []
    for record in records:
        if (record["type"], record["ext"]) in writer.inserted:
            whole = after[record["type"]].get(record["ext"])
            assert whole is None or record["data"].keys() == whole["data"].keys(), "seen whole or not at all"

    again = tenant.wait(tenant.start())
    assert (again["status"], again["records_failed"]) == ("completed", 0)
    gone = {f"{name} {ext} is too many" for name, ext in writer.touched if ext not in after[name]}
    assert [one for one in differences(tenant.org, after) if one not in gone] == []


# --- a column that goes


@contextmanager
def at_connection(tenant: Tenant, wanted: int, script: str) -> Any:
    """A wire whose connection of that number is kept waiting until the script has run in the source."""

    def plan(number: int) -> None:
        if number == wanted:
            run(tenant.database, script)

    with wire(tenant.database.address.port, plan) as line:
        yield line


def run(database_: Database, script: str) -> None:
    with psycopg.connect(database_.dsn, autocommit=True) as connection:
        connection.execute(script.encode())


MORE_CUSTOMERS = "INSERT INTO customers (first_name) SELECT 'Customer ' || n FROM generate_series(1, 2400) n"


@pytest.mark.parametrize(
    ("connection", "chunk"), [pytest.param(1, 0, id="before the first chunk"), pytest.param(3, 2, id="between two")]
)
def test_a_column_that_goes_during_the_run_is_named_and_its_return_lets_the_next_start_go_on(
    tenant: Tenant, connection: int, chunk: int
) -> None:
    """Connection 0 plans, the ones behind it read a chunk each."""
    run(tenant.database, MORE_CUSTOMERS)
    with at_connection(tenant, connection, "ALTER TABLE customers RENAME company TO away") as line:
        profile = tenant.add_profile(port=line.port)
        job = tenant.wait(tenant.start(profile, selected_types=["customer_users"]))
        assert job["status"] == "failed"
        assert {(error["code"], error["message"]) for error in job["errors"]} == {
            ("source_changed", "the source has no column customers.company")
        }
        assert {error["type"] for error in job["errors"]} == {"customer_users"}
        assert chunk in {error["chunk"] for error in job["errors"]}
        assert fates(job, "customer_users") == job["records"]["customer_users"]["unprocessed"] == job["estimated_total"]
        assert stored(tenant.org) == ([], {}, {})
        assert tenant.database.connection.password not in str(job)

        run(tenant.database, "ALTER TABLE customers RENAME away TO company")
        again = tenant.wait(tenant.start(profile, selected_types=["accounts", "customer_users"]))
        assert again["status"] == "completed"
    assert differences(tenant.org, customers(tenant)) == []


def test_a_column_that_goes_for_good_is_left_out_by_the_next_start(tenant: Tenant) -> None:
    """The template is planned anew from what the source has; when the column comes back, so do its values."""
    script = "ALTER TABLE customers RENAME job_title TO away"
    with at_connection(tenant, 1, script) as line:
        profile = tenant.add_profile(port=line.port)
        start: Callable[[], dict[str, Any]] = lambda: tenant.wait(  # noqa: E731
            tenant.start(profile, selected_types=["accounts", "customer_users"])
        )
        assert [error["message"] for error in start()["errors"]] == ["the source has no column customers.job_title"]
        assert start()["status"] == "completed"
        assert not [r for r in stored(tenant.org)[0] if r["data"].get("job_title")]
        run(tenant.database, "ALTER TABLE customers RENAME away TO job_title")
        assert start()["status"] == "completed"
    assert [record for record in stored(tenant.org)[0] if record["data"].get("job_title")]
    assert differences(tenant.org, customers(tenant)) == []


def customers(tenant: Tenant) -> dict[str, dict[str, Any]]:
    """What the source's customers and their accounts should become, and nothing else."""
    wanted = source_of(tenant.database)
    return {name: rows if name in ("accounts", "customer_users") else {} for name, rows in wanted.items()}
