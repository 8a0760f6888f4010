"""What a caller has to have seen before a change: the If-Match header against a version (RFC 9110, 13.1.1).

In: the header as it was sent, and the version that stands. Refuses changes by those who saw something else, and, where
it is demanded, by those who did not say what they saw. A version's entity tag is the number in double quotes, always a
strong one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chalicelib.errors import BadRequest, PreconditionFailed, PreconditionRequired

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")


@dataclass(frozen=True)
class IfMatch:
    """A request's If-Match: one or several entity tags, `*` for whatever stands, None when it was not sent."""

    header: str | None

    @property
    def exact(self) -> bool:
        """Whether particular versions were named, so that the change has to be conditional on the one it was let
        through for.
        """
        return self.header is not None and self.header.strip() != "*"

    def demand(self, version: int, what: str = "record") -> None:
        """Let through whoever saw this version. Raises PreconditionRequired, and as `check`."""
        if self.header is None:
            raise PreconditionRequired('Send the version you have seen: If-Match: "<version>", or If-Match: *.')
        self.check(version, what)

    def check(self, version: int, what: str = "record") -> None:
        """Let through whoever saw this version, and whoever does not say. Raises BadRequest, PreconditionFailed (412).

        what: how the refusal calls the thing that has the version. A weak tag (W/"3") matches nothing, as the RFC has
        it.
        """
        if self.header is None or not self.exact:
            return
        given = self.header.strip()
        if not _TAGS.fullmatch(given):
            raise BadRequest(
                "The If-Match header must be a version in double quotes, as ETag gives it, or *.",
                code="malformed_if_match",
            )
        if tag(version) not in re.findall(_TAG, given):
            raise PreconditionFailed(
                f"The {what} has been changed meanwhile: it is at version {version}.",
                extra={"version": version},
            )


UNSAID = IfMatch(None)
"""Of a change whose maker does not say what it saw."""


def tag(version: int) -> str:
    """The entity tag of a version, as the ETag header has it."""
    return f'"{version}"'
