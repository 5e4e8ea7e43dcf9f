"""The best tables for a party: an exact search that does not list every combo.

For one party the score (see ``scores``) depends only on the kind (single or combo) and capacity_max, so the search
takes one such level after another, best score first.
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
from bookings.engine.combos import ComboPool, FreePool
from bookings.engine.occupancy import Busy, Occupancy
from bookings.engine.scores import exact_score, rounded_score, single_first
from bookings.engine.sector import Sector, natural_key
from bookings.engine.service_day import SLOT_MINUTES, RestrictedDay, ServiceDay

Kind = Literal["single", "combo"]
RankKey = tuple[Fraction, bool, datetime, int, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Tables and a time that seat the party.

    ``table_ids`` are in natural order, ``start`` and ``end`` in UTC, ``score`` is 0-100 to one decimal.
    ``capacity`` is the largest party that these tables take; the exact score follows from it.
    """

    kind: Kind
    table_ids: tuple[str, ...]
    start: datetime
    end: datetime
    score: float
    capacity: int = field(compare=False)


class Pick(NamedTuple):
    """Positions of the tables, the largest party that they take together, and the start slot."""

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
    """Return the best ``limit`` candidates for ``party`` covers, best first.

    Order: score descending, single before combo, start ascending, fewer tables, ids in natural order.
    A booking lies inside the requested window (see `ServiceDay.restrict`) and inside one service window.
    ``not_before``: the earliest start, an aware instant. ``start``: only this start, if it is offered.
    ``standing``: the party is already there or was promised its start, so `Span.seats` are offered
    instead of `Span.starts` and ``not_before`` does not apply. ``tables``: exactly this set.
    ``busy`` may be an `Occupancy` of this sector and day.
    Raises ValueError for an `Occupancy` of another sector or day, for equal window edges, and for a party
    or a duration (minutes, rounded up to whole slots) below 1.
    """
    slots = slots_for(party, duration_minutes)
    restricted = day.restrict(window_start, window_end)
    if standing:
        restricted = restricted.standing()
    offered = starts_offered(restricted, slots, None if standing else not_before, start)
    if not offered or limit < 1:
        return []
    free_starts = occupancy_of(sector, day, busy).starts(slots, offered)
    best = islice(picks(sector, free_starts, party, tables), limit)
    length = timedelta(minutes=duration_minutes)
    return [_candidate(sector, day, pick, party, length) for pick in best]


def rank_key(candidate: Candidate, party: int) -> RankKey:
    """Return the sort key that puts candidates for one party in the order of `find`, by the exact score."""
    single = candidate.kind == "single"
    return (
        -exact_score(party, candidate.capacity, single),
        not single,
        candidate.start,
        len(candidate.table_ids),
        tuple(natural_key(table_id) for table_id in candidate.table_ids),
    )


def merge(lists: Iterable[Iterable[Candidate]], party: int, limit: int) -> list[Candidate]:
    """Return the best ``limit`` of several sectors' lists, each returned by `find` for the same party."""
    return list(islice(merged(*lists, key=lambda candidate: rank_key(candidate, party)), max(limit, 0)))


def slots_for(party: int, duration_minutes: int) -> int:
    """Return the quarter hours that a booking takes. Raises ValueError for a party or duration below 1."""
    if party < 1 or duration_minutes < 1:
        raise ValueError("party and duration must be at least 1")
    return -(-duration_minutes // SLOT_MINUTES)


def occupancy_of(sector: Sector, day: ServiceDay, busy: Iterable[Busy] | Occupancy) -> Occupancy:
    """Return ``busy`` as an `Occupancy`. Raises ValueError if it is one of another sector or day."""
    if not isinstance(busy, Occupancy):
        return Occupancy.of(sector, day, busy)
    if busy.sector is not sector or busy.day is not day:
        raise ValueError("this occupancy is of another sector or day")
    return busy


def starts_offered(
    restricted: RestrictedDay, slots: int, not_before: datetime | None, start: datetime | None
) -> int:
    """Return the mask of offered starts from which ``slots`` quarter hours fit.

    ``not_before`` and ``start`` narrow it; a ``start`` that is off the grid leaves none.
    """
    day, offered = restricted.day, restricted.fit(slots)
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
    sector: Sector, free_starts: list[int], party: int, tables: frozenset[str] | None = None
) -> Iterator[Pick]:
    """Yield everything that seats ``party``, best first.

    ``free_starts``: per table, the mask of starts from which it is free for the whole booking.
    """
    if tables is not None:
        yield from _named(sector, free_starts, party, tables)
        return
    singles = [capacity for capacity in sector.singles if capacity >= party]
    i = 0
    if singles and singles[0] == party:
        yield from _singles(sector, free_starts, party, party)
        i = 1
    combos = _ComboSearch(sector, free_starts, party)
    least = combos.least()
    # Singles that no combo can beat come first: the sums are then often never computed.
    while least is not None and i < len(singles) and single_first(party, singles[i], least):
        yield from _singles(sector, free_starts, party, singles[i])
        i += 1
    for capacity in combos.levels():
        while i < len(singles) and single_first(party, singles[i], capacity):
            yield from _singles(sector, free_starts, party, singles[i])
            i += 1
        yield from combos.level(capacity)
    for capacity in singles[i:]:
        yield from _singles(sector, free_starts, party, capacity)


def seat_predicate(
    sector: Sector, free_starts: list[int], party: int, tables: frozenset[str] | None = None
) -> Callable[[int], bool]:
    """Return a function of a slot: whether anything seats ``party`` then. ``free_starts``: see `picks`."""
    seatable = 0
    if tables is not None:
        for pick in _named(sector, free_starts, party, tables):
            seatable |= 1 << pick.slot
        return lambda slot: bool(seatable >> slot & 1)
    for i, table in enumerate(sector.tables):
        if table.capacity_min <= party <= table.capacity_max:
            seatable |= free_starts[i]
    for capacity, listing in sector.listed.items():
        if capacity >= party:
            seatable |= listing.starts(free_starts, party)
    combos = _ComboSearch(sector, free_starts, party)
    combos.levels()
    return lambda slot: bool(seatable >> slot & 1) or combos.seats_at(slot)


def _singles(sector: Sector, free_starts: list[int], party: int, capacity: int) -> Iterator[Pick]:
    group = [i for i in sector.singles[capacity] if free_starts[i] and sector.tables[i].capacity_min <= party]
    starts = 0
    for i in group:
        starts |= free_starts[i]
    for slot in bits(starts):
        for i in group:
            if free_starts[i] >> slot & 1:
                yield Pick((i,), capacity, slot)


def _named(sector: Sector, free_starts: list[int], party: int, tables: frozenset[str]) -> Iterator[Pick]:
    """Yield the starts of exactly these tables."""
    if not tables or not tables <= sector.index.keys():
        return
    positions = tuple(sorted(sector.index[table_id] for table_id in tables))
    capacity = sector.capacity(positions)
    if capacity is not None and capacity[0] <= party <= capacity[1]:
        for slot in bits(_common_starts(free_starts, positions)):
            yield Pick(positions, capacity[1], slot)


def _common_starts(free_starts: list[int], tables: tuple[int, ...]) -> int:
    mask = free_starts[tables[0]]
    for i in tables[1:]:
        mask &= free_starts[i]
    return mask


class _ComboSearch:
    """The combos of one search, level by level; which tables are free at a start is computed on first use."""

    def __init__(self, sector: Sector, free_starts: list[int], party: int) -> None:
        self.sector, self.free_starts, self.party = sector, free_starts, party
        self.members: list[int] = []
        if sector.neighbours is None:
            tables = sector.tables
            self.members = [
                i for i in sector.combinable if free_starts[i] and tables[i].capacity_min <= party
            ]
        self.pairs = at_least_two(free_starts[i] for i in self.members)
        self.pool: ComboPool | None = None
        self.sums = 0
        self.free_pools: dict[int, FreePool] = {}
        self.free_pools_by_members: dict[tuple[int, ...], FreePool] = {}

    def least(self) -> int | None:
        """Return a lower bound of every combo's capacity_max; None if there is no combo."""
        least = [capacity for capacity in self.sector.listed if capacity >= self.party]
        if self.pairs:
            smallest = sorted(self.sector.tables[i].capacity_max for i in self.members)[:2]
            least.append(max(self.party, sum(smallest)))
        return min(least, default=None)

    def levels(self) -> list[int]:
        """Return the capacity_max of every possible combo, ascending from the party."""
        if self.pairs:
            self.pool = ComboPool(self.sector, self.party, self.members)
            self.sums = self.pool.sums(self.members)
        levels = {capacity for capacity in self.sector.listed if capacity >= self.party}
        levels.update(self.party + above for above in bits(self.sums >> self.party))
        return sorted(levels)

    def level(self, capacity: int) -> Iterator[Pick]:
        """Yield the combos of this capacity_max: start ascending, fewer tables, natural order."""
        picks = self._summed(capacity)
        if capacity in self.sector.listed:
            rows = self.sector.listed[capacity].picks(self.free_starts, self.party)
            listed = (Pick(tables, capacity, slot) for slot, tables in rows)
            picks = merged(listed, picks, key=_by_start) if self.sums >> capacity & 1 else listed
        return picks

    def seats_at(self, slot: int) -> bool:
        """Return whether some summed combo seats the party at this start."""
        if not self.sums >> self.party or not self.pairs >> slot & 1:
            return False
        free_pool = self._free_pool(slot)
        return any(
            next(free_pool.sets(self.party + above), None) for above in bits(free_pool.sums >> self.party)
        )

    def _summed(self, capacity: int) -> Iterator[Pick]:
        for slot in bits(self.pairs) if self.sums >> capacity & 1 else ():
            for tables in self._free_pool(slot).sets(capacity):
                yield Pick(tables, capacity, slot)

    def _free_pool(self, slot: int) -> FreePool:
        free_pool = self.free_pools.get(slot)
        if free_pool is None:
            assert self.pool is not None
            members = tuple(i for i in self.members if self.free_starts[i] >> slot & 1)
            free_pool = self.free_pools_by_members.get(members)
            if free_pool is None:
                free_pool = self.free_pools_by_members[members] = FreePool(self.pool, members)
            self.free_pools[slot] = free_pool
        return free_pool


def _by_start(pick: Pick) -> tuple[int, int, tuple[int, ...]]:
    return pick.slot, len(pick.tables), pick.tables


def _candidate(sector: Sector, day: ServiceDay, pick: Pick, party: int, length: timedelta) -> Candidate:
    single = len(pick.tables) == 1
    start = day.instant_of(pick.slot)
    return Candidate(
        kind="single" if single else "combo",
        table_ids=tuple(sector.tables[i].id for i in pick.tables),
        start=start,
        end=start + length,
        score=rounded_score(party, pick.capacity, single),
        capacity=pick.capacity,
    )
