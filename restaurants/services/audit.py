"""Record changes to restaurants, sectors and tables in the audit trail: who, and each field before and after."""

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

Target = Restaurant | Sector | Table

ACTIONS: Final[Mapping[str, Text]] = {
    "RestaurantCreated": _("restaurant created"),
    "RestaurantUpdated": _("restaurant changed"),
    "RestaurantDeleted": _("restaurant deleted"),
    "SectorCreated": _("sector created"),
    "SectorUpdated": _("sector changed"),
    "SectorDeleted": _("sector deleted"),
    "TableCreated": _("table created"),
    "TableUpdated": _("table changed"),
    "TableDeleted": _("table deleted"),
}
"""Action, as the audit trail stores it -> its words for people."""

API_NAMES: Final[Mapping[str, str]] = {
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
    "occupied_margin": "occupiedMarginMinutes",
    "opens": "windows",
    "closes": "windows",
    "last_seating": "windows",
    "party_up_to": "turnTimes",
    "minutes": "turnTimes",
    "date": "specialDays",
}
"""Field of a model -> its name in the API."""
DAYS: Final = "specialDays"
UNRECORDED: Final = frozenset({"id", "created_at", "updated_at", "plan_version"})


@contextmanager
def audited(caller: Caller, action: str, target: Target) -> Iterator[None]:
    """Record what the block changes of ``target``, which it may create or delete; record nothing if nothing changed.

    Runs within the transaction of the change. ``action`` is a key of ACTIONS.
    """
    kind, target_id, restaurant_id = type(target).__name__.lower(), target.pk, _restaurant_of(target)
    before = _state(target, target_id)
    yield
    after = _state(target, target_id)
    changed = [field for field in before | after if before.get(field) != after.get(field)]
    if changed:
        audit.record(
            actor=caller.actor,
            action=action,
            target_type=kind,
            target_id=target_id,
            restaurant_id=restaurant_id,
            before=_differences(before, after, changed),
            after=_differences(after, before, changed),
        )


def _differences(
    state: Mapping[str, Any], other: Mapping[str, Any], changed: Iterable[str]
) -> dict[str, Any]:
    """Return the changed fields; of special days, which pile up over the years, only those that differ."""
    values = {field: state[field] for field in changed if field in state}
    if DAYS in values:
        values[DAYS] = [day for day in values[DAYS] if day not in other.get(DAYS, ())]
    return values


def _restaurant_of(target: Target) -> str:
    match target:
        case Restaurant():
            return target.pk
        case Sector():
            return target.restaurant_id
        case Table():
            return target.sector.restaurant_id


def _state(target: Target, target_id: str) -> dict[str, Any]:
    """Return the row as stored, with its calendar or its joins and combos; empty if there is no such row."""
    row = type(target)._default_manager.filter(pk=target_id).values().first()
    if row is None:
        return {}
    state = {API_NAMES.get(name, name): value for name, value in row.items() if name not in UNRECORDED}
    if isinstance(target, Restaurant):
        state |= _calendar(target_id)
    if isinstance(target, Sector):
        state |= _joins_and_combos(target_id)
    return state


def _calendar(restaurant_id: str) -> dict[str, Any]:
    windows = ServiceWindow.objects.filter(restaurant_id=restaurant_id).order_by("weekday", "opens")
    days = SpecialDay.objects.filter(restaurant_id=restaurant_id).order_by("date").prefetch_related("windows")
    turns = TurnTime.objects.filter(restaurant_id=restaurant_id).order_by("party_up_to")
    names = {f"{day.date}": day.name for day in days if day.name}
    return {
        "windows": [
            f"{window.weekday} {_span(window.opens, window.closes, window.last_seating)}"
            for window in windows
        ],
        DAYS: [
            " ".join(
                [
                    f"{day.date}",
                    *sorted(
                        _span(window.opens, window.closes, window.last_seating)
                        for window in day.windows.all()
                    ),
                ]
            )
            for day in days
        ],
        "turnTimes": [f"{turn.party_up_to}: {turn.minutes}" for turn in turns],
    } | ({"specialDayNames": names} if names else {})


def _span(opens: time, closes: time, last_seating: time | None) -> str:
    span = f"{opens:%H:%M}-{closes:%H:%M}"
    return f"{span} ({last_seating:%H:%M})" if last_seating else span


def _joins_and_combos(sector_id: str) -> dict[str, list[str]]:
    joins = TableJoin.objects.filter(sector_id=sector_id).order_by("first", "second")
    combos = Combo.objects.filter(sector_id=sector_id).order_by("key")
    return {
        "joins": [f"{join.first_id}+{join.second_id}" for join in joins],
        "combos": [f"{combo.key}: {combo.capacity_min}-{combo.capacity_max}" for combo in combos],
    }
