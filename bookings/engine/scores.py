"""How well tables suit a party: 0 to 100 points, from the share of their seats that it fills."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

FULL: Final = 50
"""Points for tables whose seats the party fills; a share of them where it fills a share."""
SINGLE: Final = 20
"""Points for a single table rather than a combo."""
PERFECT_FIT: Final = 30
"""Points for tables that seat no larger party."""


def exact_score(party: int, capacity: int, single: bool) -> Fraction:
    """Return the score before rounding, 0-100."""
    return (
        Fraction(FULL * party, capacity)
        + (SINGLE if single else 0)
        + (PERFECT_FIT if party == capacity else 0)
    )


def rounded_score(party: int, capacity: int, single: bool) -> float:
    """Return the score to one decimal, halves rounded up."""
    tenths = (20 * FULL * party + capacity) // (2 * capacity)
    bonus = (SINGLE if single else 0) + (PERFECT_FIT if party == capacity else 0)
    return (tenths + 10 * bonus) / 10


def single_first(party: int, single: int, combo: int) -> bool:
    """Return whether a single table scores at least as much as a combo; both arguments are capacity_max."""
    bonus = SINGLE + PERFECT_FIT * (party == single) - PERFECT_FIT * (party == combo)
    return FULL * party * (combo - single) + bonus * single * combo >= 0
