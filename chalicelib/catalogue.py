"""PostgreSQL's own catalogue, as queries: what a source holds, read from statistics, never from its rows.

No value goes into these texts, so they carry no placeholder and no percent sign.
"""

from __future__ import annotations

COUNTED_BYTES = 8_000_000
"""A table below this that was never analysed is counted exactly, a matter of milliseconds (-1 says so); a larger one is
estimated at 100 bytes a row."""

CLUSTER = "SELECT system_identifier::text FROM pg_control_system()"

_OWN = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

CHECK = f"""
SELECT current_setting('server_version'), current_database(),
  (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_OWN}),
  pg_size_pretty(pg_database_size(current_database()))"""  # noqa: S608 -- no value goes in

TABLES = f"""
SELECT c.oid::int8, n.nspname, c.relname,
  CASE WHEN c.reltuples >= 0 OR c.relkind NOT IN ('r', 'm') THEN greatest(c.reltuples, 0)::int8
    WHEN has_table_privilege(c.oid, 'SELECT') AND pg_relation_size(c.oid) < {COUNTED_BYTES} THEN -1
    ELSE coalesce(pg_relation_size(c.oid), 0) / 100 END,
  pg_table_is_visible(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition AND {_OWN}
ORDER BY n.nspname <> 'public', n.nspname, c.relname"""  # noqa: S608

COLUMNS = f"""
SELECT a.attrelid::int8, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, i.indrelid IS NOT NULL
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY(i.indkey)
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'v', 'f') AND {_OWN}
ORDER BY a.attrelid, a.attnum"""  # noqa: S608

RELATIONSHIPS = f"""
SELECT c.relname, a.attname, f.relname, b.attname
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair(own, other, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = pair.own
JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = pair.other
WHERE k.contype = 'f' AND {_OWN} ORDER BY c.relname, k.conname, pair.place"""  # noqa: S608

SERVER = """
SELECT current_setting('server_version'), pg_encoding_to_char(encoding), datcollate
FROM pg_database WHERE datname = current_database()"""
