"""Single bookings on the floor board: as JSON, with their story, and found by a search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Q

from bookings.models import Booking
from bookings.repository.records import BookingRecord, seen_by
from bookings.repository.statements import fetch
from bookings.selectors.bookings import get_booking
from bookings.selectors.history import story
from bookings.statuses import ARRIVED, Status, sql
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.permissions import Permission

MIN_SEARCH_LENGTH: Final = 2
MAX_RESULTS: Final = 20
MAX_CANDIDATES: Final = 5 * MAX_RESULTS
"""The newest matches, of which those nearest to the day shown are the results."""
# Those who left before seatings were written left when the plan freed their tables.
STAYS: Final = f"""
SELECT booking.id, min(lower(seating.period)),
       CASE WHEN booking.status = '{Status.COMPLETED.value}' THEN coalesce(
           max(upper(seating.period)),
           (SELECT max(upper(period)) FROM bookings_allocation WHERE booking_id = booking.id)) END
FROM bookings_booking AS booking LEFT JOIN bookings_seating AS seating ON seating.booking_id = booking.id
WHERE booking.restaurant_id = %s AND booking.service_date = %s AND booking.status IN ({sql(ARRIVED)})
GROUP BY booking.id
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Stay:
    """When a party sat down (None if that was not recorded) and when it left (None while it sits)."""

    seated_at: datetime | None = None
    left_at: datetime | None = None


def booking_with_story(*, caller: Caller, booking: str) -> dict[str, Any]:
    """Return one booking as the board draws it, with its story. Raises NotFound, Forbidden."""
    record = get_booking(caller=caller, booking=booking)
    stay = None
    if record.status in ARRIVED:
        stay = stays(record.restaurant_id, record.service_date).get(record.id)
    return booking_json(record, stay) | {"story": story_json(record)}


def booking_json(booking: BookingRecord, stay: Stay | None = None) -> dict[str, Any]:
    """Return a booking as the board draws it.

    ``seatedAt`` is when the party sat down, ``left`` when it left; without the latter it sits until now.
    """
    return {
        "id": str(booking.id),
        "reference": booking.reference,
        "sector": booking.sector_id,
        "tables": list(booking.table_ids),
        "date": booking.service_date.isoformat(),
        "start": milliseconds(booking.start),
        "end": milliseconds(booking.end),
        "wall": [wall(booking.local(edge)) for edge in (booking.start, booking.end)],
        "seatedAt": milliseconds(stay.seated_at) if stay and stay.seated_at else None,
        "left": milliseconds(stay.left_at) if stay and stay.left_at else None,
        "minutes": booking.duration_minutes,
        "party": booking.party_size,
        "status": booking.status.value,
        "attention": list(booking.shown_attention),
        "channel": booking.channel.value,
        "name": booking.guest.name if booking.guest else "",
        "phone": booking.guest.phone if booking.guest else "",
        "email": booking.guest.email if booking.guest else "",
        "notes": booking.notes,
        "version": booking.version,
    }


def story_json(booking: BookingRecord) -> list[dict[str, Any]]:
    """Return the booking's story as the board shows it."""
    zone = clock.zone(booking.zone)
    return [
        {
            "event": entry.event_type,
            "label": str(entry.label),
            "wall": wall(entry.occurred_at.astimezone(zone)),
            "by": entry.actor,
            "undone": entry.is_undo,
            "changed": list(entry.changed),
        }
        for entry in story(booking.id)
    ]


def search(*, caller: Caller, restaurant_id: str, text: str, service_date: date) -> list[dict[str, Any]]:
    """Return bookings whose guest's name, phone or reference matches, nearest to ``service_date`` first."""
    caller.require(Permission.BOOKING_READ, restaurant_id)
    text = text.strip()
    if len(text) < MIN_SEARCH_LENGTH or "\x00" in text:
        return []
    matches = Q(reference__istartswith=text)
    if caller.may(Permission.GUEST_READ, restaurant_id):
        matches |= Q(guest__name__icontains=text) | Q(guest__phone__icontains=text)
    candidates = (
        Booking.objects.filter(matches, restaurant_id=restaurant_id)
        .order_by("-service_date")
        .values_list("id", flat=True)[:MAX_CANDIDATES]
    )
    records = fetch("WHERE booking.id = ANY (%(ids)s)", {"ids": list(candidates)})
    records.sort(key=lambda record: (abs((record.service_date - service_date).days), record.start))
    del records[MAX_RESULTS:]
    return [booking_json(record) for record in seen_by(caller, restaurant_id, records)]


def stays(restaurant_id: str, service_date: date) -> dict[UUID, Stay]:
    """Return when each party of the day that came sat down and left, by booking."""
    with connection.cursor() as cursor:
        cursor.execute(STAYS, [restaurant_id, service_date])
        return {booking_id: Stay(seated_at, left_at) for booking_id, seated_at, left_at in cursor.fetchall()}


def wall(local: datetime) -> str:
    """Return what the clocks show, to the minute. The browser needs no zone data to show it."""
    return f"{local:%Y-%m-%dT%H:%M}"


def milliseconds(instant: datetime) -> int:
    """Return milliseconds since the Unix epoch, as browsers count."""
    return int(instant.timestamp() * 1000)
