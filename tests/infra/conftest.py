"""The template `chalice package` makes, made once a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra import package

MACHINE = package.ROOT / "infra" / "statemachines" / "import.asl.json"


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with sam.json and deployment.zip, for the stage that goes to AWS."""
    return package.chalice(tmp_path_factory.mktemp("build"), stage="prod")


@pytest.fixture(scope="session")
def template(packaged: Path) -> dict[str, Any]:
    return json.loads((packaged / "sam.json").read_text())


@pytest.fixture(scope="session")
def machine() -> dict[str, Any]:
    """The import state machine as it is written, before substitution."""
    return json.loads(MACHINE.read_text())
