"""The nodes of expression trees: the operators that are allowed, how tightly they bind, why others are refused."""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp

from chalicelib.expressions.allowed import Unfit
from chalicelib.expressions.names import shown


class Prefixed(exp.Cast):
    """A type before its text: DATE '2024-01-31'."""


class Coerced(exp.Cast):
    """A type behind its value: value::type."""


class Denied(exp.Not):
    """NOT before its condition; sqlglot's own is the one within: a NOT IN (...)."""


class Type(exp.Expression):
    """A type on the list: its name, sizes as digits, dimensions of an array."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "sizes": True, "dimensions": True}


class Keyworded(exp.Expression, exp.Func):
    """A call with words between its arguments; `words` are what stands before each, or nothing."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expressions": True, "words": True}


OR, AND, NOT, IS, COMPARED, MATCHED, OTHER, SUM, PRODUCT, POWER, ZONE, SIGN, INDEX, CAST, ATOM = range(15)
"""How tightly PostgreSQL binds, loosest first (its manual, "Operator Precedence")."""

OPERATORS: dict[type[exp.Expr], tuple[str, int]] = {
    exp.Or: ("OR", OR),
    exp.And: ("AND", AND),
    exp.NullSafeEQ: ("IS NOT DISTINCT FROM", IS),
    exp.NullSafeNEQ: ("IS DISTINCT FROM", IS),
    exp.EQ: ("=", COMPARED),
    exp.NEQ: ("<>", COMPARED),
    exp.GT: (">", COMPARED),
    exp.GTE: (">=", COMPARED),
    exp.LT: ("<", COMPARED),
    exp.LTE: ("<=", COMPARED),
    exp.Like: ("LIKE", MATCHED),
    exp.ILike: ("ILIKE", MATCHED),
    exp.DPipe: ("||", OTHER),
    exp.RegexpLike: ("~", OTHER),
    exp.RegexpILike: ("~*", OTHER),
    exp.JSONExtract: ("->", OTHER),
    exp.JSONExtractScalar: ("->>", OTHER),
    exp.JSONBExtract: ("#>", OTHER),
    exp.JSONBExtractScalar: ("#>>", OTHER),
    exp.JSONBContainsTopKey: ("?", OTHER),
    exp.ArrayContainsAll: ("@>", OTHER),
    exp.ArrayContainedBy: ("<@", OTHER),
    exp.ArrayOverlaps: ("&&", OTHER),
    exp.BitwiseAnd: ("&", OTHER),
    exp.Add: ("+", SUM),
    exp.Sub: ("-", SUM),
    exp.Mul: ("*", PRODUCT),
    exp.Div: ("/", PRODUCT),
    exp.Mod: ("%", PRODUCT),
    exp.Pow: ("^", POWER),
}
"""Node -> its sign, and how tightly it binds."""

_TIGHTNESS: dict[type[exp.Expr], int] = {
    Denied: NOT, exp.Is: IS, exp.Between: MATCHED, exp.In: MATCHED, exp.Escape: MATCHED, exp.AtTimeZone: ZONE,
    exp.Neg: SIGN, exp.Bracket: INDEX, Coerced: CAST,
}  # fmt: skip

ONE_AT_A_TIME = (IS, COMPARED, MATCHED)
"""Where PostgreSQL reads `a < b < c` as a mistake."""

_ARGUMENTS: dict[type[exp.Expr], set[str]] = {
    exp.DPipe: {"safe"},
    exp.Div: {"typed", "safe"},
    exp.Like: {"negate"},
    exp.ILike: {"negate"},
    exp.Is: {"negate"},
}
"""What a node may carry beside its operands."""


def tightness(node: exp.Expr) -> int:
    """How tightly a node's outermost operator binds."""
    kind = type(node)
    if kind in OPERATORS:
        return OPERATORS[kind][1]
    if kind is exp.Not:
        return tightness(node.this)  # NOT IN binds as IN does
    return _TIGHTNESS.get(kind, ATOM)


def deeper_than(tree: exp.Expr, limit: int) -> bool:
    """Whether operations are nested deeper than that; a chain of operators is no nesting on its left side."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > limit:
            return True
        chained = type(node) in OPERATORS and OPERATORS[type(node)][1] not in ONE_AT_A_TIME
        waiting += [(part, depth + (not chained or part is not node.this)) for part in node.iter_expressions()]
    return False


def only(node: exp.Expr, *names: str) -> None:
    """Refuse a node that carries more than those arguments: what is not written out would be lost."""
    more = {name for name, value in node.args.items() if value not in (None, False, [])} - set(names)
    if more - _ARGUMENTS.get(type(node), set()):
        raise Unfit("sql_unreadable")


_SIGNS = {
    "bitwisexor": "#", "bitwiseor": "|", "bitwisenot": "~", "bitwiseleftshift": "<<", "bitwiserightshift": ">>",
    "similarto": "SIMILAR TO", "matchagainst": "@@", "sqrt": "|/", "cbrt": "||/", "collate": "COLLATE",
    "jsonbcontainsanytopkeys": "?|", "jsonbcontainsalltopkeys": "?&", "jsonbdeleteatpath": "#-",
    "jsonbpathexists": "@?", "overlaps": "OVERLAPS", "adjacent": "-|-", "startswith": "^@", "distance": "<->",
    "extendsleft": "&<", "extendsright": "&>", "operator": "OPERATOR()", "glob": "GLOB", "intdiv": "DIV",
    "coalesce": "??", "distancend": "<<->>",
}  # fmt: skip
"""What is not allowed is named in a message as it was written."""


def _dotted(node: exp.Expr) -> str:
    if isinstance(node, exp.Dot):
        return f"{_dotted(node.this)}.{_dotted(node.expression)}"
    return _dotted(node.this) if isinstance(node, exp.Window) else node.name


def refusal(node: exp.Expr) -> Unfit:
    """Why a kind of node that is not listed is refused."""
    if isinstance(node, exp.Query | exp.Exists | exp.Subquery | exp.Values):
        return Unfit("sql_subquery")
    if isinstance(node, exp.Star):
        return Unfit("sql_whole_row")
    if isinstance(node, exp.Placeholder | exp.Parameter):
        return Unfit("sql_placeholder")
    if isinstance(node, exp.Dot):
        call = isinstance(node.expression, exp.Anonymous | exp.Window)
        name = shown(_dotted(node))
        return Unfit("sql_qualified_call", name=name) if call else Unfit("sql_construct", name="(...).field")
    if isinstance(node, exp.Window | exp.WithinGroup | exp.Filter):
        return Unfit("sql_aggregate", name=shown(node.this.name))
    if node.key in _SIGNS:
        return Unfit("sql_operator", name=_SIGNS[node.key])
    return Unfit("sql_construct", name=node.key.upper())
