"""Tenants' secrets under KMS, each bound to its organisation and owner.

In: a secret, the organisation, and the id of what it belongs to. Out: base64 ciphertext to store. The two ids are the
encryption context, so a ciphertext copied to another profile or tenant does not decrypt, and CloudTrail names both.
"""

from __future__ import annotations

import base64
from typing import Any

from chalicelib import settings
from chalicelib.clients import client
from chalicelib.errors import Fatal, Retryable

_LOST = {
    "AccessDeniedException",
    "DisabledException",
    "IncorrectKeyException",
    "InvalidCiphertextException",
    "KMSInvalidStateException",
    "NotFoundException",
    "ValidationException",
}


def encrypt(plaintext: str, *, org: str, owner: str) -> str:
    """The ciphertext of a non-empty secret, of at most 4,096 bytes (KMS API reference). Raises Retryable, Fatal."""
    answer = _call("encrypt", org, owner, KeyId=settings.get().kms_key, Plaintext=plaintext.encode())
    return base64.b64encode(answer["CiphertextBlob"]).decode()


def decrypt(ciphertext: str, *, org: str, owner: str) -> str:
    """The secret. Raises Fatal when the ciphertext is not this owner's or the key is gone, Retryable when KMS fails."""
    answer = _call("decrypt", org, owner, KeyId=settings.get().kms_key, CiphertextBlob=base64.b64decode(ciphertext))
    plaintext: bytes = answer["Plaintext"]
    return plaintext.decode()


def _call(operation: str, org: str, owner: str, **request: Any) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client("kms"), operation)(
            EncryptionContext={"org": org, "owner": owner}, **request
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _LOST:
            raise Fatal(f"the stored secret cannot be used: KMS answered {code}", code="secret_unusable") from None
        raise Retryable(f"KMS answered {code}", code="unavailable") from None
    except BotoCoreError as error:
        raise Retryable(f"KMS cannot be reached: {type(error).__name__}", code="unavailable") from None
    return answer
