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
