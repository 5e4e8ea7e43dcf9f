"""Each rule broken on purpose: the comparison with the oracle must notice, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bookings.engine import availability, combos, grid, sector, selection
from tests.engine.cases import ask, cases
from tests.engine.oracle import Case, answer

Break = Callable[[pytest.MonkeyPatch], None]


def masks_shifted_by_one(patch: pytest.MonkeyPatch) -> None:
    starts = availability.Occupancy.starts
    patch.setattr(
        availability.Occupancy,
        "starts",
        lambda self, slots, offered: [mask >> 1 for mask in starts(self, slots, offered)],
    )


def one_slot_too_few(patch: pytest.MonkeyPatch) -> None:
    starts = availability.Occupancy.starts
    patch.setattr(
        availability.Occupancy,
        "starts",
        lambda self, slots, offered: starts(self, max(1, slots - 1), offered),
    )


def closing_overrun(patch: pytest.MonkeyPatch) -> None:
    fit = grid.AskedDay.fit
    patch.setattr(grid.AskedDay, "fit", lambda self, slots: fit(self, max(1, slots - 1)))


def ids_as_text(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sector, "natural_key", lambda table_id: ((), table_id))


def combos_before_singles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(selection, "_single_first", lambda party, single, combo: False)


def larger_tables_first(patch: pytest.MonkeyPatch) -> None:
    levels = selection._Walk.levels
    patch.setattr(selection._Walk, "levels", lambda self: levels(self)[::-1])


def sizes_mixed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(selection, "_by_size", lambda tables: (0, tables))


def own_capacities_ignored(patch: pytest.MonkeyPatch) -> None:
    sets = combos.Moment.sets

    def both(self: combos.Moment, capacity: int) -> Iterator[tuple[int, ...]]:
        self.mix.own = {}
        return sets(self, capacity)

    patch.setattr(combos.Moment, "sets", both)


def joins_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sector, "_neighbours", lambda tables, index, joins: None)


def second_of_a_repeated_hour(patch: pytest.MonkeyPatch) -> None:
    resolve = grid.resolve

    def second(zone: ZoneInfo, wall: datetime) -> tuple[datetime, bool]:
        instant, exists = resolve(zone, wall)
        return (wall.replace(tzinfo=zone, fold=1).astimezone(UTC) if exists else instant), exists

    patch.setattr(grid, "resolve", second)


def missing_hour_pushed_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(grid, "resolve", lambda zone, wall: (wall.replace(tzinfo=zone).astimezone(UTC), True))


PLAIN, CHANGES = cases(combos=True), cases(changes=True)
JOINS = cases(joins=True)


@pytest.mark.parametrize(
    ("sabotage", "questions"),
    [
        (masks_shifted_by_one, PLAIN),
        (one_slot_too_few, PLAIN),
        (closing_overrun, PLAIN),
        (ids_as_text, PLAIN),
        (combos_before_singles, PLAIN),
        (larger_tables_first, PLAIN),
        (sizes_mixed, PLAIN),
        (own_capacities_ignored, PLAIN),
        (joins_ignored, JOINS),
        (second_of_a_repeated_hour, CHANGES),
        (missing_hour_pushed_on, CHANGES),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_broken_engine_is_caught(
    sabotage: Break, questions: st.SearchStrategy[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    @settings(
        max_examples=1500,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(questions)
    def compare(case: Case) -> None:
        assert ask(case) == answer(case)

    caches = (grid._build, grid._restrict, sector._build)
    for cache in caches:
        cache.cache_clear()
    sabotage(monkeypatch)
    with pytest.raises(AssertionError):
        compare()
    for cache in caches:
        cache.cache_clear()
