"""Sets of 2-4 tables that add up to a capacity, in order, without listing those that do not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

from bookings.engine.sector import COMBO_SIZES, Combo, SectorPlan, bits

STEPS_AT_MOST = 5_000

# Some joined tables, and the tables that join any of them: bit masks over indexes.
Part = tuple[int, int]


class Mix:
    """The tables that may take part in a summed combo for one party, and how their sums are encoded.

    Sums live in one integer: the bit of (allowance m, capacity c) says that some set has summed
    capacity_min <= m and summed capacity_max == c. Taking a table shifts right by its ``weight``;
    sums that break the party's allowance fall off the low end.
    """

    __slots__ = ("base", "largest", "neighbours", "own", "party", "tables", "weights")

    def __init__(self, plan: SectorPlan, party: int, members: Sequence[int]) -> None:
        """``members``: indexes of the tables, each with capacity_min <= ``party``."""
        tables = plan.tables
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
        self.own = plan.own
        self.neighbours = plan.neighbours

    def sums(self, members: Sequence[int]) -> int:
        """Bit c: two to four of ``members``, joined or not, seat the party and add up to capacity_max c."""
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

    __slots__ = ("alike", "free", "layers", "members", "mix", "sums", "weights")

    def __init__(self, mix: Mix, members: tuple[int, ...]) -> None:
        self.mix = mix
        self.free = 0
        if mix.neighbours is not None:
            together = sum(1 << at for at in members)
            members = tuple(at for at in members if mix.neighbours[at] & together)
            self.free = sum(1 << at for at in members)
        self.members = members
        self.weights = [mix.weights[at] for at in members]
        self.alike: dict[int, int] = {}
        if self.free:
            for at, weight in zip(members, self.weights, strict=True):
                self.alike[weight] = self.alike.get(weight, 0) | 1 << at
        self.layers = [[mix.base] * (len(members) + 1)]
        self.sums = mix.sums(members)

    def sets(self, capacity: int) -> Iterator[tuple[int, ...]]:
        """The sets of this summed capacity_max that seat the party: fewer tables first, natural order."""
        if not self.sums >> capacity & 1:
            return
        goal = self.mix.largest - capacity
        for size in (2, 3, 4):
            if self._layer(size)[0] >> goal & 1:
                found = self._walk_joined(0, size, goal, (), ()) if self.free else self._walk(0, size, goal)
                for chosen in found:
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

    def _walk_joined(
        self, at: int, size: int, goal: int, chosen: tuple[int, ...], parts: tuple[Part, ...]
    ) -> Iterator[tuple[int, ...]]:
        """As `_walk`, the connected sets only. ``parts``: the pieces of ``chosen`` not joined so far."""
        here, below = self.layers[size], self.layers[size - 1]
        neighbours = self.mix.neighbours or ()
        while here[at] >> goal & 1:
            rest, member = goal + self.weights[at], self.members[at]
            at += 1
            if not below[at] >> rest & 1:
                continue
            grown = (*chosen, member)
            pieces = _joined(parts, member, neighbours[member])
            later = self.free >> member + 1 << member + 1
            if size == 2:
                for _, around in pieces:
                    later &= around
                for last in bits(later):
                    if self.mix.base >> rest + self.mix.weights[last] & 1:
                        yield (*grown, last)
            elif all(self._reachable(around & later, size - 1, rest, at) for _, around in pieces):
                yield from self._walk_joined(at, size - 1, rest, grown, pieces)

    def _reachable(self, around: int, size: int, goal: int, at: int) -> bool:
        """Whether the members from ``at`` on may meet ``goal`` with one of them taken from ``around``."""
        below = self.layers[size - 1][at]
        return any(around & alike and below >> goal + weight & 1 for weight, alike in self.alike.items())


def _joined(parts: tuple[Part, ...], member: int, neighbours: int) -> tuple[Part, ...]:
    """``parts`` with one more table, which may join some of them."""
    tables, around = 1 << member, neighbours
    apart = []
    for part in parts:
        if part[1] >> member & 1:
            tables |= part[0]
            around |= part[1]
        else:
            apart.append(part)
    return (*apart, (tables, around))


def joined_in_time(
    plan: SectorPlan, runs: Sequence[int], party: int, members: Sequence[int]
) -> list[Combo] | None:
    """The connected sets of ``members`` that seat ``party`` and are free together at some start of ``runs``.

    None when telling takes too long: then there are mostly many of them, and walking finds some soon.
    """
    assert plan.neighbours is not None
    tables, neighbours = plan.tables, plan.neighbours
    tops = sorted((tables[at].capacity_max for at in members), reverse=True)
    lows = sorted(tables[at].capacity_min for at in members)
    ahead = [sum(tops[:rest]) for rest in range(COMBO_SIZES[-1])]
    at_least = _thresholds({at: tables[at].capacity_max for at in members})
    at_most = _thresholds({at: -tables[at].capacity_min for at in members})
    found: list[Combo] = []
    steps = 0
    later = 0
    for root in reversed(members):
        # Each set is met once, from its first table: a table left out of a branch stays out of it.
        stack: list[tuple[tuple[int, ...], int, int, int]]
        stack = [((root,), runs[root], neighbours[root] & later, neighbours[root] | 1 << root)]
        later |= 1 << root
        while stack:
            chosen, free, around, seen = stack.pop()
            smallest, largest = plan.sums(chosen)
            best = largest + ahead[COMBO_SIZES[-1] - 1 - len(chosen)]
            around &= at_least(party - best) & at_most(smallest - party)
            for at in bits(around):
                around &= ~(1 << at)
                steps += 1
                if steps > STEPS_AT_MOST:
                    return None
                still = free & runs[at]
                if not still:
                    continue
                grown = (*chosen, at)
                ids = tuple(sorted(grown))
                least, most = smallest + tables[at].capacity_min, largest + tables[at].capacity_max
                if most >= party and ids not in plan.own:
                    found.append(Combo(least, ids))
                if len(grown) < COMBO_SIZES[-1] and least + lows[0] <= party:
                    fresh = neighbours[at] & later & ~seen
                    stack.append((grown, still, around | fresh, seen | neighbours[at]))
    return found


def _thresholds(values: Mapping[int, int]) -> Callable[[int], int]:
    """A function from a threshold to the mask of the keys whose value is at least that."""
    order = sorted(set(values.values()))
    masks = [sum(1 << at for at, value in values.items() if value >= each) for each in order]
    masks.append(0)
    return lambda threshold: masks[bisect_left(order, threshold)]
