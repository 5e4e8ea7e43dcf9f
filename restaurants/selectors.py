"""Read restaurants, sectors and tables. Those that the caller may not see are not found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Model, QuerySet

from restaurants.models import Restaurant, Sector, Table, ZoneRelease
from wokibrain.core import clock, ids
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission

RESTAURANT: Final = "restaurants_restaurant AS restaurant"
"""For hand-written SQL in other apps, which may read ``id``, ``zone``, ``occupied_margin`` and ``plan_version``."""

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of rows, and the number of rows on all pages."""

    rows: list[Row]
    total: int


def list_restaurants(*, caller: Caller, page: int = 1, limit: int = 50) -> Page[Restaurant]:
    """Return the restaurants that the caller may read, by name. Raises Unauthorized, Forbidden."""
    caller.require_somewhere(Permission.RESTAURANT_READ)
    readable = caller.restaurants(Permission.RESTAURANT_READ)
    rows = Restaurant.objects.all() if readable is None else Restaurant.objects.filter(pk__in=readable)
    return _page(_with_calendar(rows), page, limit)


def get_restaurant(
    *, caller: Caller, restaurant_id: str, permission: Permission = Permission.RESTAURANT_READ
) -> Restaurant:
    """Return a restaurant with its calendar. Raises NotFound, also for one of others; Forbidden."""
    caller.require(permission, restaurant_id)
    restaurant = _with_calendar(_by_id(Restaurant, restaurant_id)).first()
    if restaurant is None:
        raise NotFound.at("restaurantId")
    return restaurant


def zone_of(restaurant_id: str) -> ZoneInfo | None:
    """Return the restaurant's time zone, without a check of permissions; None if there is no such restaurant."""
    name = _by_id(Restaurant, restaurant_id).values_list("zone", flat=True).first()
    return None if name is None else clock.zone_or_utc(name)


def zone_names() -> dict[str, str]:
    """Return the name of each sector's time zone, by the sector's id."""
    return dict(Sector.objects.values_list("id", "restaurant__zone"))


def unknown_zones() -> dict[str, str]:
    """Return the time zone of each restaurant that has one which this host's rules lack, by the restaurant's id."""
    names = Restaurant.objects.order_by().values_list("zone", flat=True).distinct()
    unknown = [name for name in names if not clock.is_known_zone(name)]
    if not unknown:
        return {}
    return dict(Restaurant.objects.filter(zone__in=unknown).order_by("pk").values_list("pk", "zone"))


def derived_with() -> str | None:
    """Return the release of the time-zone rules that the stored instants follow; None where none is recorded."""
    return ZoneRelease.objects.values_list("release", flat=True).first()


def list_sectors(*, caller: Caller, restaurant_id: str, page: int = 1, limit: int = 50) -> Page[Sector]:
    """Return the sectors of a restaurant, in order. Raises NotFound, Forbidden."""
    caller.require(Permission.TABLE_READ, restaurant_id)
    if not _by_id(Restaurant, restaurant_id).exists():
        raise NotFound.at("restaurantId")
    return _page(_with_combos(Sector.objects.filter(restaurant_id=restaurant_id)), page, limit)


def get_sector(*, caller: Caller, sector_id: str, permission: Permission = Permission.TABLE_READ) -> Sector:
    """Return a sector with its joins and combos. Raises NotFound, also for one of others; Forbidden."""
    caller.require_somewhere(permission)
    sector = _with_combos(_by_id(Sector, sector_id)).first()
    if sector is None or not caller.permissions_at(sector.restaurant_id):
        raise NotFound.at("sectorId")
    caller.require(permission, sector.restaurant_id)
    return sector


def list_tables(*, caller: Caller, sector_id: str, page: int = 1, limit: int = 50) -> Page[Table]:
    """Return the tables of a sector, in order. Raises NotFound, Forbidden."""
    sector = get_sector(caller=caller, sector_id=sector_id)
    return _page(Table.objects.filter(sector=sector), page, limit)


def get_table(*, caller: Caller, table_id: str, permission: Permission = Permission.TABLE_READ) -> Table:
    """Return a table. Raises NotFound, also for one of others; Forbidden."""
    caller.require_somewhere(permission)
    table = _by_id(Table, table_id).select_related("sector__restaurant").first()
    if table is None or not caller.permissions_at(table.sector.restaurant_id):
        raise NotFound.at("tableId")
    caller.require(permission, table.sector.restaurant_id)
    return table


def _by_id(model: type[Row], id: str) -> QuerySet[Row]:
    """Return the rows with that id: one or none. Text that cannot be an id is not sent to Postgres."""
    rows = model._default_manager
    return rows.filter(pk=id) if ids.NAME.fullmatch(id) else rows.none()


def _page(rows: QuerySet[Row], page: int, limit: int) -> Page[Row]:
    first = (page - 1) * limit
    return Page(list(rows[first : first + limit]), rows.count())


def _with_calendar(rows: QuerySet[Restaurant]) -> QuerySet[Restaurant]:
    return rows.prefetch_related("windows", "special_days__windows", "turn_times")


def _with_combos(rows: QuerySet[Sector]) -> QuerySet[Sector]:
    return rows.prefetch_related("joins", "combos__members")
