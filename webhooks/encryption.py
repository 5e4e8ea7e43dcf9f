"""Secrets at rest: encrypted with the first of WEBHOOK_SECRET_KEYS, readable with any of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """Encrypted with a key that is not among WEBHOOK_SECRET_KEYS."""


def seal(secret: str) -> str:
    return _vault().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret. Raises Unreadable."""
    try:
        return _vault().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error


def reseal(sealed: str) -> str:
    """The same secret under the first key. Raises Unreadable."""
    try:
        return _vault().rotate(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error


def _vault() -> MultiFernet:
    return _made_of(tuple(settings.WEBHOOK_SECRET_KEYS))


@cache
def _made_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    # Keys are long and random (checks.py), so a keyed hash is all the stretching they need.
    return base64.urlsafe_b64encode(hmac.digest(b"wokibrain webhook secrets", key.encode(), hashlib.sha256))
