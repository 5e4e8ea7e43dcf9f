"""The admin's first page: figures and charts of today and the week ahead, without scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest
from django.utils import formats
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from bookings.availability import turned_away
from bookings.availability.turned_away import Door
from bookings.selectors.dashboard import DayAhead, Outlook, outlook
from restaurants.models import Restaurant, Table
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import UnknownZone
from wokibrain.core.permissions import Permission
from wokibrain.office.base import caller_for, visible

WIDTH, HEIGHT = 860, 110
"""Size of the chart, in its own units."""
HEADROOM: Final = 18
"""Space above the tallest bar for its number, in the chart's units."""
MAX_LAG_SECONDS: Final = 15
"""From this delay of the read models on, the page warns that its figures lag."""
MAX_LINKS: Final = 6
"""Up to this many restaurants are shown as links; more are shown as a select."""
REASONS: Final[Mapping[str, Promise]] = {
    "FULL": gettext_lazy("No table free then"),
    "PARTY_TOO_LARGE": gettext_lazy("Party too large for any table"),
    "PARTY_TOO_SMALL": gettext_lazy("Party too small for the tables"),
    "OUTSIDE_WINDOW": gettext_lazy("Outside the hours"),
    "WINDOW_TOO_SHORT": gettext_lazy("Too little time between the hours"),
    "CLOSED": gettext_lazy("Closed that day"),
    "TOO_SOON": gettext_lazy("Too late to book"),
    "CONFLICT": gettext_lazy("Just taken by another booking"),
    "OUTSIDE_SERVICE_WINDOW": gettext_lazy("Not serving at that moment"),
    "NO_CAPACITY": gettext_lazy("No table free then"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its position and size, in the chart's units."""

    x: float
    width: float
    height: float
    time: str
    label: str
    value: str
    is_current: bool = False

    @property
    def y(self) -> float:
        return HEIGHT - self.height

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def above(self) -> float:
        return self.y - 5


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the admin's first page; unfold's DASHBOARD_CALLBACK."""
    caller = caller_for(request)
    restaurants = _restaurants(caller)
    chosen = next(
        (restaurant for restaurant in restaurants if restaurant.pk == request.GET.get("restaurant")), None
    )
    chosen = chosen or next(iter(restaurants), None)
    if chosen is None:
        return context | {"may_create_restaurant": caller.restaurants(Permission.RESTAURANT_CREATE) is None}
    if not clock.is_known_zone(chosen.zone):
        return context | {
            "restaurants": restaurants,
            "show_links": len(restaurants) <= MAX_LINKS,
            "chosen_restaurant": chosen,
            "unknown_zone": UnknownZone(chosen.zone).detail,
        }
    data = outlook(caller=caller, restaurant_id=chosen.pk)
    return context | {
        "title": _("Dashboard"),
        "figures_lag": data.lag_seconds >= MAX_LAG_SECONDS,
        "restaurants": restaurants,
        "show_links": len(restaurants) <= MAX_LINKS,
        "chosen_restaurant": chosen,
        "today": data.today,
        "figures": _figures(data),
        "week": _week(data.days),
        "arrivals": _arrivals(data, chosen.zone),
        "tables": _busiest(data),
        "refusals": _refusals(caller, chosen),
    }


def _restaurants(caller: Caller) -> list[Restaurant]:
    return list(visible(Restaurant.objects.all(), caller, Permission.ANALYTICS_READ))


def _figures(data: Outlook) -> list[dict[str, Any]]:
    today, past = data.days[0], data.past
    return [
        {"label": _("covers today"), "value": today.covers, "detail": _bookings(today.bookings)},
        {"label": _("in the room now"), "value": data.seated, "detail": ""},
        {"label": _("still to come"), "value": data.to_come, "detail": ""},
        {"label": _("no-show rate"), "value": _rate(past.no_shows, past.bookings), "detail": _("28 days")},
        {
            "label": _("cancellation rate"),
            "value": _rate(past.cancelled, past.bookings),
            "detail": _("28 days"),
        },
    ]


def _bookings(count: int) -> str:
    return ngettext("%(count)d booking", "%(count)d bookings", count) % {"count": count}


def _rate(part: int, whole: int) -> str:
    return f"{formats.number_format(100 * part / whole, 1)} %" if whole else "–"


def _week(days: Sequence[DayAhead]) -> list[dict[str, Any]]:
    """Return covers against seats for today and the next seven days."""
    return [
        {
            "date": formats.date_format(day.date, "D j"),
            "is_today": number == 0,
            "percent": min(100 * day.covers // day.seats, 100) if day.seats else 0,
            "closed": not day.seats,
            "text": _of_seats(day),
        }
        for number, day in enumerate(days)
    ]


def _of_seats(day: DayAhead) -> str:
    if not day.seats:
        return str(day.covers) if day.covers else _("closed")
    return _("%(covers)d of %(seats)d · %(share)d %%") % {
        "covers": day.covers,
        "seats": day.seats,
        "share": 100 * day.covers // day.seats,
    }


def _arrivals(data: Outlook, zone_name: str) -> list[Bar]:
    """Return one bar per quarter hour, with full hours labelled in local time and the current one highlighted."""
    zone, now = clock.zone(zone_name), clock.now()
    most = max((covers for _at, covers in data.arrivals), default=1)
    step = WIDTH / max(len(data.arrivals), 1)
    return [
        Bar(
            x=index * step + step * 0.14,
            width=step * 0.72,
            height=(HEIGHT - HEADROOM) * covers / most,
            time=f"{at.astimezone(zone):%H:%M}",
            label=f"{at.astimezone(zone):%Hh}" if at.astimezone(zone).minute == 0 else "",
            value=str(covers) if covers else "",
            is_current=0 <= (now - at).total_seconds() < 900,
        )
        for index, (at, covers) in enumerate(data.arrivals)
    ]


def _busiest(data: Outlook) -> list[dict[str, Any]]:
    minutes_by_table = dict(data.busiest)
    names = {
        table.pk: f"{table.sector.name} · {table}"
        for table in Table.objects.filter(pk__in=minutes_by_table).select_related("sector")
    }
    most = max(minutes_by_table.values(), default=1)
    return [
        {
            "name": names.get(table, table),
            "hours": formats.number_format(minutes / 60, 1),
            "percent": round(100 * minutes / most, 1),
        }
        for table, minutes in minutes_by_table.items()
    ]


def _refusals(caller: Caller, chosen: Restaurant) -> dict[str, Any]:
    """Return refusals of the last 28 days by reason and channel, and how many of them were today."""
    local_date = clock.now().astimezone(clock.zone(chosen.zone)).date()
    counts = turned_away.refused(caller=caller, restaurant_id=chosen.pk, last=local_date)
    today = turned_away.refused(caller=caller, restaurant_id=chosen.pk, last=local_date, days=1)
    if counts is None or today is None:
        return {"unavailable": True}
    by_words: dict[str, Counter[Door]] = {}
    for reason, doors in counts.items():
        by_words.setdefault(str(REASONS.get(reason, reason)), Counter()).update(doors)
    rows = [
        {"reason": reason, "counts": [doors[door] for door in Door], "total": doors.total()}
        for reason, doors in by_words.items()
    ]
    return {
        "rows": sorted(rows, key=lambda row: (-row["total"], row["reason"])),
        "today": sum(doors.total() for doors in today.values()),
    }
