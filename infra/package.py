"""The artifact for AWS: `make package` puts deployment.zip and template.json into dist/.

In: the source tree, its resources, the locked packages. Out: one zip for all functions and the template
`aws cloudformation package` takes. Made on any system and Python 3.11-3.13, it is the same: Chalice alone would take
wheels and runtime from the machine it runs on. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from infra import wheels
from infra.local.processes import CannotStart, scrubbed

ROOT = Path(__file__).resolve().parents[1]

CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"
"""Chalice on this interpreter; it has no `-m` and its script may belong to another environment."""

MAX_ZIP_BYTES = 50_000_000
"""What Lambda takes as a zip of a function (Lambda quotas: "Deployment package (.zip file archive) size", 50 MB)."""

MAX_UNZIPPED_BYTES = 250_000_000
"""The same page: 250 MB with everything unzipped."""

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: the earliest a zip can say."""

Template = dict[str, Any]


def make(dist: Path, *, architecture: str = "x86_64", root: Path = ROOT) -> tuple[Path, Path]:
    """Put deployment.zip and template.json into `dist` and return their paths. Raises CannotStart."""
    dist.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = chalice(Path(folder) / "build", stage="prod", root=root)
        template = for_runtime(json.loads((out / "sam.json").read_text()), architecture)
        downloads = Path(folder) / "wheels"
        downloads.mkdir()
        contents = _unique(wheels.files(root / "requirements.txt", architecture, downloads), program(root))
    artifact = _zip(dist / "deployment.zip", contents)
    described = dist / "template.json"
    described.write_text(json.dumps(template, indent=1) + "\n")
    return artifact, described


def chalice(build: Path, *, stage: str, root: Path = ROOT) -> Path:
    """Have Chalice make template and zip in `build`; the folder that holds its sam.json and deployment.zip.

    The project Chalice sees is a folder of links beside an empty requirements.txt: which packages go into a zip is
    not its choice, and the embedded cloud's workers run on this environment's.
    """
    project, out = build / "project", build / "out"
    shutil.rmtree(build, ignore_errors=True)
    (project / ".chalice").mkdir(parents=True)
    for name in ("app.py", "chalicelib"):
        (project / name).symlink_to(root / name)
    for file in (root / ".chalice").glob("*.json"):
        shutil.copy(file, project / ".chalice")
    (project / "requirements.txt").touch()
    resources = build / "resources.json"
    resources.write_text(json.dumps(merged_resources(root / "infra")))
    command = [sys.executable, "-c", CHALICE, "--project-dir", str(project), "package", "--stage", stage]
    done = subprocess.run(
        [*command, "--merge-template", str(resources), str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=project,
        env=scrubbed(AWS_DEFAULT_REGION="us-east-1", PYTHONDONTWRITEBYTECODE="1"),
    )
    if done.returncode:
        raise CannotStart(f"chalice package failed:\n{done.stdout}{done.stderr}")
    return out


def merged_resources(infra: Path) -> Template:
    """Every `.yaml` of the folder in one, with state machines and dashboards in place of their paths.

    MaxConcurrency is a number in the language but a string in the .json file, where "${Concurrency}" has to stand in
    quotes for the file to be JSON; they go here.
    """
    import yaml

    merged: Template = {}
    for file in sorted(infra.glob("*.yaml")):
        for section, entries in yaml.safe_load(file.read_text()).items():
            merged.setdefault(section, {}).update(entries)
    for resource in merged["Resources"].values():
        properties = resource.get("Properties", {})
        if resource.get("Type") == "AWS::StepFunctions::StateMachine":
            text = _compact(infra / properties["DefinitionString"])
            properties["DefinitionString"] = text.replace('"${Concurrency}"', "${Concurrency}")
        if resource.get("Type") == "AWS::CloudWatch::Dashboard":
            properties["DashboardBody"] = {"Fn::Sub": _compact(infra / properties["DashboardBody"]["Fn::Sub"])}
    return merged


def _compact(file: Path) -> str:
    return json.dumps(json.loads(file.read_text()), separators=(",", ":"))


def for_runtime(template: Template, architecture: str) -> Template:
    """Every function on the runtime and processor the zip was made for."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"] |= {"Runtime": wheels.RUNTIME, "Architectures": [architecture]}
    return template


def program(root: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of what runs and is no package: app.py, chalicelib, and of Chalice what it runs on."""
    for path in [root / "app.py", *sorted((root / "chalicelib").rglob("*"))]:
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(root).as_posix(), path.read_bytes()
    chalice_folder = files("chalice")
    for name in ("__init__.py", "app.py"):
        yield f"chalice/{name}", chalice_folder.joinpath(name).read_bytes()


def _unique(*sources: Iterator[tuple[str, bytes]]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for source in sources:
        for place, content in source:
            if contents.setdefault(place, content) != content:
                raise CannotStart(f"two packages bring a file {place}")
    return contents


def _zip(artifact: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(artifact, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for place in sorted(contents):
            entry = zipfile.ZipInfo(place, LONG_AGO)
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, contents[place])
    sizes = {"": (artifact.stat().st_size, MAX_ZIP_BYTES), " unzipped": (_bytes(artifact), MAX_UNZIPPED_BYTES)}
    for how, (size, most) in sizes.items():
        if size > most:
            artifact.unlink()
            raise CannotStart(f"the zip would have {size:,} bytes{how}, Lambda takes {most:,}")
    return artifact


def _bytes(artifact: Path) -> int:
    """Its size once unzipped."""
    with zipfile.ZipFile(artifact) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def main() -> None:
    """Make the artifact and say how large it is."""
    parser = argparse.ArgumentParser(prog="infra.package", description=main.__doc__)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    parser.add_argument("--architecture", choices=wheels.MACHINES, default="x86_64")
    asked = parser.parse_args()
    try:
        artifact, template = make(asked.dist, architecture=asked.architecture)
    except CannotStart as error:
        sys.exit(f"make package: {error}")
    zipped, unzipped = artifact.stat().st_size / 1e6, _bytes(artifact) / 1e6
    print(f"{artifact}  {zipped:.1f} MB, {unzipped:.1f} MB unzipped, {wheels.RUNTIME} {asked.architecture}")
    print(template)


if __name__ == "__main__":
    main()
