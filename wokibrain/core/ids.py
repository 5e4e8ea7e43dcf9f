"""Identifiers: time-ordered UUIDs for rows, short references for people."""

from __future__ import annotations

import os
import random
import re
import secrets
import time
from typing import Final
from uuid import UUID

from wokibrain.core.errors import NotFound

# Without 0/O, 1/I/L and U, which are easily misread or misheard on the phone.
REFERENCE_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_LENGTH: Final = 6

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,49}", re.ASCII)


def uuid7() -> UUID:
    """Return a UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def as_uuid(text: str) -> UUID:
    """Return ``text`` as a UUID. Raises NotFound for any other text, since nothing has it as its id."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def tag() -> UUID:
    """Return a UUID version 4 for what must be unique but may be guessed, such as a request or a lock's holder.

    It costs a twentieth of the system's randomness, which releases the interpreter lock to another thread.
    """
    return UUID(int=random.getrandbits(128), version=4)


def reference() -> str:
    """Return a booking reference that a guest can read aloud: six characters, 729 million values."""
    return _letters(REFERENCE_LENGTH)


def name(prefix: str) -> str:
    """Return an id for an object that the caller did not name, e.g. ``T-8K2M4QXR``."""
    return f"{prefix}-{_letters(8)}"


def _letters(count: int) -> str:
    """Return ``count`` letters of REFERENCE_ALPHABET from one random number."""
    letters = []
    number = secrets.randbelow(len(REFERENCE_ALPHABET) ** count)
    for _ in range(count):
        number, letter = divmod(number, len(REFERENCE_ALPHABET))
        letters.append(REFERENCE_ALPHABET[letter])
    return "".join(letters)
