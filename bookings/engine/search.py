"""The best seats for a party: exact, and without listing every combo.

score = 50 x party / capacity_max + 20 for a single + 30 for a perfect fit, so that for one party it
depends on the kind and on capacity_max alone. Those pairs are the levels, walked downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from fractions import Fraction
from heapq import merge as merged
from itertools import islice
from typing import Literal, NamedTuple

from bookings.engine.bitsets import at_least_two, bits
from bookings.engine.combos import Mix, Moment
from bookings.engine.occupancy import Busy, Occupancy
from bookings.engine.sector import Sector, natural_key
from bookings.engine.service_day import SLOT_MINUTES, AskedDay, ServiceDay

Kind = Literal["single", "combo"]
RankKey = tuple[Fraction, bool, datetime, int, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Tables and a time that would seat the party.

    ``table_ids`` in natural order, ``start`` and ``end`` in UTC, ``score`` 0-100 to one decimal.
    ``capacity`` is the largest party these tables take; the exact score follows from it.
    """

    kind: Kind
    table_ids: tuple[str, ...]
    start: datetime
    end: datetime
    score: float
    capacity: int = field(compare=False)


class Pick(NamedTuple):
    """Indexes of the chosen tables, the largest party they take together, and the start slot."""

    tables: tuple[int, ...]
    capacity: int
    slot: int


def find(
    sector: Sector,
    day: ServiceDay,
    busy: Iterable[Busy] | Occupancy,
    *,
    party: int,
    duration_minutes: int,
    limit: int,
    window_start: time | None = None,
    window_end: time | None = None,
    not_before: datetime | None = None,
    start: datetime | None = None,
    standing: bool = False,
    tables: frozenset[str] | None = None,
) -> list[Candidate]:
    """The best ``limit`` candidates for ``party`` covers, best first.

    Order: score down, single before combo, start up, fewer tables, ids in natural order.
    A booking lies wholly inside the asked window (see `ServiceDay.restrict`) and one service
    window. ``not_before``: the earliest start. ``start``: only that one, which must be on offer;
    ``standing``: or be one at which who is there may sit down, too soon or not.
    ``tables``: exactly that set. Instants are aware. ``busy`` may be an `Occupancy` of this very
    sector and day. Raises ValueError for another one, for equal window edges, and for a party or a
    duration (minutes; rounded up to whole slots) below 1.
    """
    slots = slots_for(party, duration_minutes)
    asked = day.restrict(window_start, window_end)
    if standing:
        asked = asked.standing()
    offered = starts_offered(asked, slots, None if standing else not_before, start)
    if not offered or limit < 1:
        return []
    runs = occupancy_of(sector, day, busy).starts(slots, offered)
    chosen = islice(picks(sector, runs, party, tables), limit)
    length = timedelta(minutes=duration_minutes)
    return [_candidate(sector, day, pick, party, length) for pick in chosen]


def rank_key(candidate: Candidate, party: int) -> RankKey:
    """Sort key that puts candidates for the same party in the order of `find`, by the exact score."""
    single = candidate.kind == "single"
    return (
        -exact_score(party, candidate.capacity, single),
        not single,
        candidate.start,
        len(candidate.table_ids),
        tuple(natural_key(table_id) for table_id in candidate.table_ids),
    )


def merge(lists: Iterable[Iterable[Candidate]], party: int, limit: int) -> list[Candidate]:
    """The best ``limit`` of several sectors' lists, each as `find` returned it for the same party."""
    return list(islice(merged(*lists, key=lambda candidate: rank_key(candidate, party)), max(limit, 0)))


def exact_score(party: int, capacity: int, single: bool) -> Fraction:
    """The score before rounding: 0-100."""
    return Fraction(50 * party, capacity) + (20 if single else 0) + (30 if party == capacity else 0)


def rounded_score(party: int, capacity: int, single: bool) -> float:
    """The score to one decimal, halves up."""
    tenths = (1000 * party + capacity) // (2 * capacity)
    return (tenths + (200 if single else 0) + (300 if party == capacity else 0)) / 10


def slots_for(party: int, duration_minutes: int) -> int:
    """Quarter hours a booking takes. Raises ValueError for a party or duration below 1."""
    if party < 1 or duration_minutes < 1:
        raise ValueError("party and duration must be at least 1")
    return -(-duration_minutes // SLOT_MINUTES)


def occupancy_of(sector: Sector, day: ServiceDay, busy: Iterable[Busy] | Occupancy) -> Occupancy:
    """``busy`` as an `Occupancy`. Raises ValueError when it is one of another sector or day."""
    if not isinstance(busy, Occupancy):
        return Occupancy.of(sector, day, busy)
    if busy.sector is not sector or busy.day is not day:
        raise ValueError("this occupancy is of another sector or day")
    return busy


def starts_offered(asked: AskedDay, slots: int, not_before: datetime | None, start: datetime | None) -> int:
    """Mask of the starts on offer from which ``slots`` quarter hours fit, narrowed to those asked for."""
    day, offered = asked.day, asked.fit(slots)
    if not_before is not None and offered:
        first = day.slot_of(not_before)
        if first >= day.slots:
            return 0
        if first >= 0:
            first += day.instant_of(first) < not_before
            offered = offered >> first << first
    if start is not None and offered:
        slot = day.slot_of(start)
        if not 0 <= slot < day.slots or day.instant_of(slot) != start:
            return 0
        offered &= 1 << slot
    return offered


def picks(
    sector: Sector, runs: list[int], party: int, tables: frozenset[str] | None = None
) -> Iterator[Pick]:
    """Everything that seats ``party``, best first. ``runs``: per table, the mask of starts it is free for."""
    if tables is not None:
        yield from _named(sector, runs, party, tables)
        return
    singles = [capacity for capacity in sector.singles if capacity >= party]
    at = 0
    if singles and singles[0] == party:
        yield from _singles(sector, runs, party, party)
        at = 1
    walk = _Walk(sector, runs, party)
    least = walk.least()
    # What no combo can beat goes first: the sums are then often never needed.
    while least is not None and at < len(singles) and _single_first(party, singles[at], least):
        yield from _singles(sector, runs, party, singles[at])
        at += 1
    for capacity in walk.levels():
        while at < len(singles) and _single_first(party, singles[at], capacity):
            yield from _singles(sector, runs, party, singles[at])
            at += 1
        yield from walk.level(capacity)
    for capacity in singles[at:]:
        yield from _singles(sector, runs, party, capacity)


def seating(
    sector: Sector, runs: list[int], party: int, tables: frozenset[str] | None = None
) -> Callable[[int], bool]:
    """Whether something seats ``party`` at a slot of ``runs`` (see `picks`), asked slot by slot."""
    known = 0
    if tables is not None:
        for pick in _named(sector, runs, party, tables):
            known |= 1 << pick.slot
        return lambda slot: bool(known >> slot & 1)
    for at, table in enumerate(sector.tables):
        if table.capacity_min <= party <= table.capacity_max:
            known |= runs[at]
    for capacity, listing in sector.listed.items():
        if capacity >= party:
            known |= listing.starts(runs, party)
    walk = _Walk(sector, runs, party)
    walk.levels()
    return lambda slot: bool(known >> slot & 1) or walk.seats_at(slot)


def _single_first(party: int, single: int, combo: int) -> bool:
    """Whether a single of one capacity_max scores no less than a combo of another."""
    bonus = 20 + 30 * (party == single) - 30 * (party == combo)
    return 50 * party * (combo - single) + bonus * single * combo >= 0


def _singles(sector: Sector, runs: list[int], party: int, capacity: int) -> Iterator[Pick]:
    group = [at for at in sector.singles[capacity] if runs[at] and sector.tables[at].capacity_min <= party]
    starts = 0
    for at in group:
        starts |= runs[at]
    for slot in bits(starts):
        for at in group:
            if runs[at] >> slot & 1:
                yield Pick((at,), capacity, slot)


def _named(sector: Sector, runs: list[int], party: int, tables: frozenset[str]) -> Iterator[Pick]:
    """The starts of exactly these tables."""
    if not tables or not tables <= sector.index.keys():
        return
    chosen = tuple(sorted(sector.index[table_id] for table_id in tables))
    capacity = sector.capacity(chosen)
    if capacity is not None and capacity[0] <= party <= capacity[1]:
        for slot in bits(_together(runs, chosen)):
            yield Pick(chosen, capacity[1], slot)


def _together(runs: list[int], tables: tuple[int, ...]) -> int:
    mask = runs[tables[0]]
    for at in tables[1:]:
        mask &= runs[at]
    return mask


class _Walk:
    """The combos of one search, level by level; what a start has free is worked out when first needed."""

    def __init__(self, sector: Sector, runs: list[int], party: int) -> None:
        self.sector, self.runs, self.party = sector, runs, party
        self.members: list[int] = []
        if sector.neighbours is None:
            tables = sector.tables
            self.members = [at for at in sector.combinable if runs[at] and tables[at].capacity_min <= party]
        self.pairs = at_least_two(runs[at] for at in self.members)
        self.mix: Mix | None = None
        self.sums = 0
        self.moments: dict[int, Moment] = {}
        self.shared: dict[tuple[int, ...], Moment] = {}

    def least(self) -> int | None:
        """No combo has a smaller capacity_max; None when there is no combo."""
        least = [capacity for capacity in self.sector.listed if capacity >= self.party]
        if self.pairs:
            smallest = sorted(self.sector.tables[at].capacity_max for at in self.members)[:2]
            least.append(max(self.party, sum(smallest)))
        return min(least, default=None)

    def levels(self) -> list[int]:
        """capacity_max of every combo there may be, ascending from the party."""
        if self.pairs:
            self.mix = Mix(self.sector, self.party, self.members)
            self.sums = self.mix.sums(self.members)
        levels = {capacity for capacity in self.sector.listed if capacity >= self.party}
        levels.update(self.party + above for above in bits(self.sums >> self.party))
        return sorted(levels)

    def level(self, capacity: int) -> Iterator[Pick]:
        """The combos of this capacity_max: start up, fewer tables, natural order."""
        picks = self._summed(capacity)
        if capacity in self.sector.listed:
            found = self.sector.listed[capacity].picks(self.runs, self.party)
            listed = (Pick(tables, capacity, slot) for slot, tables in found)
            picks = merged(listed, picks, key=_by_start) if self.sums >> capacity & 1 else listed
        return picks

    def seats_at(self, slot: int) -> bool:
        """Whether some summed combo seats the party at this start."""
        if not self.sums >> self.party or not self.pairs >> slot & 1:
            return False
        moment = self._moment(slot)
        return any(next(moment.sets(self.party + above), None) for above in bits(moment.sums >> self.party))

    def _summed(self, capacity: int) -> Iterator[Pick]:
        for slot in bits(self.pairs) if self.sums >> capacity & 1 else ():
            for tables in self._moment(slot).sets(capacity):
                yield Pick(tables, capacity, slot)

    def _moment(self, slot: int) -> Moment:
        moment = self.moments.get(slot)
        if moment is None:
            assert self.mix is not None
            members = tuple(at for at in self.members if self.runs[at] >> slot & 1)
            moment = self.shared.get(members)
            if moment is None:
                moment = self.shared[members] = Moment(self.mix, members)
            self.moments[slot] = moment
        return moment


def _by_start(pick: Pick) -> tuple[int, int, tuple[int, ...]]:
    return pick.slot, len(pick.tables), pick.tables


def _candidate(sector: Sector, day: ServiceDay, pick: Pick, party: int, length: timedelta) -> Candidate:
    single = len(pick.tables) == 1
    start = day.instant_of(pick.slot)
    return Candidate(
        kind="single" if single else "combo",
        table_ids=tuple(sector.tables[at].id for at in pick.tables),
        start=start,
        end=start + length,
        score=rounded_score(party, pick.capacity, single),
        capacity=pick.capacity,
    )
