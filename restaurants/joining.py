"""The writers of joins and combos one at a time, as people edit them; ``services`` replaces a sector's at once."""

from __future__ import annotations

from uuid import UUID

from restaurants.guards import guarded
from restaurants.models import Combo, ComboTable, Sector, Table, TableJoin
from restaurants.selectors import get_sector
from restaurants.services import Joined, save
from restaurants.trail import entered
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.errors import NotFound


def put_join(
    *,
    caller: Caller,
    sector_id: str,
    tables: frozenset[str],
    join_id: int | None = None,
    acknowledge: str | None = None,
) -> TableJoin:
    """Two tables of the sector that can stand together, new or in place of the join with that id.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    sector = _sector(caller, sector_id)
    with guarded(sector.restaurant_id, acknowledge, caller=caller), entered(caller, "SectorUpdated", sector):
        _known(sector, tables, "joins")
        row = TableJoin(sector=sector) if join_id is None else _join(sector, join_id)
        row.first_id, row.second_id = sorted(tables)
        return save(row, whole="joins")


def drop_join(*, caller: Caller, sector_id: str, join_id: int, acknowledge: str | None = None) -> None:
    """Raises NotFound, Forbidden, StrandsBookings."""
    sector = _sector(caller, sector_id)
    with guarded(sector.restaurant_id, acknowledge, caller=caller), entered(caller, "SectorUpdated", sector):
        _join(sector, join_id).delete()


def put_combo(
    *,
    caller: Caller,
    sector_id: str,
    joined: Joined,
    combo_id: UUID | None = None,
    acknowledge: str | None = None,
) -> Combo:
    """What a set of 2-4 tables of the sector seats, new or in place of the combo with that id.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    sector = _sector(caller, sector_id)
    with guarded(sector.restaurant_id, acknowledge, caller=caller), entered(caller, "SectorUpdated", sector):
        _known(sector, joined.table_ids, "combos")
        members = sorted(joined.table_ids)
        row = Combo(sector=sector) if combo_id is None else _combo(sector, combo_id)
        row.key = "+".join(members)
        row.capacity_min, row.capacity_max = joined.capacity_min, joined.capacity_max
        save(row, whole="combos")
        row.members.all().delete()
        ComboTable.objects.bulk_create(
            ComboTable(combo=row, sector=sector, table_id=table_id) for table_id in members
        )
    return row


def drop_combo(*, caller: Caller, sector_id: str, combo_id: UUID, acknowledge: str | None = None) -> None:
    """Raises NotFound, Forbidden, StrandsBookings."""
    sector = _sector(caller, sector_id)
    with guarded(sector.restaurant_id, acknowledge, caller=caller), entered(caller, "SectorUpdated", sector):
        _combo(sector, combo_id).delete()


def _sector(caller: Caller, sector_id: str) -> Sector:
    return get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)


def _known(sector: Sector, tables: frozenset[str], path: str) -> None:
    if Table.objects.filter(sector=sector, pk__in=tables).count() != len(tables):
        raise NotFound.at(path)


def _join(sector: Sector, join_id: int) -> TableJoin:
    row = TableJoin.objects.filter(pk=join_id, sector=sector).first()
    if row is None:
        raise NotFound.at("joins")
    return row


def _combo(sector: Sector, combo_id: UUID) -> Combo:
    row = Combo.objects.filter(pk=combo_id, sector=sector).first()
    if row is None:
        raise NotFound.at("combos")
    return row
