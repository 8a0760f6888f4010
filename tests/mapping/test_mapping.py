from typing import Any

import pytest

from chalicelib import targets
from chalicelib.errors import Fatal
from chalicelib.mapping import Mapper
from chalicelib.sql import Mapped, Query


def mapper(target: str, *fields: str | tuple[str, str]) -> Mapper:
    """Fields by name, or (name, transformation)."""
    pairs = [(field, None) if isinstance(field, str) else field for field in fields]
    mapped = [Mapped(source="x", target=name, transformation=transformation) for name, transformation in pairs]
    query = Query(name="Q", base_table="t", origin="t", key="t.id", fields=mapped, target_type=target)
    return Mapper(query, targets.get(target))


NOTES = ("external_id", "content", "ticket", "author", "is_internal")
CUSTOMERS = ("external_id", "name", "email", "phone", "account")


def test_a_row_becomes_data_references_and_keys() -> None:
    accepted, rejected = mapper("customer_users", *CUSTOMERS).apply([(7, "Jo", "Jo@X.example ", None, "company:x")], 40)
    assert rejected == []
    assert accepted == [
        {
            "row": 40,
            "ext": "7",
            "data": {"name": "Jo", "email": "Jo@X.example "},
            "refs": {"account": "company:x"},
            "keys": {"email": "jo@x.example"},
            "warnings": [],
        }
    ]


def test_integers_become_ids_and_texts_where_the_target_wants_text() -> None:
    (row,), _ = mapper("tickets", "external_id", "title", "number", "customer").apply([(1, 5, 77, 9)], 0)
    assert (row["ext"], row["data"], row["refs"]) == ("1", {"title": "5", "number": "77"}, {"customer": "9"})


def test_nested_targets_gather_in_one_field_and_vanish_when_empty() -> None:
    rows = [(1, "a", "x", None), (2, "b", None, None)]
    found, _ = mapper("tickets", "external_id", "title", "custom_fields.p", "custom_fields.q q").apply(rows, 0)
    assert [row["data"] for row in found] == [{"title": "a", "custom_fields": {"p": "x"}}, {"title": "b"}]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_row_rejects_one_row_and_the_others_keep_their_numbers(place: int) -> None:
    rows: list[tuple[Any, ...]] = [(number, f"text {number}", 1, None, False) for number in range(3)]
    rows[place] = (place, None, 1, None, False)
    accepted, rejected = mapper("ticket_notes", *NOTES).apply(rows, 10)
    assert [row["row"] for row in accepted] == [10 + number for number in range(3) if number != place]
    assert [row["data"]["content"] for row in accepted] == [f"text {number}" for number in range(3) if number != place]
    assert rejected == [
        {"row": 10 + place, "ext": str(place), "errors": [{"field": "content", "reason": "is required"}]}
    ]


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ((None, "t", None), "external_id", "is required"),
        (("", "t", None), "external_id", "is empty"),
        (("x" * 513, "t", None), "external_id", "is longer than 256 characters"),
        ((1, "", None), "title", "is empty"),
        ((1, ["t"], None), "title", "Input should be a valid string"),
        ((1, "t", "y" * 513), "customer", "is longer than 256 characters"),
    ],
)
def test_a_rejected_row_says_which_field_and_why(row: tuple[Any, ...], field: str, reason: str) -> None:
    accepted, rejected = mapper("tickets", "external_id", "title", "customer").apply([row], 0)
    assert accepted == []
    assert rejected[0]["errors"] == [{"field": field, "reason": reason}]


def test_what_the_target_is_lenient_about_is_repaired_with_a_warning() -> None:
    fields = ("external_id", "title", "status", "priority", "closed_at", "custom_fields.kept")
    rows = [
        (1, "t" * 1001, "weird", "P1", "infinity", "k"),
        (2, "fine", "closed", "high", "2024-01-01T10:00:00Z", None),
    ]
    accepted, rejected = mapper("tickets", *fields).apply(rows, 0)
    assert rejected == []
    assert accepted[0]["data"] == {
        "title": "t" * 1000,
        "status": "open",
        "priority": "normal",
        "custom_fields": {"kept": "k"},
    }
    assert sorted(accepted[0]["warnings"]) == [
        "closed_at: is not a time between the years 0000 and 9999, left out",
        "priority: is none of 'low', 'normal', 'high' or 'urgent', taken as normal",
        "status: is none of 'open', 'pending', 'resolved' or 'closed', taken as open",
        "title: cut to 1000 characters",
    ]
    assert accepted[1]["warnings"] == []


def test_an_email_too_long_is_not_cut_to_someone_elses() -> None:
    accepted, rejected = mapper("customer_users", "external_id", "name", "email").apply([(1, "n", "a" * 321)], 0)
    assert accepted == []
    assert rejected[0]["errors"] == [{"field": "email", "reason": "is longer than 320 characters"}]


def test_a_lenient_field_beside_a_fatal_one_still_rejects() -> None:
    rows = [(1, None, "weird"), (2, "t", "open")]
    accepted, rejected = mapper("tickets", "external_id", "title", "status").apply(rows, 0)
    assert [row["ext"] for row in accepted] == ["2"]
    assert {error["field"] for error in rejected[0]["errors"]} == {"title", "status"}


def test_warnings_of_transformations_stay_with_their_row() -> None:
    rows = [(1, "a", "[]"), (2, "b", "broken"), (3, None, "broken"), (4, "d", '["x"]')]
    accepted, rejected = mapper("ticket_notes", "external_id", "content", ("cc", "texts")).apply(rows, 0)
    assert [(row["ext"], row["warnings"]) for row in accepted] == [
        ("1", []),
        ("2", ["cc: is no readable JSON, left out"]),
        ("4", []),
    ]
    assert accepted[2]["data"]["cc"] == ["x"]
    assert [row["ext"] for row in rejected] == ["3"]


def test_an_empty_chunk_is_no_rows() -> None:
    assert mapper("ticket_notes", "external_id", "content", ("cc", "texts")).apply([], 0) == ([], [])


def test_rows_read_back_as_lists_map_like_tuples() -> None:
    one = mapper("ticket_notes", *NOTES)
    row = (1, "c", 2, "agents:3", True)
    assert one.apply([row], 0) == one.apply([list(row)], 0)


def test_a_field_the_target_does_not_have_stops_the_job() -> None:
    with pytest.raises(Fatal, match="tickets has no field colour") as stopped:
        mapper("tickets", "external_id", "title", "colour")
    assert stopped.value.code == "unknown_field"


def test_nothing_of_the_value_is_repeated_in_reasons() -> None:
    secret = "CANARY" * 200
    accepted, rejected = mapper("tickets", "external_id", "title", "customer", "status").apply(
        [(1, "t", secret, secret)], 0
    )
    assert accepted == []
    assert "CANARY" not in str([row["errors"] for row in rejected])
