"""CONFIRMED -> SEATED -> COMPLETED, CONFIRMED -> NO_SHOW, and a no-show that comes after all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bookings.models import Allocation
from bookings.statuses import Status
from tests.api import Api, api_as, assert_refused, at, events_of, make_restaurant
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role

STEPS = ("seat", "complete", "no-show")


def here(hour: int, minute: int) -> datetime:
    """Return an instant of the example's evening from its UTC time (23:30 is 20:30 in Buenos Aires)."""
    return datetime(2025, 10, 22, hour, minute, tzinfo=UTC)


@pytest.fixture(autouse=True)
def evening() -> Iterator[None]:
    with frozen(here(23, 30)):
        yield


def allocations_of(booking: str) -> list[tuple[str, str, str, bool]]:
    rows = Allocation.objects.filter(booking__reference=booking).order_by("table_id")
    return [
        (row.table_id, f"{row.period.lower:%H:%M}", f"{row.period.upper:%H:%M}", row.active) for row in rows
    ]


def test_a_booking_is_seated_and_completed(staff: Api) -> None:
    seated = staff.step("B1", "seat")
    assert (seated.status, seated.body["status"], seated.body["version"]) == (200, "SEATED", 2)
    assert allocations_of("B1") == [("T2", "23:30", "00:15", True)]
    with frozen(here(23, 59).replace(day=23)):
        reply = staff.step("B1", "complete")
    assert (reply.status, reply.body["status"], reply.body["version"]) == (200, "COMPLETED", 3)
    assert reply.body == staff.get("/woki/bookings/B1").body
    assert allocations_of("B1") == [("T2", "23:30", "00:15", True)]


def test_completing_early_frees_the_rest(staff: Api) -> None:
    staff.step("B1", "seat")
    assert staff.book(tableIds=["T2"], start=at("21:00"), durationMinutes=30).status == 409
    with frozen(here(23, 52)):
        body = staff.step("B1", "complete").body
    # The booked duration stays on record; only the table becomes free.
    assert (body["start"], body["end"], body["durationMinutes"]) == (at("20:30"), at("21:15"), 45)
    # The plan frees the quarter hour in which they left.
    assert allocations_of("B1") == [("T2", "23:30", "23:45", True)]
    assert staff.book(tableIds=["T2"], start=at("20:30"), durationMinutes=30).status == 409
    assert staff.book(tableIds=["T2"], start=at("20:45"), durationMinutes=30).status == 201


def test_completing_before_the_start_frees_the_whole_time(staff: Api) -> None:
    with frozen(here(23, 0)):
        staff.step("B1", "seat")
        staff.step("B1", "complete")
    assert allocations_of("B1") == [("T2", "23:30", "00:15", False)]
    assert staff.book(tableIds=["T2"], start=at("20:30"), durationMinutes=45).status == 201


def test_completing_early_frees_every_table_of_a_combo(staff: Api) -> None:
    reference = staff.book(tableIds=["T1", "T5"], start=at("20:30")).body["reference"]
    staff.step(reference, "seat")
    with frozen(here(23, 45)):
        staff.step(reference, "complete")
    assert allocations_of(reference) == [("T1", "23:30", "23:45", True), ("T5", "23:30", "23:45", True)]


def test_a_no_show_frees_the_table(staff: Api) -> None:
    body = staff.step("B1", "no-show").body
    assert (body["status"], body["version"], body["tableIds"]) == ("NO_SHOW", 2, ["T2"])
    assert allocations_of("B1") == [("T2", "23:30", "00:15", False)]
    assert staff.book(tableIds=["T2"], start=at("20:30")).status == 201


def test_a_late_no_show_gets_its_table_back(staff: Api) -> None:
    staff.step("B1", "no-show")
    body = staff.step("B1", "seat").body
    assert (body["status"], body["version"]) == ("SEATED", 3)
    assert allocations_of("B1") == [("T2", "23:30", "00:15", True)]
    assert staff.book(tableIds=["T2"], start=at("20:30")).status == 409


def test_a_no_show_whose_table_is_taken_stays_a_no_show(staff: Api) -> None:
    staff.step("B1", "no-show")
    other = staff.book(tableIds=["T2"], start=at("21:00")).body["reference"]
    assert assert_refused(staff.step("B1", "seat"), 409, "CONFLICT", f"bookings.{other}") == (
        f"Its tables are booked for another party at 21:00 ({other})."
    )
    body = staff.get("/woki/bookings/B1").body
    assert (body["status"], body["version"]) == ("NO_SHOW", 2)
    assert allocations_of("B1") == [("T2", "23:30", "00:15", False)]
    assert [event.event_type for event in events_of(body["id"])] == ["BookingCreated", "BookingNoShow"]


def test_a_no_show_of_a_combo_needs_all_of_its_tables(staff: Api) -> None:
    reference = staff.book(tableIds=["T1", "T5"], start=at("20:30")).body["reference"]
    staff.step(reference, "no-show")
    other = staff.book(tableIds=["T5"], partySize=2, start=at("21:45")).body["reference"]
    assert_refused(staff.step(reference, "seat"), 409, "CONFLICT", f"bookings.{other}")
    assert allocations_of(reference) == [("T1", "23:30", "01:00", False), ("T5", "23:30", "01:00", False)]
    staff.cancel(other)
    assert staff.step(reference, "seat").body["status"] == "SEATED"


ALLOWED = {
    "CONFIRMED": {"seat": "SEATED", "no-show": "NO_SHOW"},
    "SEATED": {"complete": "COMPLETED"},
    "COMPLETED": {},
    "CANCELLED": {},
    "NO_SHOW": {"seat": "SEATED"},
}
POSSIBLE = {
    "CONFIRMED": "Seat, No-show, Cancel booking",
    "SEATED": "Complete, Put back",
    "COMPLETED": "Put back",
    "CANCELLED": "Put back",
    "NO_SHOW": "Seat, Put back",
}
PATHS: dict[str, tuple[str, ...]] = {
    "CONFIRMED": (),
    "SEATED": ("seat",),
    "COMPLETED": ("seat", "complete"),
    "NO_SHOW": ("no-show",),
    "CANCELLED": ("cancel",),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", list(ALLOWED))
def test_every_step_from_every_status(staff: Api, status: str, step: str) -> None:
    for earlier_step in PATHS[status]:
        if earlier_step == "cancel":
            staff.cancel("B1")
        else:
            staff.step("B1", earlier_step)
    before = staff.get("/woki/bookings/B1").body
    assert before["status"] == status
    reply = staff.step("B1", step)
    if allowed := ALLOWED[status].get(step):
        assert (reply.status, reply.body["status"]) == (200, allowed)
        assert reply.body["version"] == before["version"] + 1
    else:
        label = Status(status).label
        assert assert_refused(reply, 409, "INVALID_TRANSITION") == (
            f"A booking that is {label} does not allow this. Possible now: {POSSIBLE[status]}."
        )
        assert staff.get("/woki/bookings/B1").body == before


@pytest.mark.parametrize("step", STEPS)
def test_steps_need_a_staff_role(guest: Api, step: str) -> None:
    make_restaurant("H")
    assert_refused(guest.step("B1", step), 401, "UNAUTHORIZED")
    assert_refused(guest.step("B9", step), 401, "UNAUTHORIZED")
    assert_refused(api_as(Role.API_CLIENT, "R1").step("B1", step), 403, "FORBIDDEN")
    assert_refused(api_as(Role.ADMIN, "H").step("B1", step), 404, "NOT_FOUND")
    assert_refused(api_as(Role.STAFF, "R1").step("B9", step), 404, "NOT_FOUND")


def test_staff_may_take_every_step(guest: Api) -> None:
    staff = api_as(Role.STAFF, "R1")
    assert [staff.step("B1", step).status for step in ("no-show", "seat", "complete")] == [200, 200, 200]


def test_steps_change_updated_at_and_not_created_at(staff: Api) -> None:
    with frozen(here(22, 0)):
        booking = staff.book(start=at("20:30")).body
    assert booking["createdAt"] == booking["updatedAt"] == "2025-10-22T19:00:00.000-03:00"
    with frozen(here(23, 15)):
        body = staff.step(booking["reference"], "seat").body
    assert body["createdAt"] == "2025-10-22T19:00:00.000-03:00"
    assert body["updatedAt"] == "2025-10-22T20:15:00.000-03:00"
