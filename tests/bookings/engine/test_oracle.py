"""Engine against oracle: thousands of small sectors, the whole list each time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bookings.engine import cases as generated
from tests.bookings.engine.cases import ask, ask_why, cases
from tests.bookings.engine.oracle import Case, answer


def compare(questions: Iterable[Case]) -> Counter[int]:
    """Assert that engine and oracle agree on every case; count the results by size of table set (0: nothing)."""
    sizes: Counter[int] = Counter()
    for case in questions:
        expected = answer(case)
        assert ask(case) == expected, case
        sizes.update({len(candidate.table_ids) for candidate in expected} or {0})
        if not expected:
            freely = replace(case, window_start=None, window_end=None, start=None, limit=10_000)
            works = {candidate.start for candidate in answer(freely)}
            nearest = ask_why(case).nearest
            assert len(nearest) == len(set(nearest) & works) == min(3, len(works)), case
    return sizes


@settings(max_examples=5000, derandomize=True, deadline=None, database=None)
@given(
    room=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    changes=st.booleans(),
    joins=st.booleans(),
    combos=st.booleans(),
)
def test_any_small_sector(room: float, seed: int, changes: bool, joins: bool, combos: bool) -> None:
    compare([generated.case(random.Random(seed), room=room, changes=changes, joins=joins, combos=combos)])


def test_summed_combos() -> None:
    assert compare(cases(3000))[4] >= 30


def test_days_on_which_the_clock_changes() -> None:
    assert compare(cases(2500, changes=True))[4] >= 30


def test_joined_tables() -> None:
    assert compare(cases(4000, joins=True))[4] >= 20


def test_combos_with_a_capacity_of_their_own() -> None:
    assert compare(cases(2000, combos=True))[4] >= 30


def test_joins_and_combos_with_a_capacity_of_their_own() -> None:
    assert compare(cases(2000, joins=True, combos=True))[4] >= 50


def test_more_tables_with_wider_capacities() -> None:
    assert compare(cases(500, combos=True, most_tables=10, top=20))[4] >= 40
    assert compare(cases(500, joins=True, combos=True, most_tables=10, top=20))[4] >= 20
