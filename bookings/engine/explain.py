"""Why a search has no result, and which starts would have one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice

from bookings.engine.bitsets import bits
from bookings.engine.combos import ComboPool, FreePool
from bookings.engine.occupancy import Busy, Occupancy
from bookings.engine.search import occupancy_of, seat_predicate, slots_for, starts_offered
from bookings.engine.sector import Sector
from bookings.engine.service_day import RestrictedDay, ServiceDay

MAX_NEAREST_STARTS = 3


class Reason(StrEnum):
    """Why a search has no result: the first that applies, in this order."""

    CLOSED = "CLOSED"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    WINDOW_TOO_SHORT = "WINDOW_TOO_SHORT"
    PARTY_TOO_LARGE = "PARTY_TOO_LARGE"
    PARTY_TOO_SMALL = "PARTY_TOO_SMALL"
    TOO_SOON = "TOO_SOON"
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, up to MAX_NEAREST_STARTS UTC starts that would work (nearest first), and the largest party.

    ``largest_party`` is for empty tables; None if there is no table or the requested ones do not combine.
    """

    reason: Reason
    nearest: tuple[datetime, ...] = ()
    largest_party: int | None = None


def explain(
    day: ServiceDay,
    sectors: Iterable[tuple[Sector, Iterable[Busy] | Occupancy]],
    *,
    party: int,
    duration_minutes: int,
    window_start: time | None = None,
    window_end: time | None = None,
    not_before: datetime | None = None,
    start: datetime | None = None,
    standing: bool = False,
    tables: frozenset[str] | None = None,
) -> Refusal:
    """Return why `find` has no candidate in any of ``sectors`` for the same arguments.

    CLOSED: no service window. OUTSIDE_WINDOW: the requested window overlaps none, or ``start`` is not
    offered in it. WINDOW_TOO_SHORT: the duration fits into no such overlap, or not from ``start``.
    PARTY_TOO_LARGE: no table or combo takes so large a party, even if empty. PARTY_TOO_SMALL: those
    large enough are for larger parties. TOO_SOON: what fits is before ``not_before``, or every start is.
    FULL: everything else.
    ``nearest`` ignores the requested window and ``start`` but no other argument; the nearest start moves
    the booking least from the request, and of two equals the earlier is first. Raises as `find` does.
    """
    slots = slots_for(party, duration_minutes)
    restricted = day.restrict(window_start, window_end)
    if standing:
        restricted = restricted.standing()
    occupancies = [(sector, occupancy_of(sector, day, busy)) for sector, busy in sectors]
    sizes = [size for sector, _ in occupancies if (size := _largest(sector, tables)) is not None]
    largest = max(sizes, default=None)
    seatable = any(_seats(sector, party, tables) for sector, _ in occupancies)

    def refuse(reason: Reason) -> Refusal:
        if not seatable or reason is Reason.CLOSED:
            return Refusal(reason, (), largest)
        offered = starts_offered(day.restrict(), slots, not_before, None)
        order = sorted(bits(offered), key=lambda slot: _shift(restricted, day.instant_of(slot), slots, start))
        works = _working(occupancies, order, slots, party, tables)
        return Refusal(
            reason, tuple(day.instant_of(slot) for slot in islice(works, MAX_NEAREST_STARTS)), largest
        )

    if not day.spans:
        return refuse(Reason.CLOSED)
    if not restricted.spans or (start is not None and not starts_offered(restricted, 1, None, start)):
        return refuse(Reason.OUTSIDE_WINDOW)
    offered = starts_offered(restricted, slots, None, start)
    if not offered:
        return refuse(Reason.WINDOW_TOO_SHORT)
    if not seatable:
        return refuse(
            Reason.PARTY_TOO_LARGE if largest is None or party > largest else Reason.PARTY_TOO_SMALL
        )
    in_time = offered if standing else starts_offered(restricted, slots, not_before, start)
    early = bits(offered & ~in_time)
    if not in_time or any(True for _ in _working(occupancies, early, slots, party, tables)):
        return refuse(Reason.TOO_SOON)
    return refuse(Reason.FULL)


def _working(
    occupancies: list[tuple[Sector, Occupancy]],
    order: list[int],
    slots: int,
    party: int,
    tables: frozenset[str] | None,
) -> Iterator[int]:
    """Yield the slots of ``order`` at which some sector can seat the party."""
    starts = sum(1 << slot for slot in order)
    predicates = [
        seat_predicate(sector, occupancy.starts(slots, starts), party, tables)
        for sector, occupancy in occupancies
    ]
    return (slot for slot in order if any(seats_at(slot) for seats_at in predicates))


def _shift(restricted: RestrictedDay, begin: datetime, slots: int, start: datetime | None) -> timedelta:
    """Return how far a booking at ``begin`` must move to lie inside the request."""
    if start is not None:
        return abs(begin - start)
    day = restricted.day
    length = day.instant_of(slots) - day.origin
    none = timedelta()
    return min(
        (
            max(opens - begin, begin - max(opens, closes - length), none)
            for opens, closes in restricted.intervals
        ),
        default=none,
    )


def _seats(sector: Sector, party: int, tables: frozenset[str] | None) -> bool:
    """Return whether the empty sector seats ``party``."""
    return seat_predicate(sector, [1] * len(sector.tables), party, tables)(0)


def _largest(sector: Sector, tables: frozenset[str] | None) -> int | None:
    """Return the largest party that the empty sector, or exactly ``tables``, would seat."""
    if tables is None:
        return _largest_of(sector)
    if not tables or not tables <= sector.index.keys():
        return None
    capacity = sector.capacity(tuple(sorted(sector.index[table_id] for table_id in tables)))
    return capacity[1] if capacity else None


@lru_cache(maxsize=1024)
def _largest_of(sector: Sector) -> int | None:
    floor = max([*sector.singles, *sector.listed], default=0)
    if sector.neighbours is None and sector.combinable:
        # The smallest party that meets every capacity_min: with a larger one, ComboPool gives up early on
        # a party that no four tables could seat.
        smallest = sorted((sector.tables[i].capacity_min for i in sector.combinable), reverse=True)[:4]
        pool = ComboPool(sector, sum(smallest), sector.combinable)
        free_pool = FreePool(pool, sector.combinable)
        for capacity in range(pool.largest, floor, -1):
            if next(free_pool.sets(capacity), None):
                return capacity
    return floor or None
