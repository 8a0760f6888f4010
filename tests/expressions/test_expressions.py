"""What may be written in an expression, and what it is written as."""

from __future__ import annotations

import pytest

from chalicelib import expressions
from chalicelib.expressions import Table, Unfit

CUSTOMERS = Table("customers", {"id": "integer", "first_name": "text", "last_name": "text", "age": "integer"})


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("customers.id", '"customers"."id"'),
        ("ID", '"customers"."id"'),
        (
            "CONCAT(customers.first_name, ' ', customers.last_name)",
            """concat("customers"."first_name", ' ', "customers"."last_name")""",
        ),
        ("ROUND(age / 60)", 'round("customers"."age" / 60)'),
    ],
)
def test_every_identifier_is_quoted(text: str, written: str) -> None:
    assert expressions.value(text, [CUSTOMERS]).sql == written


def test_what_is_not_there_is_named_with_a_guess() -> None:
    with pytest.raises(Unfit) as refused:
        expressions.value("customers.agee", [CUSTOMERS])
    assert (refused.value.kind, refused.value.values["guess"]) == ("sql_unknown_column", "; did you mean age?")
