"""Secrets and signatures. docs/webhooks.md has the receiving side.

The trio of Standard Webhooks is signed here and not by the library of that name: ours takes any secret and any zone,
and leaves the tests an independent verifier.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

PREFIX: Final = "whsec_"
MIN_SECRET_LENGTH: Final = 16
MAX_SECRET_LENGTH: Final = 200
KEY_BYTES: Final = range(16, 65)


def new_secret() -> str:
    """Return ``whsec_`` and 256 random bits in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """Return the key of Standard Webhooks: what follows ``whsec_``, from base64; else the secret itself in UTF-8.

    Raises ValueError if ``whsec_`` is not followed by 16 to 64 bytes in base64.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(key) not in KEY_BYTES:
        raise ValueError("a key of the wrong length")
    return key


def legacy(secret: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of the body in lowercase hex; the key is the whole secret in UTF-8."""
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def standard(secret: str, message_id: UUID, at: int, body: bytes) -> str:
    """Return one signature of Standard Webhooks; ``at`` is in seconds since 1970."""
    signed = f"{message_id}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()


def headers(valid: Sequence[str], *, message_id: UUID, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that sign ``body`` with every secret that is valid now, the current one first.

    Standard Webhooks lists several signatures in one header. The legacy header holds the bare hex of the current
    secret only; the previous secret, while valid, has a header of its own.
    """
    seconds = int(at.timestamp())
    signed = {
        "X-WokiBrain-Signature": legacy(valid[0], body),
        "webhook-id": str(message_id),
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(standard(secret, message_id, seconds, body) for secret in valid),
    }
    if len(valid) > 1:
        signed["X-WokiBrain-Signature-Previous"] = legacy(valid[1], body)
    return signed
