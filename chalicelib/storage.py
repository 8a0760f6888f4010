"""Objects in S3: rows as compressed JSON that are written once, and small JSON documents.

The name of an object ends in the SHA-256 of its bytes, so a repeated write is the same object, nothing is ever
overwritten, and whoever holds a key can tell whether the bytes are the ones that were written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice
from typing import Any

from isal import isal_zlib
from pydantic_core import from_json, to_json

from chalicelib import settings, telemetry
from chalicelib.clients import client
from chalicelib.errors import Fatal, Retryable

GZIP_LEVEL = 1
"""ISA-L's level 1 makes files of the size of zlib's level 1 in a third of its time (measured on tickets and notes)."""

ROWS_A_LINE = 100
"""Rows that are written, read and mapped together: a call a row costs a fifth more, and 1,000 rows do not fit in a
processor's cache."""

KEPT_DAYS = 90
"""How long what a job leaves behind is kept: as long as anybody goes back to an import."""

_PASSING = {"Tagging": f"keep={KEPT_DAYS}-days"}
"""What a job leaves behind is removed by the bucket's lifecycle rule for this tag; after that there is no rollback."""


@dataclass(frozen=True)
class Stored:
    """What was written: the S3 key, and how many rows."""

    key: str
    rows: int


def pack(rows: Iterable[Any]) -> tuple[bytes, int]:
    """Rows as gzip-compressed lines of JSON, each an array of some rows, compressed as they come, and their number.

    The same rows give the same bytes on the same kind of processor; nothing relies on more than that.
    """
    packer = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
    parts: list[bytes] = []
    count, left = 0, iter(rows)
    while some := list(islice(left, ROWS_A_LINE)):
        parts += packer.compress(to_json(some)), packer.compress(b"\n")
        count += len(some)
    parts.append(packer.flush())
    return b"".join(parts), count


def unpack(body: bytes) -> Iterator[list[Any]]:
    """The rows of `pack`, some at a time."""
    for line in BytesIO(isal_zlib.decompress(body, 16 + isal_zlib.MAX_WBITS)):
        yield from_json(line, cache_strings="keys")


def put_rows(prefix: str, kind: str, rows: Iterable[Any]) -> Stored:
    """Write rows as `<prefix>.<kind>.<sha256>`."""
    body, count = pack(rows)
    return Stored(put_bytes(prefix, kind, body), count)


def get_rows(key: str) -> list[Any]:
    """All rows of an object; a chunk holds about 1,000. Raises Fatal when the bytes are not the ones written."""
    return list(chain.from_iterable(get_batches(key)))


def get_batches(key: str) -> Iterator[list[Any]]:
    """The rows of an object, some at a time. Raises Fatal, before any, when the bytes are not the ones written."""
    body = get(key)
    if hashlib.sha256(body).hexdigest() != key.rsplit(".", 1)[-1]:
        raise Fatal("a stored chunk is damaged", code="chunk_damaged")
    return unpack(body)


def put_json(prefix: str, kind: str, value: Any) -> str:
    """Write one JSON document as `<prefix>.<kind>.<sha256>` and return its key."""
    return put_bytes(prefix, kind, to_json(value))


def put_bytes(prefix: str, kind: str, body: bytes) -> str:
    """Write bytes a job leaves behind as `<prefix>.<kind>.<sha256>` and return the key."""
    return put(f"{prefix}.{kind}.{hashlib.sha256(body).hexdigest()}", body, **_PASSING)


def get_json(key: str) -> Any:
    """The document at a key."""
    return from_json(get(key))


def put(key: str, body: bytes, **options: Any) -> str:
    """Write bytes at a key, for good unless the options say otherwise, and return the key."""
    _call("put_object", Key=key, Body=body, **options)
    telemetry.count(bytes=len(body))
    return key


def get(key: str) -> bytes:
    """The bytes at a key. Raises Fatal when there are none (chunks are kept for 90 days)."""
    from botocore.exceptions import BotoCoreError

    try:
        body: bytes = _call("get_object", Key=key)["Body"].read()
    except BotoCoreError as error:
        raise Retryable(f"S3 broke off: {type(error).__name__}", code="unavailable") from error
    telemetry.count(bytes=len(body))
    return body


def _call(operation: str, **request: Any) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client("s3"), operation)(Bucket=settings.get().bucket, **request)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("NoSuchKey", "AccessDenied"):  # who may not list a bucket is not told what is missing
            raise Fatal("a stored object has expired or is missing", code="object_missing") from error
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or code in ("SlowDown", "RequestTimeout"):
            raise Retryable(f"S3 answered {code}", code="unavailable") from error
        raise
    except BotoCoreError as error:
        raise Retryable(f"S3 cannot be reached: {type(error).__name__}", code="unavailable") from error
    return answer
