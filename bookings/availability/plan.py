"""A restaurant's plan as the engine wants it: zone, windows, bounds and sectors, ready to search.

A plan is immutable and numbered. The database numbers every change (restaurants' migration 0002),
and whoever reads a day reads the number with it, so a plan kept in memory is never used past its time
and no process needs to be told.
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

KEPT_PLANS: Final = 512


@dataclass(frozen=True)
class SectorRoom:
    """A sector: what the engine searches, and the ids of all its tables, retired ones included."""

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
    weekly: Mapping[int, tuple[Window, ...]]
    special: Mapping[date, tuple[Window, ...]]
    turn_times: tuple[tuple[int, int], ...]
    sectors: Mapping[str, SectorRoom]

    @cached_property
    def zone(self) -> ZoneInfo:
        return clock.zone(self.zone_name)

    def day(self, service_date: date) -> ServiceDay:
        """The service day: a special day's windows where there is one, else the weekday's."""
        windows = self.special.get(service_date)
        if windows is None:
            windows = self.weekly.get(service_date.weekday(), ())
        return ServiceDay.build(service_date, self.zone, windows)

    def turn_time(self, party: int) -> int | None:
        """Minutes a party of this size usually takes; None where the restaurant does not say."""
        for party_up_to, minutes in self.turn_times:
            if party <= party_up_to:
                return minutes
        return self.turn_times[-1][1] if self.turn_times else None

    def not_before(self) -> datetime | None:
        """The earliest start that may be booked now; None where the past is as good as the future."""
        if not self.refuse_past and self.lead_minutes is None:
            return None
        return clock.now() + timedelta(minutes=self.lead_minutes or 0)

    def last_date(self) -> date | None:
        """The last service date that may be booked today; None for no horizon."""
        if self.horizon_days is None:
            return None
        return clock.now().astimezone(self.zone).date() + timedelta(days=self.horizon_days)

    def rooms(self, sector_id: str | None) -> tuple[SectorRoom, ...]:
        """The sector asked for, or all of them in order. Raises NotFound for one that is not here."""
        if sector_id is None:
            return tuple(self.sectors.values())
        if room := self.sectors.get(sector_id):
            return (room,)
        raise NotFound.at("sectorId")


class _Plans:
    """The latest plan seen of each restaurant, the least recently used forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Plan] = OrderedDict()
        self._lock = Lock()

    def kept(self, restaurant_id: str) -> Plan | None:
        with self._lock:
            if plan := self._kept.get(restaurant_id):
                self._kept.move_to_end(restaurant_id)
            return plan

    def get(self, restaurant_id: str) -> Plan:
        return self.kept(restaurant_id) or self.read(restaurant_id)

    def read(self, restaurant_id: str) -> Plan:
        plan = load(restaurant_id)
        with self._lock:
            self._kept[restaurant_id] = plan
            self._kept.move_to_end(restaurant_id)
            while len(self._kept) > KEPT_PLANS:
                self._kept.popitem(last=False)
        return plan


_plans: Final = _Plans()


def recent(restaurant_id: str) -> Plan:
    """The plan, perhaps one that has changed since: compare its version with what the day's read gives.

    Raises NotFound for a restaurant that does not exist.
    """
    return _plans.get(restaurant_id)


def kept(restaurant_id: str, sector_id: str | None) -> Plan | None:
    """The plan where it is in memory and has the sector, perhaps one that has changed since."""
    plan = _plans.kept(restaurant_id)
    return plan if plan and (sector_id is None or sector_id in plan.sectors) else None


def current(restaurant_id: str) -> Plan:
    """The plan as the database has it now. Raises NotFound for a restaurant that does not exist."""
    return _plans.read(restaurant_id)


def known(restaurant_id: str, sector_id: str | None) -> Plan:
    """A plan that has the sector, read anew where the one in memory has not. Raises NotFound."""
    plan = recent(restaurant_id)
    if sector_id is not None and sector_id not in plan.sectors:
        plan = current(restaurant_id)
        plan.rooms(sector_id)
    return plan


def load(restaurant_id: str) -> Plan:
    """Read a plan. Its version is read first, so that a change meanwhile can only make it look older."""
    restaurant = Restaurant.objects.filter(pk=restaurant_id).first()
    if restaurant is None:
        raise NotFound.at("restaurantId")
    weekly: dict[int, list[Window]] = defaultdict(list)
    for window in ServiceWindow.objects.filter(restaurant=restaurant):
        weekly[window.weekday].append(Window(window.opens, window.closes, window.last_seating))
    special = {
        day.date: tuple(Window(each.opens, each.closes, each.last_seating) for each in day.windows.all())
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
        weekly={weekday: tuple(windows) for weekday, windows in weekly.items()},
        special=special,
        turn_times=tuple(
            TurnTime.objects.filter(restaurant=restaurant).values_list("party_up_to", "minutes")
        ),
        sectors=_sectors(restaurant),
    )


def _sectors(restaurant: Restaurant) -> dict[str, SectorRoom]:
    tables: dict[str, list[Table]] = defaultdict(list)
    for table in Table.objects.filter(sector__restaurant=restaurant):
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


def check_bounds(
    plan: Plan,
    party: int | None,
    duration: int | None,
    service_date: date | None,
    *,
    duration_path: str = "durationMinutes",
) -> None:
    """Raise ValidationFailed for what lies outside the restaurant's own bounds; None is not asked for."""
    if party is not None and not plan.min_party <= party <= plan.max_party:
        raise ValidationFailed.at(
            "partySize",
            format_lazy(
                _("This restaurant takes parties of {least} to {most}."),
                least=plan.min_party,
                most=plan.max_party,
            ),
        )
    if duration is not None and not plan.min_duration <= duration <= plan.max_duration:
        raise ValidationFailed.at(
            duration_path,
            format_lazy(
                _("This restaurant takes bookings of {least} to {most} minutes."),
                least=plan.min_duration,
                most=plan.max_duration,
            ),
        )
    last = plan.last_date()
    if last is not None and service_date is not None and service_date > last:
        raise ValidationFailed.at(
            "date", format_lazy(_("This restaurant can be booked up to {date}."), date=last.isoformat())
        )


def service_date_at(plan: Plan, instant: datetime) -> date:
    """The service date that ``instant`` belongs to: after midnight still last night's, while it is open."""
    today = instant.astimezone(plan.zone).date()
    last_night = plan.day(today - timedelta(days=1))
    if last_night.spans and 0 <= last_night.slot_of(instant) < last_night.slots:
        return last_night.date
    return today
