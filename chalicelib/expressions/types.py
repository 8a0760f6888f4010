"""The types an expression may cast to."""

from __future__ import annotations

from typing import Any

from sqlglot import Token, TokenType

from chalicelib.expressions.allowed import MAX_DIMENSIONS, MAX_LENGTH, Unfit
from chalicelib.expressions.names import folded, shown
from chalicelib.expressions.nodes import Type

NAMES = {
    "text": "text", "varchar": "varchar", "character varying": "varchar", "char": "char", "character": "char",
    "bpchar": "bpchar", "boolean": "boolean", "bool": "boolean", "smallint": "smallint", "int2": "smallint",
    "integer": "integer", "int": "integer", "int4": "integer", "bigint": "bigint", "int8": "bigint",
    "numeric": "numeric", "decimal": "numeric", "dec": "numeric", "real": "real", "float4": "real",
    "double precision": "double precision", "float8": "double precision", "float": "double precision",
    "date": "date", "time": "time", "timetz": "timetz", "timestamp": "timestamp", "timestamptz": "timestamptz",
    "interval": "interval", "uuid": "uuid", "json": "json", "jsonb": "jsonb", "bytea": "bytea", "inet": "inet",
    "cidr": "cidr", "macaddr": "macaddr",
}  # fmt: skip
"""Every spelling of an allowed type, and the one that is written."""

_SIZED = {"varchar": MAX_LENGTH * 10, "char": MAX_LENGTH, "bpchar": MAX_LENGTH, "numeric": 1000}
_SIZED |= dict.fromkeys(["time", "timetz", "timestamp", "timestamptz"], 6)
"""Types that take a size, and the largest."""


def read(parser: Any, *, must: bool) -> Type | None:
    """The type that stands next, or None. must: where only a type can stand, so another name is refused as one."""
    token: Token = parser._curr
    name = NAMES.get(folded(token.text)) if token.token_type not in _NO_WORDS else None
    if name is None:
        if must:
            raise Unfit("sql_type", name=_whole(parser))
        return None
    parser._advance()
    sizes = _sizes(parser) if must else []
    if name in ("time", "timestamp"):
        name = _zoned(parser, name)
    dimensions = 0
    while must and parser._match(TokenType.L_BRACKET):
        if not parser._match(TokenType.R_BRACKET) or dimensions == MAX_DIMENSIONS:
            raise Unfit("sql_type", name=f"{name}[...]")
        dimensions += 1
    if sizes and not _fits(name, sizes):
        raise Unfit("sql_type", name=shown(f"{name}({', '.join(sizes)})"))
    return Type(this=name, sizes=sizes, dimensions=dimensions)


def written(node: Any) -> str:
    """A type as it is written."""
    if not isinstance(node, Type):
        raise Unfit("sql_unreadable")
    sizes = f"({', '.join(node.args['sizes'])})" if node.args["sizes"] else ""
    return str(node.this) + sizes + "[]" * int(node.args["dimensions"])


_NO_WORDS = (TokenType.STRING, TokenType.IDENTIFIER, TokenType.NUMBER)


def _sizes(parser: Any) -> list[str]:
    if not parser._match(TokenType.L_PAREN):
        return []
    sizes = []
    while parser._match(TokenType.NUMBER):
        sizes.append(parser._prev.text)
        if not parser._match(TokenType.COMMA):
            break
    if not parser._match(TokenType.R_PAREN):
        raise Unfit("sql_type", name="one without plain sizes")
    return sizes


def _zoned(parser: Any, name: str) -> str:
    if parser._match_text_seq("WITH", "TIME", "ZONE"):
        return f"{name}tz"
    parser._match_text_seq("WITHOUT", "TIME", "ZONE")
    return name


def _fits(name: str, sizes: list[str]) -> bool:
    most = 2 if name == "numeric" else 1
    plain = all(size.isascii() and size.isdigit() and len(size) < 6 for size in sizes)
    return name in _SIZED and len(sizes) <= most and plain and all(int(size) <= _SIZED[name] for size in sizes)


def _whole(parser: Any) -> str:
    """The name that stands there, with its schema, for the message."""
    parts = []
    while parser._curr.token_type not in (TokenType.STRING, TokenType.NUMBER) and parser._curr.text:
        parts.append(parser._curr.text)
        parser._advance()
        if not parser._match(TokenType.DOT):
            break
    return shown(".".join(parts).lower()) or "nothing"
