"""FreeScout's database in SQL expressions: its tables, codes, times and names (FreeScout 1.8, app/*.php and
database/migrations). The template in templates/freescout.py puts them together to queries.

A template runs on databases of many versions: a table or column that is not there reads as NULL.
"""

# ruff: noqa: S608 -- every text in here is ours; the options that go in are checked by the template

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chalicelib.errors import Fatal
from chalicelib.sql import Join, literal, quoted
from chalicelib.targets import MAX_TEXT
from chalicelib.transformations import MAX_ASIDE

CORE_TABLES = ("conversations", "customers", "emails", "threads", "users")
"""Without these it is no FreeScout."""

LEGAL_FORMS = (
    "inc|incorporated|ltd|limited|llc|llp|plc|corp|corporation|co|company|gmbh|mbh|ag|kg|kgaa|ug|ohg|sa|s a|sas|sarl|"
    "s a r l|srl|s r l|spa|s p a|bv|b v|nv|n v|ab|oy|aps|sp z o o|pty|pvt|kk"
)
"""What is cut off a company's name before names are compared: "Acme", "ACME Inc." and "acme, inc" are one account."""

FREE_MAIL = (
    r"^((yahoo|ymail|hotmail|live|outlook|gmx)\.[a-z]{2,3}(\.[a-z]{2})?|(gmail|googlemail|msn|rocketmail|icloud|me|mac|"
    r"aol|mail|inbox|fastmail|hushmail|zoho|protonmail|tutanota|yandex|qq|163|126|sina|naver|comcast|verizon|"
    r"sbcglobal|btinternet|rediffmail|email)\.com|(att|comcast|verizon|sbcglobal|hanmail|daum)\.net|proton\.me|pm\.me|"
    r"(web|t-online|freenet|arcor)\.de|(mail|yandex|list|bk|inbox)\.ru|ya\.ru|(orange|wanadoo|free|laposte|sfr)\.fr|"
    r"(libero|virgilio|tiscali)\.it|(wp|o2|interia|onet)\.pl|seznam\.cz|(uol|bol|terra)\.com\.br|tuta\.io)$"
)
"""Mail providers anyone can have an address at; such a domain says nothing about the account."""

PUNCTUATION = r"""[\s\u00a0\u200b\u2060\ufeff!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]+"""
"""Named one by one: what [[:punct:]] holds depends on the database's locale."""


@dataclass(frozen=True)
class Options:
    """What a person chose: the zone times are written in, `id` or `number`, the tables' prefix, whether spam comes."""

    zone: str
    number: str
    prefix: str
    spam: bool


@dataclass(frozen=True)
class Database:
    """The tables there are: unprefixed name -> column -> type; None: assume the whole of a current FreeScout.

    schemas: unprefixed name -> schema the table is in.
    """

    options: Options
    tables: dict[str, dict[str, str]] | None
    schemas: dict[str, str] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Whether all of these tables are there."""
        return self.tables is None or all(name in self.tables for name in names)

    def table(self, name: str) -> str:
        """A table's real name, quoted, with its schema where that is known."""
        schema = self.schemas.get(name)
        return ".".join(quoted(part) for part in (schema, self.options.prefix + name) if part)

    def column(self, path: str, missing: str = "NULL", *, of: str | None = None) -> str:
        """`table.column`, or what stands for it in a version that lacks it. of: the table an alias stands for."""
        alias, _, name = path.partition(".")
        known = self.tables is None or name in self.tables.get(of or alias, ())
        return path if known else missing

    def time(self, path: str) -> str:
        """A time in UTC as text. One that has no such form (infinity, the year 20000) stays as it is, for a warning."""
        return self._utc(self._local(path))

    def first_time(self, *paths: str) -> str:
        """The first of several times that is there."""
        return self._utc(f"coalesce({', '.join(map(self._local, paths))})")

    def _local(self, path: str) -> str:
        """A time as the zone's clock shows it, which FreeScout's columns are. In a database that was moved from MySQL
        by pgloader they are `timestamp with time zone`.
        """
        table, _, name = path.partition(".")
        zoned = self.tables is not None and self.tables.get(table, {}).get(name, "").endswith("with time zone")
        value = self.column(path)
        return f"({value} AT TIME ZONE {literal(self.options.zone)})" if zoned else value

    def _utc(self, value: str) -> str:
        if value == "NULL":
            return value
        shifted = f"{value} AT TIME ZONE {literal(self.options.zone)} AT TIME ZONE 'UTC'"
        return (
            f"CASE WHEN {value} > '0001-01-02' AND {value} < '9999-12-30' "
            f"THEN replace(({shifted})::text, ' ', 'T') || 'Z' ELSE {value}::text END"
        )

    def joined(self, table: str, on: str) -> Join:
        """A table joined by its id."""
        prefix = self.options.prefix
        return Join(
            table=prefix + table,
            table_schema=self.schemas.get(table),
            alias=table if prefix else None,
            on=on,
            at_most_one=True,
        )

    def found(self, table: str, alias: str, query: str) -> Join:
        """One row, found by a subquery that looks at the row at hand."""
        return Join(table=self.options.prefix + table, alias=alias, lateral=query, at_most_one=True)


def database_of(options: Options, schema: dict[str, Any] | None) -> Database:
    """The database a schema (see sources) describes; without one, a whole FreeScout. Raises Fatal if it is none."""
    if schema is None:
        return Database(options, None)
    found = {
        table["name"].removeprefix(options.prefix): table
        for table in schema["tables"]
        if table["name"].startswith(options.prefix) and "schema" not in table
    }
    tables = {name: {column["name"]: column["type"] for column in table["columns"]} for name, table in found.items()}
    missing = [options.prefix + name for name in CORE_TABLES if name not in tables]
    if missing:
        raise Fatal(f"this is no FreeScout database: it has no {', '.join(missing)}", code="template_mismatch")
    return Database(options, tables, {name: table["namespace"] for name, table in found.items()})


def filled(expression: str) -> str:
    """A text without surrounding space and what nobody sees (U+200B, U+2060, U+FEFF), NULL when nothing is left.

    U+00A0 (C2 A0) is space to people, not to btrim.
    """
    if expression == "NULL":
        return expression
    for unseen in (r"\xE2\x80\x8B", r"\xE2\x81\xA0", r"\xEF\xBB\xBF"):
        expression = f"replace({expression}, E'{unseen}', '')"
    return f"nullif(btrim(replace({expression}, E'\\xC2\\xA0', ' '), E' \\t\\r\\n'), '')"


def capped(expression: str, longest: int = MAX_TEXT) -> str:
    """A text cut one character beyond what a record holds, so that the cut is seen and a huge one is never read."""
    if expression == "NULL":
        return expression
    cut = f"left({expression}, {longest + 1})"
    return f"CASE WHEN octet_length({expression}) > {longest} THEN {cut} ELSE {expression} END"


def aside(expression: str) -> str:
    """A text that is kept beside a record's own, as JSON or in custom fields; cut like those, and much shorter."""
    return capped(expression, MAX_ASIDE)


def person(agent: str, customer: str) -> str:
    """A reference that leads to an agent or else a customer."""
    return (
        f"CASE WHEN {agent} IS NOT NULL THEN 'agents:' || {agent} "
        f"WHEN {customer} IS NOT NULL THEN 'customer_users:' || {customer} END"
    )


def account(company: str, email: str) -> str:
    """A subquery with the columns `reference`, `name` and `domain`: the account of a customer.

    A company of the same normalised name, else the domain of the e-mail address unless anyone can have one there.
    """
    words = f"rtrim(regexp_replace(lower(left({company}, 300)), {literal(PUNCTUATION)}, ' ', 'g'))"
    short = f"btrim(regexp_replace(words, {literal(f'( ({LEGAL_FORMS}))+$')}, ''))"
    # Nine tenths of the time went into that expression; most names do not end in a legal form.
    ends = ", ".join(sorted({literal(form.rpartition(" ")[2]) for form in LEGAL_FORMS.split("|")}))
    name = f"CASE WHEN reverse(split_part(reverse(words), ' ', 1)) IN ({ends}) THEN {short} ELSE btrim(words) END"
    domain = f"CASE WHEN {email} LIKE '%@%' THEN rtrim(lower(reverse(split_part(reverse({email}), '@', 1))), '.') END"
    own = f"domain LIKE '%_._%' AND domain NOT LIKE '% %' AND domain !~ {literal(FREE_MAIL)}"
    return (
        "SELECT CASE WHEN company <> '' THEN 'company:' || company "
        f"WHEN {own} THEN 'domain:' || domain END AS reference, "
        f"CASE WHEN company <> '' THEN {filled(company)} ELSE domain END AS name, "
        "CASE WHEN company <> '' THEN NULL ELSE domain END AS domain "
        f"FROM (SELECT {name} AS company, {domain} AS domain "
        f"FROM (SELECT {words} AS words OFFSET 0) AS whole OFFSET 0) AS parts"
    )


def main_address(database: Database) -> str:
    """The e-mail address a customer goes by: the lowest-id work one, else the lowest-id one."""
    return (
        f"SELECT e.email FROM {database.table('emails')} e WHERE e.customer_id = customers.id AND e.email <> '' "
        "ORDER BY (e.type = 1) DESC, e.id LIMIT 1"
    )


def all_addresses(database: Database) -> str:
    """The main address, and all of a customer's addresses in the order of their ids."""
    return (
        "SELECT (array_agg(e.email ORDER BY (e.type = 1) DESC, e.id))[1] AS main, "
        "array_agg(e.email ORDER BY e.id) AS emails "
        f"FROM {database.table('emails')} e WHERE e.customer_id = customers.id AND e.email <> ''"
    )


def opening(database: Database) -> str:
    """The message a conversation began with: its published first thread (a note, for a phone call), else the oldest
    published message. An event is never one: it has no body. A database moved by pgloader has numbers for flags.
    """
    return (
        f"SELECT t.id, t.body FROM {database.table('threads')} t WHERE t.conversation_id = conversations.id "
        "AND t.state = 2 AND (t.type IN (1, 2) OR (t.first::int = 1 AND t.type <> 4)) "
        "ORDER BY t.first::int DESC, t.created_at, t.id LIMIT 1"
    )


def labels(database: Database) -> str:
    """The names of a conversation's tags, from the Tags module."""
    return (
        f"SELECT array_agg(t.name::text ORDER BY c.id) AS names FROM {database.table('conversation_tag')} c "
        f"JOIN {database.table('tags')} t ON t.id = c.tag_id "
        "WHERE c.conversation_id = conversations.id AND t.name <> ''"
    )


def priority(database: Database) -> str:
    """What was chosen in a drop-down named like Priority, from the Custom Fields module: JSON of [key, options]."""
    return (
        "SELECT json_build_array(v.value, f.options)::text AS choice "
        f"FROM {database.table('conversation_custom_field')} v "
        f"JOIN {database.table('custom_fields')} f ON f.id = v.custom_field_id "
        "WHERE v.conversation_id = conversations.id AND f.type = 1 AND f.name ILIKE '%priority%' "
        "ORDER BY f.sort_order, f.id LIMIT 1"
    )
