"""Advisory locks by name."""

from __future__ import annotations

import hashlib


def advisory_number(name: str) -> int:
    """A signed 64-bit number that stands for ``name`` in Postgres' advisory locks."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
