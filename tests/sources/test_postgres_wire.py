"""A wire that is cut, goes silent or drips: the source is read whole, or fails in time with the reason."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import psycopg
import pytest

from chalicelib import sessions
from chalicelib.errors import Retryable, SourceUnreachable
from chalicelib.sources import postgres
from chalicelib.sql import Query
from tests.conftest import Database
from tests.sources.wire import Fault, Plan, wire

ROWS = 2_000


@pytest.fixture
def things(empty_db: Database) -> Database:
    with psycopg.connect(empty_db.dsn) as connection:
        connection.execute("CREATE TABLE things (id int PRIMARY KEY, words text)")
        connection.execute(
            "INSERT INTO things SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, %s) n", [ROWS]
        )
    return empty_db


QUERY = Query.model_validate(
    {
        "name": "Things",
        "base_table": "things",
        "origin": "things",
        "key": "things.id",
        "fields": [{"source": "things.id", "target": "id"}, {"source": "things.words", "target": "words"}],
        "target_type": "things",
    }
)


def read(database: Database, plan: Plan, *, seconds: float = 60) -> int:
    """Read all rows through a wire with faults; how many came."""
    server = database.address.port
    with wire(server, plan) as line:
        address = replace(database.address, port=line.port)
        connection = replace(database.connection, port=line.port)
        with sessions.connect(connection, address, statement_timeout_seconds=seconds) as session:
            return sum(map(len, postgres.read(session, QUERY)))


def test_a_reset_in_the_middle_of_an_answer_can_be_tried_again(things: Database, generator: random.Random) -> None:
    """Wherever it comes: no short answer passes for a whole one, and no error is called anything but passing."""
    reasons = set()
    for after in [0, 1, 400, *(generator.randrange(400, ROWS * 640) for _ in range(20))]:
        with pytest.raises((Retryable, SourceUnreachable)) as failed:
            read(things, lambda _, after=after: Fault("reset", after))
        reasons.add(failed.value.code)
    assert reasons <= {"source_lost", "source_other", "source_closed", "source_unreachable"}
    assert "source_lost" in reasons


def test_silence_is_waited_out_no_longer_than_the_statement_may_take(
    things: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "GRACE_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(Retryable) as failed:
        read(things, lambda _: Fault("silence", 200_000), seconds=0.5)
    assert failed.value.code == "source_timeout"
    assert time.monotonic() - began < 5


def test_a_slow_drip_within_the_time_out_brings_every_row(things: Database) -> None:
    assert read(things, lambda _: Fault("drip", 100_000, drip_bytes=20_000, drip_seconds=0.01)) == ROWS


def test_a_drip_that_would_take_for_ever_is_cut(things: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "GRACE_SECONDS", 0.5)
    with pytest.raises(Retryable) as failed:
        read(things, lambda _: Fault("drip", 100_000, drip_bytes=100, drip_seconds=0.01), seconds=0.5)
    assert failed.value.code == "source_timeout"
