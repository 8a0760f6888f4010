"""What is after more than a row's own columns is refused, each for its own reason."""

from __future__ import annotations

import pytest

from chalicelib import expressions, messages
from chalicelib.expressions import Table, Unfit
from tests.expressions.hostile import HOSTILE

CASES = [(category, kind, text) for category, found in HOSTILE.items() for kind, text in found]


def test_there_are_many() -> None:
    assert len({text for _, _, text in CASES}) >= 300


@pytest.mark.parametrize(
    ("category", "kind", "text"), CASES, ids=[f"{category}: {ascii(text)[:60]}" for category, _, text in CASES]
)
def test_is_refused_for_what_it_is(category: str, kind: str, text: str, tables: dict[str, Table]) -> None:
    orders = tables["orders"].columns or {}
    more = Table("orders", {name: orders[name] for name in ("data", "raw", "tags")}, "public", "orders")
    with pytest.raises(Unfit) as refused:
        expressions.value(text, [tables["customers"], more])
    assert refused.value.kind == kind
    said = messages.sentence(kind, "fields.0.source", **refused.value.values)
    assert said.startswith("The fields.0.source ")
    assert said.isprintable()
    assert len(said) < 400
