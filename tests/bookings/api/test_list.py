"""The bookings of a service date."""

from __future__ import annotations

from datetime import time
from typing import Any

from restaurants.services.calendar import Hours
from restaurants.services.restaurants import create_sector, create_table
from tests.api import Api, api_as, assert_refused, at, make_restaurant
from wokibrain.core.callers import SYSTEM
from wokibrain.core.permissions import Role

DAY = {"restaurantId": "R1", "sectorId": "S1", "date": "2025-10-22"}


def references(api: Api, **query: Any) -> list[str]:
    return [booking["reference"] for booking in api.get("/woki/bookings", **query).body["bookings"]]


def test_the_example_day(guest: Api) -> None:
    body = guest.get("/woki/bookings", **DAY).body
    assert set(body) == {"date", "bookings", "pagination"}
    assert body["date"] == "2025-10-22"
    assert body["bookings"] == [guest.get("/woki/bookings/B1").body]
    assert body["pagination"] == {"page": 1, "limit": 50, "total": 1, "totalPages": 1}


def test_in_order_of_start(guest: Api) -> None:
    late = guest.book(start=at("22:00"), tableIds=["T3"]).body["reference"]
    noon = guest.book(start=at("12:00"), tableIds=["T4"]).body["reference"]
    assert references(guest, **DAY) == [noon, "B1", late]


def test_pages(guest: Api) -> None:
    references = [
        guest.book(start=at(clock), tableIds=["T3"]).body["reference"]
        for clock in ("12:00", "13:30", "20:00")
    ]
    everything = [*references, "B1"]
    on_pages = []
    for page in (1, 2, 3):
        body = guest.get("/woki/bookings", **DAY, limit=2, page=page).body
        assert body["pagination"] == {"page": page, "limit": 2, "total": 4, "totalPages": 2}
        on_pages += [booking["reference"] for booking in body["bookings"]]
    assert on_pages == everything
    assert guest.get("/woki/bookings", **DAY, limit=4).body["pagination"]["totalPages"] == 1


def test_a_day_without_bookings_has_no_pages(guest: Api) -> None:
    body = guest.get("/woki/bookings", **DAY | {"date": "2025-10-23"}).body
    assert body == {
        "date": "2025-10-23",
        "bookings": [],
        "pagination": {"page": 1, "limit": 50, "total": 0, "totalPages": 0},
    }


def test_by_status(staff: Api) -> None:
    reference = staff.book(start=at("12:00")).body["reference"]
    staff.cancel(reference)
    assert references(staff, **DAY) == [reference, "B1"]
    assert references(staff, **DAY, status="CANCELLED") == [reference]
    assert references(staff, **DAY, status="CONFIRMED") == ["B1"]
    assert references(staff, **DAY, status="SEATED") == []


def test_by_sector_or_all_of_the_restaurant(guest: Api) -> None:
    create_sector(caller=SYSTEM, id="S2", restaurant_id="R1", name="Terrace")
    create_table(caller=SYSTEM, id="T6", sector_id="S2", capacity_min=2, capacity_max=4)
    reference = guest.book(sectorId="S2", start=at("21:00")).body["reference"]
    assert references(guest, **DAY) == ["B1"]
    assert references(guest, **DAY | {"sectorId": "S2"}) == [reference]
    assert references(guest, restaurantId="R1", date="2025-10-22") == ["B1", reference]


def test_the_date_is_the_service_date_not_the_calendars(db: None) -> None:
    make_restaurant("N", hours=(Hours(time(20), time(2)),))
    api = Api()
    late = api.book(
        restaurantId="N", sectorId="N-S", start=at("00:30", "2025-10-23"), durationMinutes=60
    ).body
    assert late["start"] == at("00:30", "2025-10-23")
    assert references(api, restaurantId="N", date="2025-10-22") == [late["reference"]]
    assert references(api, restaurantId="N", date="2025-10-23") == []


def test_only_the_requested_restaurant(guest: Api) -> None:
    make_restaurant("H")
    reference = guest.book(restaurantId="H", sectorId="H-S").body["reference"]
    assert references(guest, restaurantId="H", date="2025-10-22") == [reference]
    assert references(guest, **DAY) == ["B1"]


def test_unknown_restaurants_and_sectors_are_named(guest: Api) -> None:
    make_restaurant("H")
    assert_refused(
        guest.get("/woki/bookings", **DAY | {"restaurantId": "R9"}), 404, "NOT_FOUND", "restaurantId"
    )
    for sector in ("S9", "H-S"):
        assert_refused(
            guest.get("/woki/bookings", **DAY | {"sectorId": sector}), 404, "NOT_FOUND", "sectorId"
        )


def test_only_callers_who_may_read_guests_see_guests(staff: Api) -> None:
    staff.book(date="2025-10-23", guestName="Ana", guestEmail="ana@example.com")
    day = DAY | {"date": "2025-10-23"}
    (full,) = api_as(Role.STAFF, "R1").get("/woki/bookings", **day).body["bookings"]
    (bare,) = Api().get("/woki/bookings", **day).body["bookings"]
    assert (full["guestName"], full["guestEmail"]) == ("Ana", "ana@example.com")
    assert (bare["guestName"], bare["guestEmail"]) == (None, None)


def test_listing_needs_permission(guest: Api, settings: Any) -> None:
    make_restaurant("H")
    assert_refused(api_as(Role.ADMIN, "H").get("/woki/bookings", **DAY), 404, "NOT_FOUND", "restaurantId")
    settings.PUBLIC_PERMISSIONS = []
    assert_refused(guest.get("/woki/bookings", **DAY), 401, "UNAUTHORIZED")
