"""Names in expressions: which column of which table each one means.

In: names as they were written, and the tables of the query. Out: columns that exist, quoted. Refused: what no table
has, or several. A spelling is taken exactly first, then as PostgreSQL folds it.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from chalicelib import sql
from chalicelib.expressions.allowed import CLOCKS, MAX_COMPARED, SESSION_WORDS, Unfit
from chalicelib.expressions.tables import Table

_NUMBERS = ("smallint", "integer", "bigint")
_SYSTEM = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


class Columns:
    """The columns an expression may name, and those it has named."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        self.read: set[tuple[str, str]] = set()

    def named(self, node: exp.Column) -> str:
        """A column with its table, both quoted. Raises Unfit when no table, or more than one, has it."""
        table, name = self._found(node)
        self.read.add((table.known_as, name))
        return f"{sql.quoted(table.known_as)}.{sql.quoted(name)}"

    def is_number(self, node: exp.Column) -> bool:
        """Whether it is known to hold integers."""
        table, name = self._found(node)
        return table.columns is not None and table.columns[name] in _NUMBERS

    def _found(self, node: exp.Column) -> tuple[Table, str]:
        identifier = node.this
        if isinstance(identifier, exp.Star):
            raise Unfit("sql_whole_row")
        if not all(isinstance(part, exp.Identifier) for part in node.parts):
            raise Unfit("sql_unreadable")
        spelled = spellings(identifier)
        name = shown(spelled[0])
        candidates = self._tables(node) if node.args.get("table") else list(self.tables)
        known = [(table, found) for table in candidates if (found := _column(table, spelled))]
        if len(known) == 1:
            return known[0]
        if known:
            raise Unfit("sql_ambiguous", name=name, tables=" and ".join(shown(table.known_as) for table, _ in known))
        if not identifier.quoted and spelled[-1] in CLOCKS:
            raise Unfit("sql_clock", name=name)
        if spelled[-1] in _SYSTEM:
            raise Unfit("sql_system_column", name=name)
        if not identifier.quoted and not node.args.get("table") and spelled[-1] in SESSION_WORDS:
            raise Unfit("sql_function", name=name)
        for table in candidates:
            if table.columns is None:
                return table, spelled[0]
        raise _unknown(name, candidates)

    def _tables(self, node: exp.Column) -> list[Table]:
        """The table that stands before the column's name: by what it is known as, else by its own name."""
        schema = node.args.get("db")
        for spelled in spellings(node.args["table"]):
            if schema is None:
                found = [one for one in self.tables if one.known_as == spelled] or [
                    one for one in self.tables if one.name == spelled
                ]
            else:
                schemas = spellings(schema)
                found = [one for one in self.tables if one.name == spelled and one.schema in schemas]
            if len(found) > 1:
                raise Unfit("sql_ambiguous_table", name=shown(spelled))
            if found:
                return found
        name = shown(".".join(part.name for part in node.parts[:-1]))
        raise Unfit("sql_unread_table", name=name)


def _column(table: Table, spelled: Sequence[str]) -> str | None:
    return next((name for name in spelled if table.columns is not None and name in table.columns), None)


def _unknown(name: str, candidates: Sequence[Table]) -> Unfit:
    names = [one for table in candidates for one in table.columns or ()]
    alike = heapq.nsmallest(MAX_COMPARED, names, key=lambda one: abs(len(one) - len(name)))
    near = difflib.get_close_matches(name, alike, n=1, cutoff=0.75)
    owner = f"{shown(candidates[0].known_as)} does not have" if len(candidates) == 1 else "no table of the query has"
    return Unfit(
        "sql_unknown_column", name=name, owner=owner, guess=f"; did you mean {shown(near[0])}?" if near else "."
    )


def as_written(node: exp.Column) -> str:
    """A column as the text has it."""
    return ".".join(_quoted(part) for part in node.parts)


def _quoted(part: Any) -> str:
    if not isinstance(part, exp.Identifier):
        raise Unfit("sql_whole_row" if isinstance(part, exp.Star) else "sql_unreadable")
    return sql.quoted(part.name) if part.quoted else part.name


def spellings(identifier: exp.Identifier) -> list[str]:
    """What a name may stand for: itself, then, unless it is quoted, as PostgreSQL folds it."""
    name = str(identifier.name)
    return [name] if identifier.quoted else list(dict.fromkeys([name, folded(name)]))


def folded(name: str) -> str:
    """A name as PostgreSQL folds it: ASCII letters alone."""
    if name.isascii():
        return name.lower()
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in name)


def shown(name: str) -> str:
    """A name as a message may repeat it."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:63]
