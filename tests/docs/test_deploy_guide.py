"""The guide's commands can be pasted as they stand, by somebody who comes from the local stack."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
BLOCKS = re.findall(r"^ *```sh\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)


def test_no_command_has_a_comment_behind_it() -> None:
    """zsh, the shell of every Mac, takes a # that is typed or pasted for an argument."""
    assert len(BLOCKS) >= 6
    assert [line for block in BLOCKS for line in block.splitlines() if re.search(r"(^|\s)#", line)] == []


def test_what_the_commands_need_is_set_before_them() -> None:
    commands = "\n".join(BLOCKS)
    for setting, needed_by in [
        ("export AWS_DEFAULT_REGION=", "aws "),
        ("export PATH=", "wharf "),
        ("unset WHARF_ENDPOINT WHARF_TOKEN", "wharf "),
    ]:
        first = re.search(rf"^{needed_by}", commands, re.MULTILINE)
        assert first
        assert -1 < commands.find(setting) < first.start(), setting
