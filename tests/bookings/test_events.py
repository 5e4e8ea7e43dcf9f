"""One event per change, in the transaction of the change, without personal data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from bookings.models import Booking, Guest
from tests.api import Api, api_as, at, events_of
from wokibrain.access.models import ApiKey
from wokibrain.core.clock import frozen
from wokibrain.core.permissions import Role
from wokibrain.events import envelope, store, types
from wokibrain.events.models import StoredEvent

CANARIES = ("Zephyrina", "zephyrina@canary.example", "+34 699 112 233", "peanut-canary")
CONTACT = dict(zip(("guestName", "guestEmail", "guestPhone", "notes"), CANARIES, strict=True))


def event_types_of(booking_id: str) -> list[tuple[int, str]]:
    return [(event.version, event.event_type) for event in events_of(booking_id)]


def test_a_creation_is_version_one_with_the_whole_booking(staff: Api) -> None:
    now = datetime(2025, 10, 1, 12, tzinfo=UTC)
    with frozen(now):
        booking = staff.book(start=at("21:00"), **CONTACT).body
    (event,) = events_of(booking["id"])
    guest_id = str(Booking.objects.get(pk=booking["id"]).guest_id)
    assert (event.aggregate_type, event.version, event.event_type) == ("booking", 1, "BookingCreated")
    assert (event.event_id.version, event.occurred_at, event.published_at) == (7, now, None)
    assert event.payload == {
        "id": booking["id"],
        "reference": booking["reference"],
        "restaurantId": "R1",
        "sectorId": "S1",
        "tableIds": ["T3"],
        "serviceDate": "2025-10-22",
        "partySize": 4,
        "start": at("21:00"),
        "end": at("22:30"),
        "durationMinutes": 90,
        "status": "CONFIRMED",
        "channel": "api",
        "guestId": guest_id,
        "createdAt": "2025-10-01T09:00:00.000-03:00",
        "attention": [],
    }


def test_every_payload_has_exactly_the_fields_of_its_registered_type(staff: Api) -> None:
    booking = staff.book().body["id"]
    staff.change(booking, partySize=3)
    staff.cancel(booking)
    staff.post("/tables/T1/blocks", {"start": at("12:00"), "end": at("13:00")})
    events = list(store.stream())
    assert {event.event_type for event in events} == {
        "BookingCreated",
        "BookingUpdated",
        "BookingCancelled",
        "TableBlocked",
    }
    for event in events:
        event_type = types.get(event.event_type)
        assert event_type is not None
        assert event_type.topic == event.aggregate_type
        assert event.payload.keys() - {"changes", "reason"} == set(event_type.fields)


def test_metadata_has_actor_source_and_request_id(guest: Api) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request_id = str(uuid4())
    client = api_as(Role.API_CLIENT, "R1")
    reply = client.call(
        "POST", "/woki/bookings",
        {"restaurantId": "R1", "date": "2025-10-22", "partySize": 4, "durationMinutes": 90},
        headers={"X-Request-ID": request_id, "traceparent": trace},
    )  # fmt: skip
    (event,) = events_of(reply.body["id"])
    key = ApiKey.objects.get(role=Role.API_CLIENT)
    assert event.metadata == {
        "actor": f"api_key:{key.id}", "requestId": request_id, "traceparent": trace, "source": "rest",
    }  # fmt: skip
    assert reply.headers["X-Request-ID"] == request_id


def test_an_anonymous_actor_has_no_address_in_events(guest: Api) -> None:
    reply = guest.call(
        "POST", "/woki/bookings",
        {"restaurantId": "R1", "date": "2025-10-22", "partySize": 4, "durationMinutes": 90},
        headers={"traceparent": "nonsense", "X-Request-ID": "not-a-uuid"},
    )  # fmt: skip
    (event,) = events_of(reply.body["id"])
    assert (event.metadata["actor"], event.metadata["traceparent"]) == ("anonymous", None)
    assert (
        event.metadata["requestId"] == reply.headers["X-Request-ID"] == str(UUID(event.metadata["requestId"]))
    )
    assert "127.0.0.1" not in json.dumps(event.metadata)


@pytest.mark.usefixtures("evening")
def test_the_versions_of_a_whole_life_have_no_gap(staff: Api) -> None:
    booking_id = staff.book(start=at("20:30")).body["id"]
    staff.change(booking_id, partySize=3)
    staff.change(booking_id, notes="x")
    staff.step(booking_id, "no-show")
    staff.step(booking_id, "seat")
    staff.step(booking_id, "complete")
    assert event_types_of(booking_id) == [
        (1, "BookingCreated"),
        (2, "BookingUpdated"),
        (3, "BookingUpdated"),
        (4, "BookingNoShow"),
        (5, "BookingSeated"),
        (6, "BookingCompleted"),
    ]
    events = events_of(booking_id)
    assert [event.payload["status"] for event in events] == [
        "CONFIRMED", "CONFIRMED", "CONFIRMED", "NO_SHOW", "SEATED", "COMPLETED",
    ]  # fmt: skip
    assert Booking.objects.get(pk=booking_id).version == 6
    assert len({event.event_id for event in events}) == 6


def test_a_cancellation_has_its_reason(guest: Api) -> None:
    guest.cancel("B1")
    created, cancelled = events_of(str(Booking.objects.get(reference="B1").id))
    assert (cancelled.event_type, cancelled.version) == ("BookingCancelled", 2)
    assert cancelled.payload == created.payload | {"status": "CANCELLED", "reason": "requested"}


def test_a_change_has_the_new_state_and_the_differences(staff: Api) -> None:
    staff.change("B1", partySize=5)
    created, updated = events_of(str(Booking.objects.get(reference="B1").id))
    assert updated.payload == created.payload | {
        "partySize": 5,
        "tableIds": ["T4"],
        "changes": {"partySize": {"from": 3, "to": 5}, "tableIds": {"from": ["T2"], "to": ["T4"]}},
    }


@pytest.mark.parametrize(
    "refusal",
    [
        lambda api: api.book(partySize=40),
        lambda api: api.book(tableIds=["T2"], start=at("20:30")),
        lambda api: api.change("B1", partySize=40),
        lambda api: api.step("B1", "complete"),
        lambda api: api.cancel("B9"),
        lambda api: api.book(partySize=0),
    ],
)
def test_a_refusal_writes_no_event(staff: Api, refusal: Any) -> None:
    before = StoredEvent.objects.count()
    assert refusal(staff).status >= 400
    assert StoredEvent.objects.count() == before


def test_new_events_have_the_present_shape_and_are_not_upcast(
    staff: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = staff.book().body["id"]
    later = {
        (event_type, 1): lambda payload: payload | {"partySize": -payload["partySize"]}
        for event_type in ("BookingCreated", "BookingUpdated", "TableBlocked")
    }
    for key, upcaster in later.items():
        monkeypatch.setitem(envelope._upcasters, key, upcaster)
    new = staff.book().body["id"]
    assert staff.change(new, partySize=3).status == 200
    block = {"start": at("12:00"), "end": at("13:00")}
    assert staff.post("/tables/T1/blocks", block).status == 201
    assert [event.payload["partySize"] for event in store.load("booking", old)] == [-4]
    assert [event.payload["partySize"] for event in store.load("booking", new)] == [4, 3]
    assert "partySize" not in store.load("table", "T1")[0].payload
    assert {event.metadata.get("schema", 1) for event in events_of(old)} == {1}
    assert {event.metadata["schema"] for event in events_of(new)} == {2}


def test_a_replay_writes_no_event(staff: Api) -> None:
    booking_id = staff.book(key="k").body["id"]
    staff.book(key="k")
    assert event_types_of(booking_id) == [(1, "BookingCreated")]


def test_reading_writes_no_event(staff: Api) -> None:
    before = StoredEvent.objects.count()
    staff.discover()
    staff.get("/woki/bookings/B1")
    staff.get("/woki/bookings", restaurantId="R1", date="2025-10-22")
    assert StoredEvent.objects.count() == before


def test_repeated_seeding_writes_the_example_bookings_event_once(guest: Api) -> None:
    from bookings.sample_data import example

    example.example()
    assert event_types_of(str(Booking.objects.get(reference="B1").id)) == [(1, "BookingCreated")]


@pytest.mark.usefixtures("evening")
def test_no_event_contains_personal_data(staff: Api) -> None:
    body = staff.book(key="k", start=at("20:30"), **CONTACT).body
    booking = body["id"]
    staff.change(booking, guestName="Zephyrina Canary", notes="peanut-canary again", partySize=3)
    staff.change(booking, guestEmail=None, guestPhone="", notes=None)
    staff.change(booking, guestName=None)
    other = staff.book(date="2025-10-23", **CONTACT).body["id"]
    for step in ("no-show", "seat", "complete"):
        staff.step(booking, step)
    staff.cancel(other)
    text = " ".join(
        json.dumps([event.payload, event.metadata], ensure_ascii=False) for event in StoredEvent.objects.all()
    )
    assert StoredEvent.objects.count() == 10
    for canary in (*CANARIES, "Canary", "peanut"):
        assert canary not in text
    # The event names the guest by id.
    guests = {str(pk) for pk in Guest.objects.values_list("pk", flat=True)}
    assert {event.payload["guestId"] for event in events_of(booking)} <= guests
