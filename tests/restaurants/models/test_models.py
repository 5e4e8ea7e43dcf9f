"""The rules that the database itself enforces, whatever writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from bookings.models import Allocation, Booking, Guest, TableBlock
from bookings.sample_data import example
from restaurants.models import (
    Combo,
    ComboTable,
    Restaurant,
    Sector,
    ServiceWindow,
    SpecialDay,
    SpecialWindow,
    Table,
    TableJoin,
    TurnTime,
)
from restaurants.services.restaurants import create_sector, create_table
from wokibrain.core.callers import SYSTEM
from wokibrain.core.ids import uuid7
from wokibrain.events.models import StoredEvent
from wokibrain.idempotency.models import IdempotencyKey

Write = Callable[[], object]
NINE = datetime(2025, 10, 22, 21, tzinfo=UTC)
TEN = datetime(2025, 10, 22, 22, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _example(db: None) -> None:
    example.example()
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    create_table(caller=SYSTEM, id="U1", sector_id="S2", capacity_min=2, capacity_max=4)


def restaurant(**bounds: Any) -> Write:
    return lambda: Restaurant.objects.filter(pk="R1").update(**bounds)


def window(**fields: Any) -> Write:
    values = {"restaurant_id": "R1", "weekday": 0, "opens": time(17), "closes": time(18)} | fields
    return lambda: ServiceWindow.objects.create(**values)


def special(**fields: Any) -> Write:
    def write() -> None:
        day = SpecialDay.objects.create(restaurant_id="R1", date=date(2025, 12, 25))
        SpecialWindow.objects.create(**{"day": day, "opens": time(17), "closes": time(18)} | fields)

    return write


def turn(party: int, minutes: int) -> Write:
    return lambda: TurnTime.objects.create(restaurant_id="R1", party_up_to=party, minutes=minutes)


def table(**fields: Any) -> Write:
    return lambda: Table.objects.filter(pk="T1").update(**fields)


def join(first: str, second: str, sector: str = "S1") -> Write:
    return lambda: TableJoin.objects.create(sector_id=sector, first_id=first, second_id=second)


def combo(least: int, most: int, key: str = "T1+T2") -> Combo:
    return Combo.objects.create(sector_id="S1", key=key, capacity_min=least, capacity_max=most)


def booking(**fields: Any) -> Write:
    return lambda: Booking.objects.filter(reference="B1").update(**fields)


def allocation(**fields: Any) -> Write:
    def write() -> None:
        block = TableBlock.objects.create(table_id="T3", start=NINE, end=TEN)
        values = {"table_id": "T3", "sector_id": "S1", "period": (NINE, TEN), "block": block} | fields
        Allocation.objects.create(**values)

    return write


def twice(write: Write) -> Write:
    def both() -> None:
        write()
        write()

    return both


def guest(**fields: Any) -> Write:
    return lambda: Guest.objects.create(restaurant_id="R1", **fields)


def event(version: int) -> Write:
    return lambda: StoredEvent.objects.create(
        aggregate_type="booking", aggregate_id="x", version=version, event_type="X", payload={}
    )


def key() -> Write:
    return lambda: IdempotencyKey.objects.create(
        caller="c", key="k", fingerprint=b"", status=201, expires_at=NINE
    )


REFUSED: list[tuple[str, Write]] = [
    ("restaurant_party_bounds", restaurant(min_party=0)),
    ("restaurant_party_bounds", restaurant(min_party=5, max_party=4)),
    ("restaurant_party_bounds", restaurant(max_party=51)),
    ("restaurant_duration_bounds", restaurant(min_duration=0)),
    ("restaurant_duration_bounds", restaurant(min_duration=90, max_duration=75)),
    ("restaurant_duration_bounds", restaurant(max_duration=1455)),
    ("restaurant_duration_grid", restaurant(min_duration=40)),
    ("restaurant_duration_grid", restaurant(max_duration=100)),
    ("service_window_once", twice(window())),
    ("service_window_weekday", window(weekday=7)),
    ("service_window_grid", window(opens=time(17, 5))),
    ("service_window_grid", window(closes=time(18, 0, 1))),
    ("service_window_grid", window(last_seating=time(17, 50))),
    ("special_day_once", twice(special())),
    ("special_window_grid", special(opens=time(17, 5))),
    ("special_window_grid", special(last_seating=time(17, 50))),
    ("turn_time_once", twice(turn(2, 90))),
    ("turn_time_bounds", turn(0, 90)),
    ("turn_time_bounds", turn(51, 90)),
    ("turn_time_bounds", turn(2, 0)),
    ("turn_time_bounds", turn(2, 1455)),
    ("turn_time_grid", turn(2, 100)),
    ("table_capacity", table(capacity_min=0)),
    ("table_capacity", table(capacity_min=3)),
    ("table_capacity", table(capacity_max=51)),
    ("table_join_once", twice(join("T1", "T2"))),
    ("table_join_ordered", join("T2", "T1")),
    ("table_join_ordered", join("T1", "T1")),
    ("table_join_second_in_sector", join("T1", "U1")),
    ("table_join_first_in_sector", join("T1", "U1", "S2")),
    ("table_join_first_in_sector", join("T1", "T2", "S2")),
    ("combo_once", twice(lambda: combo(2, 4))),
    ("combo_capacity", lambda: combo(0, 4)),
    ("combo_capacity", lambda: combo(5, 4)),
    ("combo_capacity", lambda: combo(5, 51)),
    (
        "combo_table_table_in_sector",
        lambda: ComboTable.objects.create(combo=combo(2, 4), sector_id="S1", table_id="U1"),
    ),
    (
        "combo_table_combo_in_sector",
        lambda: ComboTable.objects.create(combo=combo(2, 4), sector_id="S2", table_id="U1"),
    ),
    ("combo_table_once", twice(lambda: ComboTable.objects.create(
        combo=Combo.objects.filter(key="k").first() or combo(2, 4, "k"), sector_id="S1", table_id="T1"))),
    ("booking_ends_after_start", booking(end=datetime(2025, 10, 22, 23, 30, tzinfo=UTC))),
    ("booking_party", booking(party_size=0)),
    ("booking_party", booking(party_size=51)),
    ("booking_tables", booking(table_ids=[])),
    ("booking_tables", booking(table_ids=["T1", "T2", "T3", "T4", "T5"])),
    ("booking_status", booking(status="OPEN")),
    ("reference", twice(lambda: Booking.objects.create(
        reference="B1", restaurant_id="R1", sector_id="S1", table_ids=["T1"], service_date=date(2025, 10, 22),
        start=NINE, end=TEN, duration_minutes=60, party_size=2, created_at=NINE, updated_at=NINE))),
    ("table_block_ends_after_start", lambda: TableBlock.objects.create(table_id="T3", start=TEN, end=TEN)),
    ("allocation_never_overlaps", twice(allocation())),
    ("allocation_holder", allocation(block=None)),
    ("allocation_holder", lambda: allocation(booking=Booking.objects.get(reference="B1"))()),
    ("allocation_period_bounded", allocation(period=(NINE, NINE))),
    ("allocation_period_bounded", allocation(period=(NINE, None))),
    ("allocation_period_bounded", allocation(period=(None, NINE))),
    ("guest_erased_is_empty", guest(name="Ana", erased_at=NINE)),
    ("guest_erased_is_empty", guest(notes="x", erased_at=NINE)),
    ("event_version_once", twice(event(1))),
    ("event_version_from_one", event(0)),
    ("idempotency_key_once", twice(key())),
]  # fmt: skip


def immediately() -> None:
    """Check deferred constraints now, since the test's transaction is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def run_concurrently(write: Write) -> None:
    with transaction.atomic():
        write()
        immediately()


@pytest.mark.parametrize(
    ("name", "write"), REFUSED, ids=[f"{at} {name}" for at, (name, _) in enumerate(REFUSED)]
)
def test_the_database_refuses(name: str, write: Write) -> None:
    with pytest.raises(IntegrityError, match=name):
        run_concurrently(write)


def test_the_database_accepts_valid_rows() -> None:
    writes: list[Write] = [
        restaurant(min_party=1, max_party=50, min_duration=15, max_duration=1440),
        window(opens=time(23, 45), closes=time(0), last_seating=time(23, 45)),
        special(last_seating=time(17, 45)),
        turn(50, 1440),
        table(capacity_min=1, capacity_max=50),
        join("T1", "T2"),
        lambda: ComboTable.objects.create(combo=combo(1, 50), sector_id="S1", table_id="T1"),
        guest(erased_at=NINE),
        allocation(),
        allocation(period=(TEN, datetime(2025, 10, 22, 23, tzinfo=UTC))),
        allocation(active=False),
    ]
    for write in writes:
        run_concurrently(write)


def test_a_table_in_a_join_or_combo_cannot_leave_its_sector() -> None:
    join("T1", "T2")()
    immediately()
    with pytest.raises(IntegrityError, match="table_join_first_in_sector"):
        run_concurrently(lambda: Table.objects.filter(pk="T1").update(sector_id="S2"))


def test_overlaps_are_allowed_within_a_transaction_that_defers_the_constraint() -> None:
    """Two bookings can swap tables: only the state at commit counts."""
    allocation()()
    row = Allocation.objects.get(table_id="T3")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS allocation_never_overlaps DEFERRED")
        allocation()()
        row.delete()
        immediately()
    assert Allocation.objects.filter(table_id="T3").count() == 1


def test_rows_with_bookings_cannot_be_deleted() -> None:
    for model, pk in ((Table, "T2"), (Sector, "S1"), (Restaurant, "R1")):
        with pytest.raises(ProtectedError):
            model.objects.get(pk=pk).delete()


def test_a_restaurant_without_bookings_is_deleted_with_its_parts() -> None:
    Sector.objects.get(pk="S2").delete()
    assert not Table.objects.filter(pk="U1").exists()


def test_an_erased_guests_booking_stays() -> None:
    person = Guest.objects.create(restaurant_id="R1", name="Ana")
    Booking.objects.filter(reference="B1").update(guest=person)
    person.delete()
    assert Booking.objects.get(reference="B1").guest is None


def test_generated_ids_sort_by_time() -> None:
    identifiers = [uuid7() for _ in range(3)]
    assert [identifier.version for identifier in identifiers] == [7, 7, 7]
    assert [identifier.int >> 80 for identifier in identifiers] == sorted(
        identifier.int >> 80 for identifier in identifiers
    )
