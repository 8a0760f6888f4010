"""The hostile corpus: category -> (kind of the refusal, expression)."""

from __future__ import annotations

from pathlib import Path


def _deep() -> list[tuple[str, str]]:
    """Too long, too deep, too much; each would take Python's stack, or hours, if it were read."""
    return [
        ("sql_too_long", "'" + "x" * 5_000 + "'"),
        ("sql_too_long", "(" * 100_000),
        ("sql_too_many_words", "+".join(["1"] * 1_000)),
        ("sql_too_deep", "(" * 1_000 + "id" + ")" * 400),
        ("sql_too_deep", "(" * 21 + "id" + ")" * 21),
        ("sql_too_deep", "lower(" * 300 + "first_name" + ")" * 300),
        ("sql_too_deep", "CASE WHEN vip THEN " * 100 + "1" + " END" * 100),
        ("sql_too_deep", "ARRAY[" * 30 + "1" + "]" * 30),
        ("sql_too_deep", "NOT " * 400 + "vip"),
        ("sql_too_deep", "- " * 700 + "id"),
        ("sql_too_deep", "id" + "::text" * 400),
        ("sql_too_deep", "tags" + "[1]" * 400),
        ("sql_too_deep", "created_at" + " AT TIME ZONE 'UTC'" * 200),
        ("sql_too_tangled", "text(" * 15 + "id" + ")" * 15),
        ("sql_elements", "ARRAY[" + ",".join(["1"] * 101) + "]"),
        ("sql_argument", f"company ~ '{'a' * 301}'"),
        ("sql_argument", f"to_char(balance, '{'9' * 101}')"),
        ("sql_growth", "||".join(["repeat(company, 200)"] * 6)),
    ]


def _written() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    category: list[tuple[str, str]] = []
    for line in (Path(__file__).parent / "hostile.txt").read_text().split("\n"):
        if line.startswith("# "):
            category = found.setdefault(line[2:], [])
        elif line:
            kind, _, text = line.partition("\t")
            category.append((kind, text.encode("latin-1", "backslashreplace").decode("unicode_escape")))
    return {name: cases for name, cases in found.items() if cases}


HOSTILE = {**_written(), "deep": _deep()}
