"""What the audit trail keeps of changes to restaurants, sectors and tables: who, and each field before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import time
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

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
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Text
from wokibrain.events import audit

Place = Restaurant | Sector | Table

ACTIONS: Final[Mapping[str, Text]] = {
    "RestaurantCreated": _("restaurant made"),
    "RestaurantUpdated": _("restaurant changed"),
    "RestaurantDeleted": _("restaurant deleted"),
    "SectorCreated": _("sector made"),
    "SectorUpdated": _("sector changed"),
    "SectorDeleted": _("sector deleted"),
    "TableCreated": _("table made"),
    "TableUpdated": _("table changed"),
    "TableDeleted": _("table deleted"),
}
"""Action, as the audit trail stores it -> its words for people."""

SPELLED: Final[Mapping[str, str]] = {
    "zone": "timezone",
    "capacity_min": "capacityMin",
    "capacity_max": "capacityMax",
    "sector": "sectorId",
    "sector_id": "sectorId",
    "restaurant": "restaurantId",
    "restaurant_id": "restaurantId",
    "min_party": "minPartySize",
    "max_party": "maxPartySize",
    "min_duration": "minDurationMinutes",
    "max_duration": "maxDurationMinutes",
    "lead_minutes": "leadMinutes",
    "horizon_days": "horizonDays",
    "refuse_past": "refusePast",
    "opens": "windows",
    "closes": "windows",
    "last_seating": "windows",
    "party_up_to": "turnTimes",
    "minutes": "turnTimes",
    "date": "specialDays",
}
"""Model field -> the field as the API spells it."""
DAYS: Final = "specialDays"
UNTOLD: Final = frozenset({"id", "created_at", "updated_at", "plan_version"})


@contextmanager
def entered(caller: Caller, action: str, place: Place) -> Iterator[None]:
    """Enter what the block changes of ``place``, which it may make or delete; nothing where it changes nothing.

    Runs within the transaction of the change. ``action`` is what was done, as in ``TableUpdated``.
    """
    kind, place_id, restaurant_id = type(place).__name__.lower(), place.pk, _restaurant_of(place)
    before = _state(place, place_id)
    yield
    after = _state(place, place_id)
    changed = [field for field in before | after if before.get(field) != after.get(field)]
    if changed:
        audit.record(
            actor=caller.actor,
            action=action,
            target_type=kind,
            target_id=place_id,
            restaurant_id=restaurant_id,
            before=_told(before, after, changed),
            after=_told(after, before, changed),
        )


def _told(state: Mapping[str, Any], other: Mapping[str, Any], changed: Iterable[str]) -> dict[str, Any]:
    """The fields that changed; of special days, which pile up over the years, only those that differ."""
    told = {field: state[field] for field in changed if field in state}
    if DAYS in told:
        told[DAYS] = [day for day in told[DAYS] if day not in other.get(DAYS, ())]
    return told


def _restaurant_of(place: Place) -> str:
    match place:
        case Restaurant():
            return place.pk
        case Sector():
            return place.restaurant_id
        case Table():
            return place.sector.restaurant_id


def _state(place: Place, place_id: str) -> dict[str, Any]:
    """The row as the database has it, with what it keeps in rows of its own; empty where there is none."""
    row = type(place)._default_manager.filter(pk=place_id).values().first()
    if row is None:
        return {}
    state = {SPELLED.get(name, name): value for name, value in row.items() if name not in UNTOLD}
    if isinstance(place, Restaurant):
        state |= _calendar(place_id)
    if isinstance(place, Sector):
        state |= _together(place_id)
    return state


def _calendar(restaurant_id: str) -> dict[str, Any]:
    windows = ServiceWindow.objects.filter(restaurant_id=restaurant_id).order_by("weekday", "opens")
    days = SpecialDay.objects.filter(restaurant_id=restaurant_id).order_by("date").prefetch_related("windows")
    turns = TurnTime.objects.filter(restaurant_id=restaurant_id).order_by("party_up_to")
    names = {f"{day.date}": day.name for day in days if day.name}
    return {
        "windows": [
            f"{each.weekday} {_span(each.opens, each.closes, each.last_seating)}" for each in windows
        ],
        DAYS: [
            " ".join(
                [
                    f"{day.date}",
                    *sorted(_span(each.opens, each.closes, each.last_seating) for each in day.windows.all()),
                ]
            )
            for day in days
        ],
        "turnTimes": [f"{each.party_up_to}: {each.minutes}" for each in turns],
    } | ({"specialDayNames": names} if names else {})


def _span(opens: time, closes: time, last_seating: time | None) -> str:
    span = f"{opens:%H:%M}-{closes:%H:%M}"
    return f"{span} ({last_seating:%H:%M})" if last_seating else span


def _together(sector_id: str) -> dict[str, list[str]]:
    joins = TableJoin.objects.filter(sector_id=sector_id).order_by("first", "second")
    combos = Combo.objects.filter(sector_id=sector_id).order_by("key")
    return {
        "joins": [f"{each.first_id}+{each.second_id}" for each in joins],
        "combos": [f"{each.key}: {each.capacity_min}-{each.capacity_max}" for each in combos],
    }
