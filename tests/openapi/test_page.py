"""The page that shows the document: it comes alone, runs only its own script, and can be read by everybody."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse

from tests.moto_cloud import cloud as cloud
from tests.routes.conftest import Api
from tests.routes.conftest import client as client


class Page(HTMLParser):
    """Tags with their attributes, and what stands in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.inside[self._open] = self.inside.get(self._open, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


@pytest.fixture(scope="module")
def answer(client: Client) -> HTTPResponse:
    found = Api(client, None).get("/api/docs")
    assert found.status_code == 200
    return found


@pytest.fixture(scope="module")
def page(answer: HTTPResponse) -> Page:
    return Page(answer.body.decode())


def test_only_its_own_script_and_style_may_run_and_nothing_comes_from_elsewhere(
    answer: HTTPResponse, page: Page
) -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";") if part.strip()
    )
    assert policy == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "script-src": f"'sha256-{sha256(page.inside['script'])}'",
        "style-src": f"'sha256-{sha256(page.inside['style'])}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_it_names_no_other_place(answer: HTTPResponse, page: Page) -> None:
    assert re.findall(rb"https?:|//\w", answer.body) == []
    links = [value for _, given in page.tags for name, value in given.items() if name in ("href", "src")]
    assert sorted(links, key=str) == ["#main", "data:,", "openapi.json"]
    assert re.findall(r'fetch\("([^"]*)"', page.inside["script"]) == ["openapi.json"]


def test_what_the_document_says_is_never_run(page: Page) -> None:
    script = page.inside["script"]
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script) == []
    assert [name for _, given in page.tags for name in given if name.startswith("on") or name == "style"] == []


def test_it_can_be_read_by_everybody(answer: HTTPResponse, page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "en"}) in page.tags
    assert {"header", "nav", "main", "h1", "label"} <= set(tags)
    assert ("a", {"class": "skip", "href": "#main"}) in page.tags
    assert any(given.get("name") == "viewport" for tag, given in page.tags if tag == "meta")
    assert "prefers-color-scheme: dark" in page.inside["style"]
    assert b"<noscript>" in answer.body
    assert len(answer.body) < 40_000


def colours(style: str) -> list[dict[str, str]]:
    """The names of colours in light and in dark."""
    return [dict(re.findall(r"--(\w+): (#\w+);", block)) for block in re.findall(r":root {(.*?)}", style, re.DOTALL)]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_its_colours_stand_out_in_light_and_dark(page: Page) -> None:
    modes = colours(page.inside["style"])
    assert len(modes) == 2
    for mode in modes:
        for name in ("ink", "soft", "link", "GET", "POST", "PUT", "PATCH", "DELETE"):
            for ground in ("paper", "sheet"):
                light, dark = sorted((luminance(mode[name]), luminance(mode[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground, mode)
