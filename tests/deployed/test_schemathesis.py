"""Ten requests nobody would think of to every operation of the deployed stack, through front and gateway."""

from __future__ import annotations

import pytest
import schemathesis
from chalice.test import Client
from hypothesis import settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from chalicelib.routes.openapi import document
from infra.local.stack import Stack
from tests.conftest import Database
from tests.openapi.world import CHECKS, CONFIG, DRAWN, World, build
from tests.routes.conftest import organisation

SCHEMA = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_dict(CONFIG))


@pytest.fixture(scope="module")
def world(undriven: None, freescout_db: Database) -> World:
    """On the deployed tables; the job in it is run by nobody."""
    from app import app

    return build(organisation(Client(app), "Acme", "Admin User"), freescout_db)


@SCHEMA.parametrize()
@settings(DRAWN, max_examples=10)
def test_every_operation_answers_as_documented(deployed: Stack, world: World, case: Case) -> None:
    world.aim(case)
    try:
        case.call_and_validate(base_url=deployed.endpoint, headers=world.headers, checks=CHECKS)
    finally:
        if case.method != "GET":
            world.restore()
