"""One request, however often it is sent: the Idempotency-Key header.

In: a caller, the key it sent, the request. Out: the answer the first sending got, or an attempt to be made, with the id
of what it makes. Refused: a key that is malformed, that came with another request, or whose request is being answered
now. The id is minted before the work and kept, so an attempt that died half-way and is sent again goes on with the
same thing and never makes a second one.

A key belongs to a user of an organisation, for 24 hours. Kept are its hash, a keyed hash of the request, and the
answer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from chalicelib import dynamo, keys
from chalicelib.access import Caller
from chalicelib.errors import BadRequest, Conflict, Invalid, RequestError

KEPT_SECONDS = 86_400
"""How long an answer is kept for its key: a day, as callers' own queues retry."""

LEASE_SECONDS = 35
"""How long an attempt keeps others off: the 29 s a request may take, and clocks that differ."""

Item = dict[str, Any]

_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")


@dataclass(frozen=True)
class Minted:
    """The id of what a request makes. again: an earlier attempt may have made it already."""

    id: str
    again: bool = False


@dataclass
class Attempt:
    """One sending of a request. answer: status and body; there from the beginning when it has been answered before."""

    minted: Minted
    answer: tuple[int, str] | None = None


class InFlight(Conflict):
    """409: the same request is being answered now."""

    code = "idempotency_in_flight"


def fresh() -> Minted:
    """An id for what a request makes that comes without a key. Ordered by time, as jobs' have to be."""
    return Minted(keys.mint_id())


@contextmanager
def attempt(caller: Caller, key: str, request: bytes, *, now: float) -> Iterator[Attempt]:
    """Do the request's work inside and put its answer into the attempt, unless it has one.

    Refusals (RequestError) are not kept, so that the caller can mend the request and send it under the same key; but
    where an attempt before has died, its work may be there, and the key stays that request's. Any other end leaves the
    id to the next attempt. request: all that makes it this one. Raises BadRequest for a malformed key, Invalid for one
    that came with another request, InFlight.
    """
    if not _KEY.match(key):
        raise BadRequest(
            "The Idempotency-Key must have 1 to 255 printable ASCII characters, none of them a space.",
            code="malformed_idempotency_key",
        )
    place = keys.idempotency(caller.org, caller.user_id, key)
    item = _begun(place, hmac.new(key.encode(), request, hashlib.sha256).hexdigest(), now)
    if item["answer"] is not None:
        yield Attempt(Minted(item["minted"]), (item["status"], item["answer"]))
        return
    made = Attempt(Minted(item["minted"], again=item["again"]))
    refused = False
    try:
        yield made
    except RequestError:
        refused = True
        raise
    finally:
        _end(place, item, made, refused=refused)


def _begun(place: keys.Key, said: str, now: float) -> Item:
    """The key's item: mine to work on, or with an answer."""
    item: Item = {
        "said": said,
        "minted": fresh().id,
        "again": False,
        "holder": str(uuid.uuid4()),
        "lease": now + LEASE_SECONDS,
        "status": None,
        "answer": None,
        "ttl": int(now) + KEPT_SECONDS,
    }
    free = "attribute_not_exists(#pk) OR #ttl <= :now"  # DynamoDB takes up to two days to remove what has expired
    try:
        dynamo.put("state", place, item, condition=free, values={"now": int(now)})
    except dynamo.Refused as refused:
        return _met(place, refused.item or {}, item, now)
    return item


def _met(place: keys.Key, found: Item, mine: Item, now: float) -> Item:
    """What to do with an item that is there already."""
    if found.get("holder") == mine["holder"]:
        return found  # the put had gone through; only its answer was lost
    if "said" in found and not hmac.compare_digest(found["said"], mine["said"]):
        raise Invalid("The Idempotency-Key has been used for another request.", code="idempotency_key_reused")
    if found.get("answer") is not None:
        return found
    if found.get("lease", now) < now:  # the attempt has died: go on with what it was to make
        with suppress(dynamo.Refused):
            return dynamo.update(
                "state",
                place,
                "SET #holder = :holder, #lease = :lease, #again = :again",
                {"holder": mine["holder"], "lease": mine["lease"], "again": True, "dead": found["holder"]},
                condition="#holder = :dead",
            )
    raise InFlight("A request with this Idempotency-Key is being answered now.")


def _end(place: keys.Key, item: Item, made: Attempt, *, refused: bool) -> None:
    """Keep the answer, or leave the key free for the next attempt; nothing when another one has taken over."""
    mine, values = "#holder = :mine", {"mine": item["holder"]}
    with suppress(dynamo.Refused):
        if made.answer:
            values |= {"status": made.answer[0], "answer": made.answer[1]}
            dynamo.update("state", place, "SET #status = :status, #answer = :answer", values, condition=mine)
        elif refused and not made.minted.again:
            dynamo.delete("state", place, condition=mine, values=values)
        else:
            dynamo.update("state", place, "SET #lease = :over", values | {"over": 0}, condition=mine)
