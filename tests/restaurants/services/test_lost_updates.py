"""Two concurrent changes of different fields of one row: both are kept, whichever read the row first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import connection

from restaurants.models import Restaurant, Sector, Table
from restaurants.services import restaurants
from restaurants.services.calendar import Calendar
from restaurants.services.plan_guard import guarded
from restaurants.services.restaurants import update_restaurant, update_sector, update_table, update_tables
from tests.waiting import PATIENCE, until
from tests.wokibrain.access.conftest import make_example
from wokibrain.core.callers import SYSTEM, Caller
from wokibrain.core.errors import NotFound

pytestmark = pytest.mark.django_db(transaction=True)


def restaurant(settings: dict[str, Any]) -> None:
    update_restaurant(caller=SYSTEM, restaurant_id="R1", settings=settings, calendar=Calendar())


def sector(settings: dict[str, Any]) -> None:
    update_sector(caller=SYSTEM, sector_id="S1", settings=settings)


def table(settings: dict[str, Any]) -> None:
    update_table(caller=SYSTEM, table_id="T4", settings=settings)


def tables(settings: dict[str, Any]) -> None:
    update_tables(caller=SYSTEM, sector_id="S1", changes={"T4": settings})


def between_its_reading_and_its_lock(
    change: Callable[[], None], other: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run ``change``, and run ``other`` to its end just before ``change`` takes the plan's lock."""
    waiting, go = Event(), Event()

    def late(
        restaurant_id: str, acknowledge: str | None = None, *, caller: Caller, strands: bool = True
    ) -> Any:
        waiting.set()
        go.wait(PATIENCE)
        return guarded(restaurant_id, acknowledge, caller=caller, strands=strands)

    def run() -> None:
        try:
            change()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(restaurants, "guarded", late)
        changing = pool.submit(run)
        assert waiting.wait(PATIENCE)
        monkeypatch.undo()
        other()
        go.set()
        changing.result(PATIENCE)


@pytest.mark.parametrize(
    ("change", "model", "pk", "first", "second"),
    [
        (restaurant, Restaurant, "R1", {"lead_minutes": 45}, {"name": "Casa Bonita"}),
        (sector, Sector, "S1", {"position": 7}, {"name": "Comedor"}),
        (table, Table, "T4", {"active": False}, {"x": 120, "y": 340}),
        (tables, Table, "T4", {"active": False}, {"x": 120, "y": 340}),
    ],
)
def test_concurrent_changes_are_both_kept(
    change: Callable[[dict[str, Any]], None],
    model: type[Restaurant | Sector | Table],
    pk: str,
    first: dict[str, Any],
    second: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_example()
    between_its_reading_and_its_lock(lambda: change(second), lambda: change(first), monkeypatch)
    both = first | second
    assert model._default_manager.filter(pk=pk).values(*both).get() == both


def test_a_row_deleted_meanwhile_is_not_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    make_example()
    with pytest.raises(NotFound):
        between_its_reading_and_its_lock(
            lambda: table({"x": 120}),
            lambda: restaurants.delete_table(caller=SYSTEM, table_id="T4"),
            monkeypatch,
        )
    assert not Table.objects.filter(pk="T4").exists()


def test_renaming_a_row_that_is_being_deleted_waits_and_finds_nothing() -> None:
    make_example()
    waiting = Event()

    def rename() -> None:
        try:
            waiting.set()
            table({"name": "By the door"})
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with guarded("R1", caller=SYSTEM):
            # Deleting a combo first writes to the restaurant's row before the table's.
            Restaurant.objects.filter(pk="R1").update(plan_version=0)
            renaming = pool.submit(rename)
            waiting.wait(PATIENCE)
            assert until(lambda: locks_waited_for() == 1)
            restaurants.delete_table(caller=SYSTEM, table_id="T4")
        with pytest.raises(NotFound):
            renaming.result(PATIENCE)
    assert not Table.objects.filter(pk="T4").exists()


def locks_waited_for() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])
