"""The writers of restaurants, sectors and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from typing import TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

from restaurants.models import Restaurant, Sector, ServiceWindow, Table, Weekday
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.errors import Issue, NotFound, ValidationFailed


@dataclass(frozen=True, slots=True)
class Hours:
    """A service window, wall clock; ``weekday`` (0 = Monday) None means every day."""

    opens: time
    closes: time
    last_seating: time | None = None
    weekday: int | None = None


DEFAULT_HOURS = (Hours(time(12), time(16)), Hours(time(20), time(23, 45)))
"""What a restaurant serves until it says otherwise: lunch and dinner, every day."""

Row = TypeVar("Row", bound=models.Model)

SPELLED = {
    "zone": "timezone",
    "capacity_min": "capacityMin",
    "capacity_max": "capacityMax",
    "sector": "sectorId",
    "restaurant": "restaurantId",
    "min_party": "minPartySize",
    "max_party": "maxPartySize",
    "min_duration": "minDurationMinutes",
    "max_duration": "maxDurationMinutes",
    "opens": "windows",
    "closes": "windows",
    "last_seating": "windows",
}
"""Model field -> the field as the API spells it, for issues."""


def create_restaurant(
    *,
    caller: Caller,
    id: str | None = None,
    name: str,
    zone: str,
    hours: Sequence[Hours] = DEFAULT_HOURS,
    refuse_past: bool = True,
    **bounds: int | None,
) -> Restaurant:
    """A new restaurant with its weekly windows. Raises ValidationFailed, for a taken id too."""
    caller.require(Permission.RESTAURANT_CREATE, id or "")
    restaurant = Restaurant(name=name, zone=zone, refuse_past=refuse_past, **bounds)
    if id is not None:
        restaurant.id = id
    with transaction.atomic():
        save(restaurant)
        set_hours(restaurant, hours)
    return restaurant


def set_hours(restaurant: Restaurant, hours: Sequence[Hours]) -> None:
    """Replace the weekly windows."""
    ServiceWindow.objects.filter(restaurant=restaurant).delete()
    windows = [
        ServiceWindow(
            restaurant=restaurant,
            weekday=weekday,
            opens=each.opens,
            closes=each.closes,
            last_seating=each.last_seating,
        )
        for each in hours
        for weekday in (Weekday.values if each.weekday is None else [each.weekday])
    ]
    try:
        with transaction.atomic():
            ServiceWindow.objects.bulk_create(windows)
    except IntegrityError:
        # One by one, to say what is wrong.
        for window in windows:
            save(window, whole="windows")


def create_sector(*, caller: Caller, id: str | None = None, restaurant_id: str, name: str) -> Sector:
    """A new sector of a restaurant. Raises NotFound, ValidationFailed."""
    caller.require(Permission.TABLE_CREATE, restaurant_id)
    if not Restaurant.objects.filter(pk=restaurant_id).exists():
        raise NotFound.at("restaurantId")
    sector = Sector(restaurant_id=restaurant_id, name=name)
    if id is not None:
        sector.id = id
    return save(sector)


def create_table(
    *,
    caller: Caller,
    id: str | None = None,
    sector_id: str,
    capacity_min: int,
    capacity_max: int,
    name: str = "",
    **rest: object,
) -> Table:
    """A new table in a sector. ``rest``: other fields of the model. Raises NotFound, ValidationFailed."""
    sector = Sector.objects.filter(pk=sector_id).first()
    if sector is None or not caller.permissions_at(sector.restaurant_id):
        raise NotFound.at("sectorId")
    caller.require(Permission.TABLE_CREATE, sector.restaurant_id)
    table = Table(sector=sector, capacity_min=capacity_min, capacity_max=capacity_max, name=name, **rest)
    if id is not None:
        table.id = id
    return save(table)


def save(row: Row, *, whole: str = "body") -> Row:
    """Validate and save a row. Raises ValidationFailed with each issue at the field as the API spells it.

    ``whole`` is named for what is wrong with no field alone.
    """
    try:
        row.full_clean()
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:
            # Somebody was quicker with the same id: now it can be seen.
            row.full_clean()
            raise
    except ValidationError as error:
        raise _failed(error, whole) from error
    return row


def _failed(error: ValidationError, whole: str) -> ValidationFailed:
    issues = [
        Issue(whole if field == NON_FIELD_ERRORS else SPELLED.get(field, field), message)
        for field, messages in error.message_dict.items()
        for message in messages
    ]
    return ValidationFailed(issues[0].message if len(issues) == 1 else "", issues=issues)
