"""Cancelling: once, with permission, and what it frees."""

from __future__ import annotations

from typing import Any

import pytest

from bookings.models import Allocation
from tests.api import Api, api_as, assert_refused, at, make_restaurant
from wokibrain.core.permissions import Role


def test_cancelling_returns_an_empty_204_and_keeps_the_row(guest: Api) -> None:
    reply = guest.cancel("B1")
    assert (reply.status, reply.content) == (204, b"")
    assert "Content-Type" not in reply.headers
    body = guest.get("/woki/bookings/B1").body
    assert (body["status"], body["version"], body["tableIds"]) == ("CANCELLED", 2, ["T2"])


def test_cancelling_frees_the_tables(guest: Api) -> None:
    assert guest.book(tableIds=["T2"], start=at("20:30")).status == 409
    guest.cancel("B1")
    assert guest.book(tableIds=["T2"], start=at("20:30")).status == 201


def test_cancelling_a_combo_frees_all_of_it(guest: Api) -> None:
    booking = guest.book(tableIds=["T1", "T5"], start=at("20:30")).body
    guest.cancel(booking["reference"])
    assert list(Allocation.objects.filter(booking_id=booking["id"]).values_list("active", flat=True)) == [
        False,
        False,
    ]
    assert guest.book(tableIds=["T1"], partySize=2, start=at("20:30")).status == 201


def test_cancelling_twice_is_refused_and_changes_nothing(guest: Api) -> None:
    guest.cancel("B1")
    before = guest.get("/woki/bookings/B1").body
    assert (
        assert_refused(guest.cancel("B1"), 409, "ALREADY_CANCELLED") == "This booking is already cancelled."
    )
    assert guest.get("/woki/bookings/B1").body == before


def test_cancelling_twice_with_one_key_returns_204_again(guest: Api) -> None:
    first, second = guest.cancel("B1", key="k"), guest.cancel("B1", key="k")
    assert (first.status, second.status, second.content) == (204, 204, b"")
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert guest.get("/woki/bookings/B1").body["version"] == 2
    assert_refused(guest.cancel("B1", key="other"), 409, "ALREADY_CANCELLED")


@pytest.mark.usefixtures("evening")
def test_a_seated_or_completed_booking_cannot_be_cancelled(staff: Api) -> None:
    staff.step("B1", "seat")
    assert assert_refused(staff.cancel("B1"), 409, "INVALID_TRANSITION") == (
        "A booking that is Seated does not allow this. Possible now: Complete, Put back."
    )
    staff.step("B1", "complete")
    assert_refused(staff.cancel("B1"), 409, "INVALID_TRANSITION")
    late = staff.book().body["reference"]
    staff.step(late, "no-show")
    assert_refused(staff.cancel(late), 409, "INVALID_TRANSITION")


def test_cancelling_needs_permission(guest: Api, settings: Any) -> None:
    make_restaurant("H")
    assert_refused(guest.cancel("B9"), 404, "NOT_FOUND")
    assert_refused(api_as(Role.ADMIN, "H").cancel("B1"), 404, "NOT_FOUND")
    assert assert_refused(api_as(Role.API_CLIENT, "R1").cancel("B1"), 403, "FORBIDDEN") == (
        "You do not have permission to do this."
    )
    settings.PUBLIC_PERMISSIONS = ["booking:read"]
    assert_refused(guest.cancel("B1"), 401, "UNAUTHORIZED")
    assert api_as(Role.STAFF, "R1").cancel("B1").status == 204
