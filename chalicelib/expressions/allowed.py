"""What an expression may hold: functions, units and limits. A function that is not here is refused.

A function is here when one row's values go in and one value comes out, the same at every run, without a look at
anything but its arguments, in memory and time that its literal arguments bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_CHARACTERS = 5_000
"""Longest expression: a CASE of a hundred branches."""

MAX_WORDS = 1_500
"""Most words and signs of one."""

MAX_DEPTH = 20
"""Deepest nesting of brackets and CASEs. Reading takes some 25 frames of Python a level, of the thousand there are."""

MAX_BRANCHES = 100
"""Deepest nesting of operations; a chain of one operator is no nesting."""

MAX_STEPS = 60
"""Most steps of the parser a word, back and forth: one or two, unless its guesses within guesses double."""

MAX_DIMENSIONS = 3
"""Most dimensions of an array type."""

MAX_EMITTED = 20_000
"""Longest expression after its columns were given their tables."""

MAX_GROWTH = 1_000
"""How many times longer than the column it was made of a text may become."""

MAX_PATTERN = 300
"""Longest regular expression."""

MAX_REPEATS = 100
"""Largest counted repetition of a regular expression, those around it multiplied."""

MAX_FORMAT = 100
"""Longest format of to_char and its kin."""

MAX_LENGTH = 1_000
"""Largest length to fill up or repeat to."""

MAX_PLACES = 100
"""Most decimal places, and the largest power."""

MAX_NUMBER = 50
"""Longest number, in characters; its exponent has up to three digits."""

MAX_ELEMENTS = 100
"""Most elements of an ARRAY[...]."""

MAX_COMPARED = 300
"""Most names a misspelt one is compared with, those of its length first: 0.1 ms each, for each of 300 expressions."""


class Unfit(Exception):
    """An expression is refused. kind: of the sentence in messages.py; values: what that names."""

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind)
        self.kind = kind
        self.values = values


@dataclass(frozen=True)
class Call:
    """A function's arguments: fewest, most (None: any number), and what some of them have to be, by place."""

    fewest: int
    most: int | None
    must: dict[int, str] = field(default_factory=dict)


def _calls(names: str, fewest: int, most: int | None = 0, **must: str) -> dict[str, Call]:
    places = {int(name[1:]): check for name, check in must.items()}
    return {name: Call(fewest, fewest if most == 0 else most, places) for name in names.split()}


FUNCTIONS: dict[str, Call] = {
    # syntax rather than functions
    **_calls("coalesce greatest least", 1, None),
    **_calls("nullif", 2),
    # text
    **_calls("lower upper initcap length char_length character_length octet_length bit_length reverse md5 ascii", 1),
    **_calls("trim btrim ltrim rtrim", 1, 2),
    **_calls("chr to_hex", 1),
    **_calls("left right strpos starts_with string_to_array", 2),
    **_calls("concat", 1, None),
    **_calls("concat_ws", 2, None),
    **_calls("split_part translate", 3),
    **_calls("replace", 3, _3="text"),
    **_calls("substr", 2, 3),
    **_calls("substring", 2, 3, _2="number", _3="number"),
    **_calls("lpad rpad", 2, 3, _2="length"),
    **_calls("repeat", 2, _2="length"),
    **_calls("regexp_replace", 3, 4, _2="pattern", _3="text", _4="flags"),
    **_calls("regexp_match", 2, 3, _2="pattern", _3="flags"),
    **_calls("encode", 2, _2="text"),
    # numbers
    **_calls("abs sign ceil ceiling floor sqrt cbrt ln", 1),
    **_calls("round trunc", 1, 2, _2="places"),
    **_calls("mod div", 2),
    **_calls("power pow", 2, _2="power"),
    # dates and times
    **_calls("date_trunc date_part", 2, _1="unit"),
    **_calls("to_char to_date to_number", 2, _2="format"),
    **_calls("to_timestamp", 1, 2, _2="format"),
    **_calls("make_date make_time", 3),
    **_calls("make_timestamp", 6),
    **_calls("age", 2),
    **_calls("justify_days justify_hours justify_interval isfinite", 1),
    # JSON
    **_calls("json_typeof jsonb_typeof json_array_length jsonb_array_length", 1),
    **_calls("json_extract_path json_extract_path_text jsonb_extract_path jsonb_extract_path_text", 2, None),
    **_calls("to_json to_jsonb", 1),
    # arrays and ranges
    **_calls("array_to_string", 2, 3, _2="text", _3="text"),
    **_calls("array_length", 2),
    **_calls("cardinality isempty", 1),
    **_calls("array_position", 2),
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNITS = _words("microseconds milliseconds second minute hour day week month quarter year decade century millennium")
"""What date_trunc cuts at."""

PARTS = UNITS | _words("dow doy epoch isodow isoyear julian timezone timezone_hour timezone_minute")
"""What EXTRACT and date_part take out."""

AGGREGATES = _words(
    "array_agg avg bit_and bit_or bool_and bool_or corr count every json_agg json_object_agg jsonb_agg "
    "jsonb_object_agg max min mode percentile_cont percentile_disc range_agg stddev string_agg sum variance xmlagg "
    "row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value"
)
"""Not allowed, and told apart only to say why."""

CLOCKS = _words(
    "now clock_timestamp statement_timestamp transaction_timestamp timeofday current_date current_time "
    "current_timestamp localtime localtimestamp random random_normal gen_random_uuid uuid_generate_v4"
)
"""Not allowed, and told apart only to say why: a row read again has to come out the same."""

SESSION_WORDS = _words("user current_user session_user current_role current_schema current_catalog")
"""Functions that are written without brackets, where no column has that name."""

TEXTUAL = _words(
    "lower upper initcap reverse md5 trim btrim ltrim rtrim to_hex left right string_to_array concat concat_ws "
    "split_part translate replace substr substring lpad rpad repeat regexp_replace regexp_match encode to_char "
    "json_extract_path json_extract_path_text jsonb_extract_path jsonb_extract_path_text to_json to_jsonb "
    "array_to_string json_typeof jsonb_typeof"
)
"""Functions that make a text, or what holds one; but chr, which makes one letter of a number."""

ARITHMETIC = _words("abs sign ceil ceiling floor sqrt cbrt ln round trunc mod div power pow")
"""Functions of numbers."""
