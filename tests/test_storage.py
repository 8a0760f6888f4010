"""Chunks as they are stored."""

import gzip
import json

from chalicelib.storage import ROWS_A_LINE, pack, unpack


def test_rows_come_back_as_they_went_in_however_many():
    for rows in (0, 1, ROWS_A_LINE, ROWS_A_LINE + 1, 1000):
        wanted = [[number, "ü\n\u2028", None, True, {"a": [1.5]}] for number in range(rows)]
        body, lines = pack(wanted)
        assert lines == rows
        assert [row for batch in unpack(body) for row in batch] == wanted


def test_any_tool_can_read_them():
    body, _ = pack([{"a": 1}, {"b": "x"}])
    assert [json.loads(line) for line in gzip.decompress(body).splitlines()] == [[{"a": 1}, {"b": "x"}]]


def test_rows_are_taken_as_they_come():
    seen = []
    pack(seen.append(number) or [number] for number in range(200))
    assert seen == list(range(200))
