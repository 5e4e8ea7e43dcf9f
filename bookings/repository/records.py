"""A booking as a value: what events say of it and what the adapters show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from bookings.models import Booking
from bookings.statuses import Status
from restaurants.selectors import RESTAURANT
from wokibrain.core import clock, ids
from wokibrain.core.callers import Caller
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission


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
        """The instant as the restaurant's clocks show it."""
        return instant.astimezone(clock.zone(self.zone))

    def payload(self) -> dict[str, Any]:
        """What an event says of the booking: no personal data, the guest by id only."""
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
        }

    def changes_from(self, before: BookingRecord) -> dict[str, dict[str, Any]]:
        """``{field: {from, to}}`` of what events may tell; empty when only private fields differ."""
        old, new = before.payload(), self.payload()
        return {name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]}


READ: Final = f"""
SELECT booking.id, booking.reference, booking.restaurant_id, restaurant.zone, booking.sector_id,
       booking.table_ids, booking.service_date, booking.start, booking."end", booking.duration_minutes,
       booking.party_size, booking.status, booking.channel, booking.guest_id, guest.name, guest.email,
       guest.phone, booking.notes, booking.version, booking.created_at, booking.updated_at
FROM bookings_booking AS booking
JOIN {RESTAURANT} ON restaurant.id = booking.restaurant_id
LEFT JOIN bookings_guest AS guest ON guest.id = booking.guest_id
"""  # noqa: S608 - made of constants


def fetch(rest: str, values: Mapping[str, Any]) -> list[BookingRecord]:
    """The bookings that ``rest`` (the SQL after FROM, a constant of the code) selects.

    By hand, because building the ORM's query and its models costs more than the rest of a read.
    """
    with connection.cursor() as cursor:
        cursor.execute(READ + rest, values)
        return [_record(row) for row in cursor.fetchall()]


def _record(row: tuple[Any, ...]) -> BookingRecord:
    (
        id_, reference, restaurant_id, zone, sector_id, table_ids, service_date, start, end, minutes, party,
        status, channel, guest_id, name, email, phone, notes, version, created_at, updated_at,
    ) = row  # fmt: skip
    return BookingRecord(
        id_, reference, restaurant_id, zone, sector_id, tuple(table_ids), service_date, start, end, minutes,
        party, _STATUS[status], _CHANNEL[channel],
        GuestRecord(guest_id, name, email, phone) if guest_id else None,
        notes, version, created_at, updated_at,
    )  # fmt: skip


# Looking a member up by value is several times cheaper than calling the enum.
_STATUS: Final = {member.value: member for member in Status}
_CHANNEL: Final = {member.value: member for member in Booking.Channel}


def seen_by(caller: Caller, restaurant_id: str, bookings: list[BookingRecord]) -> list[BookingRecord]:
    """The bookings as the caller may see them: without guests where guest:read is missing."""
    if caller.may(Permission.GUEST_READ, restaurant_id):
        return bookings
    return [replace(each, guest=None) for each in bookings]
