"""Combos that are known one by one, kept small and looked through fast."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace

from bookings.engine.bitsets import bits

# 12 MB of them; a floor of 500 tables with eight joins each has 142,000 at the very most.
SETS_AT_MOST = 1_000_000


class Listing:
    """The combos of one capacity_max: fewer tables first, then natural order.

    A column each for the smallest party and four table indexes; a smaller set repeats its last one.
    """

    __slots__ = ("columns", "smallest")

    def __init__(self, combos: Iterable[tuple[tuple[int, ...], int]]) -> None:
        """``combos``: the ascending indexes and the smallest party of each set, in any order."""
        ordered = sorted(combos)
        ordered.sort(key=lambda combo: len(combo[0]))
        self.smallest = array("I", [smallest for _, smallest in ordered])
        padded = [(*tables, tables[-1], tables[-1])[:4] for tables, _ in ordered]
        self.columns = [array("H", column) for column in zip(*padded, strict=True)]

    def starts(self, runs: Sequence[int], party: int) -> int:
        """The mask of starts at which some set seats ``party``. ``runs``: see `picks`."""
        mask = 0
        for smallest, a, b, c, d in zip(self.smallest, *self.columns, strict=True):
            if smallest <= party:
                mask |= runs[a] & runs[b] & runs[c] & runs[d]
        return mask

    def picks(self, runs: Sequence[int], party: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(start slot, tables) of what seats ``party``, start up. ``runs``: per table, its free starts."""
        # One integer per set that is free at all: its first start, then its place in the listing.
        queue = [
            (mask & -mask) << 32 | at
            for at, (smallest, a, b, c, d) in enumerate(zip(self.smallest, *self.columns, strict=True))
            if smallest <= party and (mask := runs[a] & runs[b] & runs[c] & runs[d])
        ]
        heapify(queue)
        while queue:
            at = queue[0] & 0xFFFFFFFF
            slot = queue[0].bit_length() - 33
            a, b, c, d = (column[at] for column in self.columns)
            yield slot, tuple(dict.fromkeys((a, b, c, d)))
            later = (runs[a] & runs[b] & runs[c] & runs[d]) >> slot + 1 << slot + 1
            if later:
                heapreplace(queue, (later & -later) << 32 | at)
            else:
                heappop(queue)


def connected_sets(neighbours: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every set of 2-4 tables that hangs together, once. Bit j of ``neighbours[i]``: i and j join.

    Raises ValueError where there are more than SETS_AT_MOST.
    """
    left = SETS_AT_MOST
    for a, near in enumerate(neighbours):
        # Each set is met from its first table only, and a table left out of a branch stays out of it.
        later = -2 << a
        around = near & later
        for b in bits(around):
            yield a, b
            around &= ~(1 << b)
            seen = near | neighbours[b]
            wider = around | neighbours[b] & later & ~near
            for c in bits(wider):
                wider &= ~(1 << c)
                yield (a, b, c) if b < c else (a, c, b)
                last = bits(wider | neighbours[c] & later & ~seen)
                left -= len(last)
                if left < 0:
                    raise ValueError("the tables of a sector have too many joins")
                for d in last:
                    yield a, *sorted((b, c, d))
