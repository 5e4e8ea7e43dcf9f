"""The SQL that reads and writes bookings and the tables they hold.

Hand-written: building the ORM's query and models costs more than the rest of a read, and a create in one statement
takes a third of the time of five. Everything else in the product uses the ORM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Q

from bookings.event_types import BOOKING_CREATED
from bookings.models import Booking, Guest
from bookings.repository.records import BookingRecord, Contact, GuestRecord, Promise, Ticket, plain_offset
from bookings.statuses import Status
from restaurants.selectors import RESTAURANT
from wokibrain.core import clock
from wokibrain.core.callers import Caller, CallerKind
from wokibrain.core.errors import NotFound
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission
from wokibrain.events import store
from wokibrain.events.models import StoredEvent
from wokibrain.events.sql import APPEND_CTE, append_parameters
from wokibrain.events.types import EventType
from wokibrain.idempotency.keys import KEEP

MAX_REFERENCE_CHARACTERS: Final = 40
"""No id or reference is longer, so the database need not be asked."""

# A party that overstays holds no place in the plan: the next booking keeps its own and is flagged by the clock.
OCCUPIED: Final = f"""(
    booking.status = '{Status.CONFIRMED.value}'
    AND booking.start <= %(now)s::timestamptz + restaurant.occupied_margin * interval '1 minute'
    AND EXISTS (
        SELECT FROM bookings_seating AS seating
        WHERE seating.sector_id = booking.sector_id AND seating.table_id = ANY (booking.table_ids)
          AND upper_inf(seating.period) AND lower(seating.period) < booking."end" AND seating.booking_id <> booking.id
    )
)"""
"""Whether another party still sits at a table of ``booking``, whose start is near or past; ``fetch`` gives ``now``."""

OCCUPIED_NOW: Final = f"""
SELECT booking.id
FROM (
    SELECT DISTINCT there.restaurant_id, seating.table_id
    FROM bookings_seating AS seating JOIN bookings_booking AS there ON there.id = seating.booking_id
    WHERE upper_inf(seating.period)
) AS taken
JOIN {RESTAURANT} ON restaurant.id = taken.restaurant_id
JOIN bookings_booking AS booking ON booking.restaurant_id = restaurant.id
 AND booking.service_date BETWEEN %(now)s::date - 2 AND %(now)s::date + 1
 AND taken.table_id = ANY (booking.table_ids)
WHERE {OCCUPIED}
"""  # noqa: S608 - made of constants

READ: Final = f"""
SELECT booking.id, booking.reference, booking.restaurant_id, restaurant.zone, booking.sector_id,
       booking.table_ids, booking.service_date, booking.start, booking."end", booking.duration_minutes,
       booking.party_size, booking.status, booking.channel, booking.guest_id, guest.name, guest.email,
       guest.phone, booking.notes, booking.version, booking.created_at, booking.updated_at,
       booking.flags, {OCCUPIED}, booking.promised_start, booking.promised_zone, booking.promised_fold
FROM bookings_booking AS booking
JOIN {RESTAURANT} ON restaurant.id = booking.restaurant_id
LEFT JOIN bookings_guest AS guest ON guest.id = booking.guest_id
"""  # noqa: S608 - made of constants


def fetch(rest: str, values: Mapping[str, Any]) -> list[BookingRecord]:
    """Return the bookings that ``rest``, a constant with the SQL after FROM, selects."""
    with connection.cursor() as cursor:
        cursor.execute(READ + rest, {"now": clock.now(), **values})
        return [_record(row) for row in cursor.fetchall()]


def occupied_bookings() -> list[UUID]:
    """Return the ids of all bookings that are flagged because another party still sits at one of their tables."""
    with connection.cursor() as cursor:
        cursor.execute(OCCUPIED_NOW, {"now": clock.now()})
        return [booking_id for (booking_id,) in cursor.fetchall()]


def _record(row: tuple[Any, ...]) -> BookingRecord:
    (
        id_, reference, restaurant_id, zone, sector_id, table_ids, service_date, start, end, minutes, party,
        status, channel, guest_id, name, email, phone, notes, version, created_at, updated_at,
        flags, occupied, wall, promised_zone, fold,
    ) = row  # fmt: skip
    return BookingRecord(
        id_, reference, restaurant_id, zone, sector_id, tuple(table_ids), service_date, start, end, minutes,
        party, _STATUS[status], _CHANNEL[channel],
        GuestRecord(guest_id, name, email, phone) if guest_id else None,
        notes, version, created_at, updated_at, tuple(sorted(flags)), occupied,
        Promise(start, wall, promised_zone, fold) if wall is not None else None,
    )  # fmt: skip


# Looking a member up by value is several times cheaper than calling the enum.
_STATUS: Final = {member.value: member for member in Status}
_CHANNEL: Final = {member.value: member for member in Booking.Channel}


OF_DAY: Final = "WHERE booking.restaurant_id = %(restaurant)s AND booking.service_date = %(date)s"
IN_ORDER: Final = "ORDER BY booking.start, booking.id"


def fetch_day(restaurant_id: str, service_date: date) -> list[BookingRecord]:
    """Return all bookings of a restaurant's service day, whatever their status, in order of start."""
    return fetch(f"{OF_DAY} {IN_ORDER}", {"restaurant": restaurant_id, "date": service_date})


def find_booking(
    *, caller: Caller, booking: str, permission: Permission, or_own: bool = False
) -> BookingRecord:
    """Return the booking of that id or reference with its guest, if the caller holds ``permission`` at its restaurant.

    Raises NotFound if there is none or the caller holds no permission there at all, Forbidden if only this one is
    missing, Unauthorized for a caller without credentials. ``or_own``: for a booking that the caller itself made,
    ``booking:own`` will do.
    """
    caller.require_somewhere(permission)
    records = fetch(*_named(booking))
    if not records or not caller.permissions_at(records[0].restaurant_id):
        raise NotFound
    if (
        or_own
        and not caller.may(permission, records[0].restaurant_id)
        and caller.may(Permission.BOOKING_OWN, records[0].restaurant_id)
        and _made_by(caller, records[0])
    ):
        return records[0]
    caller.require(permission, records[0].restaurant_id)
    return records[0]


def _made_by(caller: Caller, booking: BookingRecord) -> bool:
    if caller.kind is CallerKind.ANONYMOUS:
        return False
    first = StoredEvent.objects.filter(
        aggregate_type=BOOKING_CREATED.topic, aggregate_id=str(booking.id), version=1
    )
    return first.filter(metadata__actor=caller.actor).exists()


def _named(booking: str) -> tuple[str, dict[str, Any]]:
    """Return the condition for an id or a reference. Raises NotFound for a text that cannot be either."""
    if len(booking) > MAX_REFERENCE_CHARACTERS or "\x00" in booking:
        raise NotFound
    try:
        return "WHERE booking.id = %(id)s", {"id": UUID(booking)}
    except ValueError:
        return "WHERE booking.reference = %(reference)s", {"reference": booking.upper()}


def locked(booking_id: UUID) -> BookingRecord:
    """Return the booking as it is now, and lock its row until the transaction ends. Raises NotFound."""
    bookings = fetch("WHERE booking.id = %(id)s FOR UPDATE OF booking", {"id": booking_id})
    if not bookings:
        raise NotFound
    return bookings[0]


def guest_of(restaurant_id: str, contact: Contact) -> tuple[GuestRecord | None, bool]:
    """Return the guest with that contact, and whether the guest is new; (None, False) for an empty contact.

    A guest is known by the same name and the same e-mail address or phone. The name must match, so that a caller who
    knows an address can neither attach a booking to its owner nor rename the owner.
    """
    if not contact:
        return None, False
    if contact.email or contact.phone:
        same = Q()
        if contact.email:
            same |= Q(email=contact.email)
        if contact.phone:
            same |= Q(phone=contact.phone)
        guest = (
            Guest.objects.filter(same, restaurant_id=restaurant_id, name=contact.name, erased_at__isnull=True)
            .order_by("created_at")
            .first()
        )
        if guest:
            return GuestRecord(guest.id, guest.name, guest.email, guest.phone), False
    return GuestRecord(uuid7(), contact.name, contact.email, contact.phone), True


GUEST: Final = """guest AS (
    INSERT INTO bookings_guest (id, restaurant_id, name, email, phone, notes, created_at, updated_at)
    VALUES (%(guest_id)s, %(restaurant_id)s, %(guest_name)s, %(guest_email)s, %(guest_phone)s, '',
            %(created_at)s, %(created_at)s)
)"""

BOOKING: Final = """booking AS (
    INSERT INTO bookings_booking
        (id, reference, restaurant_id, sector_id, table_ids, service_date, start, "end", duration_minutes,
         party_size, status, channel, guest_id, notes, version, created_at, updated_at,
         promised_start, promised_zone, promised_fold)
    VALUES (%(id)s, %(reference)s, %(restaurant_id)s, %(sector_id)s, string_to_array(%(table_ids)s, ','),
            %(service_date)s, %(start)s, %(end)s, %(duration_minutes)s, %(party_size)s, %(status)s,
            %(channel)s, %(guest_id)s, %(notes)s, %(version)s, %(created_at)s, %(updated_at)s,
            %(promised_start)s, %(promised_zone)s, %(promised_fold)s)
)"""

# In table order, as in every statement that locks several tables.
ALLOCATIONS: Final = """allocations AS (
    INSERT INTO bookings_allocation (table_id, sector_id, period, active, booking_id, utc_offset)
    SELECT booked.id, %(sector_id)s, tstzrange(%(start)s::timestamptz, %(end)s::timestamptz), true,
           %(id)s::uuid, %(utc_offset)s::int
    FROM unnest(string_to_array(%(table_ids)s, ',')) AS booked (id) ORDER BY booked.id
)"""

STORED_ANSWER: Final = f"stored_answer AS ({KEEP})"


NEVER_OVERLAPS: Final = "allocation_never_overlaps, allocation_promised_once, seating_never_overlaps"


@cache
def _insert(with_guest: bool, with_key: bool) -> str:
    parts = [BOOKING, ALLOCATIONS, APPEND_CTE]
    if with_guest:
        parts.insert(0, GUEST)
    if with_key:
        parts.append(STORED_ANSWER)
    return f"WITH {', '.join(parts)} SELECT 1"


def insert(
    booking: BookingRecord, *, event_type: EventType, actor: Caller, new_guest: bool, ticket: Ticket | None
) -> None:
    """Write a new booking, its allocations and its first event, and with a ticket the answer to its request."""
    values = _row(booking) | _event(booking, event_type, booking.payload(), actor, booking.created_at)
    if new_guest and booking.guest:
        values |= {
            "guest_name": booking.guest.name,
            "guest_email": booking.guest.email,
            "guest_phone": booking.guest.phone,
        }
    if ticket:
        values |= ticket.answer(booking)
    with connection.cursor() as cursor:
        cursor.execute(_insert(new_guest, ticket is not None), values)


UPDATE: Final = """booking AS (
    UPDATE bookings_booking
    SET sector_id = %(sector_id)s, table_ids = string_to_array(%(table_ids)s, ','), service_date = %(service_date)s,
        start = %(start)s, "end" = %(end)s, duration_minutes = %(duration_minutes)s,
        party_size = %(party_size)s, status = %(status)s, guest_id = %(guest_id)s, notes = %(notes)s,
        flags = string_to_array(%(attention)s, ','), promised_start = %(promised_start)s,
        promised_zone = %(promised_zone)s, promised_fold = %(promised_fold)s,
        version = %(version)s, updated_at = %(updated_at)s
    WHERE id = %(id)s
)"""


def update(
    booking: BookingRecord,
    *,
    event_type: EventType,
    actor: Caller,
    more: Mapping[str, Any] | None = None,
    ticket: Ticket | None = None,
) -> None:
    """Write a booking's next version and its event, and with a ticket the answer to its request.

    ``more`` is added to the event's payload.
    """
    payload = booking.payload() | dict(more or {})
    values = _row(booking) | _event(booking, event_type, payload, actor, booking.updated_at)
    parts = [UPDATE, APPEND_CTE]
    if ticket:
        parts.append(STORED_ANSWER)
        values |= ticket.answer(booking)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {', '.join(parts)} SELECT 1", values)


def store_answer(ticket: Ticket, booking: BookingRecord) -> None:
    """Store the answer to a request that leaves the booking as it is."""
    with connection.cursor() as cursor:
        cursor.execute(KEEP, ticket.answer(booking))


def reseat(booking: BookingRecord) -> None:
    """Replace the booking's allocations by its present tables and period."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM bookings_allocation WHERE booking_id = %s", [booking.id])
        cursor.execute(f"WITH {ALLOCATIONS} SELECT 1", _row(booking))


@contextmanager
def exchanging_tables() -> Iterator[None]:
    """Let bookings written in the block take tables that another of them frees; checked at the block's end."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS {NEVER_OVERLAPS} DEFERRED")
        yield
        cursor.execute(f"SET CONSTRAINTS {NEVER_OVERLAPS} IMMEDIATE")


def free(booking_id: UUID) -> None:
    """Free the booking's tables; the allocations stay as inactive rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bookings_allocation SET active = false WHERE booking_id = %s AND active", [booking_id]
        )


def shorten(booking_id: UUID, end: datetime) -> None:
    """Free the booking's tables from ``end`` on; an allocation that had not begun becomes inactive."""
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
    """Append an event as the aggregate's next version; the caller holds the aggregate's lock."""
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
    promise = booking.promised()
    return {
        "promised_start": promise.wall,
        "promised_zone": promise.zone,
        "promised_fold": promise.fold,
        "utc_offset": plain_offset(promise, booking.end),
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
        "attention": ",".join(booking.attention),
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
