"""Requests and responses of the booking endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Annotated, Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field, ValidationInfo, field_validator

from bookings.engine import SLOT_MINUTES
from bookings.models import Booking
from bookings.repository.records import BookingRecord, Contact
from bookings.selectors.bookings import DayList, Page
from bookings.selectors.discover import Discovery
from bookings.services.change import Change
from bookings.services.create import NewBooking
from bookings.statuses import OPEN, Status
from wokibrain.core import clock
from wokibrain.events.envelope import Envelope, Payload
from wokibrain.rest import fields
from wokibrain.rest.fields import (
    ApiModel,
    BodyModel,
    Identifier,
    Line,
    QueryInt,
    QueryModel,
    ServiceDate,
    WallTime,
    example,
)
from wokibrain.rest.paging import ONE_PAGE, Pagination, pagination

Party = Annotated[int, Field(ge=1, le=50, description="Covers.", examples=[4])]
Duration = Annotated[
    int, Field(ge=15, le=1440, multiple_of=15, description="Minutes, a multiple of 15.", examples=[90])
]
GuestName = Annotated[Line, Field(max_length=200, examples=["Ana García"])]
Notes = Annotated[Line, Field(max_length=1000, examples=["Window seat, please"])]
QueryParty = Annotated[QueryInt, Field(ge=1, le=50, description="Covers.", examples=[4])]
QueryDuration = Annotated[
    QueryInt, Field(ge=15, le=1440, multiple_of=15, description="Minutes, a multiple of 15.", examples=[90])
]


class Windowed(ApiModel):
    window_start: WallTime | None = None
    window_end: WallTime | None = None

    @field_validator("window_end")
    @classmethod
    def _edges_differ(cls, window_end: time | None, info: ValidationInfo) -> time | None:
        if window_end is not None and window_end == info.data.get("window_start"):
            raise fields.invalid("equal_edges")
        return window_end


class DiscoverQuery(QueryModel, Windowed):
    restaurant_id: Identifier = Field(examples=["R1"])
    sector_id: Identifier | None = Field(None, examples=["S1"])
    date: ServiceDate = Field(examples=["2025-10-22"])
    party_size: QueryParty
    duration: QueryDuration | None = None
    limit: Annotated[QueryInt, Field(ge=1, le=50)] = 10


class ListQuery(QueryModel):
    restaurant_id: Identifier = Field(examples=["R1"])
    sector_id: Identifier | None = Field(None, examples=["S1"])
    date: ServiceDate = Field(examples=["2025-10-22"])
    status: Status | None = None
    page: Annotated[QueryInt, Field(ge=1, le=10_000)] = 1
    limit: Annotated[QueryInt, Field(ge=1, le=200)] = 50
    as_of: fields.Instant | None = Field(
        None,
        description="Return the bookings as they were at this instant, without contact data and notes.",
        examples=["2025-10-22T20:00:00-03:00"],
    )


class AsOfQuery(QueryModel):
    as_of: fields.Instant | None = Field(
        None,
        description="Return the booking as it was at this instant, without contact data and notes.",
        examples=["2025-10-22T20:00:00-03:00"],
    )


class NewBookingBody(BodyModel, Windowed):
    """Without `start` and `tableIds` the best candidate is booked; with them, exactly that one."""

    model_config = example(
        {
            "restaurantId": "R1",
            "sectorId": "S1",
            "partySize": 4,
            "durationMinutes": 90,
            "date": "2025-10-22",
            "windowStart": "20:00",
            "windowEnd": "23:45",
            "guestName": "Ana García",
            "guestEmail": "ana@example.com",
        }
    )

    restaurant_id: Identifier
    sector_id: Identifier | None = None
    party_size: Party
    duration_minutes: Duration | None = None
    date: ServiceDate
    start: fields.Start | None = None
    table_ids: fields.TableIds | None = None
    guest_name: GuestName | None = None
    guest_email: fields.Email | None = None
    guest_phone: fields.Phone | None = None
    notes: Notes | None = None

    def canonical(self) -> str:
        # For a new booking null means the same as a field that is left out.
        return self.model_dump_json(exclude_none=True)

    def new_booking(self) -> NewBooking:
        return NewBooking(
            restaurant_id=self.restaurant_id,
            sector_id=self.sector_id,
            party_size=self.party_size,
            date=self.date,
            duration_minutes=self.duration_minutes,
            window_start=self.window_start,
            window_end=self.window_end,
            start=self.start,
            table_ids=frozenset(self.table_ids) if self.table_ids else None,
            contact=Contact(self.guest_name or "", self.guest_email or "", self.guest_phone or ""),
            notes=self.notes or "",
        )


class ChangeBody(BodyModel, Windowed):
    """The fields to change; fields left out stay. Null or an empty text clears a guest's field or the notes.

    Changes of the guest affect this booking only, not other bookings of the same guest.
    """

    model_config = example({"partySize": 5})

    party_size: Party | None = None
    duration_minutes: Duration | None = None
    date: ServiceDate | None = None
    start: fields.Start | None = None
    table_ids: fields.TableIds | None = None
    sector_id: Identifier | None = None
    guest_name: GuestName | None = None
    guest_email: fields.EmailOrEmpty | None = None
    guest_phone: fields.PhoneOrEmpty | None = None
    notes: Notes | None = None

    def _text(self, field: str) -> str | None:
        return (getattr(self, field) or "") if field in self.model_fields_set else None

    def change(self) -> Change:
        return Change(
            party_size=self.party_size,
            duration_minutes=self.duration_minutes,
            date=self.date,
            window_start=self.window_start,
            window_end=self.window_end,
            start=self.start,
            table_ids=frozenset(self.table_ids) if self.table_ids else None,
            sector_id=self.sector_id,
            guest_name=self._text("guest_name"),
            guest_email=self._text("guest_email"),
            guest_phone=self._text("guest_phone"),
            notes=self._text("notes"),
        )


class SeatBody(BodyModel):
    """Without tables the party sits down at those of its booking."""

    model_config = example({})

    table_ids: fields.TableIds | None = None

    def tables(self) -> frozenset[str] | None:
        return frozenset(self.table_ids) if self.table_ids else None


BOOKING: Final = {
    "id": "019a0c3e-5b7a-7c1e-9d52-6f0f3f6f2b11",
    "reference": "K7QW2M",
    "restaurantId": "R1",
    "sectorId": "S1",
    "tableIds": ["T3"],
    "partySize": 4,
    "start": "2025-10-22T20:00:00-03:00",
    "end": "2025-10-22T21:30:00-03:00",
    "durationMinutes": 90,
    "status": "CONFIRMED",
    "attention": [],
    "guestName": "Ana García",
    "guestEmail": "ana@example.com",
    "guestPhone": None,
    "notes": None,
    "version": 1,
    "createdAt": "2025-10-01T09:30:15.123-03:00",
    "updatedAt": "2025-10-01T09:30:15.123-03:00",
}


class CandidateOut(ApiModel):
    kind: Literal["single", "combo"]
    table_ids: list[str] = Field(examples=[["T2"]])
    start: datetime = Field(examples=["2025-10-22T20:00:00-03:00"])
    end: datetime = Field(examples=["2025-10-22T21:30:00-03:00"])
    score: float = Field(ge=0, le=100, examples=[100.0])


class DiscoveryOut(ApiModel):
    model_config = example(
        {
            "slotMinutes": 15,
            "durationMinutes": 90,
            "candidates": [
                {
                    "kind": "single",
                    "tableIds": ["T3"],
                    "start": "2025-10-22T20:00:00-03:00",
                    "end": "2025-10-22T21:30:00-03:00",
                    "score": 100.0,
                },
                {
                    "kind": "combo",
                    "tableIds": ["T1", "T5"],
                    "start": "2025-10-22T20:00:00-03:00",
                    "end": "2025-10-22T21:30:00-03:00",
                    "score": 80.0,
                },
            ],
        }
    )

    slot_minutes: int = Field(SLOT_MINUTES, examples=[15])
    duration_minutes: int = Field(examples=[90])
    candidates: list[CandidateOut]


class BookingOut(ApiModel):
    """A booking. The guest's fields and the notes are null for a caller without ``guest:read``."""

    model_config = example(BOOKING)

    id: UUID
    reference: str = Field(examples=["B1"])
    restaurant_id: str = Field(examples=["R1"])
    sector_id: str = Field(examples=["S1"])
    table_ids: list[str] = Field(examples=[["T2"]])
    party_size: int = Field(examples=[3])
    start: datetime = Field(examples=["2025-10-22T20:30:00-03:00"])
    end: datetime = Field(examples=["2025-10-22T21:15:00-03:00"])
    duration_minutes: int = Field(examples=[45])
    status: Status
    attention: list[Booking.Attention] = Field(
        description="Why staff must look at an open booking. `hours`, `tables`, `zone`: the restaurant's hours, "
        "tables or time zone were changed in spite of it; `occupied`: another party still sits at its table.",
        examples=[[]],
    )
    guest_name: str | None
    guest_email: str | None
    guest_phone: str | None
    notes: str | None
    version: int = Field(examples=[1])
    created_at: fields.Stamp
    updated_at: fields.Stamp


class BookingsOut(ApiModel):
    model_config = example({"date": "2025-10-22", "bookings": [BOOKING], "pagination": ONE_PAGE})

    date: date
    bookings: list[BookingOut]
    pagination: Pagination


def discovery_json(discovery: Discovery) -> bytes:
    """Return ``DiscoveryOut`` as JSON; without the model, because this is the most frequent read."""
    body = {
        "slotMinutes": SLOT_MINUTES,
        "durationMinutes": discovery.duration_minutes,
        "candidates": [
            {
                "kind": candidate.kind,
                "tableIds": candidate.table_ids,
                "start": candidate.start.astimezone(discovery.zone).isoformat(),
                "end": candidate.end.astimezone(discovery.zone).isoformat(),
                "score": candidate.score,
            }
            for candidate in discovery.candidates
        ],
    }
    return orjson.dumps(body)


def booking_out(booking: BookingRecord) -> dict[str, object]:
    """Return ``BookingOut`` as JSON values."""
    zone, clocks, guest = clock.zone_or_utc(booking.zone), booking.clocks, booking.guest
    return {
        "id": str(booking.id),
        "reference": booking.reference,
        "restaurantId": booking.restaurant_id,
        "sectorId": booking.sector_id,
        "tableIds": booking.table_ids,
        "partySize": booking.party_size,
        "start": clock.iso(booking.start, clocks),
        "end": clock.iso(booking.end, clocks),
        "durationMinutes": booking.duration_minutes,
        "status": booking.status.value,
        "attention": booking.shown_attention,
        "guestName": guest.name or None if guest else None,
        "guestEmail": guest.email or None if guest else None,
        "guestPhone": guest.phone or None if guest else None,
        "notes": booking.notes or None,
        "version": booking.version,
        "createdAt": clock.iso_milliseconds(booking.created_at, zone),
        "updatedAt": clock.iso_milliseconds(booking.updated_at, zone),
    }


class EventOut(ApiModel):
    event_id: UUID
    event_type: str = Field(examples=["BookingCreated"])
    version: int = Field(examples=[1])
    occurred_at: fields.Stamp
    payload: dict[str, Any] = Field(examples=[{"partySize": 3, "status": "CONFIRMED"}])
    metadata: dict[str, Any] = Field(examples=[{"actor": "anonymous", "source": "rest"}])


class HistoryOut(ApiModel):
    events: list[EventOut]


def history_json(events: Iterable[Envelope], zone: ZoneInfo) -> bytes:
    """Return ``HistoryOut`` as JSON, with instants in ``zone``."""
    return orjson.dumps(
        {
            "events": [
                {
                    "eventId": str(event.event_id),
                    "eventType": event.event_type,
                    "version": event.version,
                    "occurredAt": clock.iso_milliseconds(event.occurred_at, zone),
                    "payload": event.payload,
                    "metadata": event.metadata,
                }
                for event in events
            ]
        }
    )


PAST_FIELDS = (
    "id", "reference", "restaurantId", "sectorId", "tableIds", "partySize", "start", "end",
    "durationMinutes", "status", "version", "createdAt", "updatedAt",
)  # fmt: skip


def past_booking_out(state: Payload, zone: ZoneInfo) -> dict[str, object]:
    """Return ``BookingOut`` of a past state, which has no contact data and no notes."""
    unknown = {"guestName": None, "guestEmail": None, "guestPhone": None, "notes": None}
    stamps = {
        name: clock.iso_milliseconds(datetime.fromisoformat(state[name]), zone)
        for name in ("createdAt", "updatedAt")
    }
    flags = state.get("attention") or [] if state["status"] in OPEN else []
    return {name: state[name] for name in PAST_FIELDS} | {"attention": flags} | stamps | unknown


def page_out(day_list: DayList, bookings: list[dict[str, object]], total: int) -> dict[str, object]:
    """Return ``BookingsOut`` as JSON values."""
    return {
        "date": day_list.service_date.isoformat(),
        "bookings": bookings,
        "pagination": pagination(day_list.page, day_list.limit, total).model_dump(by_alias=True),
    }


def bookings_json(day_list: DayList, page: Page) -> bytes:
    """Return ``BookingsOut`` as JSON."""
    return orjson.dumps(page_out(day_list, [booking_out(booking) for booking in page.bookings], page.total))
