"""Subjects and bodies as mail brings them: HTML and plain, quoted, broken, empty, a few very long."""

from __future__ import annotations

import re

from infra.local.freescout.chance import EMOJI, SCRIPTS, Chance

PICTURE = '<img src="data:image/png;base64,' + "iVBORw0KGgo" * 11_000 + '">'
"""About 121 kB; a long body holds up to eight of them."""

_TAG = re.compile(r"<[^>]*>?")


def subject(chance: Chance, number: int) -> str | None:
    """A subject, at most 998 characters."""
    draw, sentence = chance.random.random(), chance.pick(chance.sentences)
    if draw < 0.025:
        return None if draw < 0.015 else ""
    if draw < 0.06:
        return chance.pick(SCRIPTS)
    if draw < 0.2:
        return f"Re: Fwd: RE: {sentence}"
    if draw < 0.201:
        return "Ä" * 990
    if draw < 0.255:
        return f"{sentence} {chance.pick(EMOJI)}" if draw < 0.25 else f"tab\there {sentence}"
    return f"#{number} {sentence}"


def body(chance: Chance, *, html: bool) -> str | None:
    """A message's text."""
    sentences = [chance.pick(chance.sentences) for _ in range(chance.number(1, 5))]
    draw = chance.random.random()
    if draw < 0.0015:
        return f"<div>{sentences[0]}</div>" + PICTURE * chance.number(1, 8)
    if draw < 0.04:
        return None if draw < 0.02 else ""
    if not html or draw < 0.2:
        return ("\r\n" if chance.hits(0.5) else "\n").join(sentences)
    text = '<div dir="ltr">' + "<br />".join(sentences) + "</div>"
    more = chance.pick(chance.sentences)
    if draw < 0.30:
        text = f"<html><head><style>p{{color:red}}</style></head><body>{text}<script>alert(1)</script></body></html>"
    if draw < 0.45:
        text += f'<blockquote class="gmail_quote">On Mon, Jan 1 &lt;x@example.org&gt; wrote:<br>{more}</blockquote>'
    elif draw < 0.52:
        text += f"<table><tr><td>1&nbsp;&euro;</td><td>{more}</td></tr></table>"
    elif draw < 0.56:
        text += '<img src="cid:part1.06090408" width=1 height=1>'
    elif draw > 0.97:
        text = text[:-6] + "<p>unclosed <b>tags"
    return text


def preview(text: str) -> str:
    """What FreeScout shows in lists: the text without tags, at most 255 characters."""
    return " ".join(_TAG.sub(" ", text).split())[:255]
