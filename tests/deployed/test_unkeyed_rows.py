"""Rows that no key can cut: a pass over them is never mixed with another one, and no join loses a row."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import psycopg
import pytest

from chalicelib import jobs, plans, storage
from chalicelib.steps import extract, plan, transform
from tests.conftest import Database
from tests.deployed.faults.audit import contents, stored
from tests.deployed.faults.calls import Frozen, Kill, call
from tests.deployed.faults.deaths import OnAndOn
from tests.deployed.faults.source import Import, Row, killed_while_reading

pytestmark = pytest.mark.usefixtures("undriven")

TYPE = "tickets"
ROWS = 11


def fill(database: Database, text: str = "first", rows: int = ROWS) -> None:
    """Things without any key; parts, some of which belong to nothing. Whoever reads them at the moment keeps what he
    sees, and nobody waits for him.
    """
    with psycopg.connect(database.dsn) as source:
        source.execute("CREATE TABLE IF NOT EXISTS things (n int, t text)")
        source.execute("CREATE TABLE IF NOT EXISTS parts (n int, thing int, t text)")
        source.execute("DELETE FROM things; DELETE FROM parts")
        source.execute("INSERT INTO things SELECT n, %s || ' ' || n FROM generate_series(1, %s) n", [text, rows])
        source.execute(
            "INSERT INTO parts SELECT 100 + n, CASE WHEN n %% 3 = 0 THEN 500 ELSE n END, %s || ' p' || n"
            " FROM generate_series(1, %s + 4) n",
            [text, rows],
        )


def query(key: list[str], **parts: Any) -> dict[str, str]:
    """Neither table has a key of its own, so without one there is none."""
    fields = [{"source": "things.n", "target": "external_id"}, {"source": "things.t", "target": "title"}]
    parts |= {"key": key} if key else {}
    return {TYPE: json.dumps({"base_table": "things", "fields": fields} | parts)}


@pytest.fixture(autouse=True)
def _clean(tiny_db: Database) -> None:
    with psycopg.connect(tiny_db.dsn) as source:
        source.execute("DROP TABLE IF EXISTS parts; DROP TABLE IF EXISTS things")


def world(database: Database, **parts: Any) -> Import:
    return Import(database, {}, types=(TYPE,), queries=query(**parts))


def expected(database: Database, text: str = "SELECT n::text, t FROM things") -> list[Row]:
    with psycopg.connect(database.dsn) as source:
        return [Row(ext, text=title) for ext, title in source.execute(text.encode()).fetchall()]


def wrong(done: Import, rows: list[Row]) -> list[str]:
    """What the store shows, against the rows; and whether the job says it brought each of them once."""
    records, claims, _ = stored(done.org)
    job = done.job
    came = [job.get(f"{TYPE}_{word}", 0) for word in ("planned", "extracted", "created")]
    counts = [] if came == [len(rows)] * 3 else [f"{came} of {len(rows)} rows"]
    return contents(records, claims, TYPE, rows) + counts + ([] if job["status"] == "completed" else [str(job)])


@pytest.mark.parametrize("key", [[], ["things.t", "things.n"]])
def test_a_table_without_a_key_is_brought_whole(tiny_db: Database, key: list[str]) -> None:
    fill(tiny_db)
    done = world(tiny_db, key=key).start()
    done.drive()
    assert wrong(done, expected(tiny_db)) == []


def test_deaths_at_every_call_of_a_pass_leave_one_pass(tiny_db: Database) -> None:
    fill(tiny_db)
    reaper = OnAndOn()
    done = world(tiny_db, key=[]).start()
    with reaper.at_work() as deaths:
        done.drive(partial(reaper.invoke, done))
    assert wrong(done, expected(tiny_db)) == [], deaths
    assert sum(times for death, times in deaths.items() if death.startswith("plan ")) > 12


def test_deaths_between_the_rows_of_a_pass_leave_one_pass(tiny_db: Database) -> None:
    """Each time the source holds other rows: what stands is what the plan that stands has read, no row of another."""
    fill(tiny_db)
    done = world(tiny_db, key=[]).start()
    for after_rows in range(0, ROWS, 3):
        fill(tiny_db, f"round {after_rows}", ROWS + after_rows)
        with killed_while_reading(0, -1) as read:
            call(plan.run, world(tiny_db, key=[]).start().event)
        passing = max(place for place, rows in enumerate(read) if rows == ROWS + after_rows)
        with killed_while_reading(after_rows, passing), pytest.raises(Kill):
            call(plan.run, done.event)
    done.drive()
    assert wrong(done, expected(tiny_db)) == []


@pytest.mark.parametrize("each", [5, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_pass_that_comes_late_is_nobodys(tiny_db: Database, each: int) -> None:
    """A plan is frozen at its calls, each or some, until another one, of other rows, has been made; then it goes on."""
    index, late = 0, 0
    while True:
        fill(tiny_db, "early", 9)
        done = world(tiny_db, key=[]).start()
        with Frozen(plan.run, done.event, index) as frozen:
            if not frozen.reached:
                break
            fill(tiny_db, "late", 5)
            call(plan.run, done.event)
            frozen.let_go()
        done.drive()
        texts = {record["data"]["title"].split(" ")[0] for record in stored(done.org)[0]}
        rows = expected(tiny_db) if texts == {"late"} else [Row(str(n), text=f"early {n}") for n in range(1, 10)]
        assert wrong(done, rows) == [], (index, texts)
        late += texts == {"late"}
        index += each
    assert index > 12
    assert late > 8 / each


JOIN = {
    "fields": [
        {"source": "coalesce(things.n, parts.n)", "target": "external_id"},
        {"source": "coalesce(things.t, parts.t)", "target": "title"},
    ],
}


@pytest.mark.parametrize("kind", ["RIGHT", "FULL", "LEFT", "INNER"])
@pytest.mark.parametrize("key", [["things.n"], ["things.n", "parts.n"], []])
def test_no_join_loses_a_row(tiny_db: Database, kind: str, key: list[str]) -> None:
    fill(tiny_db)
    join = {"type": kind, "table": "parts", "on": "parts.thing = things.n"}
    done = world(tiny_db, key=key, joins=[join], **JOIN).start()
    done.drive()
    rows = expected(
        tiny_db,
        f"SELECT coalesce(things.n, parts.n)::text, coalesce(things.t, parts.t) FROM things {kind} JOIN parts"
        " ON parts.thing = things.n",
    )
    assert wrong(done, rows) == []


@pytest.mark.parametrize("limit", [1, 4, 9, 50])
@pytest.mark.accepts("SV-121")
def test_a_limit_holds_over_ranges_and_pass(tiny_db: Database, limit: int) -> None:
    fill(tiny_db)
    join = {"type": "FULL", "table": "parts", "on": "parts.thing = things.n"}
    for key in (["things.n"], []):
        done = world(tiny_db, key=key, joins=[join], **JOIN)
        done.options = {"import_filters": {"limit": limit}}
        done.start().drive()
        there = len(expected(tiny_db, "SELECT '', '' FROM things FULL JOIN parts ON parts.thing = things.n"))
        job = done.job
        assert [job[f"{TYPE}_{word}"] for word in ("planned", "extracted", "created")] == [min(limit, there)] * 3


def test_a_source_that_grows_after_the_plan_does_not_stretch_a_limit(tiny_db: Database) -> None:
    fill(tiny_db)
    done = world(tiny_db, key=["things.n"])
    done.options = {"import_filters": {"limit": 5}}
    done.start()
    call(plan.run, done.event)
    with psycopg.connect(tiny_db.dsn) as source:
        source.execute("INSERT INTO things SELECT -n, 'more' FROM generate_series(1, 40) n")
    done.drive()
    assert done.job[f"{TYPE}_created"] == 5


def test_a_pass_without_the_time_says_to_choose_a_key(tiny_db: Database) -> None:
    fill(tiny_db)
    done = world(tiny_db, key=[]).start()
    with pytest.raises(plan.Fatal) as stopped:
        call(plan.run, done.event, remaining=14.0)
    assert (stopped.value.code, stopped.value.message) == (
        "key_needed",
        "the rows of tickets that no key can cut are too many to be read in one go: only 2 came in the time there is; "
        "choose a key that is unique and never null",
    )


def test_rows_of_different_chunks_that_name_one_record_meet(tiny_db: Database) -> None:
    """Of a pass, and of a key of two columns, any two chunks may hold the same external id."""
    for key in ([], ["things.t", "things.n"]):
        fill(tiny_db)
        with psycopg.connect(tiny_db.dsn) as source:
            source.execute("UPDATE things SET t = chr(96 + n), n = n % 3")
        done = world(tiny_db, key=key).start()
        done.drive()
        records, claims, _ = stored(done.org)
        order = expected(tiny_db, f"SELECT n::text, t FROM things {'ORDER BY t' if key else ''}")
        assert contents(records, claims, TYPE, order) == []
        assert (done.job[f"{TYPE}_created"], done.job[f"{TYPE}_updated"]) == (3, 8)


def test_only_a_key_that_is_the_external_id_spares_the_look_for_rows_that_meet(tiny_db: Database) -> None:
    fill(tiny_db)
    with psycopg.connect(tiny_db.dsn) as source:
        source.execute("ALTER TABLE things ADD u uuid; UPDATE things SET u = md5(n::text)::uuid")
    for key, external, meets in (
        (["things.n"], "things.n", False), (["things.u"], "things.u", False), (["things.t"], "things.t", True),
        (["things.n"], "things.t", True), (["things.n", "things.u"], "things.n", True), ([], "things.n", True),
    ):  # fmt: skip
        fields = [{"source": external, "target": "external_id"}, {"source": "things.t", "target": "title"}]
        done = world(tiny_db, key=key, fields=fields).start()
        planned = call(plan.run, done.event)
        [item, *_] = storage.get_json(planned["types"][0]["manifest"])
        here = done.event | {"type": TYPE} | item
        call(extract.run, here)
        call(transform.run, here)
        assert transform._rows_may_meet(jobs.get(done.org, done.job_id)["plan"], TYPE) is meets, (key, external)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "ALTER TABLE things ALTER t TYPE int USING n",
            "things.t of tickets was of type text when the import was planned and is of type integer now; "
            "start the import again",
        ),
        ("ALTER TABLE things DROP t", "the source has no column things.t"),
        ("ALTER TABLE things RENAME t TO away", "the source has no column things.t"),
    ],
)
def test_a_column_that_changes_between_plan_and_extract_stops_the_job_by_name(
    tiny_db: Database, change: str, said: str
) -> None:
    fill(tiny_db)
    done = world(tiny_db, key=["things.n"]).start()
    call(plan.run, done.event)
    assert [column.type for column in plans.columns(done.job["plan"], TYPE)] == ["integer", "text"]
    with psycopg.connect(tiny_db.dsn) as source:
        source.execute(change.encode())
    done.drive()
    job = done.job
    assert job["status"] == "failed"
    assert {(error["code"], error["message"]) for error in job["errors"]} == {("source_changed", said)}
    assert job[f"{TYPE}_unprocessed"] == ROWS
