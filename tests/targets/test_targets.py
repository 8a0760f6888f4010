"""The contract every record type keeps, and what is compared how."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from chalicelib import targets

COMMON = {"created_at", "updated_at", "custom_fields"}


@pytest.mark.parametrize("name", targets.names())
def test_every_type_keeps_the_contract(name: str) -> None:
    target = targets.get(name)
    fields = target.Record.model_fields
    assert fields.keys() > COMMON
    assert set(target.UNIQUE_KEYS) | set(target.MATCH_FIELDS) | set(target.LENIENT) <= fields.keys()
    assert not fields.keys() & target.REFERENCES.keys(), "a reference is no field"
    for types in target.REFERENCES.values():
        assert set(types) <= set(targets.names())
    assert target.PARENT is None or len(target.REFERENCES[target.PARENT]) == 1
    assert target.Record.__doc__
    for field, fallback in target.LENIENT.items():
        assert fallback is not None or not fields[field].is_required(), f"{field} cannot be left out"


@pytest.mark.parametrize("name", targets.names())
def test_unknown_fields_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="surprise"):
        targets.get(name).Record.model_validate({"surprise": 1})


def test_a_type_comes_after_the_types_it_refers_to() -> None:
    order = targets.names()
    for name in order:
        for types in targets.get(name).REFERENCES.values():
            assert all(order.index(other) < order.index(name) for other in types)


@pytest.mark.parametrize("name", ["", "nonsense", "__init__", "../sql", "tickets.py"])
def test_only_types_are_found(name: str) -> None:
    with pytest.raises(KeyError):
        targets.get(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jo@X.example", " jo@x.EXAMPLE "),
        ("MÜLLER@x.example", "müller@x.example"),
        ("mu\u0308ller@x.example", "m\u00fcller@x.example"),
        ("STRASSE@x.example", "straße@x.example"),
        ("\u00a0jo@ü.example\t", "jo@Ü.example"),
    ],
)
def test_addresses_that_are_the_same_compare_the_same(one: str, other: str) -> None:
    assert targets.normalise_key("email", one) == targets.normalise_key("email", other)


@pytest.mark.parametrize(("one", "other"), [("jo+tag@x.example", "jo@x.example"), ("jo@x.example.", "jo@x.example")])
def test_addresses_that_may_be_different_people_stay_different(one: str, other: str) -> None:
    assert targets.normalise_key("email", one) != targets.normalise_key("email", other)
