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

# No 0/O, 1/I/L, U: nothing that is misheard or misread over the phone.
REFERENCE_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_LENGTH: Final = 6

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,49}", re.ASCII)


def uuid7() -> UUID:
    """A UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def as_uuid(text: str) -> UUID:
    """Raises NotFound for what is not one: there is nothing of that id."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def tag() -> UUID:
    """A UUID version 4 that tells things apart and need not be hard to guess: of a request, of a lock's holder.

    Asking the system for randomness hands the interpreter to another thread, twenty times the price.
    """
    return UUID(int=random.getrandbits(128), version=4)


def reference() -> str:
    """A booking reference a guest can read aloud: six characters, about 729 million of them."""
    return _letters(REFERENCE_LENGTH)


def name(prefix: str) -> str:
    """A generated id for what a caller did not name, e.g. ``T-8K2M4QXR``."""
    return f"{prefix}-{_letters(8)}"


def _letters(count: int) -> str:
    """So many letters of the alphabet, from one draw of randomness."""
    letters = []
    number = secrets.randbelow(len(REFERENCE_ALPHABET) ** count)
    for _ in range(count):
        number, letter = divmod(number, len(REFERENCE_ALPHABET))
        letters.append(REFERENCE_ALPHABET[letter])
    return "".join(letters)
