"""Days, times and a timeout, as the run honours them; and the filters of a saved query beside them."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg
import pytest

from chalicelib import locks, storage
from chalicelib.errors import Fatal
from chalicelib.steps import decide, extract, finish, load, match, plan, transform
from tests.conftest import Database
from tests.deployed.faults.audit import stored
from tests.deployed.faults.calls import Call, between, call
from tests.deployed.faults.source import SMALL, Import, fill

pytestmark = pytest.mark.usefixtures("undriven")

MADE = [
    "2023-12-31 23:59:59.999999", "2024-01-01 00:00:00", "2024-01-15 12:00:00", "2024-01-31 00:00:00",
    "2024-01-31 23:59:59.999999", "2024-02-01 00:00:00",
]  # fmt: skip


def world(database: Database, kind: str, made: list[str | None], *, filters: Any = (), **asked: Any) -> Import:
    with psycopg.connect(database.dsn) as source:
        source.execute("SET TimeZone = 'UTC'; DROP TABLE IF EXISTS cases")
        source.execute(f"CREATE TABLE cases (n int PRIMARY KEY, made {kind})".encode())
        for number, one in enumerate(made, 1):
            source.execute(f"INSERT INTO cases VALUES (%s, %s::{kind})".encode(), [number, one])
    targets = {"n": ("external_id", "title"), "made": ("created_at",)}
    fields = [{"source": name, "target": target} for name, filled in targets.items() for target in filled]
    query = {"base_table": "cases", "fields": fields, "filters": list(filters)}
    return Import(
        database, {}, types=("tickets",), queries={"tickets": json.dumps(query)}, options={"import_filters": asked}
    )


def came(done: Import) -> list[int]:
    done.start().drive()
    assert done.job["status"] == "completed", done.job["errors"]
    return sorted(int(record["ext"]) for record in stored(done.org)[0])


@pytest.mark.accepts("SV-119", "SV-120")
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "text", "varchar(40)", "date"])
@pytest.mark.parametrize(
    ("asked", "found", "of_days"),
    [
        ({"date_from": "2024-01-01"}, [2, 3, 4, 5, 6], [2, 3, 4, 5, 6]),
        ({"date_to": "2024-01-31"}, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ({"date_from": "2024-01-01", "date_to": "2024-01-31"}, [2, 3, 4, 5], [2, 3, 4, 5]),
        ({"date_from": "2024-01-31", "date_to": "2024-01-31"}, [4, 5], [4, 5]),
        ({"date_from": "2024-01-15T12:00:00Z", "date_to": "2024-01-31T00:00:00Z"}, [3, 4], [3, 4, 5]),
        ({"date_to": "9999-12-31"}, [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_only_rows_made_in_the_range_come(
    tiny_db: Database, kind: str, asked: dict[str, str], found: list[int], of_days: list[int]
) -> None:
    made: list[str | None] = [f"{one.replace(' ', 'T')}Z" if kind == "text" else one for one in MADE]
    assert came(world(tiny_db, kind, [*made, None], **asked)) == (of_days if kind == "date" else found)


@pytest.mark.accepts("SV-119")
def test_texts_are_compared_as_times_and_not_as_letters(tiny_db: Database) -> None:
    made: list[str | None] = [
        "2024-01-31 10:00", "2024-01-31T10:00:00+14:00", "infinity", "20000-01-01", "2024-01-30T23:00:00-02:00",
    ]  # fmt: skip
    assert came(world(tiny_db, "text", made, date_from="2024-01-31")) == [1, 3, 4, 5]


@pytest.mark.accepts("SV-122")
def test_filters_of_the_query_apply_beside_those_of_the_job(tiny_db: Database) -> None:
    made: list[str | None] = [*MADE]
    filters = [{"field": "n", "operator": "IN", "value": [1, 2, 4, 6]}]
    assert came(world(tiny_db, "timestamp", made, filters=filters)) == [1, 2, 4, 6]
    done = world(tiny_db, "timestamp", made, filters=filters, date_from="2024-01-01", date_to="2024-01-31", limit=2)
    assert came(done) == [2, 4]


@pytest.mark.parametrize(
    ("kind", "made", "code", "said"),
    [
        (
            "text", ["2024-01-01", "soon"], "date_unreadable",
            "created_at of tickets holds a text that is no date, so date_from and date_to cannot be applied; "
            "map a column of dates, or leave such rows out by a filter",
        ),
        (
            "int", ["1704067200"], "date_unfit",
            "created_at of tickets is of type integer: date_from and date_to need a date, a timestamp or a text that "
            "holds one",
        ),
    ],
)  # fmt: skip
def test_what_is_no_time_stops_the_job_by_name(
    tiny_db: Database, kind: str, made: list[str | None], code: str, said: str
) -> None:
    done = world(tiny_db, kind, made, date_from="2024-01-01").start()
    done.drive()
    assert [(error["code"], error["message"]) for error in done.job["errors"]] == [(code, said)]
    assert (done.job["status"], stored(done.org)[0]) == ("failed", [])


@pytest.mark.accepts("SV-117")
def test_every_step_stops_when_the_time_is_over(tiny_db: Database) -> None:
    fill(tiny_db, SMALL)
    done = Import(tiny_db, SMALL, options={"timeout": 60}).start()
    begun = done.job["started_at"]
    stopped: dict[Any, tuple[str, str]] = {}

    def late_once(run: Any, event: dict[str, Any]) -> dict[str, Any]:
        if run not in stopped and run is not finish.run:
            with pytest.raises(Fatal) as over:
                call(run, event, now=lambda: begun + 60.0)
            stopped[run] = (over.value.code, over.value.message)
        return call(run, event, now=lambda: begun + 59.9)

    done.drive(late_once)
    assert done.job["status"] == "completed_with_errors" or done.job["status"] == "completed"
    assert stopped == {
        step.run: ("job_timeout", "The job has reached its timeout of 60 seconds")
        for step in (plan, extract, transform, match, decide, load)
    }


@pytest.mark.accepts("SV-116")
@pytest.mark.parametrize(("options", "written"), [({}, [25, 15]), ({"batch_size": 10}, [10, 10, 10, 10])])
def test_so_many_records_are_written_at_a_time(
    tiny_db: Database, monkeypatch: pytest.MonkeyPatch, options: dict[str, int], written: list[int]
) -> None:
    monkeypatch.setattr(plan, "CHUNK_ROWS", 40)
    done = world(tiny_db, "date", ["2024-01-01"] * 40)
    done.options |= options
    calls: list[int] = []

    def count(one: Call) -> None:
        if one.operation == "BatchExecuteStatement":
            calls.append(len(json.loads(one.request["body"])["Statements"]))

    with between(after=count, within=(load.run,)):
        assert len(came(done)) == 40
    assert calls == written


@pytest.mark.accepts("SV-117")
def test_waiting_for_another_job_takes_time_as_well(tiny_db: Database) -> None:
    fill(tiny_db, SMALL)
    done = Import(tiny_db, SMALL, types=("tickets",), options={"timeout": 60}).start()
    begun = done.job["started_at"]
    other = Import(tiny_db, SMALL, types=("tickets",), org=done.org).start()
    assert locks.take_type(done.org, "tickets", other.job_id) is None
    matching = _read(done)
    assert call(match.run, matching, now=lambda: begun + 59)["state"] == "waiting"
    with pytest.raises(Fatal) as over:
        call(match.run, matching, now=lambda: begun + 61)
    finish.run(
        done.event | {"error": {"Error": "Fatal", "Cause": over.value.message}}, now=time.time, remaining=lambda: 300
    )
    assert (done.job["status"], [error["code"] for error in done.job["errors"]]) == ("failed", ["job_timeout"])


def _read(done: Import) -> dict[str, Any]:
    """Read the chunks of the only type. The event it would be matched by."""
    planned = call(plan.run, done.event)
    here = done.event | {"type": "tickets"}
    for item in storage.get_json(planned["types"][0]["manifest"]):
        call(extract.run, here | item)
        call(transform.run, here | item)
    return here
