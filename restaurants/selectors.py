"""The readers of restaurants, sectors and tables. What a caller may not see is not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Model, QuerySet

from restaurants.models import Restaurant, Sector, Table
from wokibrain.core import clock, ids
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission

RESTAURANT: Final = "restaurants_restaurant AS restaurant"
"""For hand-written SQL in other apps, which may read ``id``, ``zone`` and ``plan_version`` of ``restaurant``."""

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of what there is, and how many there are in all."""

    rows: list[Row]
    total: int


def list_restaurants(*, caller: Caller, page: int = 1, limit: int = 50) -> Page[Restaurant]:
    """The restaurants a caller may read, by name."""
    caller.require_somewhere(Permission.RESTAURANT_READ)
    places = caller.restaurants(Permission.RESTAURANT_READ)
    rows = Restaurant.objects.all() if places is None else Restaurant.objects.filter(pk__in=places)
    return _page(_whole(rows), page, limit)


def get_restaurant(
    *, caller: Caller, restaurant_id: str, permission: Permission = Permission.RESTAURANT_READ
) -> Restaurant:
    """One restaurant with its calendar. Raises NotFound, also for one that is not the caller's; Forbidden."""
    caller.require(permission, restaurant_id)
    found = _whole(_named(Restaurant, restaurant_id)).first()
    if found is None:
        raise NotFound.at("restaurantId")
    return found


def zone_of(restaurant_id: str) -> ZoneInfo | None:
    """Return the restaurant's time zone, whoever asks; None where there is no such restaurant."""
    name = _named(Restaurant, restaurant_id).values_list("zone", flat=True).first()
    return None if name is None else clock.zone(name)


def list_sectors(*, caller: Caller, restaurant_id: str, page: int = 1, limit: int = 50) -> Page[Sector]:
    """The sectors of a restaurant, in order. Raises NotFound, Forbidden."""
    caller.require(Permission.TABLE_READ, restaurant_id)
    if not _named(Restaurant, restaurant_id).exists():
        raise NotFound.at("restaurantId")
    return _page(_with_combos(Sector.objects.filter(restaurant_id=restaurant_id)), page, limit)


def get_sector(*, caller: Caller, sector_id: str, permission: Permission = Permission.TABLE_READ) -> Sector:
    """One sector with its joins and combos. Raises NotFound, also for one that is not the caller's; Forbidden."""
    caller.require_somewhere(permission)
    found = _with_combos(_named(Sector, sector_id)).first()
    if found is None or not caller.permissions_at(found.restaurant_id):
        raise NotFound.at("sectorId")
    caller.require(permission, found.restaurant_id)
    return found


def list_tables(*, caller: Caller, sector_id: str, page: int = 1, limit: int = 50) -> Page[Table]:
    """The tables of a sector, in order. Raises NotFound, Forbidden."""
    sector = get_sector(caller=caller, sector_id=sector_id)
    return _page(Table.objects.filter(sector=sector), page, limit)


def get_table(*, caller: Caller, table_id: str, permission: Permission = Permission.TABLE_READ) -> Table:
    """One table. Raises NotFound, also for one that is not the caller's; Forbidden."""
    caller.require_somewhere(permission)
    found = _named(Table, table_id).select_related("sector__restaurant").first()
    if found is None or not caller.permissions_at(found.sector.restaurant_id):
        raise NotFound.at("tableId")
    caller.require(permission, found.sector.restaurant_id)
    return found


def _named(model: type[Row], id: str) -> QuerySet[Row]:
    """The row of that id; none for what cannot be an id, which Postgres need not be asked."""
    rows = model._default_manager
    return rows.filter(pk=id) if ids.NAME.fullmatch(id) else rows.none()


def _page(rows: QuerySet[Row], page: int, limit: int) -> Page[Row]:
    first = (page - 1) * limit
    return Page(list(rows[first : first + limit]), rows.count())


def _whole(rows: QuerySet[Restaurant]) -> QuerySet[Restaurant]:
    return rows.prefetch_related("windows", "special_days__windows", "turn_times")


def _with_combos(rows: QuerySet[Sector]) -> QuerySet[Sector]:
    return rows.prefetch_related("joins", "combos__members")
