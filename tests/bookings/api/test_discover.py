"""Discover's own rules: permission, valid requests, and refusals."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from prometheus_client import REGISTRY

from bookings.models import Booking
from restaurants.models import SpecialDay
from tests.api import Api, api_as, assert_refused, at, make_restaurant
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role


def test_the_whole_response(guest: Api) -> None:
    reply = guest.discover(windowStart="20:00", windowEnd="21:30", limit=2)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.body == {
        "slotMinutes": 15,
        "durationMinutes": 90,
        "candidates": [
            {"kind": "single", "tableIds": ["T3"], "start": at("20:00"), "end": at("21:30"), "score": 100.0},
            {
                "kind": "combo",
                "tableIds": ["T1", "T5"],
                "start": at("20:00"),
                "end": at("21:30"),
                "score": 80.0,
            },
        ],
    }


def test_discover_writes_nothing(guest: Api) -> None:
    before = list(Booking.objects.values())
    guest.discover()
    assert list(Booking.objects.values()) == before


def test_candidates_lie_wholly_inside_the_requested_window(guest: Api) -> None:
    body = guest.discover(windowStart="13:00", windowEnd="15:00", limit=50).body
    assert {(candidate["start"][11:16], candidate["end"][11:16]) for candidate in body["candidates"]} == {
        ("13:00", "14:30"), ("13:15", "14:45"), ("13:30", "15:00"),
    }  # fmt: skip


def test_one_edge_alone_bounds_one_side(guest: Api) -> None:
    late = guest.discover(windowStart="22:00", limit=50).body["candidates"]
    assert {candidate["start"][11:16] for candidate in late} == {"22:00", "22:15"}
    early = guest.discover(windowEnd="13:45", limit=50).body["candidates"]
    assert {candidate["start"][11:16] for candidate in early} == {"12:00", "12:15"}


def test_window_edges_off_the_grid_are_rounded_inwards(guest: Api) -> None:
    body = guest.discover(windowStart="13:05", windowEnd="14:50", limit=50).body
    assert {candidate["start"][11:16] for candidate in body["candidates"]} == {"13:15"}


def test_no_service_of_the_date_meets_the_window(guest: Api) -> None:
    detail = assert_refused(
        guest.discover(windowStart="16:00", windowEnd="20:00"), 422, "OUTSIDE_SERVICE_WINDOW"
    )
    assert detail.startswith(
        "The restaurant does not serve at that time; on that day it serves 12:00-16:00, 20:00-23:45."
    )


def test_a_closed_date(guest: Api) -> None:
    SpecialDay.objects.create(restaurant_id="R1", date=date(2025, 12, 25))
    assert assert_refused(guest.discover(date="2025-12-25"), 422, "OUTSIDE_SERVICE_WINDOW") == (
        "The restaurant is closed on that date."
    )


def test_nothing_fits(guest: Api) -> None:
    assert assert_refused(guest.discover(partySize=17), 409, "NO_CAPACITY") == (
        "No table or combination of tables seats a party of 17; the largest is 16."
    )


def test_a_restaurant_without_tables_seats_nobody(db: None) -> None:
    make_restaurant("H", tables={"T": (2, 4)})
    from restaurants.models import Table

    Table.objects.filter(pk="H-T").delete()
    reply = Api().discover(restaurantId="H", sectorId="H-S")
    assert (
        assert_refused(reply, 409, "NO_CAPACITY") == "No table or combination of tables seats a party of 4."
    )


def test_the_restaurants_limits_name_the_parameter(guest: Api) -> None:
    assert assert_refused(guest.discover(duration=195), 400, "VALIDATION_ERROR", "duration") == (
        "This restaurant takes bookings of 30 to 180 minutes."
    )
    assert_refused(guest.discover(duration=15), 400, "VALIDATION_ERROR", "duration")
    assert guest.discover(duration=None).body["durationMinutes"] == 90


def test_without_a_duration_the_turn_time_applies(db: None) -> None:
    make_restaurant("H").turn_times.create(party_up_to=4, minutes=105)
    reply = Api().discover(restaurantId="H", sectorId="H-S", duration=None)
    assert reply.body["durationMinutes"] == 105
    assert reply.body["candidates"][0]["end"] == at("21:45")


def test_past_starts_are_not_offered_by_a_restaurant_that_refuses_the_past(db: None) -> None:
    make_restaurant("H", refuse_past=True)
    where = {"restaurantId": "H", "sectorId": "H-S", "duration": 60, "limit": 50}
    with frozen(datetime(2025, 10, 23, 0, 31, tzinfo=UTC)):  # 21:31 in Buenos Aires
        body = Api().discover(**where).body
        assert [candidate["start"][11:16] for candidate in body["candidates"]] == ["21:45", "22:00"]
        assert assert_refused(
            Api().discover(**where, date="2025-10-21"), 400, "VALIDATION_ERROR", "date"
        ) == ("This date is in the past.")
    with frozen(datetime(2025, 10, 23, 1, 30, tzinfo=UTC)):
        assert (
            assert_refused(Api().discover(**where), 409, "NO_CAPACITY") == "It is too late to book that time."
        )


def test_unknown_restaurants_and_sectors_are_named(guest: Api) -> None:
    make_restaurant("H")
    assert_refused(guest.discover(restaurantId="R9"), 404, "NOT_FOUND", "restaurantId")
    assert_refused(guest.discover(sectorId="S9"), 404, "NOT_FOUND", "sectorId")
    assert_refused(guest.discover(sectorId="H-S"), 404, "NOT_FOUND", "sectorId")


def test_discover_needs_permission(guest: Api, settings: Any) -> None:
    make_restaurant("H")
    assert_refused(api_as(Role.STAFF, "H").discover(), 404, "NOT_FOUND", "restaurantId")
    assert api_as(Role.API_CLIENT, "R1").discover().status == 200
    settings.PUBLIC_PERMISSIONS = []
    assert_refused(guest.discover(), 401, "UNAUTHORIZED")


def test_each_request_is_counted_by_outcome(guest: Api) -> None:
    def count_of(outcome: str) -> float:
        return REGISTRY.get_sample_value("discovery_requests_total", {"outcome": outcome}) or 0.0

    before = {outcome: count_of(outcome) for outcome in ("found", "NO_CAPACITY")}
    guest.discover()
    guest.discover(partySize=17)
    assert count_of("found") == before["found"] + 1
    assert count_of("NO_CAPACITY") == before["NO_CAPACITY"] + 1
