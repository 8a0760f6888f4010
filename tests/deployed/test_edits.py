"""Edits by people against the deployed tables: races, deaths, and imports before, between and after."""

from __future__ import annotations

from infra.local.stack import Stack


def test_tombstones_expire_by_themselves(deployed: Stack) -> None:
    table = deployed.client("dynamodb").describe_time_to_live(TableName=deployed.outputs["RecordsTable"])
    assert table["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
