"""Why nothing fits, and what would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice

from bookings.engine.bitsets import bits
from bookings.engine.combos import Mix, Moment
from bookings.engine.occupancy import Busy, Occupancy
from bookings.engine.search import occupancy_of, seating, slots_for, starts_offered
from bookings.engine.sector import Sector
from bookings.engine.service_day import AskedDay, ServiceDay

NEAREST = 3


class Reason(StrEnum):
    """Why a search found nothing; the first that holds, in this order."""

    CLOSED = "CLOSED"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    WINDOW_TOO_SHORT = "WINDOW_TOO_SHORT"
    PARTY_TOO_LARGE = "PARTY_TOO_LARGE"
    PARTY_TOO_SMALL = "PARTY_TOO_SMALL"
    TOO_SOON = "TOO_SOON"
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, up to three UTC starts that would work (nearest first), and the largest party seated.

    ``largest_party`` counts empty tables; None when there is no table, or the named ones do not go together.
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
    """Why `find` gives nothing in any of ``sectors`` for the same arguments.

    CLOSED: no service window. OUTSIDE_WINDOW: the asked window meets none, or ``start`` is not one
    the day offers there. WINDOW_TOO_SHORT: the duration fits in no such meeting, or not from ``start``.
    PARTY_TOO_LARGE: nothing takes so many, even empty; PARTY_TOO_SMALL: what would take them wants more.
    TOO_SOON: what fits is before ``not_before``, or every start is. FULL: the rest.
    ``nearest`` leaves the asked window and ``start`` aside, not the other arguments; nearest means the
    least shift of the booking into what was asked, the earlier of two alike. Raises as `find` does.
    """
    slots = slots_for(party, duration_minutes)
    asked = day.restrict(window_start, window_end)
    if standing:
        asked = asked.standing()
    given = [(sector, occupancy_of(sector, day, busy)) for sector, busy in sectors]
    sizes = [size for sector, _ in given if (size := _largest(sector, tables)) is not None]
    largest = max(sizes, default=None)
    seated = any(_seats(sector, party, tables) for sector, _ in given)

    def refuse(reason: Reason) -> Refusal:
        if not seated or reason is Reason.CLOSED:
            return Refusal(reason, (), largest)
        offered = starts_offered(day.restrict(), slots, not_before, None)
        order = sorted(bits(offered), key=lambda slot: _shift(asked, day.instant_of(slot), slots, start))
        works = _working(given, order, slots, party, tables)
        return Refusal(reason, tuple(day.instant_of(slot) for slot in islice(works, NEAREST)), largest)

    if not day.spans:
        return refuse(Reason.CLOSED)
    if not asked.spans or (start is not None and not starts_offered(asked, 1, None, start)):
        return refuse(Reason.OUTSIDE_WINDOW)
    offered = starts_offered(asked, slots, None, start)
    if not offered:
        return refuse(Reason.WINDOW_TOO_SHORT)
    if not seated:
        return refuse(
            Reason.PARTY_TOO_LARGE if largest is None or party > largest else Reason.PARTY_TOO_SMALL
        )
    in_time = offered if standing else starts_offered(asked, slots, not_before, start)
    early = bits(offered & ~in_time)
    if not in_time or any(True for _ in _working(given, early, slots, party, tables)):
        return refuse(Reason.TOO_SOON)
    return refuse(Reason.FULL)


def _working(
    given: list[tuple[Sector, Occupancy]],
    order: list[int],
    slots: int,
    party: int,
    tables: frozenset[str] | None,
) -> Iterator[int]:
    """The slots of ``order`` at which some sector can seat the party."""
    wanted = sum(1 << slot for slot in order)
    sectors = [seating(sector, occupancy.starts(slots, wanted), party, tables) for sector, occupancy in given]
    return (slot for slot in order if any(seated(slot) for seated in sectors))


def _shift(asked: AskedDay, begin: datetime, slots: int, start: datetime | None) -> timedelta:
    """How far a booking at ``begin`` must move to lie where it was asked to."""
    if start is not None:
        return abs(begin - start)
    day = asked.day
    length = day.instant_of(slots) - day.origin
    none = timedelta()
    return min(
        (max(opens - begin, begin - max(opens, closes - length), none) for opens, closes in asked.intervals),
        default=none,
    )


def _seats(sector: Sector, party: int, tables: frozenset[str] | None) -> bool:
    """Whether the empty sector seats ``party``."""
    return seating(sector, [1] * len(sector.tables), party, tables)(0)


def _largest(sector: Sector, tables: frozenset[str] | None) -> int | None:
    """The largest party the empty sector, or the named tables, would seat."""
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
        # A party so large that no smallest party stands in the way, and no larger: Mix gives up early on
        # a party that no four tables could seat.
        smallest = sorted((sector.tables[at].capacity_min for at in sector.combinable), reverse=True)[:4]
        mix = Mix(sector, sum(smallest), sector.combinable)
        moment = Moment(mix, sector.combinable)
        for capacity in range(mix.largest, floor, -1):
            if next(moment.sets(capacity), None):
                return capacity
    return floor or None
