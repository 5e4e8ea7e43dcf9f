"""A booking, its guest and its Idempotency-Key as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from bookings.models import Booking
from bookings.statuses import OPEN, Status
from wokibrain.core import clock, ids
from wokibrain.core.callers import Caller
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission
from wokibrain.idempotency import keys
from wokibrain.idempotency.keys import Replay


@dataclass(frozen=True, slots=True)
class GuestRecord:
    """Contact data of a person; empty text for what is not known."""

    id: UUID
    name: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class BookingRecord:
    """One booking at one version. Instants are aware and in UTC; ``zone`` is the restaurant's."""

    id: UUID
    reference: str
    restaurant_id: str
    zone: str
    sector_id: str
    table_ids: tuple[str, ...]
    service_date: date
    start: datetime
    end: datetime
    duration_minutes: int
    party_size: int
    status: Status
    channel: Booking.Channel
    guest: GuestRecord | None
    notes: str
    version: int
    created_at: datetime
    updated_at: datetime
    attention: tuple[str, ...] = ()
    """The stored flags (Booking.Attention), in alphabetical order, whatever the status."""
    occupied: bool = False
    """Whether another party still sat at one of its tables when it was read."""

    @classmethod
    def new(
        cls,
        *,
        restaurant_id: str,
        zone: str,
        sector_id: str,
        table_ids: tuple[str, ...],
        service_date: date,
        start: datetime,
        end: datetime,
        duration_minutes: int,
        party_size: int,
        status: Status,
        channel: Booking.Channel,
        guest: GuestRecord | None,
        notes: str,
        now: datetime,
    ) -> BookingRecord:
        """Return version 1 of a booking with an id and a reference of its own, created ``now``."""
        return cls(
            uuid7(), ids.reference(), restaurant_id, zone, sector_id, table_ids, service_date, start, end,
            duration_minutes, party_size, status, channel, guest, notes, 1, now, now,
        )  # fmt: skip

    def local(self, instant: datetime) -> datetime:
        """Return the instant as the restaurant's clocks show it."""
        return instant.astimezone(clock.zone(self.zone))

    @property
    def shown_attention(self) -> tuple[str, ...]:
        """Return why staff must look at the booking now; empty once it is over."""
        if self.status not in OPEN:
            return ()
        occupied = {Booking.Attention.OCCUPIED.value} if self.occupied else set()
        return tuple(sorted(occupied.union(self.attention)))

    def payload(self) -> dict[str, Any]:
        """Return the booking as its events carry it: without personal data, the guest by id only."""
        zone = clock.zone(self.zone)
        return {
            "id": str(self.id),
            "reference": self.reference,
            "restaurantId": self.restaurant_id,
            "sectorId": self.sector_id,
            "tableIds": list(self.table_ids),
            "serviceDate": self.service_date.isoformat(),
            "partySize": self.party_size,
            "start": clock.iso(self.start, zone),
            "end": clock.iso(self.end, zone),
            "durationMinutes": self.duration_minutes,
            "status": self.status.value,
            "channel": self.channel.value,
            "guestId": str(self.guest.id) if self.guest else None,
            "createdAt": clock.iso_milliseconds(self.created_at, zone),
            "attention": list(self.attention),
        }

    def changes_from(self, before: BookingRecord) -> dict[str, dict[str, Any]]:
        """Return ``{field: {from, to}}`` of the payload's fields; empty when only private fields differ."""
        old, new = before.payload(), self.payload()
        return {name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]}


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a guest; empty text for a missing part."""

    name: str = ""
    email: str = ""
    phone: str = ""

    def __bool__(self) -> bool:
        return bool(self.name or self.email or self.phone)


@dataclass(frozen=True, slots=True)
class Ticket(keys.Ticket):
    """An Idempotency-Key of a request about a booking.

    ``respond`` renders the status and body that a replay of the request answers with.
    """

    respond: Callable[[BookingRecord], Replay]

    @classmethod
    def of(cls, ticket: keys.Ticket | None, respond: Callable[[BookingRecord], Replay]) -> Ticket | None:
        """Return the ticket with ``respond``; None for a request without a key."""
        if ticket is None:
            return None
        return cls(ticket.caller, ticket.key, ticket.fingerprints, ticket.received, respond)

    def answer(self, booking: BookingRecord) -> Mapping[str, Any]:
        """Return the values of ``keys.KEEP``: the answer to store for ``booking``."""
        return self.row(self.respond(booking), booking.id)


def seen_by(caller: Caller, restaurant_id: str, bookings: list[BookingRecord]) -> list[BookingRecord]:
    """Return the bookings as the caller may see them: without guests where guest:read is missing."""
    if caller.may(Permission.GUEST_READ, restaurant_id):
        return bookings
    return [replace(booking, guest=None) for booking in bookings]
