"""A sector's tables, joins and combos, indexed once for every search."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from bookings.engine.listing import Listing, connected_sets

COMBO_SIZES = (2, 3, 4)

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class Table:
    """A table for parties of ``capacity_min`` to ``capacity_max`` covers, both inclusive."""

    id: str
    capacity_min: int
    capacity_max: int
    combinable: bool = True


def natural_key(table_id: str) -> tuple[tuple[str | int, ...], str]:
    """Return the sort key of an identifier: digits compare as numbers (T2 before T10), the rest by code point.

    The order is total: identifiers that differ only in leading zeros (T1, T01) compare by their text.
    """
    parts = _DIGITS.split(table_id)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), table_id


@dataclass(frozen=True, slots=True, eq=False)
class Sector:
    """The active tables of a sector and how they combine. Compared by identity; `build` shares instances.

    ``tables`` are in natural order; every other field refers to them by position, ``index`` maps an id to it.
    ``singles`` and ``listed`` are keyed by capacity_max, which together with the kind decides the score.
    ``own`` holds (smallest, largest party) of the combos that the restaurant gave a capacity of their own.
    ``listed`` holds those and, if tables join in pairs, every set connected through ``neighbours``
    (bit j of entry i: tables i and j join). If ``neighbours`` is None, any 2-4 ``combinable`` tables
    combine as well, with the sum of their capacities; they are too many to list.
    """

    tables: tuple[Table, ...]
    index: Mapping[str, int] = field(repr=False)
    singles: Mapping[int, tuple[int, ...]] = field(repr=False)
    combinable: tuple[int, ...] = field(repr=False)
    listed: Mapping[int, Listing] = field(repr=False)
    own: Mapping[tuple[int, ...], tuple[int, int]] = field(repr=False)
    neighbours: tuple[int, ...] | None = field(repr=False)

    @classmethod
    def build(
        cls,
        tables: Iterable[Table],
        joins: Iterable[tuple[str, str]] = (),
        combos: Mapping[frozenset[str], tuple[int, int]] = {},
    ) -> Sector:
        """Return the sector of these tables; equal arguments return the same object.

        ``joins``: pairs of table ids; with any join, a combo must be connected through joins.
        ``combos``: (smallest, largest party) of sets of 2-4 ids; it replaces the sum of their capacities and
        applies whether or not the tables are joined or combinable. Joins and combos that name an id
        outside ``tables`` are ignored.
        Raises ValueError for a repeated id, for a capacity that breaks 0 <= min <= max or has max < 1, for a
        combo of another size, and for joins that connect more than MAX_CONNECTED_SETS sets.
        """
        return _build(
            tuple(sorted(tables, key=lambda table: natural_key(table.id))),
            frozenset(frozenset(pair) for pair in joins),
            frozenset(combos.items()),
        )

    def capacity(self, tables: tuple[int, ...]) -> tuple[int, int] | None:
        """Return (smallest, largest) party of ``tables`` (ascending positions); None if they do not combine."""
        if len(tables) == 1:
            table = self.tables[tables[0]]
            return table.capacity_min, table.capacity_max
        if tables in self.own:
            return self.own[tables]
        if len(tables) not in COMBO_SIZES or not all(self.tables[i].combinable for i in tables):
            return None
        if self.neighbours is not None and not connected(tables, self.neighbours):
            return None
        return self.sums(tables)

    def sums(self, tables: tuple[int, ...]) -> tuple[int, int]:
        """Return the summed capacity_min and capacity_max of ``tables`` (positions)."""
        return (
            sum(self.tables[i].capacity_min for i in tables),
            sum(self.tables[i].capacity_max for i in tables),
        )


def connected(tables: tuple[int, ...], neighbours: tuple[int, ...]) -> bool:
    """Return whether ``tables`` (positions) are connected through ``neighbours`` (a mask per position)."""
    members = sum(1 << i for i in tables)
    seen, reached = 0, 1 << tables[0]
    while seen != reached:
        seen = reached
        for i in tables:
            if seen >> i & 1:
                reached |= neighbours[i] & members
    return seen == members


@lru_cache(maxsize=1024)
def _build(
    tables: tuple[Table, ...],
    joins: frozenset[frozenset[str]],
    combos: frozenset[tuple[frozenset[str], tuple[int, int]]],
) -> Sector:
    index = {table.id: i for i, table in enumerate(tables)}
    if len(index) != len(tables):
        raise ValueError("two tables of a sector have the same id")
    for table in tables:
        _check(table.id, table.capacity_min, table.capacity_max)
    singles: dict[int, list[int]] = {}
    for i, table in enumerate(tables):
        singles.setdefault(table.capacity_max, []).append(i)
    combinable = tuple(i for i, table in enumerate(tables) if table.combinable)

    own: dict[tuple[int, ...], tuple[int, int]] = {}
    for ids, (smallest, largest) in combos:
        if len(ids) not in COMBO_SIZES:
            raise ValueError("a combo is of 2 to 4 tables")
        _check("+".join(sorted(ids)), smallest, largest)
        if ids <= index.keys():
            own[tuple(sorted(index[table_id] for table_id in ids))] = (smallest, largest)

    neighbours = _neighbours(tables, index, joins) if joins else None
    mins = [table.capacity_min for table in tables]
    tops = [table.capacity_max for table in tables]
    listed: dict[int, list[tuple[tuple[int, ...], int]]] = {}
    for members, (smallest, largest) in own.items():
        listed.setdefault(largest, []).append((members, smallest))
    for members in connected_sets(neighbours or ()):
        if members not in own:
            largest = sum(map(tops.__getitem__, members))
            listed.setdefault(largest, []).append((members, sum(map(mins.__getitem__, members))))
    return Sector(
        tables=tables,
        index=index,
        singles={largest: tuple(group) for largest, group in sorted(singles.items())},
        combinable=combinable,
        listed={largest: Listing(group) for largest, group in sorted(listed.items())},
        own=own,
        neighbours=neighbours,
    )


def _check(name: str, smallest: int, largest: int) -> None:
    if not 0 <= smallest <= largest or largest < 1:
        raise ValueError(f"{name}: {smallest}-{largest} is not a capacity")


def _neighbours(
    tables: tuple[Table, ...], index: Mapping[str, int], joins: frozenset[frozenset[str]]
) -> tuple[int, ...]:
    masks = [0] * len(tables)
    for pair in joins:
        if len(pair) == 2 and pair <= index.keys():
            a, b = (index[table_id] for table_id in pair)
            if tables[a].combinable and tables[b].combinable:
                masks[a] |= 1 << b
                masks[b] |= 1 << a
    return tuple(masks)
