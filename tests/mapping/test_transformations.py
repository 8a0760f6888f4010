from typing import Any

import pytest

from chalicelib import transformations
from chalicelib.transformations import BROKEN_JSON, CUT_JSON, Warned

WORK, OTHER = {"value": "1", "type": "work"}, {"value": "2", "type": "other"}
UNKNOWN = "is none of the field's options or an unknown one, taken as normal"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("texts", "[]", None),
        ("texts", "", None),
        ("texts", "null", None),
        ("texts", '["a","b"]', ["a", "b"]),
        ("texts", '{"0":"a","2":"b"}', ["a", "b"]),
        ("texts", '["a",1,null,""]', ["a"]),
        ("texts", '"a"', ["a"]),
        ("texts", '["a","b', Warned(["a"], CUT_JSON)),
        ("texts", "nonsense", Warned(None, BROKEN_JSON)),
        ("texts", "[" * 10_000, Warned(None, BROKEN_JSON)),
        ("texts", '["\\ud800"]', Warned(None, BROKEN_JSON)),
        ("texts", 7, Warned(None, BROKEN_JSON)),
        ("phones", "[]", None),
        ("phones", '[{"value":"1","type":1,"n":"1"}]', [WORK]),
        ("phones", '{"0":{"value":"1","type":1}}', [WORK]),
        ("phones", '[{"value":"1"}]', [{"value": "1", "type": "other"}]),
        ("phones", '[{"value":"1","type":"1"}]', [WORK]),
        ("phones", '[{"value":"1","type":[]}]', [{"value": "1", "type": "other"}]),
        ("phones", '[{"value":"1","type":1},{"value":"2","ty', Warned([WORK, OTHER], CUT_JSON)),
        ("phones", '{"value":"1","type":1}', None),
        ("first_phone", '[{"value":"1","type":1},{"value":"2"}]', "1"),
        ("first_phone", "broken", None),
        ("email", "a@b.example", "a@b.example"),
        ("email", "ünïcödé@example.org", "ünïcödé@example.org"),
        ("email", "not-an-email", Warned("not-an-email", "is not an e-mail address")),
        ("email", "a@b", Warned("a@b", "is not an e-mail address")),
        ("priority", '["",""]', "normal"),
        ("priority", '["2","{\\"2\\":\\" HIGH \\"}"]', "high"),
        ("priority", '["2","[1]"]', Warned("normal", UNKNOWN)),
    ],
)  # fmt: skip
def test_values_come_through_or_with_a_word(name: str, value: Any, expected: Any) -> None:
    found = transformations.get(name)(value)
    assert (type(found), found) == (type(expected), expected)


HOSTILE = [
    "",
    "{",
    "[]",
    "\x00",
    "💥",
    "[[[[",
    '{"a":',
    "true",
    "1e999",
    "-",
    '"\\u0000"',
    '[{"value":{}}]',
    0,
    1.5,
    True,
    [],
    {},
]


@pytest.mark.parametrize("name", [name for name in transformations.names() if name != "priority"])
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_no_value_raises(name: str, value: Any) -> None:
    transformations.get(name)(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-31", "2024-01-31T00:00:00Z"),
        ("2024-01-31 10:20:30", "2024-01-31T10:20:30Z"),
        ("2024-01-31 10:20:30.123456+00", "2024-01-31T10:20:30.123456Z"),
        ("2024-01-31 10:20:30+05:30", "2024-01-31T04:50:30Z"),
        ("2024-01-01T01:00:00.5+02:00", "2023-12-31T23:00:00.500000Z"),
        ("2024-01-31T10:20Z", "2024-01-31T10:20:00Z"),
        ("2024-01-31T10:20:30Z", "2024-01-31T10:20:30Z"),
        ("0001-01-01 00:00:00+14", "0001-01-01 00:00:00+14"),
        ("infinity", "infinity"),
        ("20240-01-31", "20240-01-31"),
        ("yesterday", "yesterday"),
        (17, 17),
    ],
)
def test_times_as_postgresql_writes_them_become_ours(value: Any, expected: Any) -> None:
    assert transformations.get("time")(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{}", []),
        ("[]", []),
        ('{a,"b, c","d \\"e\\" \\\\",NULL,"NULL"}', ["a", "b, c", 'd "e" \\', "NULL"]),
        ('["a", null, 1]', ["a", 1]),
        ("{1,2}", ["1", "2"]),
    ],
)
def test_lists_are_read_from_json_and_from_arrays(value: Any, expected: Any) -> None:
    assert transformations.get("array")(value) == expected


@pytest.mark.parametrize("value", ["a", '{"a": 1}', "{{1,2},{3,4}}", "{a,}", "7", '{"a'])
def test_what_is_no_list_is_left_out_with_a_warning(value: Any) -> None:
    assert transformations.get("array")(value) == (None, "is no list, left out")


def test_objects_are_read_from_json() -> None:
    assert transformations.get("object")('{"a": {"b": 1}}') == {"a": {"b": 1}}
    assert transformations.get("object")({"a": 1}) == {"a": 1}
    for value in ("[1]", "x", "1", 5):
        assert transformations.get("object")(value) == (None, "is no JSON object, left out")
