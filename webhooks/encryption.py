"""Encryption of secrets at rest: with the first of WEBHOOK_SECRET_KEYS; any of them decrypts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """The secret was encrypted with a key that is not in WEBHOOK_SECRET_KEYS."""


def seal(secret: str) -> str:
    """Return the secret, encrypted with the first key."""
    return _cipher().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Return the secret in clear. Raises Unreadable."""
    try:
        return _cipher().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error


def reseal(sealed: str) -> str:
    """Return the secret, encrypted anew with the first key. Raises Unreadable."""
    try:
        return _cipher().rotate(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error


def _cipher() -> MultiFernet:
    return _cipher_of(tuple(settings.WEBHOOK_SECRET_KEYS))


@cache
def _cipher_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_fernet_key(key)) for key in keys])


def _fernet_key(key: str) -> bytes:
    # Keys are long and random (ops/production_checks.py), so one keyed hash suffices to derive from them.
    return base64.urlsafe_b64encode(hmac.digest(b"wokibrain webhook secrets", key.encode(), hashlib.sha256))
