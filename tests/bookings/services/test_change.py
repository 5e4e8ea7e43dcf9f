"""Changing a booking: what stays, what moves, and that a refused change loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from bookings.event_types import BOOKING_CREATED
from bookings.models import Allocation, Booking, Guest
from bookings.repository import statements
from bookings.repository.records import BookingRecord
from bookings.services.guests import find_guests
from bookings.statuses import Status
from restaurants.models import Restaurant, ServiceWindow, SpecialDay, Table
from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_sector, create_table
from tests.api import Api, api_as, assert_refused, at, events_of, make_restaurant, seat_of
from wokibrain.core.callers import SYSTEM
from wokibrain.core.clock import frozen
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Role

Rows = list[tuple[str, datetime, datetime, bool]]


def allocations_of(booking_id: str) -> Rows:
    rows = Allocation.objects.filter(booking_id=booking_id).order_by("table_id")
    return [(row.table_id, row.period.lower, row.period.upper, row.active) for row in rows]


def changes_of(booking: dict[str, Any]) -> Any:
    """Return the ``changes`` of the booking's latest event."""
    last = events_of(booking["id"])[-1]
    assert (last.event_type, last.version) == ("BookingUpdated", booking["version"])
    return last.payload["changes"]


# -- The seat ---------------------------------------------------------------------------------------


def test_a_party_that_still_fits_keeps_its_table(staff: Api) -> None:
    body = staff.change("B1", partySize=4).body
    assert (body["partySize"], seat_of(body), body["version"]) == (4, (["T2"], "20:30", "21:15"), 2)
    assert changes_of(body) == {"partySize": {"from": 3, "to": 4}}


def test_a_party_that_no_longer_fits_moves_and_keeps_its_time(staff: Api) -> None:
    body = staff.change("B1", partySize=5).body
    assert seat_of(body) == (["T4"], "20:30", "21:15")
    assert changes_of(body) == {
        "partySize": {"from": 3, "to": 5},
        "tableIds": {"from": ["T2"], "to": ["T4"]},
    }
    assert [(table, active) for table, _, _, active in allocations_of(body["id"])] == [("T4", True)]
    assert staff.book(tableIds=["T2"], start=at("20:30")).status == 201


def test_its_own_table_may_become_part_of_a_combo(staff: Api) -> None:
    assert seat_of(staff.change("B1", partySize=10).body) == (["T2", "T4"], "20:30", "21:15")


def test_a_party_that_shrinks_below_its_tables_minimum_moves(staff: Api) -> None:
    big = staff.book(tableIds=["T4"], start=at("20:30")).body
    assert seat_of(staff.change(big["id"], partySize=2).body)[0] == ["T1"]


def test_a_longer_stay_keeps_its_table(staff: Api) -> None:
    body = staff.change("B1", durationMinutes=120).body
    assert seat_of(body) == (["T2"], "20:30", "22:30")
    assert changes_of(body) == {
        "end": {"from": at("21:15"), "to": at("22:30")},
        "durationMinutes": {"from": 45, "to": 120},
    }
    assert staff.book(tableIds=["T2"], start=at("22:15")).status == 409


def test_a_shorter_stay_frees_the_rest(staff: Api) -> None:
    assert seat_of(staff.change("B1", durationMinutes=30).body) == (["T2"], "20:30", "21:00")
    assert staff.book(tableIds=["T2"], start=at("21:00")).status == 201


def test_a_longer_stay_that_meets_the_next_booking_is_refused_by_name(staff: Api) -> None:
    following = staff.book(tableIds=["T2"], start=at("21:30")).body["reference"]
    reply = staff.change("B1", durationMinutes=90)
    assert assert_refused(reply, 409, "CONFLICT", f"bookings.{following}") == (
        f"Its tables are booked for another party at 21:30 ({following})."
    )
    assert reply.body["alternatives"][0] == {"sectorId": "S1", "tableIds": ["T3"]}


def test_a_longer_stay_up_to_the_next_booking_keeps_its_table(staff: Api) -> None:
    staff.book(tableIds=["T2"], start=at("21:30"))
    assert seat_of(staff.change("B1", durationMinutes=60).body) == (["T2"], "20:30", "21:30")


def test_a_stay_past_closing_is_refused_and_not_moved(staff: Api) -> None:
    late = staff.book(start=at("22:15"), tableIds=["T3"]).body
    assert assert_refused(staff.change(late["id"], durationMinutes=105), 409, "NO_CAPACITY") == (
        "From that start 105 minutes do not fit before closing."
        " The nearest times that would work: 22:00, 21:45, 21:30."
    )


def test_requested_tables_are_taken_at_the_same_time(staff: Api) -> None:
    body = staff.change("B1", tableIds=["T3"]).body
    assert seat_of(body) == (["T3"], "20:30", "21:15")
    assert changes_of(body) == {"tableIds": {"from": ["T2"], "to": ["T3"]}}
    assert seat_of(staff.change("B1", tableIds=["T5", "T1"], partySize=4).body) == (
        ["T1", "T5"],
        "20:30",
        "21:15",
    )


def test_a_request_may_name_the_bookings_own_tables(staff: Api) -> None:
    body = staff.change("B1", tableIds=["T2"]).body
    assert (seat_of(body), body["version"]) == ((["T2"], "20:30", "21:15"), 1)


def test_another_sector_keeps_the_time_and_takes_its_best_table(staff: Api) -> None:
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    create_table(caller=SYSTEM, id="T6", sector_id="S2", capacity_min=2, capacity_max=6)
    create_table(caller=SYSTEM, id="T7", sector_id="S2", capacity_min=2, capacity_max=3)
    body = staff.change("B1", sectorId="S2").body
    assert (body["sectorId"], seat_of(body)) == ("S2", (["T7"], "20:30", "21:15"))
    assert changes_of(body) == {
        "sectorId": {"from": "S1", "to": "S2"},
        "tableIds": {"from": ["T2"], "to": ["T7"]},
    }
    assert staff.book(tableIds=["T2"], start=at("20:30")).status == 201
    assert staff.book(sectorId="S2", tableIds=["T7"], partySize=2, start=at("20:30")).status == 409


def test_a_request_naming_the_bookings_own_sector_changes_nothing(staff: Api) -> None:
    assert staff.change("B1", sectorId="S1").body["version"] == 1


def test_a_retired_table_is_kept_until_it_no_longer_fits(staff: Api) -> None:
    Table.objects.filter(pk="T2").update(active=False)
    assert staff.change("B1", notes="Late").body["tableIds"] == ["T2"]
    assert staff.change("B1", partySize=4).body["tableIds"] == ["T3"]


# -- The time ---------------------------------------------------------------------------------------


def test_another_start_on_the_same_table(staff: Api) -> None:
    body = staff.change("B1", start=at("21:00")).body
    assert seat_of(body) == (["T2"], "21:00", "21:45")
    assert changes_of(body) == {
        "start": {"from": at("20:30"), "to": at("21:00")},
        "end": {"from": at("21:15"), "to": at("21:45")},
    }


def test_another_start_is_refused_by_name_if_the_table_is_taken(staff: Api) -> None:
    following = staff.book(tableIds=["T2"], start=at("21:30")).body["reference"]
    assert_refused(staff.change("B1", start=at("21:15")), 409, "CONFLICT", f"bookings.{following}")
    reply = staff.change("B1", start=at("21:15"), tableIds=["T3"])
    assert seat_of(reply.body) == (["T3"], "21:15", "22:00")


def test_a_start_inside_the_requested_window_stays(staff: Api) -> None:
    body = staff.change("B1", windowStart="20:00", windowEnd="22:00").body
    assert (seat_of(body), body["version"]) == ((["T2"], "20:30", "21:15"), 1)


def test_a_window_that_excludes_the_start_moves_it_to_the_best_one_on_the_same_table(staff: Api) -> None:
    on_t3 = staff.book(partySize=3, tableIds=["T3"], start=at("20:30"), durationMinutes=45).body
    # T2 is as good and comes first by name, but T3 still fits.
    assert seat_of(staff.change(on_t3["id"], windowStart="22:00", windowEnd="23:30").body) == (
        ["T3"], "22:00", "22:45",
    )  # fmt: skip
    assert seat_of(staff.change("B1", windowStart="13:00", windowEnd="15:00").body) == (
        ["T2"],
        "13:00",
        "13:45",
    )


def test_another_date_keeps_tables_and_wall_time(staff: Api) -> None:
    body = staff.change("B1", date="2025-10-24").body
    assert (body["start"], body["end"], body["tableIds"]) == (
        at("20:30", "2025-10-24"), at("21:15", "2025-10-24"), ["T2"],
    )  # fmt: skip
    assert changes_of(body) == {
        "serviceDate": {"from": "2025-10-22", "to": "2025-10-24"},
        "start": {"from": at("20:30"), "to": at("20:30", "2025-10-24")},
        "end": {"from": at("21:15"), "to": at("21:15", "2025-10-24")},
    }
    bookings = staff.get("/woki/bookings", restaurantId="R1", date="2025-10-24").body["bookings"]
    assert [booking["reference"] for booking in bookings] == ["B1"]
    assert staff.book(tableIds=["T2"], start=at("20:30")).status == 201


def test_another_date_prefers_the_same_time_to_the_same_table(staff: Api) -> None:
    staff.book(date="2025-10-24", tableIds=["T2"], start=at("20:00", "2025-10-24"))
    assert seat_of(staff.change("B1", date="2025-10-24").body) == (["T3"], "20:30", "21:15")


def test_another_date_with_that_time_full_takes_its_best_time(staff: Api) -> None:
    for tables in (["T2"], ["T3"], ["T4"], ["T1", "T5"]):
        reply = staff.book(date="2025-10-24", tableIds=tables, start=at("20:00", "2025-10-24"))
        assert reply.status == 201
    body = staff.change("B1", date="2025-10-24").body
    assert (body["start"], body["tableIds"]) == (at("12:00", "2025-10-24"), ["T2"])


def test_another_date_with_a_start(staff: Api) -> None:
    body = staff.change("B1", date="2025-10-24", start=at("13:00", "2025-10-24")).body
    assert (body["start"], body["tableIds"]) == (at("13:00", "2025-10-24"), ["T2"])


def test_another_date_on_the_other_side_of_a_clock_change_keeps_the_wall_time(db: None) -> None:
    make_restaurant("D", zone="America/Santiago", hours=(Hours(time(19), time(23)),))
    staff = api_as()
    booking = staff.book(
        restaurantId="D", sectorId="D-S", date="2026-04-03", start=at("20:00", "2026-04-03")
    ).body
    body = staff.change(booking["id"], date="2026-04-05").body
    assert body["start"] == at("20:00", "2026-04-05", "-04:00")
    assert body["end"] == at("21:30", "2026-04-05", "-04:00")


def test_another_date_keeps_a_start_after_midnight_in_the_same_night(db: None) -> None:
    make_restaurant("N", hours=(Hours(time(22), time(3)),))
    staff = api_as()
    booking = staff.book(restaurantId="N", sectorId="N-S", start=at("00:30", "2025-10-23")).body
    body = staff.change(booking["id"], date="2025-10-25").body
    assert body["start"] == at("00:30", "2025-10-26")


def test_another_date_whose_wall_time_is_skipped_shifts_by_the_skipped_hour(db: None) -> None:
    make_restaurant("D", zone="America/Santiago", hours=(Hours(time(22), time(4)),))
    staff = api_as()
    booking = staff.book(
        restaurantId="D", sectorId="D-S", date="2026-09-04", start=at("00:30", "2026-09-05", "-04:00")
    ).body
    assert staff.change(booking["id"], date="2026-09-05").body["start"] == at("01:30", "2026-09-06")


def test_a_booking_that_has_begun_may_be_changed_though_the_past_is_refused(db: None) -> None:
    make_restaurant("H", refuse_past=True, tables={"A": (2, 4), "B": (2, 6)})
    staff = api_as()
    with frozen(datetime(2025, 10, 22, 20, tzinfo=UTC)):
        booking = staff.book(restaurantId="H", sectorId="H-S", start=at("20:30")).body
    with frozen(datetime(2025, 10, 23, 0, tzinfo=UTC)):  # 21:00 in Buenos Aires
        staff.step(booking["id"], "seat")
        assert seat_of(staff.change(booking["id"], durationMinutes=120).body) == (["H-A"], "20:30", "22:30")
        assert assert_refused(staff.change(booking["id"], partySize=5), 409, "CONFLICT") == (
            "The party is already seated. Name the tables that it moves to."
        )
        reply = staff.change(booking["id"], partySize=5, tableIds=["H-B"])
        assert seat_of(reply.body) == (["H-B"], "20:30", "22:30")


def test_changed_hours_do_not_affect_a_booking_until_its_time_changes(staff: Api) -> None:
    ServiceWindow.objects.filter(restaurant_id="R1", opens=time(20)).delete()
    assert seat_of(staff.change("B1", partySize=4).body) == (["T2"], "20:30", "21:15")
    assert assert_refused(staff.change("B1", durationMinutes=60), 422, "OUTSIDE_SERVICE_WINDOW") == (
        "The restaurant does not serve at that time; on that day it serves 12:00-16:00."
        " The nearest times that would work: 15:00, 14:45, 14:30."
    )


# -- Off the grid, as walk-ins are ------------------------------------------------------------------


@pytest.fixture
def walk_in(staff: Api) -> Iterator[str]:
    """Seat a walk-in of two covers at T3 at 20:37, planned to 21:37, and stop the clock there."""
    start = datetime(2025, 10, 22, 23, 37, tzinfo=UTC)
    record = BookingRecord(
        id=uuid7(), reference="WALKIN", restaurant_id="R1", zone="America/Argentina/Buenos_Aires", sector_id="S1",
        table_ids=("T3",), service_date=date(2025, 10, 22), start=start, end=start + timedelta(minutes=60),
        duration_minutes=60, party_size=2, status=Status.SEATED, channel=Booking.Channel.WALK_IN,
        guest=None, notes="", version=1, created_at=start, updated_at=start,
    )  # fmt: skip
    statements.insert(record, event_type=BOOKING_CREATED, actor=SYSTEM, new_guest=False, ticket=None)
    with frozen(start):
        yield str(record.id)


def test_an_off_grid_booking_takes_every_quarter_it_touches(staff: Api, walk_in: str) -> None:
    assert staff.book(tableIds=["T3"], start=at("20:00"), durationMinutes=30).status == 201
    assert staff.book(tableIds=["T3"], start=at("21:30")).status == 409
    assert staff.book(tableIds=["T3"], start=at("21:45")).status == 201


def test_an_off_grid_booking_keeps_its_minute(staff: Api, walk_in: str) -> None:
    assert seat_of(staff.change(walk_in, partySize=4).body) == (["T3"], "20:37", "21:37")
    assert seat_of(staff.change(walk_in, durationMinutes=90).body) == (["T3"], "20:37", "22:07")
    assert seat_of(staff.change(walk_in, tableIds=["T1", "T5"]).body) == (["T1", "T5"], "20:37", "22:07")
    reply = staff.change(walk_in, partySize=6, tableIds=["T4"])
    assert seat_of(reply.body) == (["T4"], "20:37", "22:07")
    begin = datetime(2025, 10, 22, 23, 37, tzinfo=UTC)
    assert allocations_of(walk_in) == [("T4", begin, begin + timedelta(minutes=90), True)]


def test_an_off_grid_longer_stay_respects_the_next_booking(staff: Api, walk_in: str) -> None:
    following = staff.book(tableIds=["T3"], start=at("21:45")).body["reference"]
    assert_refused(staff.change(walk_in, durationMinutes=75), 409, "CONFLICT", f"bookings.{following}")
    assert seat_of(staff.change(walk_in, durationMinutes=60).body) == (["T3"], "20:37", "21:37")


def test_an_off_grid_booking_keeps_its_minute_on_another_date(staff: Api, walk_in: str) -> None:
    Booking.objects.filter(pk=walk_in).update(status=Status.CONFIRMED)
    assert staff.change(walk_in, date="2025-10-23").body["start"] == at("20:37", "2025-10-23")


def test_a_new_start_puts_an_off_grid_booking_on_the_grid(staff: Api, walk_in: str) -> None:
    assert seat_of(staff.change(walk_in, start=at("20:30")).body) == (["T3"], "20:30", "21:30")


# -- Refusals lose nothing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "code", "path"),
    [
        ({"partySize": 17}, 409, "NO_CAPACITY", None),
        ({"tableIds": ["T3"]}, 409, "CONFLICT", None),
        ({"tableIds": ["T1"]}, 409, "CONFLICT", None),
        ({"tableIds": ["T9"]}, 404, "NOT_FOUND", "tableIds"),
        ({"tableIds": ["H-T"]}, 404, "NOT_FOUND", "tableIds"),
        ({"sectorId": "S9"}, 404, "NOT_FOUND", "sectorId"),
        ({"sectorId": "H-S"}, 404, "NOT_FOUND", "sectorId"),
        ({"start": at("17:00")}, 422, "OUTSIDE_SERVICE_WINDOW", None),
        ({"start": at("18:00", "2025-10-23")}, 422, "OUTSIDE_SERVICE_WINDOW", None),
        ({"start": at("23:30")}, 409, "CONFLICT", None),
        ({"start": at("22:00"), "tableIds": ["T4"]}, 409, "CONFLICT", None),
        ({"windowStart": "16:00", "windowEnd": "19:00"}, 422, "OUTSIDE_SERVICE_WINDOW", None),
        ({"windowStart": "22:00", "windowEnd": "22:30"}, 409, "NO_CAPACITY", None),
        ({"date": "2025-12-25"}, 422, "OUTSIDE_SERVICE_WINDOW", None),
        ({"durationMinutes": 15}, 400, "VALIDATION_ERROR", "durationMinutes"),
        ({"durationMinutes": 195}, 400, "VALIDATION_ERROR", "durationMinutes"),
        ({"guestName": "Eve", "notes": "x", "partySize": 17}, 409, "NO_CAPACITY", None),
    ],
)
def test_a_refused_change_leaves_the_booking_as_it_was(
    staff: Api, change: dict[str, Any], status: int, code: str, path: str | None
) -> None:
    make_restaurant("H")
    SpecialDay.objects.create(restaurant_id="R1", date=date(2025, 12, 25))
    staff.book(tableIds=["T3"], start=at("20:30"))
    before = staff.get("/woki/bookings/B1").body
    seats, guests = allocations_of(before["id"]), Guest.objects.count()
    assert_refused(staff.change("B1", **change), status, code, *([path] if path else []))
    assert staff.get("/woki/bookings/B1").body == before
    assert allocations_of(before["id"]) == seats
    assert Guest.objects.count() == guests
    assert [event.event_type for event in events_of(before["id"])] == ["BookingCreated"]


def test_a_taken_start_names_the_nearest_free_ones(staff: Api) -> None:
    for tables in (["T3"], ["T4"], ["T1", "T5"]):
        staff.book(tableIds=tables, start=at("21:30"))
    staff.book(tableIds=["T2"], start=at("21:15"))
    window = {"windowStart": "20:00", "windowEnd": "22:15", "start": at("21:30")}
    assert assert_refused(staff.change("B1", **window), 409, "CONFLICT") == (
        "No table for 3 is free at that time. The nearest times that would work: 20:45, 20:30, 20:15."
    )


def test_the_restaurants_own_limits(staff: Api) -> None:
    Restaurant.objects.filter(pk="R1").update(min_party=3, max_party=8, horizon_days=2)
    with frozen(datetime(2025, 10, 22, 12, tzinfo=UTC)):
        assert assert_refused(staff.change("B1", partySize=2), 400, "VALIDATION_ERROR", "partySize") == (
            "This restaurant takes parties of 3 to 8."
        )
        assert assert_refused(staff.change("B1", date="2025-10-25"), 400, "VALIDATION_ERROR", "date") == (
            "This restaurant can be booked up to 2025-10-24."
        )


@pytest.mark.usefixtures("evening")
def test_a_closed_booking_cannot_be_changed(staff: Api) -> None:
    staff.cancel("B1")
    assert_refused(staff.change("B1", partySize=2), 409, "ALREADY_CANCELLED")
    cases = ((("no-show",), "No-show", "Seat, Put back"), (("seat", "complete"), "Completed", "Put back"))
    for steps, label, possible in cases:
        reference = staff.book(windowEnd="22:00").body["reference"]
        for step in steps:
            staff.step(reference, step)
        assert assert_refused(staff.change(reference, notes="x"), 409, "INVALID_TRANSITION") == (
            f"A booking that is {label} cannot be changed. Possible now: {possible}."
        )


@pytest.mark.usefixtures("evening")
def test_a_seated_party_may_stay_longer(staff: Api) -> None:
    staff.step("B1", "seat")
    body = staff.change("B1", durationMinutes=90).body
    assert (body["status"], seat_of(body)) == ("SEATED", (["T2"], "20:30", "22:00"))


# -- Guest and notes --------------------------------------------------------------------------------


def test_contact_data_and_notes_are_set_and_cleared_without_touching_the_seat(staff: Api) -> None:
    body = staff.change("B1", guestName="Ana", guestEmail="ana@example.com", notes="Window").body
    assert (body["guestName"], body["guestEmail"], body["guestPhone"], body["notes"]) == (
        "Ana", "ana@example.com", None, "Window",
    )  # fmt: skip
    body = staff.change("B1", guestEmail=None, notes="", guestPhone="+34 600 000 000").body
    assert (body["guestName"], body["guestEmail"], body["guestPhone"], body["notes"], body["version"]) == (
        "Ana", None, "+34 600 000 000", None, 3,
    )  # fmt: skip
    assert seat_of(body) == (["T2"], "20:30", "21:15")


def test_events_name_private_changes_without_their_values(staff: Api) -> None:
    body = staff.change("B1", guestName="Ana", notes="Allergic to nuts", partySize=4).body
    without_values = {"from": None, "to": None, "redacted": True}
    guest_id = str(Booking.objects.get(reference="B1").guest_id)
    assert changes_of(body) == {
        "partySize": {"from": 3, "to": 4},
        "guestId": {"from": None, "to": guest_id},
        "guestName": without_values,
        "notes": without_values,
    }


def test_a_change_to_the_present_values_writes_no_version_and_no_event(staff: Api) -> None:
    staff.change("B1", guestName="Ana")
    before = staff.get("/woki/bookings/B1").body
    for change in ({}, {"partySize": 3}, {"guestName": "Ana"}, {"notes": None}, {"start": at("20:30")}):
        assert staff.patch("/woki/bookings/B1", change).body == before
    assert len(events_of(before["id"])) == 2


def test_a_start_on_another_date_moves_the_booking_to_it(staff: Api) -> None:
    body = staff.change("B1", start=at("20:00", "2025-10-24")).body
    assert (body["start"], body["tableIds"]) == (at("20:00", "2025-10-24"), ["T2"])
    assert Booking.objects.get(reference="B1").service_date == date(2025, 10, 24)
    assert staff.book(tableIds=["T2"], start=at("20:30")).status == 201
    detail = assert_refused(
        staff.change("B1", start=at("18:00", "2025-10-25")), 422, "OUTSIDE_SERVICE_WINDOW"
    )
    assert detail.startswith(
        "The restaurant does not serve at that time; on that day it serves 12:00-16:00, 20:00-23:45."
    )
    assert_refused(staff.change("B1", date="2025-10-24", start=at("20:00")), 422, "OUTSIDE_SERVICE_WINDOW")


def test_a_start_after_midnight_belongs_to_the_same_night(staff: Api) -> None:
    make_restaurant("N", hours=(Hours(time(20), time(2)),))
    booking = staff.book(restaurantId="N", sectorId="N-S", start=at("21:00")).body
    late = staff.change(booking["id"], start=at("00:15", "2025-10-23")).body
    assert late["start"] == at("00:15", "2025-10-23")
    assert Booking.objects.get(pk=booking["id"]).service_date == date(2025, 10, 22)
    next_night = staff.change(booking["id"], start=at("00:15", "2025-10-24")).body
    assert next_night["start"] == at("00:15", "2025-10-24")
    assert Booking.objects.get(pk=booking["id"]).service_date == date(2025, 10, 23)


def test_changing_one_bookings_guest_leaves_the_others_alone(staff: Api) -> None:
    ana = {"guestName": "Ana", "guestEmail": "ana@example.com", "guestPhone": "+34 600 000 000"}
    one = staff.book(date="2025-10-23", **ana).body
    two = staff.book(date="2025-10-24", **ana).body
    shared_guest = Booking.objects.get(pk=one["id"]).guest_id
    after = staff.change(one["id"], guestName="Max").body
    assert (after["guestName"], after["guestEmail"]) == ("Max", "ana@example.com")
    assert staff.get(f"/woki/bookings/{two['id']}").body == two
    own_guest = Booking.objects.get(pk=one["id"]).guest_id
    assert changes_of(after)["guestId"] == {"from": str(shared_guest), "to": str(own_guest)}
    # Their common contact finds both guests, to be exported or erased.
    guests = find_guests(caller=SYSTEM, contact="ana@example.com")
    assert {guest.pk for guest in guests} == {shared_guest, own_guest}
    # Each guest now has one booking and is updated in place.
    staff.change(one["id"], guestName="Maxi")
    staff.change(two["id"], guestName="Ana García")
    assert sorted(Guest.objects.values_list("pk", "name")) == sorted(
        [(own_guest, "Maxi"), (shared_guest, "Ana García")]
    )


def test_an_erased_guest_stays_erased_and_the_booking_gets_a_new_one(staff: Api) -> None:
    booking = staff.book(guestName="Ana", guestEmail="ana@example.com").body
    Guest.objects.update(name="", email="", phone="", erased_at=datetime(2025, 10, 1, tzinfo=UTC))
    assert staff.change(booking["id"], guestName="Eve").body["guestName"] == "Eve"
    assert sorted(Guest.objects.values_list("name", flat=True)) == ["", "Eve"]


def test_updated_at_and_version_move_on(staff: Api) -> None:
    with frozen(datetime(2025, 10, 2, 12, 0, 0, 999_999, tzinfo=UTC)):
        body = staff.change("B1", partySize=4).body
    assert (body["version"], body["updatedAt"]) == (2, "2025-10-02T09:00:00.999-03:00")
    assert staff.get("/woki/bookings/B1").body == body


def test_changing_needs_permission(guest: Api) -> None:
    make_restaurant("H")
    assert_refused(guest.change("B1", partySize=2), 401, "UNAUTHORIZED")
    assert_refused(api_as(Role.API_CLIENT, "R1").change("B1", partySize=2), 403, "FORBIDDEN")
    assert_refused(api_as(Role.ADMIN, "H").change("B1", partySize=2), 404, "NOT_FOUND")
    assert_refused(api_as(Role.STAFF, "R1").change("B9", partySize=2), 404, "NOT_FOUND")
    assert api_as(Role.STAFF, "R1").change("B1", partySize=2).body["partySize"] == 2
