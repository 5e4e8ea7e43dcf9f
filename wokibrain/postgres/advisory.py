"""Names for Postgres' advisory locks."""

from __future__ import annotations

import hashlib


def advisory_number(name: str) -> int:
    """Return the signed 64-bit key of the advisory lock called ``name``: a hash of it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
