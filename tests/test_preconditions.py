"""If-Match against a version, as RFC 9110 has it."""

from __future__ import annotations

import pytest

from chalicelib.errors import BadRequest, PreconditionFailed, PreconditionRequired
from chalicelib.preconditions import IfMatch, tag


@pytest.mark.parametrize("header", ['"3"', " * ", '"2", "3"', '"2","3"', ' "3" ', 'W/"2", "3"', '"", "3"'])
def test_whoever_saw_the_version_is_let_through(header: str) -> None:
    IfMatch(header).demand(3)


@pytest.mark.parametrize("header", ['"2"', '"03"', 'W/"3"', '""', '"2", "4"', '"3x"'])
def test_whoever_saw_another_is_told_what_stands(header: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        IfMatch(header).demand(3)
    assert (refused.value.status, refused.value.code, refused.value.extra) == (412, "stale_version", {"version": 3})
    assert refused.value.message == "The record has been changed meanwhile: it is at version 3."


@pytest.mark.parametrize("header", ["", "3", "'3'", '"3', '3"', '"3" "4"', '"3",', "*, *", 'w/"3"', '"3\t"', '"a b"'])
def test_what_is_no_entity_tag_is_refused_as_such(header: str) -> None:
    with pytest.raises(BadRequest) as refused:
        IfMatch(header).demand(3)
    assert (refused.value.status, refused.value.code) == (400, "malformed_if_match")
    assert refused.value.message == ("The If-Match header must be a version in double quotes, as ETag gives it, or *.")


def test_who_says_nothing_is_asked_to() -> None:
    with pytest.raises(PreconditionRequired) as refused:
        IfMatch(None).demand(3)
    assert (refused.value.status, refused.value.code) == (428, "precondition_required")
    assert refused.value.message == 'Send the version you have seen: If-Match: "<version>", or If-Match: *.'


def test_a_versions_tag_is_a_strong_one() -> None:
    assert tag(3) == '"3"'


@pytest.mark.parametrize("header", [None, "*", " * ", '"3"', '"2", "3"'])
def test_a_check_lets_through_whoever_says_nothing(header: str | None) -> None:
    IfMatch(header).check(3, "profile")


def test_a_check_refuses_who_saw_another_version_and_what_is_no_tag() -> None:
    with pytest.raises(PreconditionFailed) as refused:
        IfMatch('"2"').check(3, "profile")
    assert refused.value.message == "The profile has been changed meanwhile: it is at version 3."
    with pytest.raises(BadRequest):
        IfMatch("3").check(3, "profile")


@pytest.mark.parametrize(("header", "exact"), [(None, False), ("*", False), (" * ", False), ('"3"', True), ("3", True)])
def test_only_named_versions_are_exact(header: str | None, exact: bool) -> None:
    assert IfMatch(header).exact is exact
