"""Two bookings swap tables: both or neither, whatever happens concurrently."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier

import pytest
from django.db import connection

from bookings.live import asyncapi
from bookings.models import Allocation, Booking
from bookings.repository.records import BookingRecord
from bookings.repository.statements import fetch
from bookings.sample_data import example
from bookings.selectors import history
from bookings.services import change, create, lifecycle, table_blocks, undo, walk_in
from bookings.services import swap as swaps
from bookings.services.change import Change
from bookings.services.create import NewBooking
from bookings.services.swap import BookingVersion
from restaurants.models import ServiceWindow, TableJoin
from restaurants.services.restaurants import create_sector, create_table
from tests.api import Api, api_as, assert_refused, events_of, make_restaurant
from wokibrain.core.callers import EVERYWHERE, SYSTEM, Caller, CallerKind
from wokibrain.core.clock import frozen
from wokibrain.core.errors import (
    Conflict,
    DomainError,
    InvalidTransition,
    NotFound,
    OutsideServiceWindow,
    ValidationFailed,
)
from wokibrain.core.permissions import PERMISSIONS, Role

EVENING = datetime(2025, 10, 22, 23, tzinfo=UTC)
ANA = Caller(CallerKind.USER, "7", {EVERYWHERE: PERMISSIONS[Role.ADMIN]})


def book(party: int, *tables: str, minutes: int = 0, caller: Caller = ANA) -> BookingRecord:
    """Create a booking of 90 minutes at 20:00, or ``minutes`` later."""
    with frozen(EVENING - timedelta(days=1)):
        booking = create.create_booking(
            caller=caller,
            new=NewBooking(
                "R1",
                party,
                EVENING.date(),
                start=EVENING + timedelta(minutes=minutes),
                table_ids=frozenset(tables),
                duration_minutes=90,
            ),
        )
    assert isinstance(booking, BookingRecord)
    return booking


def swap(one: BookingRecord, other: BookingRecord) -> tuple[BookingRecord, BookingRecord]:
    with frozen(EVENING):
        return swaps.swap_bookings(
            caller=ANA,
            first=BookingVersion(str(one.id), one.version),
            second=BookingVersion(other.reference, other.version),
        )


def allocations_of(booking: BookingRecord) -> list[tuple[str, datetime]]:
    rows = Allocation.objects.filter(booking_id=booking.id, active=True).order_by("table_id")
    return [(row.table_id, row.period.lower) for row in rows]


def reload_booking(booking: BookingRecord) -> BookingRecord:
    (record,) = fetch("WHERE booking.id = %(id)s", {"id": booking.id})
    return record


def test_swapped_bookings_exchange_tables_and_keep_their_times(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5", minutes=30)
    first, second = swap(one, other)
    assert (first.table_ids, first.start, first.version) == (("T5",), EVENING, 2)
    assert (second.table_ids, second.start, second.version) == (("T1",), EVENING + timedelta(minutes=30), 2)
    assert allocations_of(one) == [("T5", EVENING)]
    assert allocations_of(other) == [("T1", EVENING + timedelta(minutes=30))]
    last = events_of(str(one.id))[-1]
    assert (last.event_type, last.version, last.metadata["actor"]) == ("BookingUpdated", 2, "user:7")
    assert last.payload["changes"] == {"tableIds": {"from": ["T1"], "to": ["T5"]}}
    assert last.payload["swappedWith"] == {"id": str(other.id), "version": 2}
    (event,) = events_of(str(other.id))[1:]
    assert event.payload["changes"] == {"tableIds": {"from": ["T5"], "to": ["T1"]}}
    assert event.payload["swappedWith"] == {"id": str(one.id), "version": 2}
    (event_schema, _) = asyncapi.messages("tell")[2]["payload"]["properties"]["event"]["oneOf"]
    assert set(last.payload) <= set(event_schema["properties"]["data"]["properties"])
    assert "swappedWith" not in history.as_of(one.id, datetime.max.replace(tzinfo=UTC))  # type: ignore[operator]


def test_a_combination_swaps_with_a_single_table(guest: Api) -> None:
    one, other = book(4, "T1", "T5"), book(4, "T4")
    swap(one, other)
    assert allocations_of(one) == [("T4", EVENING)]
    assert allocations_of(other) == [("T1", EVENING), ("T5", EVENING)]


def test_bookings_of_two_sectors_swap_sectors_too(db: None) -> None:
    make_restaurant("H", tables={"A": (2, 4)})
    create_sector(caller=SYSTEM, id="H-Z", restaurant_id="H", name="Terrace")
    create_table(caller=SYSTEM, id="H-B", sector_id="H-Z", capacity_min=2, capacity_max=4)
    bookings = []
    for table in ("H-A", "H-B"):
        booking = create.create_booking(
            caller=ANA,
            new=NewBooking(
                "H", 2, EVENING.date(), start=EVENING, table_ids=frozenset({table}), duration_minutes=90
            ),
        )
        assert isinstance(booking, BookingRecord)
        bookings.append(booking)
    first, second = swap(*bookings)
    assert [(booking.sector_id, booking.table_ids) for booking in (first, second)] == [
        ("H-Z", ("H-B",)),
        ("H-S", ("H-A",)),
    ]
    assert Allocation.objects.get(booking_id=first.id).sector_id == "H-Z"
    assert events_of(str(first.id))[-1].payload["changes"]["sectorId"] == {"from": "H-S", "to": "H-Z"}


def test_a_seated_off_grid_walk_in_swaps_with_a_coming_booking(guest: Api) -> None:
    late = EVENING + timedelta(minutes=7)
    with frozen(late):
        sits = walk_in.seat_walk_in(
            caller=ANA, party=walk_in.WalkIn("R1", 2, table_ids=frozenset({"T1"}), duration_minutes=60)
        )
    comes = book(2, "T5", minutes=15)
    first, _second = swap(sits, comes)
    assert (first.status, first.start) == ("SEATED", late)
    assert allocations_of(sits) == [("T5", late)]


def test_a_refused_swap_changes_neither_booking(guest: Api) -> None:
    one, other = book(2, "T1"), book(3, "T3")
    before = (reload_booking(one), reload_booking(other), allocations_of(one), allocations_of(other))
    with pytest.raises(Conflict) as refusal:
        swap(one, other)
    assert str(refusal.value.detail) == "The party of 3 at 20:00 does not fit at the other's tables."
    assert (reload_booking(one), reload_booking(other), allocations_of(one), allocations_of(other)) == before
    assert [len(events_of(str(booking.id))) for booking in (one, other)] == [1, 1]


def test_a_swap_clears_flags_about_tables_and_not_about_hours(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5")
    for booking, cause in ((one, "tables"), (other, "hours")):
        Booking.objects.filter(pk=booking.id).update(attention=[cause])
    swap(one, other)
    assert [Booking.objects.get(pk=booking.id).attention for booking in (one, other)] == [[], ["hours"]]
    changes = [events_of(str(booking.id))[-1].payload["changes"].get("attention") for booking in (one, other)]
    assert changes == [{"from": ["tables"], "to": []}, None]


def test_a_booking_that_changed_meanwhile_is_not_swapped(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5")
    with frozen(EVENING):
        lifecycle.seat_booking(other.reference, caller=SYSTEM)
    with pytest.raises(Conflict) as refusal:
        swap(one, other)
    assert str(refusal.value.detail) == "The booking was changed again since; look at it first."


def test_an_overlapping_third_booking_or_block_refuses_the_swap(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5", minutes=45)
    third = book(2, "T1", minutes=90)
    with pytest.raises(Conflict) as refusal:
        swap(one, other)
    assert str(refusal.value.detail).startswith("The requested tables are not free at that time.")
    with frozen(EVENING):
        lifecycle.cancel_booking(third.reference, caller=ANA)
    table_blocks.block_table(
        caller=ANA, table_id="T5", start=EVENING - timedelta(hours=1), end=EVENING + timedelta(minutes=30)
    )
    with pytest.raises(Conflict):
        swap(one, other)
    assert (allocations_of(one)[0][0], allocations_of(other)[0][0]) == ("T1", "T5")


def test_a_closed_booking_cannot_be_swapped(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5")
    with frozen(EVENING):
        lifecycle.no_show_booking(one.reference, caller=ANA)
    with pytest.raises(InvalidTransition):
        swap(reload_booking(one), other)


def test_a_swap_outside_the_hours_is_refused_as_such(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5")
    ServiceWindow.objects.filter(restaurant_id="R1").delete()
    with pytest.raises(OutsideServiceWindow):
        swap(one, other)


def test_only_bookings_of_one_restaurant_and_day_swap(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5")
    with pytest.raises(ValidationFailed):
        swap(one, one)
    with frozen(EVENING):
        change.update_booking(
            other.reference, caller=ANA, change=Change(date=EVENING.date() + timedelta(days=1))
        )
    with pytest.raises(ValidationFailed):
        swap(one, reload_booking(other))
    stranger = Caller(CallerKind.USER, "8", {"ELSEWHERE": PERMISSIONS[Role.ADMIN]})
    with pytest.raises(NotFound):
        swaps.swap_bookings(
            caller=stranger, first=BookingVersion(one.reference, 1), second=BookingVersion(other.reference, 2)
        )


def test_a_repeated_swap_takes_effect_once(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5")
    swap(one, other)
    with pytest.raises(Conflict):
        swap(one, other)
    assert (allocations_of(one)[0][0], allocations_of(other)[0][0]) == ("T5", "T1")


def test_undoing_a_swap_restores_both_bookings_or_neither(guest: Api) -> None:
    one, other = book(2, "T1"), book(2, "T5")
    swap(one, other)
    with frozen(EVENING + timedelta(seconds=9)):
        after = undo.undo_booking(other.reference, caller=ANA, version=2)
    assert (after.id, after.table_ids, after.version) == (other.id, ("T5",), 3)
    assert (allocations_of(one), allocations_of(other)) == ([("T1", EVENING)], [("T5", EVENING)])
    for booking in (one, other):
        last = events_of(str(booking.id))[-1]
        assert last.payload["undoes"] == {"version": 2, "eventType": "BookingUpdated"}
        assert [event.version for event in events_of(str(booking.id))] == [1, 2, 3]
    first, second = swap(reload_booking(one), reload_booking(other))
    with frozen(EVENING):
        lifecycle.seat_booking(str(second.id), caller=SYSTEM)
    with frozen(EVENING), pytest.raises(Conflict):
        undo.undo_booking(str(first.id), caller=ANA, version=first.version)
    assert (allocations_of(one)[0][0], allocations_of(other)[0][0]) == ("T5", "T1")


def test_a_swap_is_undone_only_by_its_author_and_in_time(guest: Api) -> None:
    first, second = swap(book(2, "T1"), book(2, "T5"))
    with frozen(EVENING), pytest.raises(InvalidTransition):
        undo.undo_booking(str(second.id), caller=SYSTEM, version=2)
    with frozen(EVENING + timedelta(seconds=31)), pytest.raises(InvalidTransition):
        undo.undo_booking(str(second.id), caller=ANA, version=2)
    assert (allocations_of(first)[0][0], allocations_of(second)[0][0]) == ("T5", "T1")


def test_tables_that_do_not_join_are_refused_as_such(guest: Api) -> None:
    TableJoin.objects.create(sector_id="S1", first_id="T1", second_id="T5")
    booking = book(4, "T1", "T5")
    refusal = api_as().change(str(booking.id), tableIds=["T1", "T3"])
    assert assert_refused(refusal, 409, "CONFLICT") == "The requested tables cannot be combined."


# --- concurrency ---


@pytest.fixture
def committed(transactional_db: None) -> None:
    """Commit the example restaurant for other threads; delete it afterwards."""
    example.example()


def run_concurrently(*acts: Callable[[], object]) -> list[object]:
    """Run the functions concurrently; return what each returned or raised."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return act()
        except DomainError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def check_books(*bookings: BookingRecord) -> None:
    """Assert that each booking's tables are those it holds, and that its versions have no gap."""
    for booking in map(reload_booking, bookings):
        assert [table for table, _ in allocations_of(booking)] == sorted(booking.table_ids)
        assert [event.version for event in events_of(str(booking.id))] == list(range(1, booking.version + 1))


@pytest.mark.usefixtures("committed")
def test_of_two_concurrent_opposite_swaps_one_succeeds() -> None:
    for _round in range(5):
        one, other = book(2, "T1"), book(2, "T5")
        results = run_concurrently(partial(swap, one, other), partial(swap, other, one))
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "tuple"]
        assert (allocations_of(one), allocations_of(other)) == ([("T5", EVENING)], [("T1", EVENING)])
        check_books(one, other)
        with frozen(EVENING):
            for booking in (one, other):
                lifecycle.cancel_booking(booking.reference, caller=ANA)


@pytest.mark.usefixtures("committed")
def test_of_concurrent_swaps_that_share_a_booking_one_succeeds() -> None:
    one, other, third = book(2, "T1"), book(2, "T5"), book(2, "T3")
    results = run_concurrently(
        partial(swap, one, other), partial(swap, other, third), partial(swap, third, one)
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Conflict", "tuple"]
    assert sorted(table for booking in (one, other, third) for table, _ in allocations_of(booking)) == [
        "T1",
        "T3",
        "T5",
    ]
    check_books(one, other, third)


@pytest.mark.usefixtures("committed")
def test_a_concurrent_swap_and_create_never_share_a_table() -> None:
    for _round in range(5):
        # After the swap, the later booking's time at T1 is the one that the new booking requests.
        one, other = book(2, "T1"), book(2, "T5", minutes=60)
        results = run_concurrently(partial(swap, one, other), partial(book, 2, "T1", minutes=105))
        assert sorted(type(result).__name__ for result in results) in (
            ["BookingRecord", "Conflict"],
            ["Conflict", "tuple"],
        )
        check_books(one, other)
        active = Booking.objects.filter(status="CONFIRMED").exclude(reference="B1")
        check_books(*fetch("WHERE booking.id = ANY (%(ids)s)", {"ids": [booking.pk for booking in active]}))
        with frozen(EVENING):
            for booking in active:
                lifecycle.cancel_booking(booking.reference, caller=ANA)
