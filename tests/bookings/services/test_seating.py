"""Who sits where: a party holds its tables until it leaves, whatever the plan says."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from bookings import invariants
from bookings.availability import stays
from bookings.models import Booking, Seating
from bookings.repository.records import BookingRecord
from bookings.selectors.bookings import get_booking
from bookings.services import lifecycle
from bookings.services.create import NewBooking, create_booking
from bookings.services.swap import BookingVersion, swap_bookings
from bookings.services.undo import undo_booking
from bookings.services.walk_in import WalkIn, choices, seat_walk_in
from restaurants.models import Restaurant
from tests.api import Api, at
from wokibrain.core.callers import SYSTEM
from wokibrain.core.clock import frozen
from wokibrain.core.errors import Conflict

EVENING = datetime.fromisoformat(at("20:00"))
DAY = EVENING.date()


def minutes(count: int) -> datetime:
    return EVENING + timedelta(minutes=count)


def book(table: str, start: datetime, *, party: int = 2, stay: int = 90) -> BookingRecord:
    new = NewBooking(
        restaurant_id="R1",
        party_size=party,
        date=DAY,
        duration_minutes=stay,
        start=start,
        table_ids=frozenset({table}),
    )
    with frozen(EVENING - timedelta(days=1)):
        booking = create_booking(caller=SYSTEM, new=new)
    assert isinstance(booking, BookingRecord)
    return booking


def seat(booking: BookingRecord, moment: datetime) -> None:
    with frozen(moment):
        lifecycle.seat_booking(booking.reference, caller=SYSTEM)


def seatings(booking: BookingRecord) -> list[tuple[str, datetime, datetime | None]]:
    rows = Seating.objects.filter(booking=booking.id).order_by("period", "table")
    return [(row.table_id, row.period.lower, row.period.upper) for row in rows]


@pytest.fixture
def sits(guest: Api) -> BookingRecord:
    """A party of two that sat down at T1 at 20:05, planned to 21:30."""
    booking = book("T1", EVENING)
    seat(booking, minutes(5))
    return booking


def test_a_party_holds_its_table_from_when_it_sat_down_until_it_left(sits: BookingRecord) -> None:
    assert seatings(sits) == [("T1", minutes(5), None)]
    with frozen(minutes(110)):
        lifecycle.complete_booking(sits.reference, caller=SYSTEM)
    assert seatings(sits) == [("T1", minutes(5), minutes(110))]


def test_the_database_refuses_two_parties_at_one_table(sits: BookingRecord) -> None:
    other = book("T1", minutes(90))
    with pytest.raises(IntegrityError, match="seating_never_overlaps"), transaction.atomic():
        Booking.objects.filter(pk=other.id).update(status="SEATED", updated_at=minutes(95))
    assert Seating.objects.count() == 1


def test_canary_without_the_constraint_verify_sees_two_parties(sits: BookingRecord) -> None:
    other = book("T1", minutes(90))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE bookings_seating DROP CONSTRAINT seating_never_overlaps")
    assert (invariants.two_parties(), invariants.wrongly_seated()) == (0, 0)
    Booking.objects.filter(pk=other.id).update(status="SEATED", updated_at=minutes(95))
    assert (invariants.two_parties(), invariants.wrongly_seated()) == (1, 0)
    Seating.objects.all().delete()
    assert (invariants.two_parties(), invariants.wrongly_seated()) == (0, 2)


def test_verify_sees_a_party_that_sits_and_is_not_seated(sits: BookingRecord) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
    Booking.objects.filter(pk=sits.id).update(status="CONFIRMED")
    assert invariants.wrongly_seated() == 1


def offers(guest: Api, moment: datetime, start: str) -> list[list[str]]:
    with frozen(moment):
        answer = guest.discover(partySize=2, duration=45, windowStart=start, limit=50)
    return [
        candidate["tableIds"] for candidate in answer.body["candidates"] if candidate["start"] == at(start)
    ]


def test_a_table_is_not_offered_while_its_party_sits_and_the_margin_runs(
    guest: Api, sits: BookingRecord
) -> None:
    assert ["T1"] in offers(guest, minutes(75), "21:45")
    # 21:31 and a quarter of an hour: 21:45 is too soon, 22:00 is not.
    assert ["T1"] not in offers(guest, minutes(91), "21:45")
    assert ["T1"] in offers(guest, minutes(91), "22:00")
    with frozen(minutes(91)):
        lifecycle.complete_booking(sits.reference, caller=SYSTEM)
    assert ["T1"] in offers(guest, minutes(91), "21:45")


def test_the_margin_is_the_restaurants(guest: Api, sits: BookingRecord) -> None:
    Restaurant.objects.filter(pk="R1").update(occupied_margin=60)
    assert ["T1"] not in offers(guest, minutes(91), "22:15")
    assert ["T1"] in offers(guest, minutes(91), "22:45")
    Restaurant.objects.filter(pk="R1").update(occupied_margin=0)
    assert ["T1"] in offers(guest, minutes(91), "21:45")
    with pytest.raises(IntegrityError, match="restaurant_occupied_margin"), transaction.atomic():
        Restaurant.objects.filter(pk="R1").update(occupied_margin=121)


def test_canary_a_day_without_its_sittings_offers_the_occupied_table(guest: Api, sits: BookingRecord) -> None:
    Seating.objects.all().delete()
    Booking.objects.filter(pk=sits.id).update(notes="so that the day is read again")
    assert ["T1"] in offers(guest, minutes(91), "21:45")


def test_the_usual_stay_sharpens_when_a_table_is_free_again(guest: Api) -> None:
    for day in range(20):
        booking = book("T1", EVENING)
        arrival = EVENING - timedelta(days=21 - day)
        Booking.objects.filter(pk=booking.id).update(status="SEATED", updated_at=arrival)
        departure = arrival + timedelta(minutes=150 + day)
        Booking.objects.filter(pk=booking.id).update(status="COMPLETED", updated_at=departure)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE bookings_allocation SET active = false WHERE booking_id = %s", [booking.id]
            )
        if day == 18:
            with frozen(EVENING):
                assert stays.usual_stays("R1") == {}
    with frozen(EVENING):
        assert stays.usual_stays("R1") == {2: 160}
    booking = book("T1", EVENING)
    with frozen(minutes(0)):
        stays._figures.clear()
        lifecycle.seat_booking(booking.reference, caller=SYSTEM)
    # 20:00 and 160 minutes: until 22:40.
    assert ["T1"] not in offers(guest, minutes(10), "22:30")
    assert ["T1"] in offers(guest, minutes(10), "22:45")
    stays._figures.clear()


def test_a_walk_in_is_not_seated_where_a_party_still_sits(sits: BookingRecord) -> None:
    with frozen(minutes(100)):
        offers = choices(caller=SYSTEM, party=WalkIn("R1", 2, duration_minutes=30))
        assert not [choice for choice in offers if "T1" in choice.table_ids]
        with pytest.raises(Conflict):
            seat_walk_in(caller=SYSTEM, party=WalkIn("R1", 2, table_ids=frozenset({"T1"})))
        lifecycle.complete_booking(sits.reference, caller=SYSTEM)
        seat_walk_in(caller=SYSTEM, party=WalkIn("R1", 2, table_ids=frozenset({"T1"})))


def test_parties_that_swap_tables_swap_seatings(sits: BookingRecord) -> None:
    other = book("T5", EVENING)
    seat(other, minutes(10))
    with frozen(minutes(30)):
        swap_bookings(
            caller=SYSTEM, first=BookingVersion(sits.reference, 2), second=BookingVersion(other.reference, 2)
        )
    assert seatings(sits) == [("T1", minutes(5), minutes(30)), ("T5", minutes(30), None)]
    assert seatings(other) == [("T5", minutes(10), minutes(30)), ("T1", minutes(30), None)]
    assert (invariants.two_parties(), invariants.wrongly_seated()) == (0, 0)


def test_an_undone_seat_leaves_no_seating_and_an_undone_departure_goes_on(sits: BookingRecord) -> None:
    with frozen(minutes(80)):
        lifecycle.complete_booking(sits.reference, caller=SYSTEM)
    with frozen(minutes(80) + timedelta(seconds=5)):
        undo_booking(sits.reference, caller=SYSTEM, version=3)
    assert seatings(sits) == [("T1", minutes(5), None)]
    other = book("T5", EVENING)
    seat(other, minutes(10))
    with frozen(minutes(10) + timedelta(seconds=5)):
        undo_booking(other.reference, caller=SYSTEM, version=2)
    assert seatings(other) == []


def flags(guest: Api, booking: BookingRecord, moment: datetime) -> list[list[str]]:
    """The booking's flags, by its own address and in the day's list."""
    with frozen(moment):
        bookings = guest.get("/woki/bookings", restaurantId="R1", date=DAY.isoformat()).body["bookings"]
        return [
            list(get_booking(caller=SYSTEM, booking=booking.reference).shown_attention),
            *(entry["attention"] for entry in bookings if entry["id"] == str(booking.id)),
        ]


def test_the_next_booking_is_flagged_while_the_table_is_occupied(guest: Api, sits: BookingRecord) -> None:
    following = book("T1", minutes(90))
    assert flags(guest, following, minutes(74)) == [[], []]
    assert flags(guest, following, minutes(75)) == [["occupied"], ["occupied"]]
    assert flags(guest, following, minutes(100)) == [["occupied"], ["occupied"]]
    assert flags(guest, sits, minutes(100)) == [[], []]
    with frozen(minutes(100)):
        lifecycle.complete_booking(sits.reference, caller=SYSTEM)
    assert flags(guest, following, minutes(100)) == [[], []]
