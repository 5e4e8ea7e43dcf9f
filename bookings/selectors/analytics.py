"""A restaurant's figures over a period, from the read models (``bookings.readmodels``)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability import plan as plans
from bookings.availability.plan import Plan
from bookings.engine import SLOT_MINUTES, natural_key
from bookings.models import BookingHour, TableDay
from wokibrain.core.callers import Caller
from wokibrain.core.errors import ValidationFailed
from wokibrain.core.permissions import Permission

MAX_PERIOD_DAYS: Final = 366
MAX_PEAK_HOURS: Final = 5


class GroupBy(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Trend:
    """One group's figures. ``date`` is its first day, followed by the local hour when grouping by hour."""

    date: str
    bookings: int
    covers: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class Analytics:
    """A period's figures. Rates and utilizations are shares from 0 to 1.

    No-show and cancellation rates are shares of all bookings. Occupancy and the utilizations in ``tables`` (table id,
    share) are shares of the minutes for which the tables now active could have been taken in the present hours.
    ``peak_hours`` are (local hour, bookings), the busiest first.
    """

    total_bookings: int
    covers: int
    occupancy_rate: float
    average_party_size: float
    no_show_rate: float
    cancellation_rate: float
    peak_hours: list[tuple[int, int]]
    trends: list[Trend]
    tables: list[tuple[str, float]]


def analytics(
    *, caller: Caller, restaurant_id: str, start: date, end: date, group_by: GroupBy = GroupBy.DAY
) -> Analytics:
    """Return the figures of the service dates ``start`` to ``end``, both included.

    Cancelled bookings and no-shows count as bookings, but not as covers or taken time. Raises NotFound, Forbidden,
    ValidationFailed for a period that ends before it starts or is longer than MAX_PERIOD_DAYS.
    """
    caller.require(Permission.ANALYTICS_READ, restaurant_id)
    plan = plans.current(restaurant_id)
    if end < start:
        raise ValidationFailed.at("endDate", _("The period ends before it starts."))
    if (end - start).days >= MAX_PERIOD_DAYS:
        raise ValidationFailed.at(
            "endDate", format_lazy(_("A period has at most {days} days."), days=MAX_PERIOD_DAYS)
        )
    period = {"restaurant_id": restaurant_id, "service_date__gte": start, "service_date__lte": end}
    total: Counter[str] = Counter()
    by_hour: Counter[int] = Counter()
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for row in BookingHour.objects.filter(**period):
        figures = Counter(
            bookings=row.bookings,
            covers=row.covers,
            cancelled=row.cancelled,
            no_shows=row.no_shows,
            table_minutes=row.table_minutes,
        )
        total += figures
        by_hour[row.hour] += row.bookings
        groups[_group(row.service_date, row.hour, group_by)] += figures
    minutes: Counter[str] = Counter()
    for table_day in TableDay.objects.filter(**period):
        minutes[table_day.table_id] += table_day.minutes
    active = {table.id for room in plan.sectors.values() for table in room.engine.tables}
    open_minutes = _open_minutes(plan, start, end)
    came = total["bookings"] - total["cancelled"] - total["no_shows"]
    return Analytics(
        total_bookings=total["bookings"],
        covers=total["covers"],
        occupancy_rate=_share(total["table_minutes"], open_minutes * len(active)),
        average_party_size=round(total["covers"] / came, 2) if came else 0.0,
        no_show_rate=_share(total["no_shows"], total["bookings"]),
        cancellation_rate=_share(total["cancelled"], total["bookings"]),
        peak_hours=sorted(
            ((hour, count) for hour, count in by_hour.items() if count), key=lambda peak: (-peak[1], peak[0])
        )[:MAX_PEAK_HOURS],
        trends=[
            Trend(name, figures["bookings"], figures["covers"], figures["cancelled"])
            for name, figures in sorted(groups.items())
            if figures["bookings"]
        ],
        tables=[
            (table_id, _share(minutes[table_id], open_minutes))
            for table_id in sorted(active | {name for name in minutes if minutes[name]}, key=natural_key)
        ],
    )


def _group(day: date, hour: int, group_by: GroupBy) -> str:
    match group_by:
        case GroupBy.HOUR:
            return f"{day.isoformat()}T{hour:02}:00"
        case GroupBy.WEEK:
            return (day - timedelta(days=day.weekday())).isoformat()
        case GroupBy.MONTH:
            return day.replace(day=1).isoformat()
    return day.isoformat()


def _open_minutes(plan: Plan, start: date, end: date) -> int:
    days = (start + timedelta(days=number) for number in range((end - start).days + 1))
    return SLOT_MINUTES * sum(hi - lo for day in days for lo, hi in plan.day(day).opened())


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
