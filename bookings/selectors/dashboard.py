"""The dashboard's figures: today and the week ahead at a restaurant.

Days, arrivals, rates and tables come from the read models (``bookings.readmodels``), which lag by moments. The parties
seated or still to come are counted from the bookings themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from bookings.availability import plan as plans
from bookings.availability.plan import service_date_at
from bookings.models import Booking, BookingDay, BookingQuarter, TableDay
from bookings.statuses import Status
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.permissions import Permission
from wokibrain.events import registry
from wokibrain.events.status import lag

DAYS_AHEAD: Final = 7
DAYS_BACK: Final = 28
"""The days, up to yesterday or today, that rates and the busiest tables cover."""
MAX_BUSIEST_TABLES: Final = 6
QUARTER: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DayAhead:
    """A service date: its expected bookings and covers, and the seats of all its services (0 if closed)."""

    date: date
    bookings: int
    covers: int
    seats: int


@dataclass(frozen=True, slots=True)
class Past:
    """What became of the bookings of the DAYS_BACK days up to yesterday."""

    bookings: int
    cancelled: int
    no_shows: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """``seated`` and ``to_come`` are today's covers.

    ``arrivals`` are (start in UTC, covers) for each quarter hour of today, from the first arrival to the last.
    """

    today: date
    days: list[DayAhead]
    seated: int
    to_come: int
    past: Past
    arrivals: list[tuple[datetime, int]]
    busiest: list[tuple[str, int]]
    """(table id, minutes taken) over the DAYS_BACK days up to today, the busiest first."""
    lag_seconds: int
    """Age of the oldest event that the read models have not applied; 0 if they have applied all."""


def outlook(*, caller: Caller, restaurant_id: str) -> Outlook:
    """Return the dashboard's figures for a restaurant. Raises NotFound, Forbidden."""
    caller.require(Permission.ANALYTICS_READ, restaurant_id)
    plan = plans.current(restaurant_id)
    today = service_date_at(plan, clock.now())
    since = today - timedelta(days=DAYS_BACK)
    today_covers = Booking.objects.filter(restaurant_id=restaurant_id, service_date=today).aggregate(
        seated=Coalesce(Sum("party_size", filter=Q(status=Status.SEATED)), 0),
        to_come=Coalesce(Sum("party_size", filter=Q(status=Status.CONFIRMED)), 0),
    )
    seats = sum(table.capacity_max for room in plan.sectors.values() for table in room.engine.tables)
    ahead = _days(restaurant_id, today, today + timedelta(days=DAYS_AHEAD))
    past = _days(restaurant_id, since, today - timedelta(days=1)).values()
    days = []
    for number in range(DAYS_AHEAD + 1):
        day = today + timedelta(days=number)
        bookings, covers, _cancelled, _no_shows = ahead.get(day, (0, 0, 0, 0))
        days.append(DayAhead(day, bookings, covers, seats * len(plan.day(day).opened())))
    return Outlook(
        today=today,
        days=days,
        seated=today_covers["seated"],
        to_come=today_covers["to_come"],
        past=Past(
            sum(came + cancelled + no_shows for came, _covers, cancelled, no_shows in past),
            sum(cancelled for _came, _covers, cancelled, _no_shows in past),
            sum(no_shows for _came, _covers, _cancelled, no_shows in past),
        ),
        arrivals=_arrivals(restaurant_id, today),
        busiest=_busiest(restaurant_id, since + timedelta(days=1), today),
        lag_seconds=int(max(lag(registry.get(name))[1] for name in ("days", "analytics"))),
    )


def _days(restaurant_id: str, first: date, last: date) -> dict[date, tuple[int, int, int, int]]:
    """Return service date -> (expected or honoured bookings, covers, cancelled, no-shows) over all sectors."""
    rows = (
        BookingDay.objects.filter(restaurant_id=restaurant_id, service_date__range=(first, last))
        .values_list("service_date")
        .annotate(Sum("bookings"), Sum("covers"), Sum("cancelled"), Sum("no_shows"))
    )
    return {day: (bookings, covers, cancelled, missed) for day, bookings, covers, cancelled, missed in rows}


def _arrivals(restaurant_id: str, today: date) -> list[tuple[datetime, int]]:
    covers = dict(
        BookingQuarter.objects.filter(
            restaurant_id=restaurant_id, service_date=today, bookings__gt=0
        ).values_list("quarter", "covers")
    )
    if not covers:
        return []
    first, last = min(covers), max(covers)
    quarters = [first + number * QUARTER for number in range((last - first) // QUARTER + 1)]
    return [(at.astimezone(UTC), covers.get(at, 0)) for at in quarters]


def _busiest(restaurant_id: str, since: date, today: date) -> list[tuple[str, int]]:
    rows = (
        TableDay.objects.filter(restaurant_id=restaurant_id, service_date__range=(since, today))
        .values_list("table_id")
        .annotate(taken=Sum("minutes"))
        .filter(taken__gt=0)
        .order_by("-taken", "table_id")
    )
    return [(table_id, minutes) for table_id, minutes in rows[:MAX_BUSIEST_TABLES]]
