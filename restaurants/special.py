"""The writers of special days one at a time, as people edit them; ``services`` replaces all at once."""

from __future__ import annotations

from restaurants.guards import guarded
from restaurants.models import SpecialDay, SpecialWindow
from restaurants.selectors import get_restaurant
from restaurants.services import SpecialHours, save
from restaurants.trail import entered
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.errors import NotFound


def put_special_day(
    *,
    caller: Caller,
    restaurant_id: str,
    day: SpecialHours,
    day_id: int | None = None,
    acknowledge: str | None = None,
) -> SpecialDay:
    """A date with its own windows, new or in place of the day with that id.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_UPDATE
    )
    with guarded(restaurant_id, acknowledge, caller=caller), entered(caller, "RestaurantUpdated", restaurant):
        row = SpecialDay(restaurant=restaurant) if day_id is None else _day(restaurant_id, day_id)
        row.date, row.name = day.date, day.name
        save(row, whole="specialDays")
        row.windows.all().delete()
        for each in day.hours:
            window = SpecialWindow(
                day=row, opens=each.opens, closes=each.closes, last_seating=each.last_seating
            )
            save(window, whole="specialDays")
    return row


def drop_special_day(
    *, caller: Caller, restaurant_id: str, day_id: int, acknowledge: str | None = None
) -> None:
    """Let the date follow the week again. Raises NotFound, Forbidden, StrandsBookings."""
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_UPDATE
    )
    with guarded(restaurant_id, acknowledge, caller=caller), entered(caller, "RestaurantUpdated", restaurant):
        _day(restaurant_id, day_id).delete()


def _day(restaurant_id: str, day_id: int) -> SpecialDay:
    row = SpecialDay.objects.filter(pk=day_id, restaurant_id=restaurant_id).first()
    if row is None:
        raise NotFound.at("specialDays")
    return row
