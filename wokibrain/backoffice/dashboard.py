"""The admin's first page: today and the week ahead, drawn from bookings by a few grouped queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Max, Min, Q, Sum
from django.http import HttpRequest
from django.utils import formats
from django.utils.translation import gettext as _

from bookings import plan as plans
from bookings.models import Booking
from restaurants.models import Table
from wokibrain import clock, metrics
from wokibrain.access.permissions import Permission
from wokibrain.backoffice import floor
from wokibrain.backoffice.base import caller_for

COMING: Final = Q(status__in=["CONFIRMED", "SEATED", "COMPLETED"])
RATES_OVER: Final = timedelta(days=28)
BUSIEST: Final = 6
HEIGHT: Final = 110
"""Of a chart, in its own units."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: where it stands and how tall it is, in the chart's units."""

    x: float
    width: float
    height: float
    label: str
    value: str
    strong: bool = False

    @property
    def y(self) -> float:
        return HEIGHT - self.height

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def above(self) -> float:
        return self.y - 5


def bars(values: Sequence[tuple[str, float, str, bool]], width: float) -> list[Bar]:
    """(label, value, value as read, strong) as bars that fill ``width`` and HEIGHT."""
    most = max((value for _label, value, _read, _strong in values), default=0) or 1
    step = width / max(len(values), 1)
    return [
        Bar(index * step + step * 0.14, step * 0.72, (HEIGHT - 18) * value / most, label, read, strong)
        for index, (label, value, read, strong) in enumerate(values)
    ]


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What unfold asks before it draws the index."""
    places = floor.restaurants(caller_for(request))
    chosen = next((each for each in places if each.pk == request.GET.get("restaurant")), None)
    chosen = chosen or next(iter(places), None)
    if chosen is None or not caller_for(request).may(Permission.ANALYTICS_READ, chosen.pk):
        return context | {"places": places}
    today = floor.today(chosen.pk)
    return context | {
        "places": places,
        "chosen": chosen,
        "today": today,
        "figures": _figures(chosen.pk, today),
        "week": _week(chosen.pk, today),
        "arrivals": _arrivals(chosen.pk, today),
        "tables": _busiest(chosen.pk, today),
        "refused": _refused(),
        "chart_height": HEIGHT,
    }


def _figures(restaurant_id: str, today: date) -> list[dict[str, Any]]:
    rows = Booking.objects.filter(restaurant_id=restaurant_id)
    now = rows.filter(service_date=today).aggregate(
        bookings=Count("id", filter=COMING),
        covers=Sum("party_size", filter=COMING),
        seated=Sum("party_size", filter=Q(status="SEATED")),
        coming=Sum("party_size", filter=Q(status="CONFIRMED")),
    )
    past = rows.filter(service_date__gt=today - RATES_OVER, service_date__lt=today).aggregate(
        bookings=Count("id"),
        missed=Count("id", filter=Q(status="NO_SHOW")),
        cancelled=Count("id", filter=Q(status="CANCELLED")),
    )
    return [
        {"word": _("covers today"), "value": now["covers"] or 0, "more": _bookings(now["bookings"])},
        {"word": _("in the room now"), "value": now["seated"] or 0, "more": ""},
        {"word": _("still to come"), "value": now["coming"] or 0, "more": ""},
        {"word": _("no-show rate"), "value": _rate(past["missed"], past["bookings"]), "more": _("28 days")},
        {
            "word": _("cancellation rate"),
            "value": _rate(past["cancelled"], past["bookings"]),
            "more": _("28 days"),
        },
    ]


def _bookings(count: int) -> str:
    return _("%(count)d bookings") % {"count": count}


def _rate(part: int, whole: int) -> str:
    return f"{formats.number_format(100 * part / whole, 1)} %" if whole else "–"


def _week(restaurant_id: str, today: date) -> list[Bar]:
    """Covers of each of the next seven days, and how much of the seats they are."""
    days = [today + timedelta(days=ahead) for ahead in range(7)]
    covers = dict(
        Booking.objects.filter(COMING, restaurant_id=restaurant_id, service_date__in=days)
        .values_list("service_date")
        .annotate(Sum("party_size"))
    )
    seats = (
        Table.objects.filter(sector__restaurant_id=restaurant_id, active=True).aggregate(
            seats=Sum("capacity_max")
        )["seats"]
        or 0
    )
    plan = plans.recent(restaurant_id)
    values = []
    for each in days:
        count, services = covers.get(each, 0), len(plan.day(each).spans)
        share = f" · {100 * count // (seats * services)} %" if seats and services else ""
        values.append((formats.date_format(each, "D j"), count, f"{count}{share}", each == today))
    return bars(values, 560)


def _arrivals(restaurant_id: str, today: date) -> list[Bar]:
    """Covers that arrive in each quarter hour of today, from the first to the last."""
    rows = Booking.objects.filter(COMING, restaurant_id=restaurant_id, service_date=today)
    edges = rows.aggregate(first=Min("start"), last=Max("start"))
    if edges["first"] is None:
        return []
    zone = plans.recent(restaurant_id).zone
    counts: dict[int, int] = {}
    for start, party in rows.values_list("start", "party_size"):
        counts[int(start.timestamp() // 900)] = counts.get(int(start.timestamp() // 900), 0) + party
    now = int(clock.now().timestamp() // 900)
    values = []
    for quarter in range(min(counts), max(counts) + 1):
        at = datetime.fromtimestamp(quarter * 900, zone)
        count = counts.get(quarter, 0)
        label = f"{at:%H}h" if at.minute == 0 else ""
        values.append((label, count, str(count) if count else "", quarter == now))
    return bars(values, 860)


def _busiest(restaurant_id: str, today: date) -> list[dict[str, Any]]:
    """The tables that were held longest in the last four weeks."""
    held: dict[str, int] = {}
    rows = Booking.objects.filter(
        COMING, restaurant_id=restaurant_id, service_date__gt=today - RATES_OVER, service_date__lte=today
    )
    for tables, minutes in rows.values_list("table_ids", "duration_minutes"):
        for table in tables:
            held[table] = held.get(table, 0) + minutes
    names = {
        table.pk: f"{table.sector.name} · {table}"
        for table in Table.objects.filter(pk__in=held).select_related("sector")
    }
    most = max(held.values(), default=1)
    top = sorted(held, key=lambda table: (-held[table], table))[:BUSIEST]
    return [
        {"name": names.get(table, table), "hours": held[table] // 60, "share": 100 * held[table] / most}
        for table in top
    ]


def _refused() -> list[dict[str, Any]]:
    """Searches that found nothing since the start of the servers, by reason; of all restaurants together."""
    words = {
        "NO_CAPACITY": _("No table free"),
        "OUTSIDE_SERVICE_WINDOW": _("Outside the hours"),
        "VALIDATION_ERROR": _("Not a valid request"),
        "NOT_FOUND": _("Unknown restaurant or sector"),
    }
    counts = metrics.discoveries()
    return [
        {"why": words.get(why, why), "count": count}
        for why, count in sorted(counts.items(), key=lambda item: -item[1])
        if why != "found" and count
    ]
