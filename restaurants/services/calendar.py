"""A restaurant's calendar: weekly windows, special days, turn times.

The API replaces each part as a whole; the admin also edits special days one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Final

from django.db import IntegrityError, transaction

from restaurants.models import (
    MAX_PARTY,
    Restaurant,
    ServiceWindow,
    SpecialDay,
    SpecialWindow,
    TurnTime,
    Weekday,
)
from restaurants.selectors import get_restaurant
from restaurants.services.audit import audited
from restaurants.services.plan_guard import guarded
from restaurants.services.saving import save
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission


@dataclass(frozen=True, slots=True)
class Hours:
    """A service window, wall clock; ``weekday`` (0 = Monday) None means every day."""

    opens: time
    closes: time
    last_seating: time | None = None
    weekday: int | None = None


@dataclass(frozen=True, slots=True)
class SpecialHours:
    """A date with windows of its own, or closed when it has none."""

    date: date
    name: str = ""
    hours: tuple[Hours, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn time: parties of up to ``party_up_to`` stay ``minutes``."""

    party_up_to: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """The parts of a calendar to replace; None leaves a part as it is."""

    hours: Sequence[Hours] | None = None
    special: Sequence[SpecialHours] | None = None
    turns: Sequence[Turn] | None = None


DEFAULT_HOURS: Final = (Hours(time(12), time(16)), Hours(time(20), time(23, 45)))
"""The windows of a restaurant that names none: lunch and dinner, every day."""

DEFAULT_TURN_TIMES: Final = (Turn(2, 90), Turn(4, 105), Turn(6, 120), Turn(MAX_PARTY, 150))
"""The turn times of a restaurant created in the admin, so that its bookings need no duration.

One made through the API has only the turn times that its request names; see ``FALLBACK_TURN_MINUTES``.
"""


def set_calendar(restaurant: Restaurant, calendar: Calendar) -> None:
    """Replace the parts that are not None. Raises ValidationFailed."""
    if calendar.hours is not None:
        set_hours(restaurant, calendar.hours)
    if calendar.special is not None:
        SpecialDay.objects.filter(restaurant=restaurant).delete()
        for day in calendar.special:
            _save_special_day(SpecialDay(restaurant=restaurant), day)
    if calendar.turns is not None:
        TurnTime.objects.filter(restaurant=restaurant).delete()
        for turn in calendar.turns:
            row = TurnTime(restaurant=restaurant, party_up_to=turn.party_up_to, minutes=turn.minutes)
            save(row, whole="turnTimes")


def set_hours(restaurant: Restaurant, hours: Iterable[Hours]) -> None:
    """Replace the weekly windows. Raises ValidationFailed."""
    ServiceWindow.objects.filter(restaurant=restaurant).delete()
    windows = [
        ServiceWindow(
            restaurant=restaurant,
            weekday=weekday,
            opens=window.opens,
            closes=window.closes,
            last_seating=window.last_seating,
        )
        for window in hours
        for weekday in (Weekday.values if window.weekday is None else [window.weekday])
    ]
    try:
        with transaction.atomic():
            ServiceWindow.objects.bulk_create(windows)
    except IntegrityError:
        # One by one, to name the window that is wrong.
        for row in windows:
            save(row, whole="windows")


def put_special_day(
    *,
    caller: Caller,
    restaurant_id: str,
    day: SpecialHours,
    day_id: int | None = None,
    acknowledge: str | None = None,
) -> SpecialDay:
    """Save a date with its own windows: a new day, or a replacement of the day with that id.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_UPDATE
    )
    with guarded(restaurant_id, acknowledge, caller=caller), audited(caller, "RestaurantUpdated", restaurant):
        row = SpecialDay(restaurant=restaurant) if day_id is None else _day(restaurant_id, day_id)
        return _save_special_day(row, day)


def drop_special_day(
    *, caller: Caller, restaurant_id: str, day_id: int, acknowledge: str | None = None
) -> None:
    """Let the date follow the week again. Raises NotFound, Forbidden, StrandsBookings."""
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_UPDATE
    )
    with guarded(restaurant_id, acknowledge, caller=caller), audited(caller, "RestaurantUpdated", restaurant):
        _day(restaurant_id, day_id).delete()


def _save_special_day(row: SpecialDay, day: SpecialHours) -> SpecialDay:
    row.date, row.name = day.date, day.name
    save(row, whole="specialDays")
    row.windows.all().delete()
    for hours in day.hours:
        window = SpecialWindow(
            day=row, opens=hours.opens, closes=hours.closes, last_seating=hours.last_seating
        )
        save(window, whole="specialDays")
    return row


def _day(restaurant_id: str, day_id: int) -> SpecialDay:
    row = SpecialDay.objects.filter(pk=day_id, restaurant_id=restaurant_id).first()
    if row is None:
        raise NotFound.at("specialDays")
    return row
