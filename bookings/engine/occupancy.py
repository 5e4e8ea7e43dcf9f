"""When each table of a sector is free: one integer per table and service day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bookings.engine.sector import Sector
from bookings.engine.service_day import SLOT_MINUTES, ServiceDay

SLOT_SECONDS = 60 * SLOT_MINUTES
SLOTS_A_DAY = 86_400 // SLOT_SECONDS


@dataclass(frozen=True, slots=True)
class Busy:
    """A table taken from ``start`` up to but not including ``end``: aware instants, on the grid or off it."""

    table_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Occupancy:
    """When each table of ``sector`` is free: bit s of ``free[i]`` is set if table i is free in slot s of ``day``."""

    sector: Sector
    day: ServiceDay
    free: tuple[int, ...]

    @classmethod
    def of(cls, sector: Sector, day: ServiceDay, busy: Iterable[Busy]) -> Occupancy:
        """Return what ``busy`` leaves free. A slot touched is taken; tables of other sectors are ignored."""
        origin, slots, index = day.origin, day.slots, sector.index
        free = [(1 << slots) - 1] * len(sector.tables)
        for interval in busy:
            i = index.get(interval.table_id)
            if i is None:
                continue
            # timedelta // timedelta spelt out is twice as fast, and this loop is most of the time of a `find`.
            begin, end = interval.start - origin, origin - interval.end
            first = begin.days * SLOTS_A_DAY + begin.seconds // SLOT_SECONDS
            last = -(end.days * SLOTS_A_DAY + end.seconds // SLOT_SECONDS)
            if first < 0:
                first = 0
            if last > slots:
                last = slots
            if first < last and interval.start < interval.end:
                free[i] &= ~((1 << last) - (1 << first))
        return cls(sector, day, tuple(free))

    def starts(self, slots: int, offered: int) -> list[int]:
        """Return, per table, the mask of ``offered`` starts from which it is free for ``slots`` quarter hours."""
        masks = list(self.free)
        covered = 1
        while covered < slots:
            step = min(covered, slots - covered)
            masks = [mask & mask >> step for mask in masks]
            covered += step
        return [mask & offered for mask in masks]
