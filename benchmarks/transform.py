"""From the source to chunk files of records, against a plain loop of stream, pydantic model and JSON line."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.source import Source, help_desk, line
from chalicelib import sql, storage, targets
from chalicelib.mapping import Mapper, Record
from chalicelib.sources import postgres

ROUNDS = 3
TYPES = ("customer_users", "ticket_notes")


def main() -> None:
    """Print the figures."""
    with help_desk() as source, tempfile.TemporaryDirectory() as folder:
        rows, ours, theirs, cpu = 0, 0.0, 0.0, 0.0
        for _ in range(ROUNDS):
            for name in TYPES:
                started, used = time.perf_counter(), time.process_time()
                rows += _ours(source, name, Path(folder))
                between, cpu = time.perf_counter(), cpu + time.process_time() - used
                _plain(source, name, Path(folder))
                ours, theirs = ours + between - started, theirs + time.perf_counter() - between
        against = "stream, pydantic model and JSON line, without ranges, compression or references"
        line("extract_transform", rows / ours, "rows/s", theirs / ours, against)
        line(
            "extract_transform_cpu", rows / cpu, "rows/s of one core", None, "the same, without waiting for the source"
        )


def _ours(source: Source, name: str, folder: Path) -> int:
    """Ranges to raw chunk files, and those to files of accepted rows."""
    query, mapper, rows = source.queries[name], Mapper(source.queries[name], targets.get(name)), 0
    with source.session() as session:
        for number, part in enumerate(postgres.plan(session, query).ranges):
            batches = postgres.read(session, query, part.bounds)
            raw, _ = storage.pack(row for batch in batches for row in batch)
            (folder / f"{name}.{number}.raw").write_bytes(raw)
            rejected: list[Record] = []
            accepted, count = storage.pack(mapper.stream(storage.unpack(raw), rejected))
            (folder / f"{name}.{number}.accepted").write_bytes(accepted)
            rows += count + len(rejected)
    return rows


def _plain(source: Source, name: str, folder: Path) -> None:
    """What one would write without Wharf: a model a row, and its JSON on a line."""
    query, record = source.queries[name], targets.get(name).Record
    places = {
        field.target: place
        for place, field in enumerate(query.fields)
        if field.target in record.model_fields and field.transformation in (None, "email")
    }
    text, values = sql.select(query)
    with source.session() as session, session.cursor() as cursor, (folder / f"{name}.jsonl").open("w") as file:
        for row in cursor.stream(text, values, size=500):
            model = record.model_validate({target: row[place] for target, place in places.items()})
            file.write(model.model_dump_json(exclude_none=True))
            file.write("\n")


if __name__ == "__main__":
    main()
