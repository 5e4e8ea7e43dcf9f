"""Sets of small integers kept as one integer: bit i is set if i is a member."""

from __future__ import annotations

from collections.abc import Iterable


def bits(mask: int) -> list[int]:
    """Return the positions of the bits set in ``mask``, ascending."""
    positions = []
    while mask:
        low = mask & -mask
        positions.append(low.bit_length() - 1)
        mask ^= low
    return positions


def at_least_two(masks: Iterable[int]) -> int:
    """Return the bits that are set in two or more of ``masks``."""
    once = twice = 0
    for mask in masks:
        twice |= once & mask
        once |= mask
    return twice
