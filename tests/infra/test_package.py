"""The artifact for AWS, really built from the locked packages: what is in the zip, and that it runs on its runtime."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

from infra import package, wheels
from infra.local.processes import CannotStart

OURS = {"app.py", "chalicelib", "chalice"}

UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|ConnectionError"
)
"""How pip says that no registry answers, as opposed to one that has no such wheel."""

X86_64 = 62
"""e_machine of ELF (System V ABI)."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they are now, so that an edit in mid-test changes nothing, and what a working tree has besides."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("app.py", "requirements.txt"):
        shutil.copy(package.ROOT / name, copy)
    for name in ("chalicelib", ".chalice", "infra"):
        shutil.copytree(package.ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests", "docs", "chalicelib/__pycache__"):
        (copy / name).mkdir()
        (copy / name / "left.pyc").write_bytes(b"left")
    return copy


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    try:
        return package.make(tmp_path_factory.mktemp("dist"), root=root)
    except CannotStart as error:
        if UNREACHABLE.search(str(error)):
            pytest.skip("no package registry can be reached, so the artifact cannot be built")
        raise


@pytest.fixture(scope="module")
def unpacked(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(made[0]) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def functions(made: tuple[Path, Path]) -> dict[str, dict[str, Any]]:
    resources = json.loads(made[1].read_text())["Resources"]
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def test_lambda_takes_the_zip(made: tuple[Path, Path], unpacked: Path) -> None:
    assert made[0].stat().st_size < 50_000_000
    assert sum(path.stat().st_size for path in unpacked.rglob("*")) < 250_000_000


def test_every_wheel_was_made_for_the_runtime(unpacked: Path) -> None:
    tags = {
        tag
        for wheel in unpacked.glob("*.dist-info/WHEEL")
        for tag in Parser().parsestr(wheel.read_text()).get_all("Tag", [])
    }
    unfit = {tag for tag in tags if not tag.endswith("-any") and not re.search(r"manylinux\w*_x86_64$", tag)}
    assert unfit == set()
    assert any("manylinux" in tag for tag in tags)


def libraries(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if re.search(r"\.so(\.|$)", path.name))


def test_every_library_is_for_this_processor_and_this_python(unpacked: Path) -> None:
    found = list(libraries(unpacked))
    assert len(found) > 5
    for path in found:
        head = path.read_bytes()[:20]
        assert head[:4] == b"\x7fELF", path
        assert struct.unpack("<H", head[18:20])[0] == X86_64, path
        named = re.search(r"\.(cpython-\d+|abi3)", path.name)
        assert named is None or named[1] in ("cpython-313", "abi3"), path


def test_the_zip_holds_the_program_and_the_locked_packages_and_nothing_else(root: Path, unpacked: Path) -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (root / "requirements.txt").read_text(), re.MULTILINE))
    brought = {folder.name.split("-")[0] for folder in unpacked.glob("*.dist-info")}
    assert {_normal(name) for name in brought} == {_normal(name) for name in locked}
    ours = {path.relative_to(root).as_posix() for path in (root / "chalicelib").rglob("*.*") if path.suffix != ".pyc"}
    inside = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    expected = ours | {"app.py", "chalice/__init__.py", "chalice/app.py"}
    assert {name for name in inside if name.split("/")[0] in OURS} == expected
    assert {name for name in inside if name.endswith(".pyc") or "__pycache__" in name} == set()
    tops = {name.split("/")[0] for name in inside}
    assert tops & {"tests", "docs", "cli", "infra", "benchmarks", ".wharf", ".chalice", "pip", "bin"} == set()


def _normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_same_inputs_give_the_same_bytes(made: tuple[Path, Path], root: Path, tmp_path: Path) -> None:
    again = package.make(tmp_path / "again", root=root)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in made]


def test_every_function_runs_on_the_runtime_the_wheels_are_for(functions: dict[str, dict[str, Any]]) -> None:
    assert len(functions) >= 10
    for properties in functions.values():
        assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["x86_64"])
        assert properties["CodeUri"] == "./deployment.zip"


def test_the_template_holds_our_resources(made: tuple[Path, Path]) -> None:
    template = json.loads(made[1].read_text())
    assert {"StateTable", "RecordsTable", "Bucket", "DataKey", "ImportMachine"} <= template["Resources"].keys()
    assert {"EndpointURL", "BootstrapFunction", "StateMachine"} <= template["Outputs"].keys()
    assert "Concurrency" in template["Parameters"]


def test_the_guide_names_every_parameter_and_output_and_how_many_alarms_are_paid_for(made: tuple[Path, Path]) -> None:
    template = json.loads(made[1].read_text())
    guide = (package.ROOT / "docs" / "deploy.md").read_text()
    named = set(re.findall(r"`(\w+)`", guide))
    assert (template["Parameters"].keys() | template["Outputs"].keys()) - named == set()
    alarms = [name for name, one in template["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert f"| {len(alarms)} alarms at 0.10 | {len(alarms) * 0.1:.2f} |" in guide


def python_of_the_runtime() -> str:
    """A Python 3.13 that starts, on the path or among pyenv's; the test is skipped where there is none."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    named = [sys.executable, shutil.which("python3.13"), *map(str, versions.glob("3.13*/bin/python3.13"))]
    for name in filter(None, named):
        asked = subprocess.run([name, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if asked.stdout.strip() == "(3, 13)":
            return name
    pytest.skip("this machine has no Python 3.13")


IMPORTS = """
import importlib, json, sys
folder, handlers = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, folder)
import app, boto3, isal.isal_zlib, psycopg.pq, pydantic_core
from chalicelib import steps
import pkgutil
for module in pkgutil.iter_modules(steps.__path__):
    importlib.import_module("chalicelib.steps." + module.name)
assert psycopg.pq.__impl__ == "binary"
assert all(module.__file__.startswith(folder) for module in (app, boto3, psycopg, pydantic_core))
print([name for name in handlers if not callable(getattr(app, name.removeprefix("app."), None))])
"""


def test_every_handler_and_every_step_is_there_under_the_runtime(
    unpacked: Path, functions: dict[str, dict[str, Any]]
) -> None:
    handlers = json.dumps([properties["Handler"] for properties in functions.values()])
    # Isolated and without site packages: what is not in the zip is not there.
    command = [python_of_the_runtime(), "-I", "-S", "-B", "-c", IMPORTS, str(unpacked), handlers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


LOCK = """\
both==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
old==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:cc
mac==3.0 ; sys_platform == 'darwin' \\
    --hash=sha256:dd
arm==4.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:ee
"""


@pytest.mark.parametrize(("machine", "more"), [("x86_64", []), ("aarch64", ["arm==4.0 --hash=sha256:ee"])])
def test_markers_are_judged_by_the_runtime_and_not_by_this_machine(machine: str, more: list[str]) -> None:
    assert wheels.requirements(LOCK, machine).splitlines() == ["both==1.0 --hash=sha256:aa --hash=sha256:bb", *more]


def test_a_wheel_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    (tmp_path / "wheels").mkdir()
    with pytest.raises(CannotStart, match=r"^the packages for python3\.13 on x86_64 cannot be downloaded"):
        list(wheels.files(lock, "x86_64", tmp_path / "wheels"))


def test_a_zip_lambda_would_not_take_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MAX_UNZIPPED_BYTES", 10)
    with pytest.raises(CannotStart, match=r"would have 11 bytes unzipped, Lambda takes 10"):
        package._zip(tmp_path / "deployment.zip", {"a": b"x" * 11})
    assert list(tmp_path.iterdir()) == []


def test_two_packages_may_not_bring_the_same_file() -> None:
    with pytest.raises(CannotStart, match="two packages bring a file a"):
        package._unique(iter([("a", b"1"), ("b", b"1")]), iter([("a", b"2")]))
