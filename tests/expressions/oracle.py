"""What PostgreSQL itself says an expression does, and what a second, simpler reader sees in its text.

Nothing here knows sqlglot or the guard: functions and operators are read from the stored form of a view over the
expression, words by a tokenizer of twenty lines.
"""

from __future__ import annotations

import re

import psycopg


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


FUNCTIONS = words(
    """lower upper initcap length char_length character_length octet_length bit_length reverse md5 ascii btrim ltrim
    rtrim chr to_hex left right strpos starts_with string_to_array concat concat_ws split_part translate replace substr
    substring position lpad rpad repeat regexp_replace regexp_match encode abs sign ceil ceiling floor sqrt cbrt ln
    round trunc mod div power pow date_trunc date_part extract to_char to_date to_number to_timestamp make_date
    make_time make_timestamp age justify_days justify_hours justify_interval isfinite json_typeof jsonb_typeof
    json_array_length jsonb_array_length json_extract_path json_extract_path_text jsonb_extract_path
    jsonb_extract_path_text to_json to_jsonb array_to_string array_length cardinality isempty array_position timezone
    """
)
"""PostgreSQL's names of what may be called; AT TIME ZONE is timezone()."""

OPERATORS = words("= <> < <= > >= || + - * / % ^ ~ !~ ~* !~* ~~ !~~ ~~* !~~* -> ->> #> #>> ? @> <@ && &")
"""PostgreSQL's names of what may stand between two values; LIKE is ~~."""

_CALLED = """
    SELECT p.proname, p.pronamespace = 'pg_catalog'::regnamespace AND p.provolatile <> 'v' AND NOT p.proretset
           AND p.prokind = 'f',
           EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid) OR p.proname IN ('like_escape', 'similar_escape'),
           ARRAY(SELECT DISTINCT oprname::text FROM pg_operator
                 WHERE oprcode = p.oid AND oprnamespace = 'pg_catalog'::regnamespace)
    FROM pg_proc p WHERE p.oid = ANY (%s)"""


def faults(session: psycopg.Connection, expression: str, table: str) -> list[str]:
    """What PostgreSQL would do for an expression that it should not; it is stored as a view, and forgotten."""
    found = []
    with session.transaction(force_rollback=True):
        session.execute(f"CREATE TEMP VIEW looked_at AS SELECT ({expression}) AS value FROM {table}".encode())
        (tree,) = session.execute(
            "SELECT ev_action::text FROM pg_rewrite WHERE ev_class = 'looked_at'::regclass"
        ).fetchone() or ("",)
        relations = session.execute(
            "SELECT DISTINCT refobjid::regclass::text FROM pg_depend JOIN pg_rewrite r ON r.oid = objid"
            " WHERE r.ev_class = 'looked_at'::regclass AND refclassid = 'pg_class'::regclass"
        ).fetchall()
        found += [f"reads {name}" for (name,) in relations if name not in ("looked_at", table)]
        nodes = ("SUBLINK", "AGGREF", "WINDOWFUNC", "SQLVALUEFUNCTION", "XMLEXPR", "NEXTVALUEEXPR", "COERCETODOMAIN")
        found += [f"holds {word}" for word in nodes if f"{{{word}" in tree]
        called = {int(oid) for oid in re.findall(r":(?:funcid|opfuncid) (\d+)", tree)} - {0}
        for name, plain, coerces, signs in session.execute(_CALLED, [list(called)]):
            if not plain or not (name in FUNCTIONS or coerces or set(signs) & OPERATORS):
                found.append(f"calls {name}")
    return found


_WORDS = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")+)"|[A-Za-z_]\w*|[\d.]+(?:[eE][+-]?\d+)?|\s+|.""", re.DOTALL)

PLAIN = words(
    """and or not is null true false distinct from like ilike escape between in case when then else end cast as any all
    array extract at time zone both leading trailing for coalesce nullif greatest least trim text varchar char bpchar
    boolean smallint integer bigint numeric real double precision date timetz timestamp timestamptz interval uuid json
    jsonb bytea inet cidr macaddr microseconds milliseconds second minute hour day week month quarter year decade
    century millennium dow doy epoch isodow isoyear julian timezone timezone_hour timezone_minute"""
)


def strangers(text: str, names: set[str]) -> list[str]:
    """Words of an emitted text that are neither in quotes and known, nor on the list; and signs that end or hide."""
    found = []
    code = ""
    for match in _WORDS.finditer(text):
        word = match[0]
        code += "''" if word[0] == "'" else '""' if word[0] == '"' else word
        if word[0] == '"':
            if match[1].replace('""', '"') not in names:
                found.append(word)
        elif re.match(r"[A-Za-z_]", word) and word.lower() not in PLAIN | FUNCTIONS:
            found.append(word)
    return found + [sign for sign in (";", "--", "/*", "$", "\\", "@@", "::reg") if sign in code]
