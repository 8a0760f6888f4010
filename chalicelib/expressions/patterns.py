"""Regular expressions that PostgreSQL can match in bounded time.

In: the text of a pattern. Refused: back references, directors (`***`), options other than (?i), repetitions of
repetitions, and counts that multiply beyond a bound.
"""

from __future__ import annotations

import re

from chalicelib.expressions.allowed import MAX_REPEATS, Unfit

_COUNT = re.compile(r"\{(\d{1,4})(,(\d{0,4}))?\}")
_OPENING = re.compile(r"\((\?(:|=|!|<=|<!))?")


def check(text: str) -> None:
    """Raises Unfit, saying what the pattern has."""
    if text.startswith("***"):
        raise Unfit("sql_pattern", reason="a director (***)")
    place = 4 if text.startswith("(?i)") else 0
    # Of each open group: whether something in it repeats without end, and the largest count in it.
    groups: list[tuple[bool, int]] = [(False, 1)]
    last: tuple[bool, int] = (False, 1)
    while place < len(text):
        place, last = _step(text, place, groups, last)


def _step(
    text: str, place: int, groups: list[tuple[bool, int]], last: tuple[bool, int]
) -> tuple[int, tuple[bool, int]]:
    """Read one atom or quantifier: where the next begins, and what a quantifier there would repeat."""
    letter = text[place]
    if letter == "\\":
        if text[place + 1 : place + 2].isdigit() and text[place + 1] != "0":
            raise Unfit("sql_pattern", reason="a back reference")
        return place + 2, (False, 1)
    if letter == "[":
        return _after_class(text, place), (False, 1)
    if letter == "(":
        opening = _OPENING.match(text, place)
        end = opening.end() if opening else place + 1
        if text[end : end + 1] == "?" or (text[place : place + 2] == "(?" and end == place + 1):
            raise Unfit("sql_pattern", reason="an option other than (?i)")
        groups.append((False, 1))
        return end, (False, 1)
    if letter == ")":
        if len(groups) == 1:
            return place + 1, (False, 1)
        inner = groups.pop()
        _note(groups, inner)
        return place + 1, inner
    quantifier, end = _quantifier(text, place)
    if quantifier is None:
        return end, (False, 1)
    endless, count = quantifier
    if endless and last[0]:
        raise Unfit("sql_pattern", reason="a repetition of a repetition")
    whole = (endless or last[0], count * last[1])
    if whole[1] > MAX_REPEATS or (whole[0] and whole[1] > 1 and last != (False, 1)):
        raise Unfit("sql_pattern", reason=f"counts beyond {MAX_REPEATS}, or a repetition of a repetition")
    _note(groups, whole)
    return end, (True, MAX_REPEATS)


def _note(groups: list[tuple[bool, int]], inner: tuple[bool, int]) -> None:
    endless, count = groups[-1]
    groups[-1] = (endless or inner[0], max(count, inner[1]))


def _quantifier(text: str, place: int) -> tuple[tuple[bool, int] | None, int]:
    if text[place] in "*+?":
        end = place + 1
        if text[end : end + 1] == "?":
            end += 1
        return (text[place] != "?", 1), end
    found = _COUNT.match(text, place) if text[place] == "{" else None
    if found is None:
        return None, place + 1
    low, more, high = int(found[1]), found[2], found[3]
    end = found.end() + (text[found.end() : found.end() + 1] == "?")
    return (bool(more) and not high, max(low, int(high or 0), 1)), end


def _after_class(text: str, place: int) -> int:
    """Behind a bracket expression; `]` right after its beginning stands for itself."""
    end = place + 1 + (text[place + 1 : place + 2] == "^")
    end += text[end : end + 1] == "]"
    while end < len(text) and text[end] != "]":
        if text[end : end + 2] in ("[:", "[.", "[="):
            closing = text.find(text[end + 1] + "]", end + 2)
            end = len(text) if closing < 0 else closing + 2
        else:
            end += 1 + (text[end] == "\\")
    return end + 1
