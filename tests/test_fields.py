from typing import Any

import pytest

from chalicelib import fields
from chalicelib.errors import Invalid

DECLARED = (
    {"name": "zone", "type": "timezone", "required": True, "default": None},
    {"name": "prefix", "type": "text", "required": False, "default": "", "pattern": r"^[a-z_]{0,5}$"},
    {"name": "number", "type": "choice", "required": False, "default": "id", "choices": ("id", "number")},
    {"name": "spam", "type": "boolean", "required": False, "default": False},
    {"name": "depth", "type": "integer", "required": False, "default": 3},
)
DEFAULTS = {"zone": "UTC", "prefix": "", "number": "id", "spam": False, "depth": 3}


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"prefix": "fs_"},
        {"prefix": ""},
        {"number": "number"},
        {"number": None},
        {"spam": True},
        {"depth": 0},
        {"zone": "America/Argentina/Buenos_Aires"},
    ],
)
def test_every_option_has_a_value_the_one_sent_or_its_default(sent: dict[str, Any]) -> None:
    expected = DEFAULTS | {name: value for name, value in sent.items() if value is not None}
    assert fields.check(DECLARED, {"zone": "UTC"} | sent) == expected


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"zone": None}, "The options.zone field is required."),
        ({"zone": ""}, "The options.zone field is required."),
        ({"zone": "Mars/Olympus"}, "The selected options.zone is invalid."),
        ({"zone": "/etc/localtime"}, "The selected options.zone is invalid."),
        ({"zone": "../UTC"}, "The selected options.zone is invalid."),
        *(
            ({"zone": zone}, "The selected options.zone is invalid.")
            for zone in (
                "localtime",
                "Factory",
                "right/Europe/Berlin",
                "posix/UTC",
                "europe/berlin",
                "UTC/",
                "zone.tab",
            )
        ),
        ({"zone": "Europe"}, "The selected options.zone is invalid."),
        ({"zone": "a\0b"}, "The selected options.zone is invalid."),
        ({"zone": 7}, "The selected options.zone is invalid."),
        ({"zone": ["UTC"]}, "The selected options.zone is invalid."),
        ({"prefix": "toolong"}, "The options.prefix format is invalid."),
        ({"prefix": "a\n"}, "The options.prefix format is invalid."),
        ({"prefix": 'a"b'}, "The options.prefix format is invalid."),
        ({"prefix": 7}, "The options.prefix must be a string."),
        ({"number": "uuid"}, "The selected options.number is invalid."),
        ({"number": ["id"]}, "The selected options.number is invalid."),
        ({"spam": 1}, "The options.spam field must be true or false."),
        ({"depth": True}, "The options.depth must be an integer."),
        ({"depth": "3"}, "The options.depth must be an integer."),
        ({"colour": "red"}, "The options.colour field is not known."),
    ],
)
def test_unfit_and_unknown_options_are_refused_by_name(sent: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        fields.check(DECLARED, {"zone": "UTC"} | sent)
    [name] = sent
    assert refused.value.errors == {f"options.{name}": [sentence]}
