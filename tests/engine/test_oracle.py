"""Engine against oracle: thousands of small sectors, the whole list each time.

Derandomized: the same cases on every run, and a failure prints its smallest case.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from bookings.engine import combos, sector
from tests.engine.cases import ask, cases
from tests.engine.oracle import Case, answer


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@examples(1200)
@given(cases())
def test_summed_combos(case: Case) -> None:
    assert ask(case) == answer(case)


@examples(1200)
@given(cases(changes=True))
def test_days_on_which_the_clock_changes(case: Case) -> None:
    assert ask(case) == answer(case)


@examples(900)
@given(cases(joins=True))
def test_joined_tables(case: Case) -> None:
    assert ask(case) == answer(case)


@examples(1200)
@given(cases(joins=True, combos=True))
def test_combos_with_a_capacity_of_their_own(case: Case) -> None:
    assert ask(case) == answer(case)


@examples(300)
@given(cases(combos=True, most_tables=10, top=20))
def test_more_tables_with_wider_capacities(case: Case) -> None:
    assert ask(case) == answer(case)


@pytest.fixture
def no_listing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Joined sets are listed per search, as in a sector with too many of them to list once."""
    monkeypatch.setattr(sector, "LISTED_AT_MOST", -1)
    sector._build.cache_clear()
    yield
    sector._build.cache_clear()


@pytest.fixture
def only_walking(no_listing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joined sets are not listed at all, as when a search has too many of them."""
    monkeypatch.setattr(combos, "STEPS_AT_MOST", -1)


@examples(350)
@given(cases(joins=True, combos=True))
@pytest.mark.usefixtures("no_listing")
def test_joined_tables_listed_for_one_search(case: Case) -> None:
    assert ask(case) == answer(case)


@examples(350)
@given(cases(joins=True, combos=True))
@pytest.mark.usefixtures("only_walking")
def test_joined_tables_walked(case: Case) -> None:
    assert ask(case) == answer(case)
