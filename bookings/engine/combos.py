"""Sets of 2-4 tables whose capacities add up to a sum, in order, without trying the sets that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bookings.engine.sector import COMBO_SIZES, Sector


class ComboPool:
    """The tables that may join a summed combo for one party, and the encoding of their sums.

    All sums fit in one integer: bit (m, c) is set if some set of tables has a summed capacity_min <= m
    and a summed capacity_max == c. Adding a table shifts the integer right by the table's weight; sums
    whose capacity_min exceeds the party fall off the low end.
    """

    __slots__ = ("base", "largest", "own", "party", "tables", "weights")

    def __init__(self, sector: Sector, party: int, members: Sequence[int]) -> None:
        """``members``: positions of combinable tables, each with capacity_min <= ``party``."""
        tables = sector.tables
        tops = sorted((tables[i].capacity_max for i in members), reverse=True)
        self.largest = sum(tops[:4])
        mins = sorted((tables[i].capacity_min for i in members), reverse=True)
        rows = party + 1 if sum(mins[:4]) > party else 1
        # One capacity of slack between rows, so that an overshoot is not read as the next row.
        width = self.largest + (tops[0] if tops else 0) + 1
        step = width if rows > 1 else 0
        self.base = sum(1 << (row * width + self.largest) for row in range(rows))
        self.party = party
        self.tables = tables
        self.weights = {i: tables[i].capacity_min * step + tables[i].capacity_max for i in members}
        self.own = sector.own

    def sums(self, members: Sequence[int]) -> int:
        """Return a mask: bit c is set if 2-4 of ``members`` seat the party with a summed capacity_max of c."""
        by_capacity: dict[int, list[int]] = {}
        for i in members:
            by_capacity.setdefault(self.tables[i].capacity_max, []).append(self.weights[i])
        mins = sorted(self.tables[i].capacity_min for i in members)[:2]
        if len(mins) < 2 or sum(mins) > self.party or 4 * max(by_capacity) < self.party:
            return 0
        one = two = three = four = 0
        for weights in by_capacity.values():
            # Of tables with equal capacity_max, the four with the smallest capacity_min are enough.
            for weight in sorted(weights)[:4] if len(weights) > 1 else weights:
                four |= three >> weight
                three |= two >> weight
                two |= one >> weight
                one |= self.base >> weight
        sums = (two | three | four) & ((2 << self.largest) - 1)
        # Sums are written downwards from ``largest``.
        return int(f"{sums:0{self.largest + 1}b}"[::-1], 2)


class FreePool:
    """The members of a `ComboPool` that are free at one start, in natural order."""

    __slots__ = ("layers", "members", "pool", "sums", "weights")

    def __init__(self, pool: ComboPool, members: tuple[int, ...]) -> None:
        self.pool = pool
        self.members = members
        self.weights = [pool.weights[i] for i in members]
        self.layers = [[pool.base] * (len(members) + 1)]
        self.sums = pool.sums(members)

    def sets(self, capacity: int) -> Iterator[tuple[int, ...]]:
        """Yield the sets that seat the party with this summed capacity_max: fewer tables first, natural order."""
        if not self.sums >> capacity & 1:
            return
        goal = self.pool.largest - capacity
        for size in COMBO_SIZES:
            if self._layer(size)[0] >> goal & 1:
                for tables in self._sets_from(0, size, goal):
                    if tables not in self.pool.own:
                        yield tables

    def _layer(self, size: int) -> list[int]:
        """Return a list whose entry i holds the sums of ``size`` tables among ``members[i:]``."""
        while len(self.layers) <= size:
            below = self.layers[-1]
            sums, layer = 0, [0]
            for i in range(len(self.members) - 1, -1, -1):
                sums |= below[i + 1] >> self.weights[i]
                layer.append(sums)
            layer.reverse()
            self.layers.append(layer)
        return self.layers[size]

    def _sets_from(self, i: int, size: int, goal: int) -> Iterator[tuple[int, ...]]:
        """Yield the sets of ``size`` among ``members[i:]`` that meet ``goal``, without entering a dead end."""
        here, below = self.layers[size], self.layers[size - 1]
        while here[i] >> goal & 1:
            rest = goal + self.weights[i]
            if below[i + 1] >> rest & 1:
                if size == 1:
                    yield (self.members[i],)
                else:
                    for tables in self._sets_from(i + 1, size - 1, rest):
                        yield (self.members[i], *tables)
            i += 1
