"""Reading a booking by id or reference, and the permission it needs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api, api_as, assert_refused, at, make_restaurant
from wokibrain.core.permissions import Role


def test_the_example_booking(guest: Api) -> None:
    body = guest.get("/woki/bookings/B1").body
    assert {name: body[name] for name in body if name not in ("id", "createdAt", "updatedAt")} == {
        "reference": "B1",
        "restaurantId": "R1",
        "sectorId": "S1",
        "tableIds": ["T2"],
        "partySize": 3,
        "start": at("20:30"),
        "end": at("21:15"),
        "durationMinutes": 45,
        "status": "CONFIRMED",
        "attention": [],
        "guestName": None,
        "guestEmail": None,
        "guestPhone": None,
        "notes": None,
        "version": 1,
    }


def test_id_and_reference_in_any_case_name_the_same_booking(guest: Api) -> None:
    booking = guest.book().body
    for name in (booking["id"], booking["id"].upper(), booking["reference"], booking["reference"].lower()):
        assert guest.get(f"/woki/bookings/{name}").body == booking


@pytest.mark.parametrize(
    "name",
    [
        "B2",
        "0",
        "%00",
        "B1%00",
        "ñ",
        "%F0%9F%8D%BD",
        "x" * 10_000,
        "01890000-0000-7000-8000-000000000000",
        "..",
        "%FF",
    ],
)
def test_an_unknown_id_or_reference_is_not_found(guest: Api, name: str) -> None:
    assert assert_refused(guest.get(f"/woki/bookings/{name}"), 404, "NOT_FOUND") == (
        "Not found, or you do not have access to it."
    )


def test_a_foreign_booking_looks_like_an_unknown_one(guest: Api) -> None:
    make_restaurant("H")
    stranger = api_as(Role.ADMIN, "H")
    there, nowhere = stranger.get("/woki/bookings/B1"), stranger.get("/woki/bookings/B2")
    assert assert_refused(there, 404, "NOT_FOUND") == assert_refused(nowhere, 404, "NOT_FOUND")
    assert there.body | {"requestId": ""} == nowhere.body | {"requestId": ""}


def test_callers_without_credentials_see_public_bookings_only(guest: Api, settings: Any) -> None:
    assert guest.get("/woki/bookings/B1").status == 200
    settings.PUBLIC_PERMISSIONS = ["booking:create"]
    assert_refused(guest.get("/woki/bookings/B1"), 401, "UNAUTHORIZED")
    assert_refused(guest.get("/woki/bookings/B2"), 401, "UNAUTHORIZED")


def test_only_callers_who_may_read_guests_see_the_guest(staff: Api) -> None:
    booking = staff.book(guestName="Ana", guestEmail="ana@example.com", guestPhone="+34 600 000 000").body
    for role, guest_name in (
        (Role.STAFF, "Ana"),
        (Role.MANAGER, "Ana"),
        (Role.ADMIN, "Ana"),
        (Role.API_CLIENT, None),
    ):
        body = api_as(role, "R1").get(f"/woki/bookings/{booking['id']}").body
        assert body["guestName"] == guest_name, role
        assert (body["guestEmail"] is None) == (body["guestPhone"] is None) == (guest_name is None)


def test_head_returns_the_headers_alone(guest: Api) -> None:
    reply = guest.call("HEAD", "/woki/bookings/B1")
    assert (reply.status, reply.content) == (200, b"")
