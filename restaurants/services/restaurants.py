"""Create, change and delete restaurants, sectors and tables.

Changes of what decides availability run inside ``plan_guard.guarded``: one that would strand future bookings is
refused until the caller acknowledges the list. Every change is recorded in the audit trail, in its transaction
(``audit.audited``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from restaurants.models import Combo, Restaurant, Sector, Table
from restaurants.selectors import get_restaurant, get_sector, get_table
from restaurants.services.audit import audited
from restaurants.services.calendar import DEFAULT_HOURS, Calendar, Hours, SpecialHours, Turn, set_calendar
from restaurants.services.plan_guard import guarded
from restaurants.services.saving import delete, insert, lock_and_refresh, update
from restaurants.services.table_joins import Joined, set_combos, set_joins
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Forbidden, NotFound
from wokibrain.core.permissions import Permission

HARMLESS: Final[Mapping[type[models.Model], frozenset[str]]] = {
    Restaurant: frozenset(
        {
            "name", "min_party", "max_party", "min_duration", "max_duration", "refuse_past", "lead_minutes",
            "horizon_days", "occupied_margin",
        }
    ),
    Sector: frozenset({"name", "position"}),
    Table: frozenset({"name", "position", "x", "y", "width", "height", "shape"}),
}  # fmt: skip
"""Fields whose change strands no booking: names, positions and shapes, and the bounds of new bookings."""


def create_restaurant(
    *,
    caller: Caller,
    id: str | None = None,
    name: str,
    zone: str,
    hours: Sequence[Hours] = DEFAULT_HOURS,
    special: Sequence[SpecialHours] = (),
    turns: Sequence[Turn] = (),
    **settings: Any,
) -> Restaurant:
    """Create a restaurant with its calendar; ``settings``: other fields of the model.

    Raises Forbidden; ValidationFailed, also for an id that is in use.
    """
    caller.require_somewhere(Permission.RESTAURANT_CREATE)
    if caller.restaurants(Permission.RESTAURANT_CREATE) is not None:
        raise Forbidden
    restaurant = Restaurant(name=name, zone=zone, **settings)
    if id is not None:
        restaurant.id = id
    with transaction.atomic(), audited(caller, "RestaurantCreated", restaurant):
        insert(restaurant)
        set_calendar(restaurant, Calendar(hours, special, turns))
    return restaurant


def update_restaurant(
    *,
    caller: Caller,
    restaurant_id: str,
    settings: Mapping[str, Any],
    calendar: Calendar,
    acknowledge: str | None = None,
) -> Restaurant:
    """Change a restaurant: ``settings`` are fields of the model.

    Raises NotFound, Forbidden, ValidationFailed, and StrandsBookings (see ``plan_guard.guarded``).
    """
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_UPDATE
    )
    strands = _may_strand(Restaurant, settings) or (calendar.hours, calendar.special) != (None, None)
    with guarded(restaurant_id, acknowledge, caller=caller, strands=strands):
        lock_and_refresh(restaurant)
        with audited(caller, "RestaurantUpdated", restaurant):
            update(restaurant, settings)
            set_calendar(restaurant, calendar)
    return restaurant


def delete_restaurant(*, caller: Caller, restaurant_id: str) -> None:
    """Delete a restaurant that never had a booking, with everything in it. Raises NotFound, Forbidden, Conflict."""
    restaurant = get_restaurant(
        caller=caller, restaurant_id=restaurant_id, permission=Permission.RESTAURANT_DELETE
    )
    with transaction.atomic(), audited(caller, "RestaurantDeleted", restaurant):
        delete(restaurant, _("This restaurant has bookings; it cannot be deleted."))


def create_sector(
    *,
    caller: Caller,
    id: str | None = None,
    restaurant_id: str,
    name: str,
    position: int = 0,
) -> Sector:
    """Create a sector of a restaurant. Raises NotFound, Forbidden, ValidationFailed."""
    caller.require(Permission.TABLE_CREATE, restaurant_id)
    if not Restaurant.objects.filter(pk=restaurant_id).exists():
        raise NotFound.at("restaurantId")
    sector = Sector(restaurant_id=restaurant_id, name=name, position=position)
    if id is not None:
        sector.id = id
    with transaction.atomic(), audited(caller, "SectorCreated", sector):
        return insert(sector)


def update_sector(
    *,
    caller: Caller,
    sector_id: str,
    settings: Mapping[str, Any],
    joins: Sequence[frozenset[str]] | None = None,
    combos: Sequence[Joined] | None = None,
    acknowledge: str | None = None,
) -> Sector:
    """Change a sector: its fields, which pairs of tables join, what combos seat. None leaves a part as it is.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)
    strands = _may_strand(Sector, settings) or (joins, combos) != (None, None)
    with guarded(sector.restaurant_id, acknowledge, caller=caller, strands=strands):
        lock_and_refresh(sector)
        with audited(caller, "SectorUpdated", sector):
            update(sector, settings)
            if joins is not None:
                set_joins(sector, joins)
            if combos is not None:
                set_combos(sector, combos)
    return get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)


def delete_sector(*, caller: Caller, sector_id: str) -> None:
    """Delete a sector that never had a booking, with its tables. Raises NotFound, Forbidden, Conflict."""
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_DELETE)
    with transaction.atomic(), audited(caller, "SectorDeleted", sector):
        delete(sector, _("This sector has bookings or blocks; deactivate its tables instead."))


def create_table(
    *,
    caller: Caller,
    id: str | None = None,
    sector_id: str,
    capacity_min: int,
    capacity_max: int,
    name: str = "",
    **rest: Any,
) -> Table:
    """Create a table in a sector. ``rest``: other fields of the model.

    Raises NotFound, Forbidden, ValidationFailed.
    """
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_CREATE)
    table = Table(sector=sector, capacity_min=capacity_min, capacity_max=capacity_max, name=name, **rest)
    if id is not None:
        table.id = id
    with transaction.atomic(), audited(caller, "TableCreated", table):
        return insert(table)


def update_table(
    *, caller: Caller, table_id: str, settings: Mapping[str, Any], acknowledge: str | None = None
) -> Table:
    """Change a table's fields, except its sector: bookings of the table carry the sector.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    table = get_table(caller=caller, table_id=table_id, permission=Permission.TABLE_UPDATE)
    strands = _may_strand(Table, settings)
    with guarded(table.sector.restaurant_id, acknowledge, caller=caller, strands=strands):
        lock_and_refresh(table)
        with audited(caller, "TableUpdated", table):
            update(table, settings)
    return table


def update_tables(
    *,
    caller: Caller,
    sector_id: str,
    changes: Mapping[str, Mapping[str, Any]],
    acknowledge: str | None = None,
) -> None:
    """Change several tables of a sector, all or none; ``changes``: table id -> fields of the model.

    Raises NotFound, Forbidden, ValidationFailed, and StrandsBookings once for all changes.
    """
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)
    strands = any(_may_strand(Table, settings) for settings in changes.values())
    with guarded(sector.restaurant_id, acknowledge, caller=caller, strands=strands):
        tables = (
            Table.objects.select_for_update(of=("self",), no_key=True)
            .filter(sector=sector)
            .select_related("sector")
            .order_by("pk")
            .in_bulk(list(changes))
        )
        if len(tables) != len(changes):
            raise NotFound.at("tableId")
        for table_id, settings in changes.items():
            with audited(caller, "TableUpdated", tables[table_id]):
                update(tables[table_id], settings)


def delete_table(*, caller: Caller, table_id: str, acknowledge: str | None = None) -> None:
    """Delete a table that was never booked or blocked, with its joins and combos.

    Raises NotFound, Forbidden, Conflict, StrandsBookings.
    """
    table = get_table(caller=caller, table_id=table_id, permission=Permission.TABLE_DELETE)
    with (
        guarded(table.sector.restaurant_id, acknowledge, caller=caller),
        audited(caller, "SectorUpdated", table.sector),
        audited(caller, "TableDeleted", table),
    ):
        Combo.objects.filter(members__table=table).delete()
        delete(table, _("This table has bookings or blocks; set `active` to false instead."))


def _may_strand(model: type[models.Model], settings: Mapping[str, Any]) -> bool:
    return not settings.keys() <= HARMLESS[model]
