"""Each rule broken on purpose: the comparison with the oracle must report it, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from heapq import heappop
from zoneinfo import ZoneInfo

import pytest

from bookings.engine import combos, listing, occupancy, search, sector, service_day
from tests.bookings.engine.cases import ask, cases
from tests.bookings.engine.oracle import answer

Break = Callable[[pytest.MonkeyPatch], None]


def masks_shifted_by_one(patch: pytest.MonkeyPatch) -> None:
    starts = occupancy.Occupancy.starts
    patch.setattr(
        occupancy.Occupancy,
        "starts",
        lambda self, slots, offered: [mask >> 1 for mask in starts(self, slots, offered)],
    )


def one_slot_too_few(patch: pytest.MonkeyPatch) -> None:
    starts = occupancy.Occupancy.starts
    patch.setattr(
        occupancy.Occupancy,
        "starts",
        lambda self, slots, offered: starts(self, max(1, slots - 1), offered),
    )


def closing_overrun(patch: pytest.MonkeyPatch) -> None:
    fit = service_day.RestrictedDay.fit
    patch.setattr(service_day.RestrictedDay, "fit", lambda self, slots: fit(self, max(1, slots - 1)))


def ids_as_text(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sector, "natural_key", lambda table_id: ((), table_id))


def combos_before_singles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(search, "single_first", lambda party, single, combo: False)


def larger_tables_first(patch: pytest.MonkeyPatch) -> None:
    levels = search._ComboSearch.levels
    patch.setattr(search._ComboSearch, "levels", lambda self: levels(self)[::-1])


def sizes_mixed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(combos, "COMBO_SIZES", (4, 3, 2))


def listed_sizes_mixed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(search, "_by_start", lambda pick: (pick.slot, 0, pick.tables))


def first_starts_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(listing, "heapreplace", lambda queue, again: heappop(queue))


def sets_of_four_forgotten(patch: pytest.MonkeyPatch) -> None:
    connected = listing.connected_sets
    patch.setattr(
        sector, "connected_sets", lambda near: (tables for tables in connected(near) if len(tables) < 4)
    )


def own_capacities_ignored(patch: pytest.MonkeyPatch) -> None:
    sets = combos.FreePool.sets

    def both(self: combos.FreePool, capacity: int) -> Iterator[tuple[int, ...]]:
        self.pool.own = {}
        return sets(self, capacity)

    patch.setattr(combos.FreePool, "sets", both)


def joins_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sector, "_neighbours", lambda tables, index, joins: None)


def second_of_a_repeated_hour(patch: pytest.MonkeyPatch) -> None:
    resolve = service_day.resolve

    def second(zone: ZoneInfo, wall: datetime) -> tuple[datetime, bool]:
        instant, exists = resolve(zone, wall)
        return (wall.replace(tzinfo=zone, fold=1).astimezone(UTC) if exists else instant), exists

    patch.setattr(service_day, "resolve", second)


def missing_hour_pushed_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        service_day, "resolve", lambda zone, wall: (wall.replace(tzinfo=zone).astimezone(UTC), True)
    )


PLAIN, CHANGES, JOINS = {"combos": True}, {"changes": True}, {"joins": True}


@pytest.mark.parametrize(
    ("sabotage", "kinds"),
    [
        (masks_shifted_by_one, PLAIN),
        (one_slot_too_few, PLAIN),
        (closing_overrun, PLAIN),
        (ids_as_text, PLAIN),
        (combos_before_singles, PLAIN),
        (larger_tables_first, PLAIN),
        (sizes_mixed, PLAIN),
        (listed_sizes_mixed, PLAIN),
        (first_starts_only, JOINS),
        (sets_of_four_forgotten, JOINS),
        (own_capacities_ignored, PLAIN),
        (joins_ignored, JOINS),
        (second_of_a_repeated_hour, CHANGES),
        (missing_hour_pushed_on, CHANGES),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_engine_is_caught(
    sabotage: Break, kinds: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = (service_day._build, service_day._restrict, sector._build)
    for cache in caches:
        cache.cache_clear()
    sabotage(monkeypatch)
    assert any(ask(case) != answer(case) for case in cases(2000, **kinds))
    for cache in caches:
        cache.cache_clear()
