"""How every item and object is named. All tenant data is named here and nowhere else.

Each builder takes the organisation first, but for tokens and web sessions, which say whose a request is; there is no
other way to make a key, so a request cannot reach another tenant's partition by what it sends. A key is (partition,
sort).
"""

from __future__ import annotations

import hashlib
import os
import time as clock
import uuid
from datetime import UTC, date, datetime, time

Key = tuple[str, str]

RECORD_SHARDS = 64
"""Partitions a record type is spread over; listing walks them. 64 x 1,000 write units/s is far above one job's load."""

LINK_SHARDS = 16
"""Partitions of one type's source links; `match` reads them all, so they stay few."""

TALLIES = 8
"""Items a job's rows are counted on: with forty workers a count meets another one once in ten times."""

_WHARF = uuid.UUID("6f0a3c1e-7f0b-5c57-9a38-3b5b0f6f2d11")


def mint_id(now: float | None = None) -> str:
    """A UUIDv7 (RFC 9562): milliseconds first, so ids sort by age. The standard library has it from 3.14 on."""
    milliseconds = int((clock.time() if now is None else now) * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    return str(uuid.UUID(int=value | 0b10 << 62 | random & 0x3FFFFFFFFFFFFFFF))


def organisation(org: str) -> Key:
    """The organisation itself."""
    return f"ORG#{org}", "ORG"


def user(org: str, user_id: str) -> Key:
    """One user of the organisation."""
    return f"O#{org}", f"USER#{user_id}"


def token(sha256_hex: str) -> Key:
    """An API token by its hash: the one lookup made before the organisation is known."""
    return f"TOKEN#{sha256_hex}", "TOKEN"


def login(sha256_hex: str) -> Key:
    """A web session by the hash of its cookie: like a token, looked up before the organisation is known."""
    return f"LOGIN#{sha256_hex}", "LOGIN"


def profile(org: str, profile_id: str) -> Key:
    """An import profile."""
    return f"O#{org}", f"PROFILE#{profile_id}"


def job(org: str, job_id: str) -> Key:
    """A job. Ids are time-ordered (UUIDv7), so the sort key lists jobs by age."""
    return f"O#{org}", f"JOB#{job_id}"


def jobs_between(org: str, begin: date | None, end: date | None) -> tuple[str, str, str]:
    """(partition, low, high): where the jobs made from `begin` to the end of `end` stand, both UTC; None is no bound.

    A UUIDv7 begins with its milliseconds, so their digits are a bound for all ids of that moment.
    """
    low = _milliseconds(begin) if begin else 0
    high = _milliseconds(end) + 24 * 3600 * 1000 if end else 2**48 - 1
    return f"O#{org}", _first_job(low), _first_job(high)


def _milliseconds(day: date) -> int:
    """Since 1970; no id is older."""
    return max(0, int(datetime.combine(day, time(), UTC).timestamp() * 1000))


def _first_job(milliseconds: int) -> str:
    return f"JOB#{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"


def daily(org: str, day: date) -> Key:
    """What the jobs made on a day came to."""
    return f"O#{org}", f"STATS#{day.isoformat()}"


def chunk(org: str, job_id: str, record_type: str, number: int) -> Key:
    """One chunk of one type of a job."""
    return f"O#{org}#J#{job_id}", f"CHUNK#{record_type}#{number:06d}"


def tally(org: str, job_id: str, place: int) -> Key:
    """One of the items a job's rows are counted on, 0 to TALLIES."""
    return f"O#{org}#J#{job_id}", f"TALLY#{place:02d}"


def job_type(org: str, job_id: str, record_type: str) -> Key:
    """What `match` settled for one type of a job."""
    return f"O#{org}#J#{job_id}", f"TYPE#{record_type}"


def profile_lock(org: str, profile_id: str) -> Key:
    """Held by the job that is running on the profile."""
    return f"O#{org}#P#{profile_id}", "LOCK"


def type_lock(org: str, record_type: str) -> Key:
    """Held by the job that is writing records of the type."""
    return f"O#{org}#T#{record_type}", "LOCK"


def audit(org: str, place: str) -> Key:
    """A line of the trail; places begin with their time, so the sort key lists lines by age."""
    return f"O#{org}", f"AUDIT#{place}"


def rate(org: str, rate_class: str, begin: int) -> Key:
    """The count of a class's requests in the minute that begins then; apart, so that knocking slows nothing else."""
    return f"O#{org}#R#{rate_class}", f"RATE#{begin}"


def idempotency(org: str, user_id: str, given: str) -> Key:
    """What became of the request that a user sent under this Idempotency-Key."""
    return f"O#{org}#I#{user_id}", f"KEY#{sha256(given)}"


def sequence(org: str, name: str) -> Key:
    """A per-tenant counter, for the integers some documents show."""
    return f"O#{org}", f"SEQ#{name}"


def template(org: str, template_id: str) -> Key:
    """A template of the organisation's own."""
    return f"O#{org}", f"TEMPLATE#{template_id}"


def template_name(org: str, name: str) -> Key:
    """The claim on a template's name."""
    return f"O#{org}", f"TEMPLATE_NAME#{sha256(name)}"


def source(org: str, source_id: str) -> Key:
    """A database this organisation has imported from."""
    return f"O#{org}", f"SOURCE#{source_id}"


def active_job(org: str, job_id: str) -> Key:
    """Listed until the job has ended; the sweep looks for jobs whose execution died. The only key across tenants."""
    return "ACTIVE", f"{org}#{job_id}"


def record(org: str, record_type: str, record_id: str) -> Key:
    """A record, in its type's shard."""
    return record_partition(org, record_type, record_shard(record_id)), record_id


def record_type_of(partition: str) -> str:
    """The record type of a record's partition."""
    return partition.split("#")[3]


def organisation_of(partition: str) -> str:
    """The organisation of a record's partition."""
    return partition.split("#")[1]


def children(org: str, record_type: str, parent_id: str) -> str:
    """What the children of a record bear as `parent`: the partition of the index that lists them."""
    return f"O#{org}#T#{record_type}#{parent_id}"


def record_partition(org: str, record_type: str, shard: int) -> str:
    """One shard of a record type."""
    return f"O#{org}#T#{record_type}#{shard:02d}"


def record_shard(record_id: str) -> int:
    """0..63, even over random and over name-based ids."""
    return uuid.UUID(record_id).int % RECORD_SHARDS


def claim(org: str, record_type: str, field: str, value: str) -> Key:
    """The claim on a unique value; hashed, so that long or personal values never become keys."""
    return f"O#{org}#UQ#{record_type}#{field}#{sha256(value)}", "UQ"


def link(org: str, record_type: str, source_id: str, origin: str, external_id: str) -> Key:
    """Where a source row went when not to the record its id derives."""
    shard = int(sha256(external_id)[:8], 16) % LINK_SHARDS
    return link_partition(org, record_type, source_id, origin, shard), external_id


def link_partition(org: str, record_type: str, source_id: str, origin: str, shard: int) -> str:
    """One shard of the links of a source's table."""
    return f"O#{org}#LK#{record_type}#{source_id}#{origin}#{shard:02d}"


def record_id(org: str, record_type: str, source_id: str, origin: str, external_id: str) -> str:
    """The id a source row's record has for ever: uuid5 over the length-prefixed parts.

    Length-prefixed, so that ("ab", "c") and ("a", "bc") differ. A child can name its parent without asking.
    """
    parts = (org, record_type, source_id, origin, external_id)
    return str(uuid.uuid5(_WHARF, "".join(f"{len(part)}:{part}" for part in parts)))


def job_objects(org: str, job_id: str) -> str:
    """S3 prefix of all a job wrote."""
    return f"org/{org}/jobs/{job_id}"


def type_objects(org: str, job_id: str, record_type: str) -> str:
    """S3 prefix of one type's chunks."""
    return f"org/{org}/jobs/{job_id}/{record_type}"


def values(org: str) -> str:
    """S3 prefix of values too large for an item."""
    return f"org/{org}/values"


def sha256(text: str) -> str:
    """Hex SHA-256; lone surrogates, which JSON may carry, are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
