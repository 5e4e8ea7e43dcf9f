"""One service day read from the database: which tables are held when, as the engine's bit sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.backends.utils import CursorWrapper

from bookings.availability import plan as plans
from bookings.availability import stays
from bookings.availability.plan import Plan, SectorRoom
from bookings.engine import (
    SLOT_MINUTES,
    Busy,
    Candidate,
    Occupancy,
    Refusal,
    ServiceDay,
    explain,
    find,
    merge,
)
from restaurants.selectors import RESTAURANT
from wokibrain.core.errors import NotFound

# One row: the plan's version, and the allocations as "table first last", comma-separated; an id has neither comma
# nor blank, and one text is several times cheaper to send and read than an array. Slots are counted from the day's
# origin, the first rounded down and the last up, so that an allocation off the grid takes every slot that it touches.
# An allocation that was derived with another offset than this process has for the day stands twice: at its instants,
# and where its wall times are by this process's rules. So a table is not offered for a wall time that another guest
# was promised by other rules, before `manage.py zones --apply` moves the instants or while two releases run.
# Then the parties that sit there now, as "table since start party reference".
READ: Final = f"""
SELECT restaurant.plan_version, concat_ws(',', held.slots, held.moved), room.parties
FROM {RESTAURANT}
LEFT JOIN LATERAL (
    SELECT string_agg(
        concat_ws(
            ' ', allocation.table_id,
            floor(extract(epoch FROM lower(allocation.period) - %(origin)s::timestamptz) / 900)::int,
            ceil(extract(epoch FROM upper(allocation.period) - %(origin)s::timestamptz) / 900)::int
        ), ',') FILTER (WHERE allocation.period && tstzrange(%(since)s::timestamptz, %(end)s::timestamptz)) AS slots,
    string_agg(
        concat_ws(
            ' ', allocation.table_id,
            floor((extract(epoch FROM lower(allocation.period) - %(origin)s::timestamptz)
                   + allocation.utc_offset - %(utc_offset)s::int) / 900)::int,
            ceil((extract(epoch FROM upper(allocation.period) - %(origin)s::timestamptz)
                  + allocation.utc_offset - %(utc_offset)s::int) / 900)::int
        ), ',') FILTER (WHERE allocation.utc_offset <> %(utc_offset)s::int) AS moved
    FROM unnest(string_to_array(%(sectors)s, ',')) AS sector (id)
    JOIN bookings_allocation AS allocation
      ON allocation.sector_id = sector.id
     AND allocation.active
     AND allocation.period && tstzrange(
             %(since)s::timestamptz - interval '1 hour', %(end)s::timestamptz + interval '1 hour')
    -- A block's booking is null, and is not left out.
    WHERE (allocation.booking_id = ANY (string_to_array(%(without)s, ',')::uuid[])) IS NOT TRUE
) AS held ON true
LEFT JOIN LATERAL (
    SELECT string_agg(
        concat_ws(' ', seating.table_id, extract(epoch FROM lower(seating.period)),
                  extract(epoch FROM booking.start), booking.party_size, booking.reference), ',') AS parties
    FROM unnest(string_to_array(%(sectors)s, ',')) AS sector (id)
    JOIN bookings_seating AS seating ON seating.sector_id = sector.id AND upper_inf(seating.period)
    JOIN bookings_booking AS booking ON booking.id = seating.booking_id
    WHERE (seating.booking_id = ANY (string_to_array(%(without)s, ',')::uuid[])) IS NOT TRUE
) AS room ON true
WHERE restaurant.id = %(restaurant)s
"""  # noqa: S608 - made of constants


SLOT: Final = timedelta(minutes=SLOT_MINUTES)
MAX_PLAN_CHANGES: Final = 4
"""Times that a plan may change while a day is read before the latest read is taken as it is."""


@dataclass(frozen=True, slots=True)
class SeatRequest:
    """A party that needs a seat. Minutes; wall times of the service day; ``start`` an aware instant.

    ``standing``: the party is there already, or was promised its start. Such a start may be past, too soon, or in an
    hour that the clock shows twice; only the opening hours and the last seating bind it.
    """

    party: int
    duration: int
    window_start: time | None = None
    window_end: time | None = None
    start: datetime | None = None
    standing: bool = False
    tables: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Sitting:
    """A party that sits at a table: since when, and the start, size and reference of its booking."""

    table_id: str
    since: datetime
    start: datetime
    party: int
    reference: str


@dataclass(frozen=True, slots=True)
class Day:
    """A service day of some sectors, with what the plan leaves free in each and who sits there."""

    plan: Plan
    service: ServiceDay
    planned: tuple[tuple[SectorRoom, Occupancy], ...]
    sittings: tuple[Sitting, ...] = ()

    @property
    def rooms(self) -> tuple[tuple[SectorRoom, Occupancy], ...]:
        """Return the sectors with what is free: by the plan, and not at a table before its party is expected to leave.

        By the present clock: a day is kept in memory for as long as nothing in it changes.
        """
        if not self.sittings or self.plan.occupied_until() <= self.service.origin:
            return self.planned
        return self.holding(_sat_at(self)).planned

    def by_plan(self) -> Day:
        """Return the day without regard to who sits there: for a booking that keeps its place in the plan."""
        return replace(self, sittings=())

    def holding(self, busy: Iterable[Busy]) -> Day:
        """Return the day with these tables taken too. A slot touched is taken."""
        busy = tuple(busy)
        return replace(
            self,
            planned=tuple(
                (
                    room,
                    replace(
                        occupancy,
                        free=tuple(
                            free & left
                            for free, left in zip(
                                occupancy.free,
                                Occupancy.of(room.engine, self.service, busy).free,
                                strict=True,
                            )
                        ),
                    ),
                )
                for room, occupancy in self.planned
            ),
        )

    def sitting_at(self, table_ids: Iterable[str]) -> list[Sitting]:
        """Return who sits at any of these tables, in the order of their tables."""
        return sorted(
            (sitting for sitting in self.sittings if sitting.table_id in frozenset(table_ids)),
            key=lambda sitting: sitting.table_id,
        )

    def candidates(self, request: SeatRequest, limit: int) -> list[Candidate]:
        """Return the best ``limit`` candidates over all sectors, best first; each lies in one sector."""
        not_before = self.plan.not_before()
        lists = [
            find(
                room.engine,
                self.service,
                occupancy,
                party=request.party,
                duration_minutes=request.duration,
                limit=limit,
                window_start=request.window_start,
                window_end=request.window_end,
                not_before=not_before,
                start=request.start,
                standing=request.standing,
                tables=request.tables,
            )
            for room, occupancy in self.rooms
        ]
        return lists[0] if len(lists) == 1 else merge(lists, request.party, limit)

    def best(self, request: SeatRequest) -> Candidate | None:
        """Return the best candidate over all sectors; ``refusals.refuse`` says why there is none."""
        return next(iter(self.candidates(request, 1)), None)

    def refusal(self, request: SeatRequest) -> Refusal:
        """Return why there is no candidate, and the nearest starts of the day that have one."""
        return explain(
            self.service,
            [(room.engine, occupancy) for room, occupancy in self.rooms],
            party=request.party,
            duration_minutes=request.duration,
            window_start=request.window_start,
            window_end=request.window_end,
            not_before=self.plan.not_before(),
            start=request.start,
            standing=request.standing,
            tables=request.tables,
        )

    def seats(self, table_ids: Iterable[str], party: int) -> bool:
        """Return whether these tables, free or not, together seat the party."""
        for room, _ in self.planned:
            index = room.engine.index
            if all(table_id in index for table_id in table_ids):
                bounds = room.engine.capacity(tuple(sorted(index[table_id] for table_id in table_ids)))
                return bounds is not None and bounds[0] <= party <= bounds[1]
        return False

    def aligned(self, instant: datetime) -> datetime:
        """Return the start of the slot that contains ``instant``."""
        return self.service.instant_of(self.service.slot_of(instant))

    def covering(self, start: datetime, minutes: int) -> int:
        """Return the minutes from the start of the slot of ``start`` to ``minutes`` after ``start``."""
        return minutes + int((start - self.aligned(start)).total_seconds() // 60)

    def check_tables(self, table_ids: frozenset[str] | None) -> None:
        """Raise NotFound naming ``tableIds`` unless all are active tables of one of the day's sectors."""
        if table_ids is not None and not any(
            table_ids <= room.engine.index.keys() for room, _ in self.planned
        ):
            raise NotFound.at("tableIds")

    def sector_of(self, table_ids: Iterable[str]) -> str:
        """Return the sector of these tables. Raises NotFound for a table of another sector than the day's."""
        first = next(iter(table_ids))
        for room, _ in self.planned:
            if first in room.engine.index:
                return room.id
        raise NotFound.at("tableIds")


class DayRead:
    """One read of a service day, ``without`` some bookings' own tables.

    ``since``: an allocation that ended by then counts as free, even for the rest of its quarter hour. ``send`` may
    be called first, in a pipeline; ``day`` works without it. The same read serves again after a rollback.
    """

    def __init__(
        self,
        restaurant_id: str,
        sector_id: str | None,
        service_date: date,
        *,
        without: Iterable[UUID] = (),
        since: datetime | None = None,
    ) -> None:
        self.restaurant_id = restaurant_id
        self.sector_id = sector_id
        self.service_date = service_date
        self._without = tuple(without)
        self._since = since
        self._sent: _Sent | None = None

    def send(self) -> None:
        """Execute the statement by the plan in memory, if there is one, for ``day`` to fetch."""
        plan = plans.in_memory(self.restaurant_id, self.sector_id)
        self._sent = self._execute(plan) if plan else None

    def day(self) -> Day:
        """Return the day as the database has it now.

        The statement tells whether the plan in memory is out of date, and is then executed again by the current one.
        Raises NotFound for a restaurant that does not exist and for a sector that is not its own.
        """
        sent = self._sent or self._execute(plans.with_sector(self.restaurant_id, self.sector_id))
        self._sent = None
        version, allocations, sittings = sent.fetch()
        for _ in range(MAX_PLAN_CHANGES):
            if version == sent.plan.version:
                break
            sent = self._execute(plans.current(self.restaurant_id))
            version, allocations, sittings = sent.fetch()
        # A plan that changes faster than it is read is recent enough: the constraint decides.
        return Day(sent.plan, sent.service, _occupied(sent.rooms, sent.service, allocations), sittings)

    def _execute(self, plan: Plan) -> _Sent:
        """Raises NotFound for a sector that is not the plan's."""
        rooms = plan.rooms(self.sector_id)
        service = plan.day(self.service_date)
        end = service.instant_of(service.slots)
        cursor = connection.cursor()
        cursor.execute(
            READ,
            {
                "restaurant": plan.restaurant_id,
                "sectors": ",".join([room.id for room in rooms]),
                "origin": service.origin,
                "since": min(max(self._since or service.origin, service.origin), end),
                "end": end,
                "utc_offset": _utc_offset(service),
                "without": ",".join(map(str, self._without)),
            },
        )
        return _Sent(plan, service, rooms, cursor)


@dataclass(frozen=True, slots=True)
class _Sent:
    """An executed statement whose row may still be on its way, and the plan it was made by."""

    plan: Plan
    service: ServiceDay
    rooms: tuple[SectorRoom, ...]
    cursor: CursorWrapper

    def fetch(self) -> tuple[int, Allocations, tuple[Sitting, ...]]:
        """Return the plan's version at the time of the read, the allocations, and who sits. Raises NotFound."""
        with self.cursor as cursor:
            row = cursor.fetchone()
        if row is None:
            raise NotFound.at("restaurantId")
        version, slots, parties = row
        allocations = []
        for allocation in slots.split(",") if slots else ():
            table_id, first, last = allocation.split(" ")
            allocations.append((table_id, int(first), int(last)))
        sittings = []
        for sitting in parties.split(",") if parties else ():
            table_id, since, start, party, reference = sitting.split(" ")
            sittings.append(Sitting(table_id, _instant(since), _instant(start), int(party), reference))
        return version, allocations, tuple(sittings)


def _instant(epoch: str) -> datetime:
    return datetime.fromtimestamp(float(epoch), UTC)


Allocations = Sequence[tuple[str, int, int]]
"""(table id, first slot, slot after the last), slots counted from the day's origin."""


def read(
    restaurant_id: str,
    sector_id: str | None,
    service_date: date,
    *,
    without: Iterable[UUID] = (),
    since: datetime | None = None,
) -> Day:
    """Return the day as the database has it now; see ``DayRead``."""
    return DayRead(restaurant_id, sector_id, service_date, without=without, since=since).day()


def _utc_offset(service: ServiceDay) -> int | None:
    """Return the day's offset from UTC in seconds; None for a day on which the clock changes during service."""
    first, last = (
        instant.astimezone(service.zone).utcoffset()
        for instant in (service.origin, service.instant_of(service.slots))
    )
    return int(first.total_seconds()) if first is not None and first == last else None


def _occupied(
    rooms: Sequence[SectorRoom], service: ServiceDay, allocations: Allocations
) -> tuple[tuple[SectorRoom, Occupancy], ...]:
    everything = (1 << service.slots) - 1
    slots_taken: dict[str, int] = {}
    for table_id, first, last in allocations:
        first = max(first, 0)
        last = min(last, service.slots)
        if first < last:
            slots_taken[table_id] = slots_taken.get(table_id, 0) | ((1 << last) - (1 << first))
    return tuple(
        (
            room,
            Occupancy(
                room.engine,
                service,
                tuple([everything & ~slots_taken.get(table.id, 0) for table in room.engine.tables]),
            ),
        )
        for room in rooms
    )


def _sat_at(day: Day) -> Iterator[Busy]:
    """Yield each table at which a party sits, from when it sat down until it leaves, as far as can be told now."""
    until = day.plan.occupied_until()
    for sitting in day.sittings:
        # One that sat down early stays at least until the plan holds its table.
        free_at = max(until, sitting.start)
        usual = stays.usual_minutes(day.plan.restaurant_id, sitting.party)
        if usual is not None:
            free_at = max(free_at, sitting.since + timedelta(minutes=usual))
        yield Busy(sitting.table_id, sitting.since, free_at)
