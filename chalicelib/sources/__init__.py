"""The kinds of sources, one file each, looked up by file name.

A source's file has TITLE, FIELDS (the options a person fills in), `check`, `describe`, `plan` and `read`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType


def names() -> tuple[str, ...]:
    """All kinds of sources."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))


def get(name: str) -> ModuleType:
    """The module of a kind. Raises KeyError."""
    if name not in names():
        raise KeyError(name)
    return import_module(f"{__name__}.{name}")
