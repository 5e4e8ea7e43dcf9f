"""Sets as integers: bit i says that i is in."""

from __future__ import annotations

from collections.abc import Iterable


def bits(mask: int) -> list[int]:
    """Positions of the bits set in ``mask``, ascending."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def at_least_two(masks: Iterable[int]) -> int:
    """The bits that are set in two or more of ``masks``."""
    once = twice = 0
    for mask in masks:
        twice |= once & mask
        once |= mask
    return twice
