"""Listed combos, held in compact columns and scanned one by one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace

from bookings.engine.bitsets import bits

# They take 12 MB. A floor of 500 tables with eight joins each has at most 142,000.
MAX_CONNECTED_SETS = 1_000_000


class Listing:
    """The combos of one capacity_max: fewer tables first, then natural order.

    One column for the smallest party and four for table positions; a set of 2 or 3 repeats its last table.
    """

    __slots__ = ("columns", "smallest")

    def __init__(self, combos: Iterable[tuple[tuple[int, ...], int]]) -> None:
        """``combos``: (ascending table positions, smallest party) of each set, in any order."""
        ordered = sorted(combos)
        ordered.sort(key=lambda combo: len(combo[0]))
        self.smallest = array("I", [smallest for _, smallest in ordered])
        padded = [(*tables, tables[-1], tables[-1])[:4] for tables, _ in ordered]
        self.columns = [array("H", column) for column in zip(*padded, strict=True)]

    def starts(self, free_starts: Sequence[int], party: int) -> int:
        """Return the mask of starts at which some set seats ``party``. ``free_starts``: see `picks`."""
        mask = 0
        for smallest, a, b, c, d in zip(self.smallest, *self.columns, strict=True):
            if smallest <= party:
                mask |= free_starts[a] & free_starts[b] & free_starts[c] & free_starts[d]
        return mask

    def picks(self, free_starts: Sequence[int], party: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield (start slot, tables) of every set that seats ``party``, by ascending start.

        ``free_starts``: per table, the mask of starts from which it is free for the whole booking.
        """
        # One integer per set that is ever free: its first start in the high bits, its row in the low 32.
        queue = [
            (mask & -mask) << 32 | row
            for row, (smallest, a, b, c, d) in enumerate(zip(self.smallest, *self.columns, strict=True))
            if smallest <= party
            and (mask := free_starts[a] & free_starts[b] & free_starts[c] & free_starts[d])
        ]
        heapify(queue)
        while queue:
            row = queue[0] & 0xFFFFFFFF
            slot = queue[0].bit_length() - 33
            a, b, c, d = (column[row] for column in self.columns)
            yield slot, tuple(dict.fromkeys((a, b, c, d)))
            later = (
                (free_starts[a] & free_starts[b] & free_starts[c] & free_starts[d]) >> slot + 1 << slot + 1
            )
            if later:
                heapreplace(queue, (later & -later) << 32 | row)
            else:
                heappop(queue)


def connected_sets(neighbours: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield every connected set of 2-4 tables once. Bit j of ``neighbours[i]``: tables i and j join.

    Raises ValueError if there are more than MAX_CONNECTED_SETS.
    """
    left = MAX_CONNECTED_SETS
    for a, near in enumerate(neighbours):
        # A set is reached from its lowest table only, and a table left out of a branch stays out of it.
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
