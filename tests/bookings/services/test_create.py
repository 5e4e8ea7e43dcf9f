"""Booking a table: which one is taken, the response, and refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import pytest

from bookings.models import Allocation, Booking, Guest
from restaurants.models import Restaurant, SpecialDay, Table
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_sector, create_table
from tests.api import Api, api_as, assert_refused, at, make_restaurant, seat_of
from wokibrain.core import ids
from wokibrain.core.callers import SYSTEM
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role


def test_takes_the_best_candidate_and_returns_the_whole_booking(staff: Api) -> None:
    now = datetime(2025, 10, 1, 9, 30, 15, 123_456, tzinfo=UTC)
    with frozen(now):
        reply = staff.book(
            windowStart="20:00", windowEnd="23:45", guestName="Ana García", guestEmail="ana@example.com",
            guestPhone="+54 11 4000 0000", notes="Window seat",
        )  # fmt: skip
    assert reply.status == 201
    body = reply.body
    assert UUID(body["id"]).version == 7
    assert len(body["reference"]) == 6
    assert set(body["reference"]) <= set(ids.REFERENCE_ALPHABET)
    assert {name: value for name, value in body.items() if name not in ("id", "reference")} == {
        "restaurantId": "R1",
        "sectorId": "S1",
        # T2 is booked from 20:30, so T3 is the first that scores 100.
        "tableIds": ["T3"],
        "partySize": 4,
        "start": at("20:00"),
        "end": at("21:30"),
        "durationMinutes": 90,
        "status": "CONFIRMED",
        "attention": [],
        "guestName": "Ana García",
        "guestEmail": "ana@example.com",
        "guestPhone": "+54 11 4000 0000",
        "notes": "Window seat",
        "version": 1,
        "createdAt": "2025-10-01T06:30:15.123-03:00",
        "updatedAt": "2025-10-01T06:30:15.123-03:00",
    }


def test_books_what_discover_offers_first_each_time(guest: Api) -> None:
    for _ in range(6):
        first = guest.discover(windowStart="20:00").body["candidates"][0]
        assert seat_of(guest.book(windowStart="20:00").body) == seat_of(first)


def test_fills_a_slot_in_the_contracts_order_then_refuses_with_the_next_times(guest: Api) -> None:
    window = {"windowStart": "21:15", "windowEnd": "22:45"}
    assert [guest.book(**window).body["tableIds"] for _ in range(4)] == [["T2"], ["T3"], ["T1", "T5"], ["T4"]]
    assert assert_refused(guest.book(**window), 409, "NO_CAPACITY") == (
        "No table for 4 is free at that time. The nearest times that would work: 14:30, 14:15, 14:00."
    )


def test_the_allocations_are_the_bookings_tables_and_period(guest: Api) -> None:
    booking = guest.book(partySize=4, tableIds=["T1", "T5"], start=at("21:00")).body
    rows = Allocation.objects.filter(booking_id=booking["id"]).order_by("table_id")
    begin, end = datetime(2025, 10, 23, 0, 0, tzinfo=UTC), datetime(2025, 10, 23, 1, 30, tzinfo=UTC)
    assert [
        (row.table_id, row.sector_id, row.period.lower, row.period.upper, row.active) for row in rows
    ] == [
        ("T1", "S1", begin, end, True),
        ("T5", "S1", begin, end, True),
    ]


def test_named_tables_and_start_are_booked_exactly(guest: Api) -> None:
    body = guest.book(tableIds=["T4"], start=at("22:15")).body
    assert seat_of(body) == (["T4"], "22:15", "23:45")


def test_a_combo_named_in_any_order_is_shown_in_natural_order(guest: Api) -> None:
    assert guest.book(tableIds=["T5", "T1"], start=at("22:15")).body["tableIds"] == ["T1", "T5"]


def test_named_tables_are_booked_at_their_earliest_start(guest: Api) -> None:
    assert seat_of(guest.book(tableIds=["T2"], windowStart="20:00").body) == (["T2"], "21:15", "22:45")


def test_a_named_start_gets_the_best_tables(guest: Api) -> None:
    assert seat_of(guest.book(start=at("20:30")).body) == (["T3"], "20:30", "22:00")


def test_a_start_may_have_any_utc_offset(guest: Api) -> None:
    assert guest.book(start="2025-10-23T00:00:00Z").body["start"] == at("21:00")
    assert guest.book(start="2025-10-23T02:00+02:00").body["start"] == at("21:00")


def test_named_tables_that_are_taken_are_a_conflict(guest: Api) -> None:
    detail = assert_refused(guest.book(tableIds=["T2"], start=at("20:30")), 409, "CONFLICT")
    assert detail == (
        "The requested tables are not free at that time. The nearest times that would work: 21:15, 21:30, 21:45."
    )


def test_a_named_start_with_no_table_free_is_a_conflict(guest: Api) -> None:
    for tables in (["T3"], ["T4"], ["T1", "T5"]):
        assert guest.book(tableIds=tables, start=at("20:30")).status == 201
    detail = assert_refused(guest.book(start=at("20:30"), durationMinutes=30), 409, "CONFLICT")
    assert (
        detail
        == "No table for 4 is free at that time. The nearest times that would work: 20:00, 21:15, 21:30."
    )


def test_named_tables_that_do_not_seat_the_party_are_a_conflict(guest: Api) -> None:
    assert assert_refused(guest.book(tableIds=["T1"], start=at("21:00")), 409, "CONFLICT") == (
        "The requested tables do not seat a party of 4."
    )
    assert assert_refused(guest.book(tableIds=["T4"], partySize=2, start=at("21:00")), 409, "CONFLICT") == (
        "The requested tables do not seat a party of 2."
    )


def test_a_booking_touching_another_is_no_overlap(guest: Api) -> None:
    before = guest.book(tableIds=["T2"], start=at("20:00"), durationMinutes=30)
    after = guest.book(tableIds=["T2"], start=at("21:15"))
    assert (before.status, after.status) == (201, 201)
    overlapping = guest.book(tableIds=["T2"], start=at("20:15"), durationMinutes=30)
    assert assert_refused(overlapping, 409, "CONFLICT").startswith(
        "The requested tables are not free at that time."
    )


def test_a_party_larger_than_any_combo_is_refused_with_the_largest(guest: Api) -> None:
    assert assert_refused(guest.book(partySize=17), 409, "NO_CAPACITY") == (
        "No table or combination of tables seats a party of 17; the largest is 16."
    )
    assert guest.book(partySize=16).body["tableIds"] == ["T1", "T2", "T3", "T4"]


def test_a_party_too_small_for_every_table_is_refused(db: None) -> None:
    make_restaurant("H", tables={"T": (4, 6)})
    reply = Api().book(restaurantId="H", sectorId="H-S", partySize=2)
    assert (
        assert_refused(reply, 409, "NO_CAPACITY") == "No table or combination of tables seats a party of 2."
    )


def test_a_closed_day_is_refused_as_closed(guest: Api) -> None:
    SpecialDay.objects.create(restaurant_id="R1", date=date(2025, 12, 25))
    assert assert_refused(guest.book(date="2025-12-25"), 422, "OUTSIDE_SERVICE_WINDOW") == (
        "The restaurant is closed on that date."
    )


def test_a_window_outside_the_service_names_the_hours_and_what_would_work(guest: Api) -> None:
    reply = guest.book(windowStart="17:00", windowEnd="19:00")
    assert assert_refused(reply, 422, "OUTSIDE_SERVICE_WINDOW") == (
        "The restaurant does not serve at that time; on that day it serves 12:00-16:00, 20:00-23:45."
        " The nearest times that would work: 14:30, 20:00, 14:15."
    )


def test_a_start_outside_the_service_is_outside_its_windows(guest: Api) -> None:
    detail = assert_refused(guest.book(start=at("17:00")), 422, "OUTSIDE_SERVICE_WINDOW")
    assert detail.startswith(
        "The restaurant does not serve at that time; on that day it serves 12:00-16:00, 20:00-23:45."
    )


@pytest.mark.parametrize("window", [{"windowStart": "20:00", "windowEnd": "21:00"}, {"windowStart": "14:00"}])
def test_a_start_outside_the_requested_window_is_refused(guest: Api, window: dict[str, str]) -> None:
    detail = assert_refused(guest.book(start=at("13:00"), **window), 400, "VALIDATION_ERROR", "start")
    assert detail == "The start is not between the requested times."
    assert_refused(guest.book(start=at("18:00"), **window), 422, "OUTSIDE_SERVICE_WINDOW")


def test_no_booking_runs_from_one_service_into_the_next(db: None) -> None:
    make_restaurant(hours=(Hours(time(12), time(16)), Hours(time(16), time(20))))
    guest = Api()
    request: dict[str, Any] = {"restaurantId": "H", "sectorId": "H-S", "partySize": 2}
    across = guest.book(**request, start=at("15:30"))
    assert assert_refused(across, 409, "CONFLICT") == (
        "From that start 90 minutes do not fit before closing. "
        "The nearest times that would work: 16:00, 16:15, 14:30."
    )
    assert guest.book(**request, windowStart="15:00", windowEnd="17:00").status == 409
    assert guest.book(**request, windowStart="15:00", windowEnd="18:00").body["start"] == at("16:00")


def test_a_start_on_another_date_is_outside_its_windows(guest: Api) -> None:
    assert guest.book(start=at("21:00", "2025-10-23")).body["error"] == "OUTSIDE_SERVICE_WINDOW"


def test_a_start_after_the_last_seating_names_the_last_seating(db: None) -> None:
    make_restaurant("H", hours=(Hours(time(20), time(23), time(21)),))
    reply = Api().book(restaurantId="H", sectorId="H-S", partySize=2, durationMinutes=30, start=at("21:30"))
    assert assert_refused(reply, 422, "OUTSIDE_SERVICE_WINDOW") == (
        "The restaurant does not serve at that time; on that day it serves 20:00-23:00 (last seating 21:00)."
        " The nearest times that would work: 21:00, 20:45, 20:30."
    )


def test_a_window_shorter_than_the_stay(guest: Api) -> None:
    detail = assert_refused(guest.book(windowStart="20:00", windowEnd="21:00"), 409, "NO_CAPACITY")
    assert detail == (
        "90 minutes do not fit between the requested times."
        " The nearest times that would work: 20:00, 20:15, 20:30."
    )


def test_a_start_too_close_to_closing(guest: Api) -> None:
    assert assert_refused(guest.book(start=at("22:30")), 409, "CONFLICT") == (
        "From that start 90 minutes do not fit before closing."
        " The nearest times that would work: 22:15, 22:00, 21:45."
    )


def test_a_stay_longer_than_any_service(db: None) -> None:
    make_restaurant("H", hours=(Hours(time(20), time(22)),))
    reply = Api().book(restaurantId="H", sectorId="H-S", partySize=2, durationMinutes=150)
    assert assert_refused(reply, 409, "NO_CAPACITY") == (
        "No service of that day is 150 minutes long; it serves 20:00-22:00."
    )


@pytest.mark.parametrize(
    ("body", "path", "detail"),
    [
        ({"partySize": 1}, "partySize", "This restaurant takes parties of 2 to 8."),
        ({"partySize": 9}, "partySize", "This restaurant takes parties of 2 to 8."),
        ({"durationMinutes": 45}, "durationMinutes", "This restaurant takes bookings of 60 to 120 minutes."),
        ({"durationMinutes": 135}, "durationMinutes", "This restaurant takes bookings of 60 to 120 minutes."),
        ({"date": "2025-10-31"}, "date", "This restaurant can be booked up to 2025-10-30."),
    ],
)
def test_the_restaurants_own_limits(db: None, body: dict[str, Any], path: str, detail: str) -> None:
    make_restaurant("H", min_party=2, max_party=8, min_duration=60, max_duration=120, horizon_days=10)
    with frozen(datetime(2025, 10, 20, 12, tzinfo=UTC)):
        reply = Api().book(restaurantId="H", sectorId="H-S", **body)
        assert assert_refused(reply, 400, "VALIDATION_ERROR", path) == detail


def test_the_example_accepts_30_to_180_minutes(guest: Api) -> None:
    for minutes in (15, 195):
        assert_refused(guest.book(durationMinutes=minutes), 400, "VALIDATION_ERROR", "durationMinutes")
    assert guest.book(durationMinutes=30).body["durationMinutes"] == 30
    assert guest.book(durationMinutes=180).body["durationMinutes"] == 180


def test_a_restaurant_with_default_settings_refuses_the_past(db: None) -> None:
    make_restaurant("H", refuse_past=Restaurant._meta.get_field("refuse_past").default)
    api = Api()
    where: dict[str, Any] = {"restaurantId": "H", "sectorId": "H-S", "partySize": 2}
    with frozen(datetime(2025, 10, 22, 23, 50, tzinfo=UTC)):  # 20:50 in Buenos Aires
        assert assert_refused(api.book(**where, date="2025-10-21"), 400, "VALIDATION_ERROR", "date") == (
            "This date is in the past."
        )
        detail = assert_refused(api.book(**where, start=at("20:45")), 400, "VALIDATION_ERROR", "start")
        assert (
            detail
            == "It is too late to book that time. The nearest times that would work: 21:00, 21:15, 21:30."
        )
        assert api.book(**where).body["start"] == at("21:00")


def test_the_example_accepts_bookings_in_2025(guest: Api) -> None:
    with frozen(datetime(2026, 11, 20, tzinfo=UTC)):
        assert guest.book(start=at("21:00")).body["start"] == at("21:00")


def test_without_a_duration_the_turn_times_decide(db: None) -> None:
    restaurant = make_restaurant("H")
    restaurant.turn_times.create(party_up_to=2, minutes=75)
    restaurant.turn_times.create(party_up_to=4, minutes=120)
    api = Api()
    small = api.book(restaurantId="H", sectorId="H-S", partySize=2, durationMinutes=None).body
    assert (small["durationMinutes"], seat_of(small)[1:]) == (75, ("20:00", "21:15"))
    large = api.book(
        restaurantId="H", sectorId="H-S", partySize=3, durationMinutes=None, date="2025-10-23"
    ).body
    assert large["durationMinutes"] == 120
    booking = api.book(
        restaurantId="H", sectorId="H-S", partySize=3, durationMinutes=60, date="2025-10-24"
    ).body
    assert booking["durationMinutes"] == 60


@pytest.mark.parametrize(
    ("bounds", "minutes"), [({}, 90), ({"min_duration": 105}, 105), ({"max_duration": 75}, 75)]
)
def test_without_turn_times_a_party_stays_90_minutes_within_the_limits(
    db: None, bounds: dict[str, Any], minutes: int
) -> None:
    make_restaurant("H", **bounds)
    reply = Api().book(restaurantId="H", sectorId="H-S", partySize=2, durationMinutes=None)
    assert (reply.status, reply.body["durationMinutes"]) == (201, minutes)


def test_unknown_and_foreign_restaurants_are_refused_alike(guest: Api) -> None:
    make_restaurant("H")
    for body, path in (
        ({"restaurantId": "R9"}, "restaurantId"),
        ({"sectorId": "S9"}, "sectorId"),
        ({"sectorId": "H-S"}, "sectorId"),
        ({"tableIds": ["T9"]}, "tableIds"),
        ({"tableIds": ["H-T"]}, "tableIds"),
        ({"tableIds": ["T1", "H-T"]}, "tableIds"),
    ):
        assert assert_refused(guest.book(**body), 404, "NOT_FOUND", path) == (
            "Not found, or you do not have access to it."
        )


def test_tables_of_two_sectors_cannot_be_booked_together(guest: Api) -> None:
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    create_table(caller=SYSTEM, id="T6", sector_id="S2", capacity_min=2, capacity_max=2)
    assert_refused(guest.book(sectorId=None, tableIds=["T1", "T6"]), 404, "NOT_FOUND", "tableIds")
    booking = guest.book(sectorId=None, tableIds=["T6"], partySize=2).body
    assert (booking["sectorId"], booking["tableIds"]) == ("S2", ["T6"])


def test_a_retired_table_cannot_be_named_and_is_not_offered(guest: Api) -> None:
    Table.objects.filter(pk="T3").update(active=False)
    assert_refused(guest.book(tableIds=["T3"]), 404, "NOT_FOUND", "tableIds")
    tables = [candidate["tableIds"] for candidate in guest.discover(limit=50).body["candidates"]]
    assert all("T3" not in table for table in tables)


def test_a_refusal_writes_nothing(guest: Api) -> None:
    before = (Booking.objects.count(), Allocation.objects.count(), Guest.objects.count())
    assert guest.book(partySize=40, guestName="Ana").status == 409
    assert guest.book(tableIds=["T2"], start=at("20:30"), guestName="Ana").status == 409
    assert (Booking.objects.count(), Allocation.objects.count(), Guest.objects.count()) == before


def test_a_returning_guest_is_one_row(staff: Api) -> None:
    for day in ("2025-10-23", "2025-10-24"):
        assert staff.book(date=day, guestName="Ana", guestEmail="ana@example.com").status == 201
    assert Guest.objects.get().bookings.count() == 2
    staff.book(date="2025-10-25", guestName="Eve", guestEmail="ana@example.com")
    assert sorted(Guest.objects.values_list("name", flat=True)) == ["Ana", "Eve"]


def test_a_booking_without_contact_data_has_no_guest(guest: Api) -> None:
    booking = guest.book().body
    assert Booking.objects.get(pk=booking["id"]).guest is None


def test_guest_fields_are_null_without_guest_read(guest: Api) -> None:
    contact = {"guestName": "Ana", "guestEmail": "ana@example.com", "guestPhone": "+34 600 000 000"}
    booking = guest.book(**contact, notes="Quiet table").body
    private = contact | {"notes": "Quiet table"}
    nothing = dict.fromkeys(private)
    client = api_as(Role.API_CLIENT, "R1")
    day = {"restaurantId": "R1", "date": "2025-10-22"}
    for answer in (
        booking,
        guest.get(f"/woki/bookings/{booking['id']}").body,
        next(
            each
            for each in guest.get("/woki/bookings", **day).body["bookings"]
            if each["id"] == booking["id"]
        ),
        client.get(f"/woki/bookings/{booking['id']}").body,
        client.book(date="2025-10-23", **private).body,
    ):
        assert {name: answer[name] for name in private} == nothing
    staff = api_as(Role.STAFF, "R1")
    for answer in (
        staff.get(f"/woki/bookings/{booking['id']}").body,
        next(
            each
            for each in staff.get("/woki/bookings", **day).body["bookings"]
            if each["id"] == booking["id"]
        ),
    ):
        assert {name: answer[name] for name in private} == private


def test_booking_needs_permission_at_the_restaurant(guest: Api, settings: Any) -> None:
    make_restaurant("H")
    stranger = api_as(Role.API_CLIENT, "H")
    assert_refused(stranger.book(), 404, "NOT_FOUND", "restaurantId")
    assert stranger.book(restaurantId="H", sectorId="H-S").status == 201
    settings.PUBLIC_PERMISSIONS = []
    assert assert_refused(guest.book(), 401, "UNAUTHORIZED") == "Valid credentials are required."
    assert assert_refused(Api("wk_unknown").book(), 401, "UNAUTHORIZED") == "Valid credentials are required."
