"""Values on their way to DynamoDB and back."""

import pytest
from pydantic_core import from_json

from chalicelib import clients, dynamo
from tests.moto_cloud import cloud

__all__ = ["cloud"]


@pytest.mark.parametrize(
    "value",
    ["", "ü", 0, -7, 10**30, 1.5, -0.25, True, False, None, [], [1, [None, "a"]], {}, {"a": {"b": [True]}}],
)
def test_values_come_back_as_they_went_in(value):
    back = dynamo.decode(dynamo.encode(value))
    assert back == value
    assert type(back) is type(value)


def test_sets_come_back_sorted():
    assert dynamo.decode(dynamo.encode({"b", "a"})) == ["a", "b"]


def test_what_cannot_be_stored_is_named():
    for value, kind in ((1j, "complex"), (b"", "bytes")):
        with pytest.raises(TypeError, match=kind):
            dynamo.encode(value)


def test_every_name_of_an_expression_gets_its_placeholder():
    parts = dynamo._expressions("SET #a = if_not_exists(#b, :x), #c = :y ADD #d :z", "size(#e) = :n OR (#f < :y)", {})
    assert parts["ExpressionAttributeNames"] == {f"#{name}": name for name in "abcdef"}


HARD = {
    "text": 'a"\\\n\u2028\x00\x7f ü 🙂 </script>',
    "list": [1, -0.5, 10**30, None],
    "deep": {"a b": {"c": True}},
    "empty": {},
}


def test_items_pass_the_wire_unchanged(cloud):
    key = ("O#wire", "1")
    dynamo.put("state", key, HARD)
    assert dynamo.get("state", key) == {"pk": key[0], "sk": key[1], **HARD}
    assert dynamo.batch_get("state", [key, ("O#wire", "2")]) == {key: {"pk": key[0], "sk": key[1], **HARD}}
    dynamo.transact([("Put", dynamo.put_operation("state", ("O#wire", "2"), HARD))])
    assert [item["sk"] for item in dynamo.query("state", "O#wire")] == ["1", "2"]


def test_a_request_carries_what_was_given_and_nothing_else(cloud):
    """Our own body stands in for botocore's: the same bytes as JSON, signed and counted."""
    sent = []
    events = clients.client("dynamodb").meta.events
    events.register("before-send.dynamodb", lambda request, **_: sent.append(request), "sent")
    try:
        dynamo.put("state", ("O#wire", "3"), HARD)
    finally:
        events.unregister("before-send.dynamodb", unique_id="sent")
    body = from_json(sent[0].body)
    assert body == {"TableName": "state", "Item": dynamo.encode_item({"pk": "O#wire", "sk": "3", **HARD})}
    assert sent[0].headers["X-Amz-Target"] == b"DynamoDB_20120810.PutItem"
    assert sent[0].headers["Content-Length"] == str(len(sent[0].body))


def test_half_a_surrogate_pair_is_refused_not_mangled(cloud):
    with pytest.raises(dynamo.Unacceptable, match="surrogate"):
        dynamo.put("state", ("O#wire", "4"), {"text": "a\ud800"})
    assert dynamo.get("state", ("O#wire", "4")) is None
