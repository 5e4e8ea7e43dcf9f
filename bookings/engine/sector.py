"""A sector's tables, put once into the shape that selection walks."""

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
    """A table and the parties (covers) it takes: ``capacity_min`` to ``capacity_max``, inclusive."""

    id: str
    capacity_min: int
    capacity_max: int
    combinable: bool = True


def natural_key(table_id: str) -> tuple[tuple[str | int, ...], str]:
    """Sort key of an identifier: runs of digits count as numbers (T2 before T10), the rest by code point.

    Total: identifiers that differ in leading zeros only (T1, T01) follow by their text.
    """
    parts = _DIGITS.split(table_id)
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts)), table_id


@dataclass(frozen=True, slots=True, eq=False)
class Sector:
    """One configuration of a sector. Compared by identity; `build` hands out shared ones.

    ``tables`` are in natural order and everything else names them by index. ``singles`` and
    ``listed`` go by capacity_max, which with the kind decides the score. ``listed`` holds the combos
    that are known one by one: those with a capacity of their own and, where tables join in pairs,
    the sets connected through ``neighbours`` (bit j of entry i: tables i and j join). Where that is
    None, further combos come from summing the ``combinable`` tables, except the sets in ``own``.
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
        """The sector of these tables, remembered for the next call.

        ``joins``: pairs of ids; once there is any, a combo must be connected through them.
        ``combos``: (smallest, largest party) of a set of 2-4 ids, in place of its sums, whether or
        not it is joined or combinable. Ids of tables that are not given are passed over.
        Raises ValueError for a repeated id, a capacity that is not 0 <= min <= max >= 1, or a combo
        of another size.
        """
        return _build(
            tuple(sorted(tables, key=lambda table: natural_key(table.id))),
            frozenset(frozenset(pair) for pair in joins),
            frozenset(combos.items()),
        )

    def capacity(self, tables: tuple[int, ...]) -> tuple[int, int] | None:
        """Smallest and largest party of these tables (ascending indexes); None if they do not go together."""
        if len(tables) == 1:
            table = self.tables[tables[0]]
            return table.capacity_min, table.capacity_max
        if tables in self.own:
            return self.own[tables]
        if len(tables) not in COMBO_SIZES or not all(self.tables[at].combinable for at in tables):
            return None
        if self.neighbours is not None and not connected(tables, self.neighbours):
            return None
        return self.sums(tables)

    def sums(self, tables: tuple[int, ...]) -> tuple[int, int]:
        """Summed capacity_min and capacity_max of these indexes."""
        return (
            sum(self.tables[at].capacity_min for at in tables),
            sum(self.tables[at].capacity_max for at in tables),
        )


def connected(tables: tuple[int, ...], neighbours: tuple[int, ...]) -> bool:
    """Whether these indexes hang together through ``neighbours`` (bit masks over indexes)."""
    wanted = sum(1 << at for at in tables)
    seen, reached = 0, 1 << tables[0]
    while seen != reached:
        seen = reached
        for at in tables:
            if seen >> at & 1:
                reached |= neighbours[at] & wanted
    return seen == wanted


@lru_cache(maxsize=1024)
def _build(
    tables: tuple[Table, ...],
    joins: frozenset[frozenset[str]],
    combos: frozenset[tuple[frozenset[str], tuple[int, int]]],
) -> Sector:
    index = {table.id: at for at, table in enumerate(tables)}
    if len(index) != len(tables):
        raise ValueError("two tables of a sector have the same id")
    for table in tables:
        _check(table.id, table.capacity_min, table.capacity_max)
    singles: dict[int, list[int]] = {}
    for at, table in enumerate(tables):
        singles.setdefault(table.capacity_max, []).append(at)
    combinable = tuple(at for at, table in enumerate(tables) if table.combinable)

    own: dict[tuple[int, ...], tuple[int, int]] = {}
    for ids, (smallest, largest) in combos:
        if len(ids) not in COMBO_SIZES:
            raise ValueError("a combo is of 2 to 4 tables")
        _check("+".join(sorted(ids)), smallest, largest)
        if ids <= index.keys():
            own[tuple(sorted(index[each] for each in ids))] = (smallest, largest)

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
            a, b = (index[each] for each in pair)
            if tables[a].combinable and tables[b].combinable:
                masks[a] |= 1 << b
                masks[b] |= 1 << a
    return tuple(masks)
