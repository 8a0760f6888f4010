"""Values on their way to DynamoDB and back."""

import pytest

from chalicelib import dynamo


@pytest.mark.parametrize(
    "value",
    ["", "ü", 0, -7, 10**30, 1.5, -0.25, True, False, None, [], [1, [None, "a"]], {}, {"a": {"b": [True]}}, b"\x00"],
)
def test_values_come_back_as_they_went_in(value):
    back = dynamo.decode(dynamo.encode(value))
    assert back == value
    assert type(back) is type(value)


def test_sets_come_back_sorted():
    assert dynamo.decode(dynamo.encode({"b", "a"})) == ["a", "b"]


def test_what_cannot_be_stored_is_named():
    with pytest.raises(TypeError, match="complex"):
        dynamo.encode(1j)


def test_every_name_of_an_expression_gets_its_placeholder():
    parts = dynamo._expressions("SET #a = if_not_exists(#b, :x), #c = :y ADD #d :z", "size(#e) = :n OR (#f < :y)", {})
    assert parts["ExpressionAttributeNames"] == {f"#{name}": name for name in "abcdef"}
