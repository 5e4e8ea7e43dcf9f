"""A restaurant's plan as the engine wants it: zone, windows, bounds and sectors, ready to search.

A plan is immutable and numbered. The database counts every change (restaurants' migration 0002), and each read of a
day includes the number, so that no process uses a plan in memory after it changed, or needs to hear of the change.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from threading import Lock
from typing import Final
from zoneinfo import ZoneInfo

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.engine import Sector as EngineSector
from bookings.engine import ServiceDay, Window
from bookings.engine import Table as EngineTable
from restaurants.models import (
    FALLBACK_TURN_MINUTES,
    MAX_PARTY,
    Combo,
    Restaurant,
    Sector,
    ServiceWindow,
    SpecialDay,
    Table,
    TableJoin,
    TurnTime,
)
from wokibrain.core import clock
from wokibrain.core.errors import NotFound, ValidationFailed

MAX_PLANS: Final = 512
"""Restaurants whose plans a process holds in memory."""


@dataclass(frozen=True)
class SectorRoom:
    """A sector as the engine searches it, with the ids of all its tables, retired ones included."""

    id: str
    name: str
    engine: EngineSector
    table_ids: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """One numbered configuration of a restaurant. Durations and lead times are minutes."""

    restaurant_id: str
    version: int
    zone_name: str
    min_party: int
    max_party: int
    min_duration: int
    max_duration: int
    refuse_past: bool
    lead_minutes: int | None
    horizon_days: int | None
    occupied_margin: int
    weekly: Mapping[int, tuple[Window, ...]]
    special: Mapping[date, tuple[Window, ...]]
    turn_times: tuple[tuple[int, int], ...]
    sectors: Mapping[str, SectorRoom]

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return the restaurant's zone. Raises UnknownZone."""
        return clock.zone(self.zone_name)

    @property
    def zone_is_known(self) -> bool:
        return clock.is_known_zone(self.zone_name)

    def day(self, service_date: date) -> ServiceDay:
        """Return the service day: the special day's windows where there is one, else the weekday's."""
        windows = self.special.get(service_date)
        if windows is None:
            windows = self.weekly.get(service_date.weekday(), ())
        return ServiceDay.build(service_date, self.zone, windows)

    def turn_time(self, party: int) -> int:
        """Return the usual stay of a party of this size in minutes, for a request that names no duration."""
        for party_up_to, minutes in self.turn_times:
            if party <= party_up_to:
                return minutes
        return self.turn_times[-1][1]

    def not_before(self) -> datetime | None:
        """Return the earliest start that may be booked now; None where the past may be booked too."""
        if not self.refuse_past and self.lead_minutes is None:
            return None
        return clock.now() + timedelta(minutes=self.lead_minutes or 0)

    def occupied_until(self) -> datetime:
        """Return the instant before which no table is offered while a party sits there."""
        return clock.now() + timedelta(minutes=self.occupied_margin)

    def last_date(self) -> date | None:
        """Return the last service date that may be booked today; None for no horizon."""
        if self.horizon_days is None:
            return None
        return clock.now().astimezone(self.zone).date() + timedelta(days=self.horizon_days)

    def check(
        self,
        party: int | None,
        duration: int | None,
        service_date: date | None,
        *,
        duration_path: str = "durationMinutes",
    ) -> None:
        """Raise ValidationFailed for a value outside the restaurant's own bounds; None is not checked."""
        if party is not None and not self.min_party <= party <= self.max_party:
            raise ValidationFailed.at(
                "partySize",
                format_lazy(
                    _("This restaurant takes parties of {least} to {most}."),
                    least=self.min_party,
                    most=self.max_party,
                ),
            )
        if duration is not None and not self.min_duration <= duration <= self.max_duration:
            raise ValidationFailed.at(
                duration_path,
                format_lazy(
                    _("This restaurant takes bookings of {least} to {most} minutes."),
                    least=self.min_duration,
                    most=self.max_duration,
                ),
            )
        last = self.last_date()
        if last is not None and service_date is not None and service_date > last:
            raise ValidationFailed.at(
                "date", format_lazy(_("This restaurant can be booked up to {date}."), date=last.isoformat())
            )

    def rooms(self, sector_id: str | None) -> tuple[SectorRoom, ...]:
        """Return the sector, or all of them in order for None. Raises NotFound for another restaurant's sector."""
        if sector_id is None:
            return tuple(self.sectors.values())
        if room := self.sectors.get(sector_id):
            return (room,)
        raise NotFound.at("sectorId")


class _Plans:
    """The latest plan read of each restaurant; the least recently used is dropped first."""

    def __init__(self) -> None:
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._lock = Lock()

    def in_memory(self, restaurant_id: str) -> Plan | None:
        with self._lock:
            if plan := self._plans.get(restaurant_id):
                self._plans.move_to_end(restaurant_id)
            return plan

    def get(self, restaurant_id: str) -> Plan:
        return self.in_memory(restaurant_id) or self.read(restaurant_id)

    def read(self, restaurant_id: str) -> Plan:
        plan = load(restaurant_id)
        with self._lock:
            if not plan.zone_is_known:
                # Without a day no read can tell that the plan is out of date, so it is read for each request.
                self._plans.pop(restaurant_id, None)
                return plan
            self._plans[restaurant_id] = plan
            self._plans.move_to_end(restaurant_id)
            while len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
        return plan


_plans: Final = _Plans()


def recent(restaurant_id: str) -> Plan:
    """Return the plan, which may be out of date: compare its version with the one that a read of the day gives.

    Raises NotFound for a restaurant that does not exist.
    """
    return _plans.get(restaurant_id)


def in_memory(restaurant_id: str, sector_id: str | None) -> Plan | None:
    """Return the plan if it is in memory and has the sector; it may be out of date."""
    plan = _plans.in_memory(restaurant_id)
    return plan if plan and (sector_id is None or sector_id in plan.sectors) else None


def current(restaurant_id: str) -> Plan:
    """Return the plan as the database has it now. Raises NotFound for a restaurant that does not exist."""
    return _plans.read(restaurant_id)


def with_sector(restaurant_id: str, sector_id: str | None) -> Plan:
    """Return a plan that has the sector, read again if the one in memory has not. Raises NotFound."""
    plan = recent(restaurant_id)
    if sector_id is not None and sector_id not in plan.sectors:
        plan = current(restaurant_id)
        plan.rooms(sector_id)
    return plan


def load(restaurant_id: str) -> Plan:
    """Read a plan; its version comes first, so that a change in between can only make it look older."""
    restaurant = Restaurant.objects.filter(pk=restaurant_id).first()
    if restaurant is None:
        raise NotFound.at("restaurantId")
    weekly: dict[int, list[Window]] = defaultdict(list)
    for window in ServiceWindow.objects.filter(restaurant=restaurant):
        weekly[window.weekday].append(Window(window.opens, window.closes, window.last_seating))
    special = {
        day.date: tuple(
            Window(window.opens, window.closes, window.last_seating) for window in day.windows.all()
        )
        for day in SpecialDay.objects.filter(restaurant=restaurant).prefetch_related("windows")
    }
    return Plan(
        restaurant_id=restaurant.id,
        version=restaurant.plan_version,
        zone_name=restaurant.zone,
        min_party=restaurant.min_party,
        max_party=restaurant.max_party,
        min_duration=restaurant.min_duration,
        max_duration=restaurant.max_duration,
        refuse_past=restaurant.refuse_past,
        lead_minutes=restaurant.lead_minutes,
        horizon_days=restaurant.horizon_days,
        occupied_margin=restaurant.occupied_margin,
        weekly={weekday: tuple(windows) for weekday, windows in weekly.items()},
        special=special,
        turn_times=_turn_times(restaurant),
        sectors=_sectors(restaurant),
    )


def _turn_times(restaurant: Restaurant) -> tuple[tuple[int, int], ...]:
    """Return (party up to, minutes) in order of party; the fallback for a restaurant that sets none."""
    turn_times = tuple(TurnTime.objects.filter(restaurant=restaurant).values_list("party_up_to", "minutes"))
    fallback = min(max(FALLBACK_TURN_MINUTES, restaurant.min_duration), restaurant.max_duration)
    return turn_times or ((MAX_PARTY, fallback),)


def _sectors(restaurant: Restaurant) -> dict[str, SectorRoom]:
    tables: dict[str, list[Table]] = defaultdict(list)
    for table in Table.objects.filter(sector__restaurant=restaurant).order_by():
        tables[table.sector_id].append(table)
    joins: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for join in TableJoin.objects.filter(sector__restaurant=restaurant):
        joins[join.sector_id].append((join.first_id, join.second_id))
    combos: dict[str, dict[frozenset[str], tuple[int, int]]] = defaultdict(dict)
    for combo in Combo.objects.filter(sector__restaurant=restaurant).prefetch_related("members"):
        members = frozenset(member.table_id for member in combo.members.all())
        combos[combo.sector_id][members] = (combo.capacity_min, combo.capacity_max)
    return {
        sector.id: SectorRoom(
            id=sector.id,
            name=sector.name,
            engine=EngineSector.build(
                (
                    EngineTable(table.id, table.capacity_min, table.capacity_max, table.combinable)
                    for table in tables[sector.id]
                    if table.active
                ),
                joins[sector.id],
                combos[sector.id],
            ),
            table_ids=tuple(table.id for table in tables[sector.id]),
        )
        for sector in Sector.objects.filter(restaurant=restaurant)
    }


def service_date_at(plan: Plan, instant: datetime) -> date:
    """Return the service date of ``instant``: after midnight the day before, while its night is open."""
    today = instant.astimezone(plan.zone).date()
    last_night = plan.day(today - timedelta(days=1))
    if last_night.spans and 0 <= last_night.slot_of(instant) < last_night.slots:
        return last_night.date
    return today
