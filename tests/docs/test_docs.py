"""The documents say what the code is: routes, fields, settings, commands, error words, limits, and links that lead on.

What has to appear is read from the running application, from the command and from the syntax tree, never from a list
kept here. So whatever is added to the code turns a test red until it is written down.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from chalice.app import Chalice
from pydantic import BaseModel
from typer.main import get_command

from app import app
from chalicelib import keys, refusals, targets, templates
from chalicelib.paths import ELSEWHERE
from chalicelib.requests import Endpoint, Routes
from chalicelib.templates import freescout
from cli import failures
from cli.main import app as command

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = [ROOT / "app.py", *sorted((ROOT / "chalicelib").rglob("*.py"))]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def section(name: str, heading: str) -> str:
    """The text under a heading of a page, as far as the next heading."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page(name), re.DOTALL | re.MULTILINE)
    assert found, f"docs/{name} has no heading {heading!r}"
    return found[1]


def words(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in CODE}


# --- the API


def endpoints(application: Chalice) -> Iterator[Endpoint]:
    declared = {
        place: endpoint
        for path in sorted((ROOT / "chalicelib" / "routes").glob("[a-z]*.py"))
        for place, endpoint in routes_of(path.stem).endpoints.items()
    }
    for path, methods in application.routes.items():
        if path == ELSEWHERE:
            continue
        yield from (declared[method, path] for method in methods)


def routes_of(module: str) -> Routes:
    found: Routes = import_module(f"chalicelib.routes.{module}").routes
    return found


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every field of a model, dotted as it is sent."""
    for name, info in model.model_fields.items():
        inner = [one for one in (info.annotation, *get_args(info.annotation)) if isinstance(one, type)]
        models = [one for one in inner if issubclass(one, BaseModel)]
        yield from fields(models[0], f"{prefix}{name}.") if models else [prefix + name]


@pytest.mark.parametrize("endpoint", list(endpoints(app)), ids=lambda one: f"{one.method} {one.path}")
def test_every_route_is_described_with_its_permission_and_fields(endpoint: Endpoint) -> None:
    text = section("api.md", f"{endpoint.method} {endpoint.path}")
    assert f"Permission: `{endpoint.permission}`" in text
    assert f"Answers {endpoint.status}" in " ".join(text.split())
    wanted = {*fields(endpoint.query), *(fields(endpoint.body) if endpoint.body else ())}
    assert wanted - words(text) - (configured() if "(#query-configurations)" in text else set()) == set()


def configured() -> set[str]:
    """The fields of a query, described once for all routes that take one, or several by record type."""
    found = words(section("api.md", "Query configurations"))
    return found | {f"queries.{name}" for name in found}


def test_no_route_is_described_that_is_not_there() -> None:
    described = re.findall(r"^### (\w+) (/api/\S+)$", page("api.md"), re.MULTILINE)
    assert sorted(described) == sorted((one.method, one.path) for one in endpoints(app))


# --- settings


def test_every_setting_is_described_and_no_other() -> None:
    places = ["app.py", "chalicelib", "cli", "infra", "tests", "benchmarks", ".chalice", ".ci", "Makefile"]
    files = [path for place in places for path in [ROOT / place, *(ROOT / place).rglob("*")] if path.is_file()]
    texts = [path.read_text() for path in files if path.suffix != ".pyc" and path != Path(__file__)]
    used = {name for text in texts for name in re.findall(r"\b_?WHARF_[A-Z_]+[A-Z]\b", text)}
    assert used == set(re.findall(r"`(_?WHARF_[A-Z_]+[A-Z])`", page("settings.md")))


def test_every_variable_of_the_makefile_is_described() -> None:
    text = (ROOT / "Makefile").read_text()
    own = set(re.findall(r"^([A-Z_]+) :=", text, re.MULTILINE)) | {"MAKEFILE_LIST"}
    taken = set(re.findall(r"\$\(([A-Z_]+)\)", text)) | set(re.findall(r"^export (.*)$", text, re.MULTILINE)[0].split())
    assert taken - own - words(page("settings.md")) == set()


# --- the command


def commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(whole name, command) of every command below a group."""
    names = group.list_commands(None) if hasattr(group, "list_commands") else []
    for name in names:
        yield from commands(group.get_command(None, name), f"{path} {name}")
    if not names:
        yield path, group


def options(one: Any) -> set[str]:
    given = (name for parameter in one.params for name in (*parameter.opts, *parameter.secondary_opts))
    return {name for name in given if name.startswith("-")}


@pytest.mark.parametrize(("name", "one"), list(commands(get_command(command), "wharf")))
def test_every_command_is_described_with_its_options(name: str, one: Any) -> None:
    assert options(one) - words(section("cli.md", name)) == set()


def test_no_command_is_described_that_is_not_there() -> None:
    described = re.findall(r"^### (wharf .*)$", page("cli.md"), re.MULTILINE)
    assert sorted(described) == sorted(name for name, _ in commands(get_command(command), "wharf"))
    assert options(get_command(command)) - words(page("cli.md")) == set()


def test_every_exit_code_is_described() -> None:
    codes = {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}
    assert {
        int(code) for code in re.findall(r"^\| (\d+) \|", section("cli.md", "Exit codes"), re.MULTILINE)
    } == codes | {0}


# --- error words


def error_words() -> Iterator[str]:
    """Every code in chalicelib: classes' defaults, `code=` arguments, and what replies.py answers with by itself."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            for value in codes_given(node):
                yield from code_of(path, value)
    yield from (code for code, _ in import_module("chalicelib.replies")._OWN.values())


def codes_given(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions a node gives as a code."""
    match node:
        case ast.keyword(arg="code", value=value) | ast.Assign(targets=[ast.Name(id="code")], value=value):
            yield value
        case ast.Call(func=ast.Name(id="problem"), args=[_, _, value, *_]):
            yield value
        case ast.Dict():
            yield from values_of(node, "code")


def values_of(node: ast.Dict, word: str) -> Iterator[ast.expr]:
    """The values a dict display has under a key."""
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == word:
            yield value


def code_of(path: Path, value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        assert ast.unparse(value) == "f'source_{kind}'", f"{path}: a code that no test can read"
        yield from (f"source_{kind}" for kind in refusals.UNREACHABLE)


def reasons() -> Iterator[str]:
    """Every word a row's `reason` may be."""
    displays = (node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.Dict))
    for value in (value for display in displays for value in values_of(display, "reason")):
        parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
        yield from (part.value for part in parts if isinstance(part, ast.Constant) and str(part.value).isidentifier())


def first_cells(text: str) -> set[str]:
    return {word for cell in re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE) for word in words(cell)}


def test_every_error_word_is_in_the_registry_and_no_other() -> None:
    registry = page("errors.md").split("## Why a row")[0]
    assert set(error_words()) == first_cells(registry)


def test_every_reason_of_a_row_is_in_the_registry() -> None:
    text = section("errors.md", "Why a row was not simply created")
    listed = set(re.findall(r"^\| \w+ \| `(\w+)` \|", text, re.MULTILINE))
    assert set(reasons()) == listed


# --- limits


def constants() -> dict[tuple[str, str], float]:
    """(file, name) -> value of every number that has a name in chalicelib."""
    found = {}
    for path, tree in trees().items():
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
        for node in tree.body:
            for target in node.targets if isinstance(node, ast.Assign) else ():
                value = getattr(module, target.id, None) if isinstance(target, ast.Name) else None
                if isinstance(value, int | float) and isinstance(target, ast.Name) and target.id.isupper():
                    found[str(path.relative_to(ROOT)), target.id] = value
    return found


def test_every_limit_is_documented_with_its_value_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,.]+) \| `([^`]+)` \|", page("limits.md"), re.MULTILINE)
    documented = {(path, name): float(value.replace(",", "")) for name, value, path in rows}
    assert documented == {place: float(value) for place, value in constants().items()}


def test_every_function_is_documented_with_its_time_out_and_memory() -> None:
    functions = json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_functions"]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|$", page("limits.md"), re.MULTILINE)
    assert {name: (int(time), int(memory)) for name, time, memory in rows} == {
        name: (one["lambda_timeout"], one["lambda_memory_size"]) for name, one in functions.items()
    }


# --- rooms, items, types, templates, dependencies


def test_every_room_is_on_the_map() -> None:
    rooms = {
        path.stem for path in (ROOT / "chalicelib").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - {"__init__"} - words(section("architecture.md", "Rooms")) == set()


def test_every_item_is_described() -> None:
    tree = trees()[Path(keys.__file__)]
    builders = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or node) == "Key"
    }
    assert builders - words(section("data.md", "Items")) == set()


@pytest.mark.parametrize("name", targets.names())
def test_every_record_type_is_described_with_its_fields(name: str) -> None:
    target = targets.get(name)
    row = next(line for line in section("data.md", "Record types").splitlines() if line.startswith(f"| {name} |"))
    _, _, listed, unique, refers, _ = (cell.strip() for cell in row.split("|"))
    own = target.Record.model_fields.keys() - targets.Imported.model_fields.keys()
    assert set(listed.split(", ")) == own
    assert [one for one in unique.split(", ") if one] == list(target.UNIQUE_KEYS)
    assert [one.removesuffix(" (parent)") for one in refers.split(", ") if one] == list(target.REFERENCES)


def test_the_freescout_template_is_described() -> None:
    assert {option["name"] for option in freescout.OPTIONS} == first_cells(section("freescout.md", "Options"))
    assert set(freescout.TYPES) == first_cells(section("freescout.md", "What comes"))
    rules = {rule.name for found in freescout.exclusions({}).values() for rule in found}
    assert rules - words(section("freescout.md", "What is left out, by rule")) == set()
    assert {template.NAME for template in templates.all() if template.NAME not in page("api.md")} == set()


@pytest.mark.parametrize("name", ["requirements.in", "requirements-dev.in"])
def test_every_direct_dependency_is_explained(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and line[0] not in "#-"]
    wanted = {re.split(r"[\[=<>~! ;#]", line)[0] for line in lines}
    heading = next(
        line[3:] for line in page("dependencies.md").splitlines() if line.startswith("## ") and f"`{name}`" in line
    )
    assert first_cells(section("dependencies.md", heading)) == wanted


# --- links and files


def anchors(path: Path) -> set[str]:
    """Headings as the usual hosts make anchors of them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = link.partition("#")
        if re.match(r"https?:", place):
            continue
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_are_there(path: Path) -> None:
    folders = "|".join(re.escape(one.name) for one in ROOT.iterdir() if one.is_dir())
    named = {word for word in words(path.read_text()) if re.fullmatch(rf"({folders})/[\w./*-]*", word)}
    named |= {word for word in words(path.read_text()) if re.fullmatch(r"[\w-]+\.(py|md|in|toml)", word)}
    for name in named - {".wharf/", ".wharf/env"}:
        assert list(ROOT.glob(name.rstrip("/"))), f"{name} is not there"
