"""How many requests a minute: counted for each user and each organisation, one class of routes at a time.

In: a caller, the class of the route it asks for, the time. Out: how it stands. Refused: what goes beyond the user's
limit, or beyond the organisation's. One atomic conditional write a request, so no number of requests at once lets one
too many through, and a refused one is not counted: nobody uses up the others' share by knocking.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

from chalicelib import dynamo, keys, settings, telemetry
from chalicelib.access import Caller
from chalicelib.errors import RateLimited, Retryable

RateClass = Literal["profiles", "connections", "builder", "templates", "monitoring", "records"]

A_MINUTE: dict[RateClass, int] = {
    "profiles": 60,
    "connections": 10,
    "builder": 30,
    "templates": 20,
    "monitoring": 120,
    "records": 120,
}
"""Requests a user has in a minute of the clock: the import API's reference has them; records are watched like jobs."""

ORGANISATION_FACTOR = 5
"""An organisation's users together have so many times one user's."""

WINDOW_SECONDS = 60

CLOSED: frozenset[RateClass] = frozenset({"connections"})
"""Refused when they cannot be counted: these make us knock at other people's servers."""


@dataclass(frozen=True)
class Standing:
    """Where a caller stands: `limit` requests a minute, `remaining` of them, until `reset_seconds` from now."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-06 has them, the form that clients read."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
            "RateLimit-Policy": f"{self.limit};w={WINDOW_SECONDS}",
        }


class Exceeded(RateLimited):
    """Beyond a limit, with where the caller stands."""

    def __init__(self, standing: Standing, whose: str) -> None:
        wait = standing.reset_seconds
        super().__init__(
            f"Too many requests: {whose} has {standing.limit} of this kind a minute. Try again in {wait} s.",
            retry_after_seconds=wait,
        )
        self.standing = standing


def limits(rate_class: RateClass) -> tuple[int, int]:
    """(a user's, an organisation's) requests a minute on this stage."""
    own = max(1, round(A_MINUTE[rate_class] * settings.get().rate_factor))
    return own, own * ORGANISATION_FACTOR


def count(caller: Caller, rate_class: RateClass, *, now: float) -> Standing | None:
    """Count a request; None when it could not be counted and is let through. Raises Exceeded, and Retryable where what
    cannot be counted is not let through.

    now: seconds since 1970. The minute is the clock's, so at its turn a user can have two minutes' requests in a row.
    """
    own, whole = limits(rate_class)
    begin = int(now) // WINDOW_SECONDS * WINDOW_SECONDS
    reset_seconds = begin + WINDOW_SECONDS - int(now)
    mine = f"u{caller.user_id.replace('-', '')}"
    try:
        item = dynamo.update(
            "state",
            keys.rate(caller.org, rate_class, begin),
            f"ADD #total :one, #{mine} :one SET #ttl = :ttl",
            {"one": 1, "ttl": begin + 2 * WINDOW_SECONDS, "own": own, "whole": whole},
            condition=f"( attribute_not_exists(#{mine}) OR #{mine} < :own ) AND "
            "( attribute_not_exists(#total) OR #total < :whole )",
        )
    except dynamo.Refused as refused:
        counted: dict[str, Any] = refused.item or {}
        if counted.get(mine, 0) >= own:
            raise Exceeded(Standing(own, 0, reset_seconds), "a user") from None
        raise Exceeded(Standing(whole, 0, reset_seconds), "an organisation") from None
    except Retryable:
        if rate_class in CLOSED:
            raise
        logging.getLogger("wharf").warning("a request could not be counted")
        telemetry.count(uncounted=1)
        return None
    return Standing(own, min(own - item[mine], whole - item["total"]), reset_seconds)
