"""Modes: what an import does with rows that are there already, and how it recognises them.

In: what a person sent, with a job or to be kept on a profile. Out: checked words; `jobs.policy` has what they come to.
Matching is exact for now, so a fuzzy strategy is refused by name: nothing is promised that the run would ignore.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chalicelib.messages import between, described
from chalicelib.requests import Body

MatchField = Literal["email", "external_id"]
"""What rows can be recognised by: their own id in the source, and the unique key some types have."""

_FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


@described(enum=["exact", "exact_match", "case_insensitive", "case_insensitive_match"])
def _available(strategy: str) -> str:
    if strategy.startswith("fuzzy"):
        raise PydanticCustomError("fuzzy", "not available")
    return strategy


@described(type="number")
def _number(value: Any) -> int | float:
    """A union's findings would name its members as if they were fields. Six decimals are finer than any confidence, and
    DynamoDB holds no number as small as JSON does.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("float_type", "no number")
    return round(value, 6)


class DuplicateDetection(Body):
    """How rows recognise records that are there. confidence_threshold: percent, or 0..1; an exact match has 100."""

    enabled: bool = True
    strategy: Annotated[
        Literal["exact", "exact_match", "case_insensitive", "case_insensitive_match", "fuzzy", "fuzzy_match"],
        AfterValidator(_available),
    ] = "exact"
    primary_fields: Annotated[list[MatchField], Field(max_length=10)] = ["email", "external_id"]
    secondary_fields: Annotated[list[_FieldName], Field(max_length=50)] = []
    confidence_threshold: Annotated[Any, AfterValidator(_number), AfterValidator(between(0, 100))] = 85


class ModeConfig(Body):
    """What to do with new and with known rows; see jobs.policy for what the words come to."""

    import_mode: Literal["create", "update", "upsert"] = "upsert"
    duplicate_detection: DuplicateDetection = DuplicateDetection()
    skip_duplicates: bool = False
    update_duplicates: bool | None = None
    source_identifier_field: Literal["id", "external_id"] = "id"
    matching_strategy: Literal["weighted_fields", "any_primary", "all_primary"] = "weighted_fields"


def conflicts(mode: ModeConfig) -> list[str]:
    """Flags that contradict each other, each with the one that wins."""
    found = []
    if mode.skip_duplicates and (mode.update_duplicates or mode.import_mode == "update"):
        found.append("skip_duplicates is set, so records that are there already are skipped and not updated.")
    elif mode.import_mode == "create" and mode.update_duplicates:
        found.append("import_mode is create, so records that are there already are skipped and not updated.")
    return found
