"""A booking's history, and bookings as of an instant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bookings.api.schemas import PAST_FIELDS, past_booking_out
from bookings.live import messages
from bookings.models import Booking
from bookings.sample_data import example
from tests.api import Api, api_as, assert_refused, events_of, make_restaurant
from webhooks import payload
from webhooks.event_types import WebhookEvent
from wokibrain.core.clock import frozen
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Role
from wokibrain.events.envelope import Envelope

NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


def cancelled_booking(staff: Api) -> str:
    """A booking created at noon for 2, for 3 from one o'clock on, cancelled at two."""
    with frozen(NOON):
        booking: str = staff.book(partySize=2, guestName="Ana", notes="window").body["id"]
    with frozen(NOON + timedelta(hours=1)):
        staff.change(booking, partySize=3, date="2025-10-23")
    with frozen(NOON + timedelta(hours=2)):
        staff.cancel(booking)
    return booking


def at(hours: float) -> str:
    return (NOON + timedelta(hours=hours)).isoformat()


def test_history_lists_events_oldest_first_without_names(staff: Api) -> None:
    reply = staff.get(f"/woki/bookings/{cancelled_booking(staff)}/history")
    assert [(event["version"], event["eventType"]) for event in reply.body["events"]] == [
        (1, "BookingCreated"),
        (2, "BookingUpdated"),
        (3, "BookingCancelled"),
    ]
    assert reply.body["events"][1]["payload"]["changes"]["partySize"] == {"from": 2, "to": 3}
    assert b"Ana" not in reply.content
    assert b"window" not in reply.content


def test_history_tells_regulars_by_the_guests_id_only_to_those_who_may_see_guests(staff: Api) -> None:
    booking = cancelled_booking(staff)
    path = f"/woki/bookings/{booking}"
    staff.change(staff.book(date="2025-10-24").body["id"], guestName="Eva")
    later = Booking.objects.get(guest__name="Eva")
    guest_ids = [str(each.guest_id) for each in (Booking.objects.get(pk=booking), later)]
    for caller in (staff, api_as(Role.STAFF, "R1")):
        events = caller.get(f"{path}/history").body["events"]
        assert {event["payload"]["guestId"] for event in events} == {guest_ids[0]}
    for stranger in (Api(), api_as(Role.API_CLIENT, "R1")):
        replies = [stranger.get(f"/woki/bookings/{each}/history") for each in (booking, later.pk)]
        assert [{event["payload"]["guestId"] for event in reply.body["events"]} for reply in replies] == [
            {None}
        ] * 2
        changes = replies[1].body["events"][1]["payload"]["changes"]
        assert changes["guestId"] == {"from": None, "to": None, "redacted": True}
        assert [id_ in reply.content.decode() for reply in replies for id_ in guest_ids] == [False] * 4


def test_a_booking_as_of_an_instant(staff: Api) -> None:
    path = f"/woki/bookings/{cancelled_booking(staff)}"
    states = [staff.get(path, asOf=at(hours)).body for hours in (0.5, 1.5, 2.5)]
    assert [(booking["partySize"], booking["status"], booking["version"]) for booking in states] == [
        (2, "CONFIRMED", 1),
        (3, "CONFIRMED", 2),
        (3, "CANCELLED", 3),
    ]
    assert (states[0]["guestName"], states[0]["notes"]) == (None, None)
    assert set(states[0]) == set(staff.get(path).body)


def test_creation_time_is_the_same_in_every_representation(db: None) -> None:
    """In the restaurant's UTC offset and to the millisecond, for the example booking as for any other."""
    with frozen(NOON + timedelta(microseconds=289_574)):
        example.example()
        staff = api_as()
        new = staff.book(partySize=2).body
    noon = "2025-10-01T09:00:00.289-03:00"
    for booking in ("B1", new["id"]):
        path = f"/woki/bookings/{booking}"
        now, past = staff.get(path).body, staff.get(path, asOf=at(1)).body
        day = staff.get("/woki/bookings", restaurantId="R1", date="2025-10-22", asOf=at(1)).body
        (event,) = staff.get(f"{path}/history").body["events"]
        (row,) = events_of(now["id"])
        zones = messages.zones_of([Envelope.from_row(row)])
        live_event = messages.message(Envelope.from_row(row), zones["R1"])["event"]
        data = json.loads(
            payload.body(
                WebhookEvent.BOOKING_CREATED, row.payload, event_id=uuid7(), at=NOON, zone=zones["R1"]
            )
        )
        assert now["createdAt"] == now["updatedAt"] == past["createdAt"] == past["updatedAt"] == noon
        assert {entry["createdAt"] for entry in day["bookings"]} == {noon}
        assert event["occurredAt"] == live_event["timestamp"] == noon
        assert (
            event["payload"]["createdAt"]
            == live_event["data"]["createdAt"]
            == data["data"]["createdAt"]
            == noon
        )


def test_an_old_event_with_microseconds_reads_the_same() -> None:
    state = dict.fromkeys(PAST_FIELDS) | {
        "createdAt": "2025-10-01T09:00:00.289574-03:00",
        "updatedAt": "2025-10-01T12:00:00.289000+00:00",
    }
    booking = past_booking_out(state, ZoneInfo("America/Argentina/Buenos_Aires"))
    assert booking["createdAt"] == booking["updatedAt"] == "2025-10-01T09:00:00.289-03:00"


def test_a_booking_is_not_found_before_its_creation(staff: Api) -> None:
    assert_refused(staff.get(f"/woki/bookings/{cancelled_booking(staff)}", asOf=at(-1)), 404, "NOT_FOUND")


def test_the_bookings_of_a_day_as_of_an_instant(staff: Api) -> None:
    booking = cancelled_booking(staff)

    def book(day: str, hours: float) -> list[str]:
        reply = staff.get("/woki/bookings", restaurantId="R1", sectorId="S1", date=day, asOf=at(hours))
        assert reply.body["pagination"]["total"] == len(reply.body["bookings"])
        return [booking["id"] for booking in reply.body["bookings"]]

    assert (book("2025-10-22", 0.5), book("2025-10-23", 0.5)) == ([booking], [])
    assert (book("2025-10-22", 1.5), book("2025-10-23", 1.5)) == ([], [booking])


def test_an_instant_without_an_offset_is_refused(staff: Api) -> None:
    assert_refused(
        staff.get("/woki/bookings/B1", asOf="2025-10-22T20:00:00"), 400, "VALIDATION_ERROR", "asOf"
    )


def test_a_foreign_bookings_history_is_not_found(staff: Api) -> None:
    make_restaurant("X")
    stranger = api_as(Role.ADMIN, "X")
    for path in ("/woki/bookings/B1/history", "/woki/bookings/B1"):
        assert_refused(stranger.get(path, **({} if "history" in path else {"asOf": at(0)})), 404, "NOT_FOUND")
