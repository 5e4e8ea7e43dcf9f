"""The admin's first page: today and the week ahead, as figures and charts that need no script."""

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
from wokibrain.core.permissions import Permission
from wokibrain.office.base import caller_for

WIDTH, HEIGHT = 860, 110
"""Of a chart, in its own units."""
ROOM: Final = 18
"""Above the tallest bar, for its number."""
NOTABLE: Final = 15
"""So many seconds behind, the figures say so."""
LINKED: Final = 6
"""So many restaurants are links; of more, one is picked from a list."""
REASONS: Final[Mapping[str, Promise]] = {
    "FULL": gettext_lazy("No table free then"),
    "PARTY_TOO_LARGE": gettext_lazy("Party too large for any table"),
    "PARTY_TOO_SMALL": gettext_lazy("Party too small for the tables"),
    "OUTSIDE_WINDOW": gettext_lazy("Outside the hours"),
    "WINDOW_TOO_SHORT": gettext_lazy("Too little time between the hours"),
    "CLOSED": gettext_lazy("Closed that day"),
    "TOO_SOON": gettext_lazy("Too late to book"),
    "CONFLICT": gettext_lazy("Just taken by somebody else"),
    "OUTSIDE_SERVICE_WINDOW": gettext_lazy("Not serving at that moment"),
    "NO_CAPACITY": gettext_lazy("No table free then"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: where it stands and how tall it is, in the chart's units."""

    x: float
    width: float
    height: float
    time: str
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


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What unfold asks before it draws the index."""
    caller = caller_for(request)
    places = _places(caller)
    chosen = next((each for each in places if each.pk == request.GET.get("restaurant")), None)
    chosen = chosen or next(iter(places), None)
    if chosen is None:
        return context | {"may_make": caller.restaurants(Permission.RESTAURANT_CREATE) is None}
    found = outlook(caller=caller, restaurant_id=chosen.pk)
    return context | {
        "title": _("Dashboard"),
        "behind": found.behind >= NOTABLE,
        "places": places,
        "as_links": len(places) <= LINKED,
        "chosen": chosen,
        "today": found.today,
        "figures": _figures(found),
        "week": _week(found.days),
        "arrivals": _arrivals(found, chosen.zone),
        "tables": _busiest(found),
        "refused": _refused(caller, chosen, found),
    }


def _places(caller: Caller) -> list[Restaurant]:
    places = caller.restaurants(Permission.ANALYTICS_READ)
    rows = Restaurant.objects.all()
    return list(rows if places is None else rows.filter(pk__in=places))


def _figures(found: Outlook) -> list[dict[str, Any]]:
    today, past = found.days[0], found.past
    return [
        {"word": _("covers today"), "value": today.covers, "more": _bookings(today.bookings)},
        {"word": _("in the room now"), "value": found.seated, "more": ""},
        {"word": _("still to come"), "value": found.to_come, "more": ""},
        {"word": _("no-show rate"), "value": _rate(past.no_shows, past.bookings), "more": _("28 days")},
        {"word": _("cancellation rate"), "value": _rate(past.cancelled, past.bookings), "more": _("28 days")},
    ]


def _bookings(count: int) -> str:
    return ngettext("%(count)d booking", "%(count)d bookings", count) % {"count": count}


def _rate(part: int, whole: int) -> str:
    return f"{formats.number_format(100 * part / whole, 1)} %" if whole else "–"


def _week(days: Sequence[DayAhead]) -> list[dict[str, Any]]:
    """Covers of today and the next seven days within the seats there are; a fuller bar is a fuller house."""
    return [
        {
            "day": formats.date_format(each.date, "D j"),
            "today": number == 0,
            "share": min(100 * each.covers // each.seats, 100) if each.seats else 0,
            "closed": not each.seats,
            "read": _of_seats(each),
        }
        for number, each in enumerate(days)
    ]


def _of_seats(each: DayAhead) -> str:
    if not each.seats:
        return str(each.covers) if each.covers else _("closed")
    return _("%(covers)d of %(seats)d · %(share)d %%") % {
        "covers": each.covers,
        "seats": each.seats,
        "share": 100 * each.covers // each.seats,
    }


def _arrivals(found: Outlook, zone_name: str) -> list[Bar]:
    """A bar a quarter hour, full hours named as the restaurant's clocks say them; the present one stands out."""
    zone, now = clock.zone(zone_name), clock.now()
    most = max((covers for _at, covers in found.arrivals), default=1)
    step = WIDTH / max(len(found.arrivals), 1)
    return [
        Bar(
            x=index * step + step * 0.14,
            width=step * 0.72,
            height=(HEIGHT - ROOM) * covers / most,
            time=f"{at.astimezone(zone):%H:%M}",
            label=f"{at.astimezone(zone):%Hh}" if at.astimezone(zone).minute == 0 else "",
            value=str(covers) if covers else "",
            strong=0 <= (now - at).total_seconds() < 900,
        )
        for index, (at, covers) in enumerate(found.arrivals)
    ]


def _busiest(found: Outlook) -> list[dict[str, Any]]:
    held = dict(found.busiest)
    names = {
        table.pk: f"{table.sector.name} · {table}"
        for table in Table.objects.filter(pk__in=held).select_related("sector")
    }
    most = max(held.values(), default=1)
    return [
        {
            "name": names.get(table, table),
            "hours": formats.number_format(minutes / 60, 1),
            "share": round(100 * minutes / most, 1),
        }
        for table, minutes in held.items()
    ]


def _refused(caller: Caller, chosen: Restaurant, found: Outlook) -> dict[str, Any]:
    """Whom the restaurant refused in 28 days, by reason and at which door; and how many of them today."""
    asked_on = clock.now().astimezone(clock.zone(chosen.zone)).date()
    counts = turned_away.refused(caller=caller, restaurant_id=chosen.pk, last=asked_on)
    today = turned_away.refused(caller=caller, restaurant_id=chosen.pk, last=asked_on, days=1)
    if counts is None or today is None:
        return {"away": True}
    by_words: dict[str, Counter[Door]] = {}
    for reason, doors in counts.items():
        by_words.setdefault(str(REASONS.get(reason, reason)), Counter()).update(doors)
    rows = [
        {"why": why, "counts": [doors[door] for door in Door], "total": doors.total()}
        for why, doors in by_words.items()
    ]
    return {
        "rows": sorted(rows, key=lambda row: (-row["total"], row["why"])),
        "today": sum(doors.total() for doors in today.values()),
    }
