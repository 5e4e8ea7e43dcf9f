"""Which tables of a sector go together.

A sector's joins and combos are replaced at once, as the API does, or written one at a time, as people edit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from restaurants.models import Combo, ComboTable, Sector, Table, TableJoin
from restaurants.selectors import get_sector
from restaurants.services.audit import entered
from restaurants.services.plan_guard import guarded
from restaurants.services.saving import save
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission


@dataclass(frozen=True, slots=True)
class Joined:
    """A set of 2-4 tables and whom it seats."""

    table_ids: frozenset[str]
    capacity_min: int
    capacity_max: int


def set_joins(sector: Sector, joins: Sequence[frozenset[str]]) -> None:
    """Replace the pairs of a sector that can stand together. Raises NotFound, ValidationFailed."""
    TableJoin.objects.filter(sector=sector).delete()
    known = _tables_of(sector)
    for pair in set(joins):
        _keep_join(TableJoin(sector=sector), pair, known)


def set_combos(sector: Sector, combos: Sequence[Joined]) -> None:
    """Replace what sets of its tables seat. Raises NotFound, ValidationFailed."""
    Combo.objects.filter(sector=sector).delete()
    known = _tables_of(sector)
    for each in combos:
        _keep_combo(Combo(sector=sector), each, known)


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
        row = TableJoin(sector=sector) if join_id is None else _join(sector, join_id)
        return _keep_join(row, tables, _tables_of(sector))


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
        row = Combo(sector=sector) if combo_id is None else _combo(sector, combo_id)
        return _keep_combo(row, joined, _tables_of(sector))


def drop_combo(*, caller: Caller, sector_id: str, combo_id: UUID, acknowledge: str | None = None) -> None:
    """Raises NotFound, Forbidden, StrandsBookings."""
    sector = _sector(caller, sector_id)
    with guarded(sector.restaurant_id, acknowledge, caller=caller), entered(caller, "SectorUpdated", sector):
        _combo(sector, combo_id).delete()


def _sector(caller: Caller, sector_id: str) -> Sector:
    return get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)


def _tables_of(sector: Sector) -> set[str]:
    return set(Table.objects.filter(sector=sector).values_list("id", flat=True))


def _keep_join(row: TableJoin, tables: frozenset[str], known: set[str]) -> TableJoin:
    if not tables <= known:
        raise NotFound.at("joins")
    row.first_id, row.second_id = sorted(tables)
    return save(row, whole="joins")


def _keep_combo(row: Combo, joined: Joined, known: set[str]) -> Combo:
    if not joined.table_ids <= known:
        raise NotFound.at("combos")
    members = sorted(joined.table_ids)
    row.key = "+".join(members)
    row.capacity_min, row.capacity_max = joined.capacity_min, joined.capacity_max
    save(row, whole="combos")
    row.members.all().delete()
    ComboTable.objects.bulk_create(
        ComboTable(combo=row, sector=row.sector, table_id=table_id) for table_id in members
    )
    return row


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
