"""Chunks as they are stored."""

import gzip
import json

from chalicelib.storage import LINES_AT_ONCE, pack, unpack


def test_rows_come_back_as_they_went_in_however_many():
    for rows in (0, 1, LINES_AT_ONCE, LINES_AT_ONCE + 1, 1000):
        wanted = [[number, "ü\n\u2028", None, True, {"a": [1.5]}] for number in range(rows)]
        body, lines = pack(wanted)
        assert lines == rows
        assert unpack(body) == wanted


def test_any_tool_can_read_them():
    body, _ = pack([{"a": 1}, {"b": "x"}])
    assert [json.loads(line) for line in gzip.decompress(body).splitlines()] == [{"a": 1}, {"b": "x"}]


def test_rows_are_taken_as_they_come():
    seen = []
    pack(seen.append(number) or [number] for number in range(200))
    assert seen == list(range(200))
