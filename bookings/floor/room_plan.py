"""Arranging tables on the floor board's room plan."""

from __future__ import annotations

from django.db import transaction

from restaurants.models import Table
from restaurants.services.restaurants import update_tables
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission


def place_tables(*, caller: Caller, restaurant_id: str, positions: dict[str, tuple[int, int]]) -> None:
    """Move tables to (x, y), in centimetres. Raises NotFound for a table of another restaurant, Forbidden."""
    caller.require(Permission.TABLE_UPDATE, restaurant_id)
    tables = Table.objects.filter(pk__in=positions, sector__restaurant_id=restaurant_id)
    sectors = dict(tables.values_list("pk", "sector_id"))
    if len(sectors) != len(positions):
        raise NotFound.at("tableId")
    with transaction.atomic():
        for sector_id in sorted(set(sectors.values())):
            changes = {
                table_id: {"x": x, "y": y}
                for table_id, (x, y) in positions.items()
                if sectors[table_id] == sector_id
            }
            update_tables(caller=caller, sector_id=sector_id, changes=changes)
