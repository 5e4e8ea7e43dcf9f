"""Sets of 2-4 tables that add up to a capacity, in order, without listing those that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bookings.engine.sector import COMBO_SIZES, Sector


class Mix:
    """The tables that may take part in a summed combo for one party, and how their sums are encoded.

    Sums live in one integer: the bit of (allowance m, capacity c) says that some set has summed
    capacity_min <= m and summed capacity_max == c. Taking a table shifts right by its ``weight``;
    sums that break the party's allowance fall off the low end.
    """

    __slots__ = ("base", "largest", "own", "party", "tables", "weights")

    def __init__(self, sector: Sector, party: int, members: Sequence[int]) -> None:
        """``members``: indexes of the tables, each with capacity_min <= ``party``."""
        tables = sector.tables
        tops = sorted((tables[at].capacity_max for at in members), reverse=True)
        self.largest = sum(tops[:4])
        mins = sorted((tables[at].capacity_min for at in members), reverse=True)
        rows = party + 1 if sum(mins[:4]) > party else 1
        # One capacity of slack between rows, so that overshooting one does not read as the next.
        width = self.largest + (tops[0] if tops else 0) + 1
        step = width if rows > 1 else 0
        self.base = sum(1 << (row * width + self.largest) for row in range(rows))
        self.party = party
        self.tables = tables
        self.weights = {at: tables[at].capacity_min * step + tables[at].capacity_max for at in members}
        self.own = sector.own

    def sums(self, members: Sequence[int]) -> int:
        """Bit c: two to four of ``members`` seat the party and add up to capacity_max c."""
        alike: dict[int, list[int]] = {}
        for at in members:
            alike.setdefault(self.tables[at].capacity_max, []).append(self.weights[at])
        mins = sorted(self.tables[at].capacity_min for at in members)[:2]
        if len(mins) < 2 or sum(mins) > self.party or 4 * max(alike) < self.party:
            return 0
        one = two = three = four = 0
        for weights in alike.values():
            # Of tables alike in capacity_max, four with the smallest capacity_min will do.
            for weight in sorted(weights)[:4] if len(weights) > 1 else weights:
                four |= three >> weight
                three |= two >> weight
                two |= one >> weight
                one |= self.base >> weight
        found = (two | three | four) & ((2 << self.largest) - 1)
        # Sums are written downwards from ``largest``.
        return int(f"{found:0{self.largest + 1}b}"[::-1], 2)


class Moment:
    """The members of a `Mix` that are free at one start, in natural order."""

    __slots__ = ("layers", "members", "mix", "sums", "weights")

    def __init__(self, mix: Mix, members: tuple[int, ...]) -> None:
        self.mix = mix
        self.members = members
        self.weights = [mix.weights[at] for at in members]
        self.layers = [[mix.base] * (len(members) + 1)]
        self.sums = mix.sums(members)

    def sets(self, capacity: int) -> Iterator[tuple[int, ...]]:
        """The sets of this summed capacity_max that seat the party: fewer tables first, natural order."""
        if not self.sums >> capacity & 1:
            return
        goal = self.mix.largest - capacity
        for size in COMBO_SIZES:
            if self._layer(size)[0] >> goal & 1:
                for chosen in self._walk(0, size, goal):
                    if chosen not in self.mix.own:
                        yield chosen

    def _layer(self, size: int) -> list[int]:
        """Entry i: the sums of ``size`` tables among the members from the i-th on."""
        while len(self.layers) <= size:
            below = self.layers[-1]
            sums, layer = 0, [0]
            for at in range(len(self.members) - 1, -1, -1):
                sums |= below[at + 1] >> self.weights[at]
                layer.append(sums)
            layer.reverse()
            self.layers.append(layer)
        return self.layers[size]

    def _walk(self, at: int, size: int, goal: int) -> Iterator[tuple[int, ...]]:
        """Sets of ``size`` among the members from ``at`` on that meet ``goal``; never enters a dead end."""
        here, below = self.layers[size], self.layers[size - 1]
        while here[at] >> goal & 1:
            rest = goal + self.weights[at]
            if below[at + 1] >> rest & 1:
                if size == 1:
                    yield (self.members[at],)
                else:
                    for chosen in self._walk(at + 1, size - 1, rest):
                        yield (self.members[at], *chosen)
            at += 1
