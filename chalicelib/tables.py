"""A table by what a person wrote: `orders`, `sales.orders`, `"Mixed Case"`, `"s"."T"`.

In: the spelling, and the source's schema (see catalogue.py) when it is known. Out: the one table it means. A name may
itself hold dots and quotes, so with a schema spellings are looked up, never taken apart first; without one they are
read as SQL reads them, but for the case, which is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from heapq import nsmallest
from typing import Any

from chalicelib import sql
from chalicelib.expressions.allowed import MAX_COMPARED

MAX_SPELLING = 260
"""Characters of a spelling: two names of 63, every character a quote that is doubled, and what stands around."""

_PART = r'"(?:[^"]|"")+"|[^\W\d][\w$]*'
_SPELLING = re.compile(rf"\s*({_PART})(?:\s*\.\s*({_PART}))?\s*\Z")


class Unknown(Exception):
    """No table is meant, or several are. kind, values: for messages.sentence."""

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind)
        self.kind, self.values = kind, values


@dataclass(frozen=True)
class Table:
    """A table that was found. schema: what its name needs before it. described: what the catalogue says, when asked."""

    name: str
    schema: str | None = None
    described: Mapping[str, Any] | None = None

    @property
    def spelled(self) -> str:
        """The table as a person reads it: quoted only where a name would else be read as two."""
        return ".".join(part if _plain(part) else sql.quoted(part) for part in (self.schema, self.name) if part)

    @property
    def namespace(self) -> str | None:
        """The schema it lies in, as far as it is known."""
        return self.described["namespace"] if self.described else self.schema

    @property
    def columns(self) -> dict[str, str] | None:
        """column -> type; None when nobody looked."""
        return {one["name"]: one["type"] for one in self.described["columns"]} if self.described else None


def find(text: str, schema: Mapping[str, Any] | None) -> Table:
    """The table of that spelling. Raises Unknown."""
    if schema is None:
        return _parsed(text)
    for spelling in (text, *_folded(text)):
        if found := _matching(spelling, schema["tables"]):
            return _one(found)
    if parts := _parts(text):
        found = [one for one in schema["tables"] if _fits(one, parts)]
        if found:
            return _one(found)
    raise Unknown("unknown_table", nearest=_nearest(text, schema["tables"]))


def _matching(spelling: str, known: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The tables whose name this is, else whose schema and name; a bare name is first what it finds in the database."""
    named = [one for one in known if one["name"] == spelling]
    if bare := [one for one in named if "schema" not in one]:
        return bare
    return named or [one for one in known if f"{one['namespace']}.{one['name']}" == spelling]


def _folded(text: str) -> list[str]:
    return [text.lower()] if text != text.lower() else []


def _fits(table: Mapping[str, Any], parts: tuple[str | None, str]) -> bool:
    schema, name = parts
    return table["name"] == name and schema in (None, table["namespace"])


def _one(found: list[Mapping[str, Any]]) -> Table:
    if bare := [one for one in found if "schema" not in one]:
        found = bare
    if len(found) > 1:
        places = [Table(one["name"], one["namespace"]).spelled for one in found]
        raise Unknown("ambiguous_table", tables=", ".join(sorted(places)[:5]))
    [table] = found
    return Table(table["name"], table.get("schema"), table)


def _parts(text: str) -> tuple[str | None, str] | None:
    """(schema, name) as SQL reads them, unquoted ones in lower case; None for what is no name."""
    found = _SPELLING.match(text)
    if not found:
        return None
    first, second = found.groups()
    return (_read(first), _read(second)) if second else (None, _read(first))


def _read(part: str, *, fold: bool = True) -> str:
    if part.startswith('"'):
        return part[1:-1].replace('""', '"')
    return part.lower() if fold else part


def _parsed(text: str) -> Table:
    found = _SPELLING.match(text)
    parts = [_read(part, fold=False) for part in found.groups() if part] if found else []
    if not parts or any(len(part.encode()) > 63 for part in parts):
        raise Unknown("no_table")
    return Table(parts[-1], parts[0] if len(parts) > 1 else None)


def _nearest(text: str, known: list[Mapping[str, Any]]) -> str:
    """How the sentence ends: with the table that was probably meant, if one is like it."""
    spelled = {Table(one["name"], one.get("schema")).spelled: None for one in known[:5_000]}
    alike = nsmallest(MAX_COMPARED, spelled, key=lambda one: abs(len(one) - len(text)))
    close = get_close_matches(text[:MAX_SPELLING], alike, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else "."


def _plain(part: str) -> bool:
    return bool(re.fullmatch(r"[^\W\d][\w$]*", part))
