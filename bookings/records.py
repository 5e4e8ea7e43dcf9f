"""A booking as a value: what events say of it and what the adapters show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from bookings.models import Booking
from wokibrain import clock


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
    status: Booking.Status
    channel: Booking.Channel
    guest: GuestRecord | None
    notes: str
    version: int
    created_at: datetime
    updated_at: datetime

    def local(self, instant: datetime) -> datetime:
        """The instant as the restaurant's clocks show it."""
        return instant.astimezone(clock.zone(self.zone))

    def payload(self) -> dict[str, Any]:
        """What an event says of the booking: no personal data, the guest by id only."""
        return {
            "id": str(self.id),
            "reference": self.reference,
            "restaurantId": self.restaurant_id,
            "sectorId": self.sector_id,
            "tableIds": list(self.table_ids),
            "serviceDate": self.service_date.isoformat(),
            "partySize": self.party_size,
            "start": self.local(self.start).isoformat(),
            "end": self.local(self.end).isoformat(),
            "durationMinutes": self.duration_minutes,
            "status": self.status.value,
            "channel": self.channel.value,
            "guestId": str(self.guest.id) if self.guest else None,
            "createdAt": self.local(self.created_at).isoformat(),
        }

    def changes_from(self, before: BookingRecord) -> dict[str, dict[str, Any]]:
        """``{field: {from, to}}`` of what events may tell; empty when only private fields differ."""
        old, new = before.payload(), self.payload()
        return {name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]}


COLUMNS: Final = (
    "id", "reference", "restaurant_id", "restaurant__zone", "sector_id", "table_ids", "service_date",
    "start", "end", "duration_minutes", "party_size", "status", "channel", "guest_id", "guest__name",
    "guest__email", "guest__phone", "notes", "version", "created_at", "updated_at",
)  # fmt: skip


def fetch(rows: QuerySet[Booking]) -> list[BookingRecord]:
    """The rows as values, in one query and without building a model for each."""
    return [_record(row) for row in rows.values_list(*COLUMNS)]


def _record(row: tuple[Any, ...]) -> BookingRecord:
    head, (status, channel), (guest_id, name, email, phone), tail = row[:11], row[11:13], row[13:17], row[17:]
    guest = GuestRecord(guest_id, name, email, phone) if guest_id else None
    id_, reference, restaurant_id, zone, sector_id, table_ids, *rest = head
    return BookingRecord(
        id_, reference, restaurant_id, zone, sector_id, tuple(table_ids), *rest,
        _STATUS[status], _CHANNEL[channel], guest, *tail,
    )  # fmt: skip


# Looking a member up by value is several times cheaper than calling the enum.
_STATUS: Final = {member.value: member for member in Booking.Status}
_CHANNEL: Final = {member.value: member for member in Booking.Channel}
