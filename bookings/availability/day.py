"""One service day read from the database: who holds which table when, as the engine's bit masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.backends.utils import CursorWrapper

from bookings.availability.plan import Plan, SectorRoom, current, known
from bookings.engine import Candidate, Occupancy, Refusal, ServiceDay, explain, find, merge
from restaurants.selectors import RESTAURANT
from wokibrain.core.errors import NotFound

# One row: the plan's version, and what is held as "table first last", comma-separated; an id has neither
# comma nor blank, and one text is several times cheaper to send and read than an array. Slots are counted
# from the day's origin, the first rounded down and the last up: what lies off the grid takes all it touches.
READ: Final = f"""
SELECT restaurant.plan_version, held.slots
FROM {RESTAURANT}
LEFT JOIN LATERAL (
    SELECT string_agg(
        concat_ws(
            ' ', allocation.table_id,
            floor(extract(epoch FROM lower(allocation.period) - %(origin)s::timestamptz) / 900)::int,
            ceil(extract(epoch FROM upper(allocation.period) - %(origin)s::timestamptz) / 900)::int
        ), ',') AS slots
    FROM unnest(string_to_array(%(sectors)s, ',')) AS sector (id)
    JOIN bookings_allocation AS allocation
      ON allocation.sector_id = sector.id
     AND allocation.active
     AND allocation.period && tstzrange(%(since)s::timestamptz, %(end)s::timestamptz)
    -- A block's booking is null, which is no booking that is left out.
    WHERE (allocation.booking_id = ANY (string_to_array(%(without)s, ',')::uuid[])) IS NOT TRUE
) AS held ON true
WHERE restaurant.id = %(restaurant)s
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Wish:
    """What a guest asks for. Minutes; wall times of the service day; ``start`` an aware instant.

    ``standing``: the start is no wish, for the party is there or was promised it. It may be past, too
    soon, or in an hour that the clock shows again; only the hours and the last seating bind it.
    """

    party: int
    duration: int
    window_start: time | None = None
    window_end: time | None = None
    start: datetime | None = None
    standing: bool = False
    tables: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """A service day of some sectors, with what is free in each."""

    plan: Plan
    service: ServiceDay
    rooms: tuple[tuple[SectorRoom, Occupancy], ...]

    def candidates(self, wish: Wish, limit: int) -> list[Candidate]:
        """The best ``limit`` over all sectors, best first; never one that mixes them."""
        not_before = self.plan.not_before()
        lists = [
            find(
                room.engine,
                self.service,
                occupancy,
                party=wish.party,
                duration_minutes=wish.duration,
                limit=limit,
                window_start=wish.window_start,
                window_end=wish.window_end,
                not_before=not_before,
                start=wish.start,
                standing=wish.standing,
                tables=wish.tables,
            )
            for room, occupancy in self.rooms
        ]
        return lists[0] if len(lists) == 1 else merge(lists, wish.party, limit)

    def refusal(self, wish: Wish) -> Refusal:
        """Why there is no candidate, and the nearest starts of the day that would do."""
        return explain(
            self.service,
            [(room.engine, occupancy) for room, occupancy in self.rooms],
            party=wish.party,
            duration_minutes=wish.duration,
            window_start=wish.window_start,
            window_end=wish.window_end,
            not_before=self.plan.not_before(),
            start=wish.start,
            standing=wish.standing,
            tables=wish.tables,
        )

    def seats(self, table_ids: Iterable[str], party: int) -> bool:
        """Whether these tables, free or not, together seat the party."""
        for room, _ in self.rooms:
            index = room.engine.index
            if all(table_id in index for table_id in table_ids):
                bounds = room.engine.capacity(tuple(sorted(index[table_id] for table_id in table_ids)))
                return bounds is not None and bounds[0] <= party <= bounds[1]
        return False

    def aligned(self, instant: datetime) -> datetime:
        """The grid's slot that ``instant`` falls in."""
        return self.service.instant_of(self.service.slot_of(instant))

    def covering(self, start: datetime, minutes: int) -> int:
        """Minutes from the slot of ``start`` that cover ``minutes`` from ``start`` itself."""
        return minutes + int((start - self.aligned(start)).total_seconds() // 60)

    def sector_of(self, table_ids: Iterable[str]) -> str:
        """The sector these tables stand in. Raises NotFound when it is none of the day's."""
        first = next(iter(table_ids))
        for room, _ in self.rooms:
            if first in room.engine.index:
                return room.id
        raise NotFound.at("tableIds")


@dataclass(frozen=True, slots=True)
class Asked:
    """A day that the database was asked for, by a plan; the answer may still be on its way."""

    plan: Plan
    service: ServiceDay
    rooms: tuple[SectorRoom, ...]
    cursor: CursorWrapper

    def answer(self) -> tuple[int, Held]:
        """The plan's number at the time of the read, and what was held then, slots counted from the origin."""
        with self.cursor as cursor:
            row = cursor.fetchone()
        if row is None:
            raise NotFound.at("restaurantId")
        version, slots = row
        held = []
        for each in slots.split(",") if slots else ():
            table_id, first, last = each.split(" ")
            held.append((table_id, int(first), int(last)))
        return version, held


Held = Sequence[tuple[str, int, int]]


def ask(
    plan: Plan,
    sector_id: str | None,
    service_date: date,
    *,
    without: Iterable[UUID] = (),
    since: datetime | None = None,
) -> Asked:
    """Ask for the day, for ``read`` to take the answer. Raises NotFound for a sector that is not the plan's."""
    rooms = plan.rooms(sector_id)
    service = plan.day(service_date)
    end = service.instant_of(service.slots)
    cursor = connection.cursor()
    cursor.execute(
        READ,
        {
            "restaurant": plan.restaurant_id,
            "sectors": ",".join([room.id for room in rooms]),
            "origin": service.origin,
            "since": min(max(since or service.origin, service.origin), end),
            "end": end,
            "without": ",".join(map(str, without)),
        },
    )
    return Asked(plan, service, rooms, cursor)


def read(
    restaurant_id: str,
    sector_id: str | None,
    service_date: date,
    *,
    without: Iterable[UUID] = (),
    since: datetime | None = None,
    asked: Asked | None = None,
) -> Day:
    """The day as the database has it now, ``without`` some bookings' own tables.

    ``since``: what was over by then holds nothing, not even the rest of its quarter hour. ``asked``:
    the same day, asked for ahead. Starts from the plan in memory; the read tells whether it is old, and
    is then done again with the current one. Raises NotFound for a restaurant that is not there and a
    sector that is not its own.
    """
    if asked is None:
        plan = known(restaurant_id, sector_id)
        asked = ask(plan, sector_id, service_date, without=without, since=since)
    version, held = asked.answer()
    for _ in range(4):
        if version == asked.plan.version:
            break
        # Should it change faster than it is read, the latest is right enough: the constraint decides.
        asked = ask(current(restaurant_id), sector_id, service_date, without=without, since=since)
        version, held = asked.answer()
    return Day(asked.plan, asked.service, _occupied(asked.rooms, asked.service, held))


def _occupied(
    rooms: Sequence[SectorRoom], service: ServiceDay, held: Held
) -> tuple[tuple[SectorRoom, Occupancy], ...]:
    everything = (1 << service.slots) - 1
    taken: dict[str, int] = {}
    for table_id, first, last in held:
        first = max(first, 0)
        last = min(last, service.slots)
        if first < last:
            taken[table_id] = taken.get(table_id, 0) | ((1 << last) - (1 << first))
    return tuple(
        (
            room,
            Occupancy(
                room.engine,
                service,
                tuple([everything & ~taken.get(table.id, 0) for table in room.engine.tables]),
            ),
        )
        for room in rooms
    )


def check_tables(day: Day, tables: frozenset[str] | None) -> None:
    """Raise NotFound naming ``tableIds`` unless all are active tables of one of the day's sectors."""
    if tables is not None and not any(tables <= room.engine.index.keys() for room, _ in day.rooms):
        raise NotFound.at("tableIds")
