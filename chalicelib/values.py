"""What PostgreSQL's values become: integers, floats and booleans themselves, everything else the text the server sent.

So no value a database can hold (infinity, the year 20000, NaN) is one that Python, JSON or DynamoDB cannot.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import AdaptersMap, Loader
from psycopg.types.string import TextLoader


class Values(NamedTuple):
    """What psycopg calls an adapt context."""

    adapters: AdaptersMap
    connection: None = None


def plain() -> Values:
    """For a new connection."""
    return Values(_adapters())


def read_without_encoding(adapters: AdaptersMap) -> None:
    """For a connection to a database without an encoding (SQL_ASCII), whose texts may be no UTF-8."""
    for info in psycopg.postgres.types:
        if info.name in _TEXTS:
            adapters.register_loader(info.oid, _LossyTextLoader)
    adapters.register_loader(0, _LossyTextLoader)


_TEXTS = ("text", "varchar", "bpchar", "name", "json", "xml", "unknown")


class _FloatLoader(Loader):
    """Floats as floats; NaN and infinity, which JSON and DynamoDB cannot hold, as text."""

    def load(self, data: Any) -> Any:
        number = float(bytes(data))
        return number if number - number == 0 else bytes(data).decode()


class _LossyTextLoader(Loader):
    """Text whose bytes may be no UTF-8: those become U+FFFD."""

    def load(self, data: Any) -> str:
        return bytes(data).decode("utf-8", "replace")


@cache
def _adapters() -> AdaptersMap:
    found = AdaptersMap(psycopg.adapters)
    for info in psycopg.postgres.types:
        if info.name not in ("bool", "int2", "int4", "int8", "oid"):
            found.register_loader(info.oid, _FloatLoader if info.name in ("float4", "float8") else TextLoader)
    return found
