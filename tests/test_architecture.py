"""The shape of the house, as far as a program can hold it: who may import whom, and how large things get."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = {
    "app": 0,
    "routes": 1,
    "steps": 1,
    **dict.fromkeys(
        [
            "access",
            "analytics",
            "chunks",
            "connections",
            "copies",
            "tallies",
            "edits",
            "history",
            "idempotency",
            "identities",
            "jobs",
            "ledger",
            "locks",
            "logins",
            "modes",
            "openapi",
            "own_templates",
            "pages",
            "plans",
            "preconditions",
            "profiles",
            "progress",
            "rates",
            "records",
            "replies",
            "requests",
            "remains",
            "statistics",
            "builder",
            "configured",
            "writing",
        ],
        2,
    ),
    **dict.fromkeys(
        [
            "advice",
            "catalogue",
            "configurations",
            "decisions",
            "diagnosis",
            "expressions",
            "fields",
            "freescout",
            "mapping",
            "matching",
            "messages",
            "privileges",
            "narrowing",
            "ranges",
            "sessions",
            "suggestions",
            "tables",
            "trials",
            "sources",
            "sql",
            "targets",
            "templates",
            "transformations",
            "values",
        ],
        3,
    ),
    **dict.fromkeys(
        [
            "audit",
            "clients",
            "dynamo",
            "encryption",
            "events",
            "handshakes",
            "isolation",
            "keys",
            "paths",
            "network",
            "refusals",
            "settings",
            "storage",
            "telemetry",
            "watch",
        ],
        4,
    ),
    "errors": 5,
    "problems": 5,
}
"""Each room's floor; a room may import its own floor and those below, never one above. Docs: docs/architecture.md."""

PURE = {
    "catalogue",
    "diagnosis",
    "privileges",
    "advice",
    "configurations",
    "suggestions",
    "tables",
    "decisions",
    "mapping",
    "sql",
    "targets",
    "templates",
    "transformations",
    "matching",
}
"""Rooms of plain values in and plain values out: nothing here may reach AWS, the network or the environment."""

IO = {"clients", "dynamo", "storage", "network", "settings", "encryption", "audit", "events", "telemetry"}


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, for everything that ships."""
    files = [ROOT / "app.py", *sorted((ROOT / "chalicelib").rglob("*.py")), *sorted((ROOT / "cli").rglob("*.py"))]
    names = {}
    for path in files:
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


@cache
def imports(name: str) -> frozenset[str]:
    """The shipped modules a module imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in modules() else node.module for one in whole}
    return frozenset(one for one in found if one in modules() and one != name)


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if parts[0] == "chalicelib" and len(parts) > 1 else parts[0]


@pytest.mark.parametrize("name", [name for name in modules() if name not in ("chalicelib",)])
def test_imports_go_one_way(name: str) -> None:
    for other in imports(name):
        here, there = room(name), room(other)
        if here == "cli":
            assert there == "cli", f"{name}: the command speaks HTTP and knows nothing of the inside, not {other}"
            continue
        if other == "chalicelib" or here == there:
            continue
        assert FLOORS[here] <= FLOORS[there], f"{name} must not import {other}"
        assert {here, there} != {"routes", "steps"}, f"{name} and {other}: the state machine is their only road"
        assert not (here in PURE and there in IO), f"{name} takes plain values and must not import {other}"


def test_every_room_has_a_floor() -> None:
    assert {room(name) for name in modules()} - {"cli", "chalicelib"} - FLOORS.keys() == set()


def test_no_import_cycles() -> None:
    graph = {name: imports(name) - {"chalicelib"} for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {error.args[1]}")


def _sources() -> list[Path]:
    folders = ("chalicelib", "cli", "infra", "benchmarks", "tests")
    return [ROOT / "app.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "a file of more than 400 lines is probably two rooms"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_no_empty_names() -> None:
    empty = {"base", "common", "handler", "helper", "helpers", "manager", "misc", "processor", "repository", "service"}
    assert [name for name in modules() if set(name.split(".")[-1].split("_")) & (empty | {"util", "utils"})] == []


def test_the_front_door_is_light() -> None:
    """One zip serves every function: what app.py imports is paid for at each of their cold starts."""
    heavy = ["boto3", "botocore", "psycopg", "cryptography", "sqlglot", "rapidfuzz", "aws_lambda_powertools"]
    code = f"import sys, app; print([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_broad_excepts_stand_where_a_failure_is_recorded_and_nowhere_else() -> None:
    allowed = {"app.py", "chalicelib/isolation.py", "chalicelib/steps/__init__.py", "chalicelib/telemetry.py"}
    found = set()
    for path in [ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None
                or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            ):
                found.add(str(path.relative_to(ROOT)))
    assert found <= allowed
