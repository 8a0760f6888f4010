"""What `make run` says while it works: one line a step, with its seconds, on stderr."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.status import Status
from rich.text import Text

from cli import terminal


class Narrator:
    """Says what is being done and how long it took. A step ends when the next begins or `done` is called."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or terminal.err()
        self._step: str | None = None
        self._since = 0.0
        self._spinner: Status | None = None

    def begin(self, step: str) -> None:
        """Start a step, ending the one before."""
        self.done()
        self._step, self._since = step, time.monotonic()
        if self.console.is_terminal:
            self._spinner = self.console.status(Text(step))
            self._spinner.start()

    def done(self, detail: str = "") -> None:
        """The step went well."""
        self._end("✓", "green", detail)

    def failed(self) -> None:
        """The step did not."""
        self._end("✗", "bold red", "")

    def say(self, text: str, style: str = "") -> None:
        """A line between steps."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """A step as a block; what the block puts in the list stands behind its line."""
        self.begin(name)
        details: list[str] = []
        yield details
        self.done(", ".join(details))

    def _end(self, mark: str, style: str, detail: str) -> None:
        if self._spinner:
            self._spinner.stop()
            self._spinner = None
        if self._step:
            seconds = f"{time.monotonic() - self._since:.1f} s"
            line = Text.assemble("  ", (mark, style), f" {self._step:<44}", (f"{seconds:>8}  ", "dim"), (detail, "dim"))
            self.console.print(line, soft_wrap=True)
        self._step = None
