"""Today and the week ahead at a restaurant, for whoever runs it: read from what its events keep.

Days, arrivals, rates and tables come from the read models (``projections``), which are a moment behind.
Who sits in the room at this moment is asked of the bookings themselves.
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

AHEAD: Final = 7
RATES_OVER: Final = 28
BUSIEST: Final = 6
QUARTER: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DayAhead:
    """A service date: who is expected, and the seats of all its services together (0: closed, or no tables)."""

    date: date
    bookings: int
    covers: int
    seats: int


@dataclass(frozen=True, slots=True)
class Past:
    """What became of the bookings of the last RATES_OVER days, today left out."""

    bookings: int
    cancelled: int
    no_shows: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """``arrivals``: the covers of each quarter hour of today from the first to the last, by the instant it begins."""

    today: date
    days: list[DayAhead]
    seated: int
    to_come: int
    past: Past
    arrivals: list[tuple[datetime, int]]
    busiest: list[tuple[str, int]]
    """(table id, minutes) over RATES_OVER days of which today is the last, the busiest first."""
    behind: int
    """Seconds since the oldest event that the read models do not know yet; 0 when they know all."""


def outlook(*, caller: Caller, restaurant_id: str) -> Outlook:
    """Raises NotFound, Forbidden."""
    caller.require(Permission.ANALYTICS_READ, restaurant_id)
    plan = plans.current(restaurant_id)
    today = service_date_at(plan, clock.now())
    since = today - timedelta(days=RATES_OVER)
    here = Booking.objects.filter(restaurant_id=restaurant_id, service_date=today).aggregate(
        seated=Coalesce(Sum("party_size", filter=Q(status=Status.SEATED)), 0),
        to_come=Coalesce(Sum("party_size", filter=Q(status=Status.CONFIRMED)), 0),
    )
    seats = sum(table.capacity_max for room in plan.sectors.values() for table in room.engine.tables)
    ahead = _days(restaurant_id, today, today + timedelta(days=AHEAD))
    past = _days(restaurant_id, since, today - timedelta(days=1)).values()
    days = []
    for number in range(AHEAD + 1):
        each = today + timedelta(days=number)
        bookings, covers, _cancelled, _no_shows = ahead.get(each, (0, 0, 0, 0))
        days.append(DayAhead(each, bookings, covers, seats * len(plan.day(each).opened())))
    return Outlook(
        today=today,
        days=days,
        seated=here["seated"],
        to_come=here["to_come"],
        past=Past(
            sum(came + cancelled + no_shows for came, _covers, cancelled, no_shows in past),
            sum(cancelled for _came, _covers, cancelled, _no_shows in past),
            sum(no_shows for _came, _covers, _cancelled, no_shows in past),
        ),
        arrivals=_arrivals(restaurant_id, today),
        busiest=_busiest(restaurant_id, since + timedelta(days=1), today),
        behind=int(max(lag(registry.get(name))[1] for name in ("days", "analytics"))),
    )


def _days(restaurant_id: str, first: date, last: date) -> dict[date, tuple[int, int, int, int]]:
    """Service date -> bookings that come, covers, cancelled, no-shows; over all sectors."""
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
    return [(table_id, taken) for table_id, taken in rows[:BUSIEST]]
