"""Which tables of a sector go together.

The API replaces a sector's joins and combos as a whole; the admin edits them one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import Manager, Model

from restaurants.models import Combo, ComboTable, Sector, Table, TableJoin
from restaurants.selectors import get_sector
from restaurants.services.audit import audited
from restaurants.services.plan_guard import guarded
from restaurants.services.saving import save
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Joined:
    """A set of 2-4 tables and how many guests it seats."""

    table_ids: frozenset[str]
    capacity_min: int
    capacity_max: int


def set_joins(sector: Sector, joins: Sequence[frozenset[str]]) -> None:
    """Replace the pairs of a sector's tables that can stand together. Raises NotFound, ValidationFailed."""
    TableJoin.objects.filter(sector=sector).delete()
    table_ids = _tables_of(sector)
    for pair in set(joins):
        _save_join(TableJoin(sector=sector), pair, table_ids)


def set_combos(sector: Sector, combos: Sequence[Joined]) -> None:
    """Replace what sets of a sector's tables seat. Raises NotFound, ValidationFailed."""
    Combo.objects.filter(sector=sector).delete()
    table_ids = _tables_of(sector)
    for joined in combos:
        _save_combo(Combo(sector=sector), joined, table_ids)


def put_join(
    *,
    caller: Caller,
    sector_id: str,
    tables: frozenset[str],
    join_id: int | None = None,
    acknowledge: str | None = None,
) -> TableJoin:
    """Save two tables of a sector that can stand together: a new join, or a replacement of the one with that id.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    with _changing(caller, sector_id, acknowledge) as sector:
        row = TableJoin(sector=sector) if join_id is None else _one(sector.joins, join_id, "joins")
        return _save_join(row, tables, _tables_of(sector))


def drop_join(*, caller: Caller, sector_id: str, join_id: int, acknowledge: str | None = None) -> None:
    """Delete a join. Raises NotFound, Forbidden, StrandsBookings."""
    with _changing(caller, sector_id, acknowledge) as sector:
        _one(sector.joins, join_id, "joins").delete()


def put_combo(
    *,
    caller: Caller,
    sector_id: str,
    joined: Joined,
    combo_id: UUID | None = None,
    acknowledge: str | None = None,
) -> Combo:
    """Save what 2-4 tables of a sector seat together: a new combo, or a replacement of the one with that id.

    Raises NotFound, Forbidden, ValidationFailed, StrandsBookings.
    """
    with _changing(caller, sector_id, acknowledge) as sector:
        row = Combo(sector=sector) if combo_id is None else _one(sector.combos, combo_id, "combos")
        return _save_combo(row, joined, _tables_of(sector))


def drop_combo(*, caller: Caller, sector_id: str, combo_id: UUID, acknowledge: str | None = None) -> None:
    """Delete a combo. Raises NotFound, Forbidden, StrandsBookings."""
    with _changing(caller, sector_id, acknowledge) as sector:
        _one(sector.combos, combo_id, "combos").delete()


@contextmanager
def _changing(caller: Caller, sector_id: str, acknowledge: str | None) -> Iterator[Sector]:
    """Yield the sector, whose joins and combos the block changes: guarded and audited."""
    sector = get_sector(caller=caller, sector_id=sector_id, permission=Permission.TABLE_UPDATE)
    with guarded(sector.restaurant_id, acknowledge, caller=caller), audited(caller, "SectorUpdated", sector):
        yield sector


def _one(rows: Manager[Row], pk: int | UUID, field: str) -> Row:
    # Not from the sector's prefetched rows: those were read before the plan was locked.
    row = rows.filter(pk=pk).first()
    if row is None:
        raise NotFound.at(field)
    return row


def _tables_of(sector: Sector) -> set[str]:
    return set(Table.objects.filter(sector=sector).values_list("id", flat=True))


def _save_join(row: TableJoin, tables: frozenset[str], table_ids: set[str]) -> TableJoin:
    if not tables <= table_ids:
        raise NotFound.at("joins")
    row.first_id, row.second_id = sorted(tables)
    return save(row, whole="joins")


def _save_combo(row: Combo, joined: Joined, table_ids: set[str]) -> Combo:
    if not joined.table_ids <= table_ids:
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
