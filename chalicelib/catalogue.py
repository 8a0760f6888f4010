"""PostgreSQL's own catalogue: what a source holds, in a handful of queries however many tables it has.

In: rows of the catalogue's queries. Out: a `Schema`. Counts come from statistics, never from a table's rows; whatever
is said of a table is what pg_catalog says. No value goes into these texts, so they carry no placeholder and no percent
sign.
"""

# ruff: noqa: S608 -- no value goes into these texts

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NotRequired

from typing_extensions import TypedDict

COUNTED_BYTES = 8_000_000
"""A table below this that was never analysed is counted exactly, a matter of milliseconds (-1 says so); a larger one is
estimated at 100 bytes a row."""

MAX_COUNTED = 200
"""Most tables that are counted; of the others the statistics are all that is known."""

MAX_COMMENT = 500
"""Characters shown of a comment."""

Row = tuple[Any, ...]
Ask = Callable[[str], Iterable[Row]]


class Column(TypedDict):
    """A column. type: as format_type writes it. base_type: what a domain stands on. enum: its labels in their order.

    What does not hold is not there.
    """

    name: str
    type: str
    nullable: bool
    primary_key: NotRequired[bool]
    base_type: NotRequired[str]
    enum: NotRequired[list[str]]
    generated: NotRequired[bool]
    identity: NotRequired[bool]
    comment: NotRequired[str]


class Table(TypedDict):
    """A table, and what is true of its rows.

    schema: only where the bare name does not find it; namespace: always. primary_key: its columns in order;
    unique_keys: other sets of columns that are never null and never alike in two rows. indexed: columns an index begins
    with. inherited: other tables' rows are read with it, so its keys hold for its own alone. readable: false where the
    user may read no column.
    """

    name: str
    schema: NotRequired[str]
    row_count: int
    columns: list[Column]
    namespace: str
    kind: str
    primary_key: list[str]
    unique_keys: list[list[str]]
    indexed: list[str]
    inherited: NotRequired[bool]
    readable: NotRequired[bool]
    comment: NotRequired[str]


class Relationship(TypedDict):
    """One pair of columns of a foreign key; a key of several has a pair each, in order, under the same `constraint`."""

    table: str
    column: str
    referenced_table: str
    referenced_column: str
    schema: NotRequired[str]
    referenced_schema: NotRequired[str]
    constraint: NotRequired[str]


KINDS = {"r": "table", "v": "view", "m": "materialized view", "p": "partitioned table", "f": "foreign table"}

CLUSTER = "SELECT system_identifier::text FROM pg_control_system()"

_OWN = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_REACHED = "has_schema_privilege(n.oid, 'USAGE')"
_LISTED = f"c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition AND {_OWN}"

CHECK = f"""
SELECT current_setting('server_version'), current_database(),
  (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_OWN}),
  pg_size_pretty(pg_database_size(current_database()))"""

TABLES = f"""
SELECT c.oid::int8, n.nspname, c.relname,
  CASE WHEN c.reltuples >= 0 OR c.relkind NOT IN ('r', 'm') THEN greatest(c.reltuples, 0)::int8
    WHEN {_REACHED} AND has_table_privilege(c.oid, 'SELECT') AND pg_relation_size(c.oid) < {COUNTED_BYTES} THEN -1
    ELSE coalesce(pg_relation_size(c.oid), 0) / 100 END,
  pg_table_is_visible(c.oid), c.relkind::text, {_REACHED} AND has_any_column_privilege(c.oid, 'SELECT'),
  left(d.description, {MAX_COMMENT})
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
WHERE {_LISTED}
ORDER BY n.nspname <> 'public', n.nspname, c.relname"""

HEIRS = f"""
SELECT i.inhrelid::int8, i.inhparent::int8, c.relispartition, greatest(c.reltuples, 0)::int8
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND {_OWN}"""

TYPES = """
SELECT t.oid::int8, t.typtype::text, t.typbasetype::int8, format_type(t.typbasetype, t.typtypmod), t.typnotnull,
  array_to_json(ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder))::text
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('d', 'e') AND n.nspname <> 'information_schema'"""

RELATIONSHIPS = f"""
SELECT k.oid::int8, k.conname, c.oid::int8, a.attname, f.oid::int8, b.attname
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair(own, other, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = pair.own
JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = pair.other
WHERE k.contype = 'f' AND {_LISTED} ORDER BY c.relname, n.nspname, k.conname, pair.place"""

SERVER = """
SELECT current_setting('server_version'), pg_encoding_to_char(encoding), datcollate
FROM pg_database WHERE datname = current_database()"""


def columns(server_version: int) -> str:
    """The query of all columns. `attgenerated` came with PostgreSQL 12."""
    generated = "a.attgenerated <> ''" if server_version >= 120000 else "false"
    return f"""
SELECT a.attrelid::int8, a.attnum::int8, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
  CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem ELSE t.oid END::int8, {generated}, a.attidentity <> '',
  left(d.description, {MAX_COMMENT})
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_description d ON d.objoid = a.attrelid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND {_LISTED}
ORDER BY a.attrelid, a.attnum"""


def indexes(server_version: int) -> str:
    """The query of all indexes over plain columns. From PostgreSQL 11 on an index can carry columns it is not over."""
    over = "i.indnkeyatts" if server_version >= 110000 else "i.indnatts"
    return f"""
SELECT i.indrelid::int8, i.indisprimary, i.indisunique, i.indpred IS NULL, {over}::int8, i.indkey::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisvalid AND i.indexprs IS NULL AND {_LISTED}
ORDER BY i.indrelid, i.indisprimary DESC, {over}, i.indexrelid"""


def rows(answer: Iterable[Row], *kinds: Any) -> Iterator[Row]:
    """An answer's rows, each with a value of its kind in every place. Raises TypeError where a server says otherwise:
    the driver reads values as the server says they are to be read.
    """
    for row in answer:
        if len(row) != len(kinds) or not all(map(isinstance, row, kinds)):
            raise TypeError("no row of the catalogue")
        yield row


class Described:
    """A schema as it is put together: ask everything once, then link it by the catalogue's numbers."""

    def __init__(self, ask: Ask, server_version: int) -> None:
        self.tables: dict[int, Table] = {}
        self.uncounted: list[int] = []
        self._ask = ask
        self._names: dict[int, dict[int, str]] = defaultdict(dict)
        self._columns: dict[tuple[int, int], Column] = {}
        self._list_tables()
        self._add_heirs()
        self._add_columns(server_version)
        self._add_keys(server_version)

    def relationships(self) -> list[Relationship]:
        """Every foreign key between listed tables, pair by pair."""
        found: dict[int, list[Relationship]] = defaultdict(list)
        names: dict[int, str] = {}
        for constraint, name, table, column, other, key in rows(self._ask(RELATIONSHIPS), int, str, int, str, int, str):
            if table not in self.tables or other not in self.tables:
                continue  # a partition's copy of its table's key
            names[constraint] = name
            pair: Relationship = {
                "table": self.tables[table]["name"],
                "column": column,
                "referenced_table": self.tables[other]["name"],
                "referenced_column": key,
            }
            if "schema" in self.tables[table]:
                pair["schema"] = self.tables[table]["schema"]
            if "schema" in self.tables[other]:
                pair["referenced_schema"] = self.tables[other]["schema"]
            found[constraint].append(pair)
        for constraint, pairs in found.items():
            if len(pairs) > 1:
                for pair in pairs:
                    pair["constraint"] = names[constraint]
        return [pair for pairs in found.values() for pair in pairs]

    def _list_tables(self) -> None:
        spelled: set[tuple[str | None, str]] = set()
        for oid, namespace, name, counted, visible, kind, readable, comment in rows(
            self._ask(TABLES), int, str, str, int, bool | None, str, bool | None, str | None
        ):
            table: Table = {
                "name": name,
                "row_count": max(counted, 0),
                "columns": [],
                "namespace": namespace,
                "kind": KINDS[kind],
                "primary_key": [],
                "unique_keys": [],
                "indexed": [],
            }
            if not visible:
                table["schema"] = namespace
            if (spelling := (table.get("schema"), name)) in spelled:
                raise ValueError("two tables of one name")
            spelled.add(spelling)
            if not readable:
                table["readable"] = False
            if comment:
                table["comment"] = comment
            self.tables[oid] = table
            if counted == -1 and len(self.uncounted) < MAX_COUNTED:
                self.uncounted.append(oid)

    def _add_heirs(self) -> None:
        """A partitioned table that was not analysed itself has its partitions' rows."""
        heirs: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for heir, parent, is_partition, counted in rows(self._ask(HEIRS), int, int, bool, int):
            heirs[parent].append((heir, counted))
            if not is_partition and parent in self.tables:
                self.tables[parent]["inherited"] = True
        for oid, table in self.tables.items():
            if table["kind"] == "partitioned table" and not table["row_count"]:
                table["row_count"] = _below(oid, heirs)

    def _add_columns(self, server_version: int) -> None:
        types = {oid: rest for oid, *rest in rows(self._ask(TYPES), int, str, int, str, bool, str)}
        for oid, number, name, kind, nullable, type_oid, generated, identity, comment in rows(
            self._ask(columns(server_version)), int, int, str, str, bool, int, bool, bool, str | None
        ):
            if oid not in self.tables:
                continue  # made between two questions
            column: Column = {"name": name, "type": kind, "nullable": nullable}
            self._add_type(column, type_oid, types)
            if generated:
                column["generated"] = True
            if identity:
                column["identity"] = True
            if comment:
                column["comment"] = comment
            self.tables[oid]["columns"].append(column)
            self._columns[oid, number] = column

    def _add_type(self, column: Column, type_oid: int, types: dict[int, list[Any]]) -> None:
        """What an enum or a domain, of one over another, comes down to."""
        for _ in range(len(types)):
            if type_oid not in types:
                break
            sort, below, base_type, never_null, labels = types[type_oid]
            if sort == "e":
                column["enum"] = _labels(labels)
                break
            column["base_type"] = base_type
            column["nullable"] = column["nullable"] and not never_null
            type_oid = below

    def _add_keys(self, server_version: int) -> None:
        for oid, primary, unique, whole, over, numbers in rows(
            self._ask(indexes(server_version)), int, bool, bool, bool, int, str
        ):
            found = [self._columns.get((oid, int(number))) for number in numbers.split()[:over]]
            over_columns = [column for column in found if column is not None]
            if oid not in self.tables or not over_columns or len(over_columns) < len(found) or not whole:
                continue
            table, names = self.tables[oid], [column["name"] for column in over_columns]
            if names[0] not in table["indexed"]:
                table["indexed"].append(names[0])
            if primary:
                table["primary_key"] = names
                for column in over_columns:
                    column["primary_key"] = True
            elif unique and not any(column["nullable"] for column in over_columns):
                table["unique_keys"].append(names)


def _labels(text: str) -> list[str]:
    """An enum's labels of a JSON array. Raises TypeError and ValueError for what is none."""
    from json import loads

    found = loads(text)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TypeError("no labels")
    return found


def _below(oid: int, heirs: dict[int, list[tuple[int, int]]]) -> int:
    """The rows of a table's partitions and theirs, each counted where it lies."""
    rows, open_ends = 0, [oid]
    while open_ends:
        for heir, counted in heirs.pop(open_ends.pop(), []):
            rows += 0 if heir in heirs else counted
            open_ends.append(heir)
    return rows
