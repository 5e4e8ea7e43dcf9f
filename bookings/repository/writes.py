"""The statements that write: each puts a booking, what it holds and its event down together.

Hand-written, because a create is the hottest write there is and one statement costs a third of what
five would; every other path of the product uses the ORM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.db import connection

from bookings.repository.records import BookingRecord
from bookings.repository.ticket import Ticket
from wokibrain.core.callers import Caller
from wokibrain.events import store
from wokibrain.events.sql import APPEND_CTE, append_parameters
from wokibrain.events.types import EventType
from wokibrain.idempotency.keys import KEEP

GUEST: Final = """guest AS (
    INSERT INTO bookings_guest (id, restaurant_id, name, email, phone, notes, created_at, updated_at)
    VALUES (%(guest_id)s, %(restaurant_id)s, %(guest_name)s, %(guest_email)s, %(guest_phone)s, '',
            %(created_at)s, %(created_at)s)
)"""

BOOKING: Final = """booking AS (
    INSERT INTO bookings_booking
        (id, reference, restaurant_id, sector_id, table_ids, service_date, start, "end", duration_minutes,
         party_size, status, channel, guest_id, notes, version, created_at, updated_at)
    VALUES (%(id)s, %(reference)s, %(restaurant_id)s, %(sector_id)s, string_to_array(%(table_ids)s, ','),
            %(service_date)s, %(start)s, %(end)s, %(duration_minutes)s, %(party_size)s, %(status)s,
            %(channel)s, %(guest_id)s, %(notes)s, %(version)s, %(created_at)s, %(updated_at)s)
)"""

# In table order, as the lock's callers expect of whoever writes several rows.
HELD: Final = """held AS (
    INSERT INTO bookings_allocation (table_id, sector_id, period, active, booking_id)
    SELECT wanted.id, %(sector_id)s, tstzrange(%(start)s::timestamptz, %(end)s::timestamptz), true,
           %(id)s::uuid
    FROM unnest(string_to_array(%(table_ids)s, ',')) AS wanted (id) ORDER BY wanted.id
)"""

KEYED: Final = f"keyed AS ({KEEP})"


@cache
def _insert(with_guest: bool, with_key: bool) -> str:
    parts = [BOOKING, HELD, APPEND_CTE]
    if with_guest:
        parts.insert(0, GUEST)
    if with_key:
        parts.append(KEYED)
    return f"WITH {', '.join(parts)} SELECT 1"


def insert(
    booking: BookingRecord, *, event_type: EventType, actor: Caller, new_guest: bool, ticket: Ticket | None
) -> None:
    """Write a new booking, its allocations, its first event and, where there is a key, its result."""
    values = _row(booking) | _event(booking, event_type, booking.payload(), actor, booking.created_at)
    if new_guest and booking.guest:
        values |= {
            "guest_name": booking.guest.name,
            "guest_email": booking.guest.email,
            "guest_phone": booking.guest.phone,
        }
    if ticket:
        values |= ticket.row(ticket.respond(booking), booking.id)
    with connection.cursor() as cursor:
        cursor.execute(_insert(new_guest, ticket is not None), values)


UPDATE: Final = f"""WITH booking AS (
    UPDATE bookings_booking
    SET sector_id = %(sector_id)s, table_ids = string_to_array(%(table_ids)s, ','), service_date = %(service_date)s,
        start = %(start)s, "end" = %(end)s, duration_minutes = %(duration_minutes)s,
        party_size = %(party_size)s, status = %(status)s, guest_id = %(guest_id)s, notes = %(notes)s,
        version = %(version)s, updated_at = %(updated_at)s
    WHERE id = %(id)s
), {APPEND_CTE} SELECT 1"""  # noqa: S608


def update(
    booking: BookingRecord, *, event_type: EventType, actor: Caller, more: Mapping[str, Any] | None = None
) -> None:
    """Write a booking's next version and its event; ``more`` goes into the event's payload."""
    payload = booking.payload() | dict(more or {})
    values = _row(booking) | _event(booking, event_type, payload, actor, booking.updated_at)
    with connection.cursor() as cursor:
        cursor.execute(UPDATE, values)


def reseat(booking: BookingRecord) -> None:
    """Let go what the booking holds and hold its tables for its period instead."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM bookings_allocation WHERE booking_id = %s", [booking.id])
        cursor.execute(f"WITH {HELD} SELECT 1", _row(booking))


def reseat_together(bookings: Iterable[BookingRecord]) -> None:
    """Reseat each; they may take what the others of them let go."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS allocation_never_overlaps DEFERRED")
        for booking in bookings:
            reseat(booking)
        cursor.execute("SET CONSTRAINTS allocation_never_overlaps IMMEDIATE")


def free(booking_id: UUID) -> None:
    """Let go what the booking holds; the rows stay, inactive."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bookings_allocation SET active = false WHERE booking_id = %s AND active", [booking_id]
        )


def hold_again(booking_id: UUID) -> bool:
    """Take back what the booking let go; False, and nothing done, where somebody else has any of it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM bookings_allocation AS own JOIN bookings_allocation AS other "
            "ON other.table_id = own.table_id AND other.period && own.period AND other.active "
            "WHERE own.booking_id = %s AND NOT own.active)",
            [booking_id],
        )
        (taken,) = cursor.fetchone()
        if taken:
            return False
        cursor.execute(
            "UPDATE bookings_allocation SET active = true WHERE booking_id = %s AND NOT active", [booking_id]
        )
    return True


def shorten(booking_id: UUID, end: datetime) -> None:
    """Let go what the booking holds from ``end`` on; all of it when it had not begun."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bookings_allocation SET active = active AND lower(period) < %(end)s, "
            "period = CASE WHEN lower(period) < %(end)s AND upper(period) > %(end)s "
            "THEN tstzrange(lower(period), %(end)s) ELSE period END WHERE booking_id = %(id)s",
            {"id": booking_id, "end": end},
        )


def append(
    *,
    event_type: EventType,
    aggregate_id: str,
    payload: Mapping[str, Any],
    actor: Caller,
    at: datetime,
) -> None:
    """Append an event at the aggregate's next version; the caller holds the aggregate's lock."""
    version = store.version_of(event_type.topic, aggregate_id) + 1
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {APPEND_CTE} SELECT 1",
            append_parameters(
                event_type,
                aggregate_id=aggregate_id,
                version=version,
                payload=payload,
                actor=actor.actor,
                occurred_at=at,
            ),
        )


def _row(booking: BookingRecord) -> dict[str, Any]:
    return {
        "id": booking.id,
        "reference": booking.reference,
        "restaurant_id": booking.restaurant_id,
        "sector_id": booking.sector_id,
        "table_ids": ",".join(booking.table_ids),
        "service_date": booking.service_date,
        "start": booking.start,
        "end": booking.end,
        "duration_minutes": booking.duration_minutes,
        "party_size": booking.party_size,
        "status": booking.status.value,
        "channel": booking.channel.value,
        "guest_id": booking.guest.id if booking.guest else None,
        "notes": booking.notes,
        "version": booking.version,
        "created_at": booking.created_at,
        "updated_at": booking.updated_at,
    }


def _event(
    booking: BookingRecord, event_type: EventType, payload: Mapping[str, Any], actor: Caller, at: datetime
) -> dict[str, Any]:
    return append_parameters(
        event_type,
        aggregate_id=str(booking.id),
        version=booking.version,
        payload=payload,
        actor=actor.actor,
        occurred_at=at,
    )
