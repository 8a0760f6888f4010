"""How an expression is read: sqlglot's PostgreSQL, reduced to what keeps every word as it was written.

In: text. Out: one tree of sqlglot's nodes, and the words it was made of. Refused: what could not be one expression
whatever it means (comments, several statements, parameters, letters that look like others), and what is so deep that
reading it is an attack. Import it inside functions: it loads sqlglot, which takes a tenth of a second.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any, ClassVar

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.parsers.postgres import PostgresParser

from chalicelib.expressions import emission, types
from chalicelib.expressions.allowed import MAX_BRANCHES, MAX_CHARACTERS, MAX_DEPTH, MAX_STEPS, MAX_WORDS, Unfit
from chalicelib.expressions.names import as_written, folded
from chalicelib.expressions.nodes import Coerced, Denied, Keyworded, Prefixed, deeper_than


def _operation(node: type[exp.Expr]) -> Any:
    return lambda self, this, other: self.expression(node(this=this, expression=other))


def _prefixed(self: Any, this: exp.Expr, to: exp.Expr) -> exp.Expr:
    found: exp.Expr = self.expression(Prefixed(this=this, to=to))
    return found


def _cast(self: Any) -> exp.Expr:
    this = self._parse_disjunction()
    if not self._match(TokenType.ALIAS):
        self.raise_error("AS")
    return exp.Cast(this=this, to=self._parse_types())


def _call(name: str, arguments: list[Any], words: list[str] | None = None) -> exp.Expr:
    """A call, with words between its arguments or without."""
    if words is None:
        return exp.Anonymous(this=name, expressions=arguments)
    return Keyworded(this=name, expressions=arguments, words=words)


def _keyworded(name: str, *allowed: tuple[str, ...]) -> Any:
    """A reader of `name(a FROM b FOR c)` for the given rows of words, and of `name(a, b, c)`."""

    def read(self: Any) -> exp.Expr:
        arguments, words = [self._parse_bitwise()], [""]
        while found := next((word for row in allowed for word in row if self._match_text_seq(word)), None):
            arguments.append(self._parse_bitwise())
            words.append(found)
        if tuple(words[1:]) in allowed:
            return _call(name, arguments, words)
        while self._match(TokenType.COMMA):
            arguments.append(self._parse_disjunction())
        if len(words) > 1:
            self.raise_error("words")
        return _call(name, arguments)

    return read


def _trim(self: Any) -> exp.Expr:
    side = self._match_texts(("LEADING", "TRAILING", "BOTH")) and self._prev.text.upper()
    arguments = [] if self._match_text_seq("FROM", advance=False) else [self._parse_bitwise()]
    if side or self._match_text_seq("FROM", advance=False):
        words = [side or ""] if arguments else []
        if not self._match_text_seq("FROM"):
            self.raise_error("FROM")
        words.append("FROM" if arguments else f"{side} FROM")
        arguments.append(self._parse_bitwise())
        return _call("trim", arguments, words)
    while self._match(TokenType.COMMA):
        arguments.append(self._parse_disjunction())
    return _call("trim", arguments)


class _Reduced(Postgres):
    """PostgreSQL without what sqlglot rewrites while it reads: calls, JSON paths and subscripts stay as written."""

    INDEX_OFFSET = 0

    class Parser(PostgresParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CASE": lambda self: self._parse_case()}
        SUBQUERY_PREDICATES: ClassVar[dict[Any, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            "CAST": _cast,
            "EXTRACT": lambda self: self._parse_extract(),
            "SUBSTRING": _keyworded("substring", ("FROM",), ("FOR",), ("FROM", "FOR")),
            "POSITION": _keyworded("position", ("IN",)),
            "TRIM": _trim,
        }
        TYPE_LITERAL_PARSERS: ClassVar[dict[Any, Any]] = dict.fromkeys(types.NAMES.values(), _prefixed)
        UNARY_PARSERS: ClassVar[dict[Any, Any]] = {
            **PostgresParser.UNARY_PARSERS,
            TokenType.NOT: lambda self: self.expression(Denied(this=self._parse_equality())),
        }
        RANGE_PARSERS: ClassVar[dict[Any, Any]] = {
            kind: read for kind, read in PostgresParser.RANGE_PARSERS.items() if kind != TokenType.FOR
        }
        COLUMN_OPERATORS: ClassVar[dict[Any, Any]] = {
            TokenType.DOT: None,
            TokenType.DCOLON: lambda self, this, to: self.expression(Coerced(this=this, to=to)),
        }
        JSON_OPERATORS: ClassVar[dict[Any, Any]] = {
            TokenType.ARROW: _operation(exp.JSONExtract),
            TokenType.DARROW: _operation(exp.JSONExtractScalar),
            TokenType.HASH_ARROW: _operation(exp.JSONBExtract),
            TokenType.DHASH_ARROW: _operation(exp.JSONBExtractScalar),
            TokenType.PLACEHOLDER: _operation(exp.JSONBContainsTopKey),
        }

        _steps = 0

        def _advance(self, times: int = 1) -> None:
            """Count the steps back and forth: sqlglot's guesses within guesses double with every level."""
            self._steps += 1
            if self._steps > MAX_STEPS * (self._tokens_size + 10):
                raise Unfit("sql_too_tangled")
            super()._advance(times)

        def _parse_types(self, check_func: bool = False, *_: Any, **__: Any) -> Any:
            """The types on the list alone. check_func: where a column may stand too."""
            return types.read(self, must=not check_func)

        def _parse_interval(self, *_: Any, **__: Any) -> Any:
            """As a type before its text, where sqlglot takes the text apart."""
            return None


@cache
def _dialect() -> Postgres:
    return _Reduced()


SHORT = 200
"""Characters of an expression that is kept when it has been read."""

_WORD = re.compile(r"[^\W\d][\w$]*\Z")
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_SYNTAX = frozenset({TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING})

_REFUSED = {
    TokenType.SEMICOLON: "sql_statement",
    TokenType.PARAMETER: "sql_placeholder",
    TokenType.SESSION_PARAMETER: "sql_placeholder",
    TokenType.COLON: "sql_placeholder",
    TokenType.L_BRACE: "sql_placeholder",
    TokenType.R_BRACE: "sql_placeholder",
    TokenType.BLOCK_START: "sql_placeholder",
    TokenType.BLOCK_END: "sql_placeholder",
    TokenType.SELECT: "sql_subquery",
    TokenType.BYTE_STRING: "sql_literal",
    TokenType.BIT_STRING: "sql_literal",
    TokenType.HEX_STRING: "sql_literal",
    TokenType.UNICODE_STRING: "sql_literal",
    TokenType.NATIONAL_STRING: "sql_literal",
    TokenType.RAW_STRING: "sql_literal",
    TokenType.HEREDOC_STRING: "sql_literal",
    TokenType.BACKSLASH: "sql_unreadable",
}


@dataclass(frozen=True)
class Reading:
    """An expression as it was read. words: its words as they can be compared."""

    tree: exp.Expr
    words: str

    @cached_property
    def is_faithful(self) -> bool:
        """Whether what is written of the tree has the words of what was read, types by any of their names. Raises
        Unfit.

        sqlglot reads many dialects and drops or mends what it does not know; what lost a word on the way is refused.
        """
        return self.words == _words(_dialect().tokenize(emission.emitted(self.tree, as_written)))


def read(text: str) -> Reading:
    """One expression. Raises Unfit. Short ones are kept: a preview that follows every key stroke reads them again."""
    return _read_short(text) if len(text) <= SHORT else _read(text)


@lru_cache(maxsize=8)  # a query asks for an expression's kind right after its check; trees can take a megabyte
def _read(text: str) -> Reading:
    if len(text) > MAX_CHARACTERS:
        raise Unfit("sql_too_long", limit=MAX_CHARACTERS)
    if any(_unprintable(character) for character in text):
        raise Unfit("sql_character")
    try:
        found = _dialect().tokenize(text)
        _acceptable(text, found)
        trees = _dialect().parser()._parse(lambda parser: parser._parse_disjunction(), found, text)
    except (SqlglotError, RecursionError, AttributeError, TypeError, ValueError, IndexError):
        raise Unfit("sql_unreadable") from None  # sqlglot trips over some texts instead of refusing them
    if len(trees) != 1 or not isinstance(trees[0], exp.Expr):
        raise Unfit("sql_unreadable")
    if deeper_than(trees[0], MAX_BRANCHES):
        raise Unfit("sql_too_deep", limit=MAX_BRANCHES)
    return Reading(trees[0], _words(found))


_read_short = lru_cache(maxsize=128)(_read.__wrapped__)  # of 130 KB at most


def _unprintable(character: str) -> bool:
    if character in "\t\n\r":
        return False
    return character in _BIDIRECTIONAL or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _acceptable(text: str, found: list[Token]) -> None:
    if not found:
        raise Unfit("sql_unreadable")
    if len(found) > MAX_WORDS:
        raise Unfit("sql_too_many_words", limit=MAX_WORDS)
    depth = run = 0
    for token in found:
        kind = token.token_type
        if kind == TokenType.AMP and text[token.start - 1 : token.end + 2].lower() in ('u&"', "u&'"):
            raise Unfit("sql_literal")  # U&"\\0069d" is a name
        if token.comments:
            raise Unfit("sql_comment")
        if kind in _REFUSED:
            raise Unfit(_REFUSED[kind])
        if kind == TokenType.UNKNOWN and not _WORD.match(token.text):
            raise Unfit("sql_unreadable")  # a sign of no use; UNKNOWN, the word, is none
        if kind == TokenType.VAR and not _WORD.match(token.text):
            raise Unfit("sql_character")
        if kind not in _SYNTAX and not token.text.isascii():
            raise Unfit("sql_character")
        opened = kind in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE)
        closed = kind in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END)
        depth += opened - closed
        run = run + 1 if kind in (TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.RLIKE) else 0
        if max(depth, run) > MAX_DEPTH:
            raise Unfit("sql_too_deep", limit=MAX_DEPTH)


_ZONED = re.compile(r"(timestamp|time)((?:\0\(\0\d\0\))?)\0with\0time\0zone(?=\0|\Z)")
_ZONELESS = re.compile(r"(?<=\0)without\0time\0zone\0?")


def _words(found: list[Token]) -> str:
    words: list[str] = []
    for place, token in enumerate(found):
        if token.token_type == TokenType.STRING:
            words.append(f"'{token.text}'")
        elif token.token_type == TokenType.IDENTIFIER:
            words.append(f'"{token.text}"')
        else:
            word = folded(token.text)
            leading = word.isdigit() and words[-1:] == ["."] and not (place > 1 and found[place - 2].text.isalnum())
            if leading:
                words[-1] = f"0.{word}"
            else:
                words.append("<>" if word == "!=" else types.NAMES.get(word, word))
    return _ZONELESS.sub("", _ZONED.sub(r"\1tz\2", "\0".join(words))).rstrip("\0")
