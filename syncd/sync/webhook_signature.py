"""Signatures of webhooks as https://www.standardwebhooks.com has them: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - what stands before one
SCHEME = "v1"


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: what follows `whsec_` is Base64, anything else is taken as it stands. Raises ValueError."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"what follows {SECRET_PREFIX} is not Base64 ({error})") from None


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a message sent at `timestamp` (seconds since 1970)."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return f"{SCHEME},{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
