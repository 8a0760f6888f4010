"""The locked packages as Lambda's runtime needs them, whatever machine asks.

In: requirements.txt, with hashes, and a processor. Out: the files of its wheels. Refuses what has no wheel for that
runtime: nothing is ever compiled here, and a wheel built on this machine (`linux_x86_64`) would only run on its like.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from infra.local.processes import CannotStart

PYTHON = "3.13"
RUNTIME = f"python{PYTHON}"

MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's name of a processor -> the name in wheel tags."""

GLIBC = range(17, 35)
"""Minor versions of glibc 2 whose wheels run on the runtime: it is built on Amazon Linux 2023, which has 2.34.

manylinux_2_17 is manylinux2014's other name; older ones are no longer built for.
"""


def files(lock: Path, architecture: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file the packages put beside the program. Raises CannotStart.

    folder: an empty one, for the wheels. Left out: console scripts and the RECORD of what an installer did.
    """
    chosen = folder / "requirements.txt"
    chosen.write_text(requirements(lock.read_text(), MACHINES[architecture]))
    _download(chosen, MACHINES[architecture], folder)
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                place = _place(name)
                if place:
                    yield place, archive.read(name)


def requirements(lock: str, machine: str) -> str:
    """The lines of a lock that hold for the runtime, their markers gone: pip would judge them by this interpreter."""
    target = {
        "python_version": PYTHON,
        "python_full_version": f"{PYTHON}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
    }
    kept = []
    for line in lock.replace("\\\n", " ").splitlines():
        text, *hashes = re.split(r"\s+--hash=", line.strip())
        if not text or text.startswith("#"):
            continue
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(target):
            kept.append(" --hash=".join([f"{requirement.name}{requirement.specifier}", *hashes]))
    return "\n".join(kept) + "\n"


def _download(chosen: Path, machine: str, folder: Path) -> None:
    platforms = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in GLIBC)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--no-deps", "--require-hashes", "--requirement", str(chosen)]
    command += ["--implementation", "cp", "--python-version", PYTHON, "--dest", str(folder)]
    command += [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    command += [f"--platform={platform}" for platform in platforms]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotStart(f"the packages for {RUNTIME} on {machine} cannot be downloaded:\n{done.stderr}")


def _place(name: str) -> str | None:
    """Where a file of a wheel goes (PEP 427): libraries in `<name>.data` to the top, its scripts nowhere."""
    parts = PurePosixPath(name).parts
    if name.endswith("/") or "__pycache__" in parts or (parts[0].endswith(".dist-info") and parts[-1] == "RECORD"):
        return None
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None
    return name
