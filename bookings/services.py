"""The only writers of bookings: create, cancel, seat, complete, no-show. (Changes: ``changes.py``.)

Every door (REST, admin, walk-in, command) comes through here, so each booking meets the same lock,
constraint and events. Each function raises DomainErrors and leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings import day as days
from bookings import plan as plans
from bookings import writes
from bookings.idempotency import Ticket
from bookings.locking import SectorDay
from bookings.models import Booking, Guest
from bookings.records import BookingRecord, GuestRecord, fetch
from bookings.refused import Door, counted
from bookings.rules import Contact, NewBooking, check_bounds, check_tables, seat_for, wish_for
from bookings.selectors import find_booking
from bookings.turns import take_turn
from wokibrain import clock, ids, metrics
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.errors import (
    AlreadyCancelled,
    Conflict,
    InvalidTransition,
    NotFound,
)
from wokibrain.faults import point
from wokibrain.idempotency.keys import Replay, settle
from wokibrain.ids import uuid7

Status = Booking.Status


def create_booking(
    *, caller: Caller, wanted: NewBooking, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Seat a party: the best candidate, or exactly the tables and start that were named.

    Raises NotFound (restaurant, sector, table), ValidationFailed (outside the restaurant's bounds),
    OutsideServiceWindow, NoCapacity, and Conflict when what was named is taken. With a ticket it also
    sees to ``keys.settle``: a refusal counts only if that is what the caller is told in the end.
    """
    with counted(wanted.restaurant_id, Door.BOOKING):
        made = settle(ticket, lambda: _seat_party(caller, wanted, ticket))
    point("booking-committed")
    if isinstance(made, BookingRecord):
        metrics.BOOKING_CREATED.inc()
    return made


def _seat_party(caller: Caller, wanted: NewBooking, ticket: Ticket | None) -> BookingRecord | Replay:
    caller.require(Permission.BOOKING_CREATE, wanted.restaurant_id)
    sectors = [wanted.sector_id] if wanted.sector_id else plans.recent(wanted.restaurant_id).sectors
    asked: days.Asked | None = None

    def ahead() -> None:
        nonlocal asked
        plan = plans.kept(wanted.restaurant_id, wanted.sector_id)
        asked = days.ask(plan, wanted.sector_id, wanted.date) if plan else None

    def work() -> BookingRecord:
        day = days.read(wanted.restaurant_id, wanted.sector_id, wanted.date, asked=asked)
        plan = day.plan
        wish = wish_for(plan, wanted)
        check_bounds(plan, wanted.party_size, wish.duration, wanted.date)
        check_tables(day, wish.tables)
        table_ids, start, end = seat_for(day, wish)
        point("seat-chosen")
        moment = now()
        guest, is_new = guest_of(wanted.restaurant_id, wanted.contact)
        made = BookingRecord(
            id=uuid7(),
            reference=ids.reference(),
            restaurant_id=wanted.restaurant_id,
            zone=plan.zone_name,
            sector_id=day.sector_of(table_ids),
            table_ids=table_ids,
            service_date=wanted.date,
            start=start,
            end=end,
            duration_minutes=wish.duration,
            party_size=wanted.party_size,
            status=Status.CONFIRMED,
            channel=wanted.channel,
            guest=guest,
            notes=wanted.notes,
            version=1,
            created_at=moment,
            updated_at=moment,
        )
        writes.insert(made, event_type="BookingCreated", actor=caller, new_guest=is_new, ticket=ticket)
        point("booking-written")
        return made

    turn = [SectorDay(sector_id, wanted.date) for sector_id in sectors]
    return take_turn(turn, work, ticket, ahead=ahead)


def cancel_booking(
    *, caller: Caller, booking: str, reason: str = "", ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """CONFIRMED -> CANCELLED, which frees the tables. Raises AlreadyCancelled, InvalidTransition.

    ``booking`` is an id or a reference; ``reason`` is one of the product's words, not free text.
    """

    def cancel(before: BookingRecord) -> None:
        if before.status is Status.CANCELLED:
            raise AlreadyCancelled
        _expect(before, Status.CONFIRMED)
        writes.free(before.id)

    more = {"reason": reason or "requested"}
    result = _step(caller, Permission.BOOKING_DELETE, booking, Status.CANCELLED, cancel, more, ticket)
    if isinstance(result, BookingRecord):
        metrics.BOOKING_CANCELLED.inc()
    return result


def seat_booking(*, caller: Caller, booking: str, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """CONFIRMED -> SEATED; NO_SHOW -> SEATED too, where the tables are still free (else Conflict)."""

    def seat(before: BookingRecord) -> None:
        _expect(before, Status.CONFIRMED, Status.NO_SHOW)
        if before.status is Status.NO_SHOW and not writes.hold_again(before.id):
            raise Conflict(_("Its tables are no longer free for its time."))

    return _step(caller, Permission.BOOKING_UPDATE, booking, Status.SEATED, seat, ticket=ticket)


def complete_booking(*, caller: Caller, booking: str, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """SEATED -> COMPLETED; before its end it frees the rest of its time."""

    def complete(before: BookingRecord) -> None:
        _expect(before, Status.SEATED)
        writes.shorten(before.id, now())

    return _step(caller, Permission.BOOKING_UPDATE, booking, Status.COMPLETED, complete, ticket=ticket)


def no_show_booking(*, caller: Caller, booking: str, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """CONFIRMED -> NO_SHOW, which frees the tables."""

    def no_show(before: BookingRecord) -> None:
        _expect(before, Status.CONFIRMED)
        writes.free(before.id)

    return _step(caller, Permission.BOOKING_UPDATE, booking, Status.NO_SHOW, no_show, ticket=ticket)


EVENT_OF: Final = {
    Status.CANCELLED: "BookingCancelled",
    Status.SEATED: "BookingSeated",
    Status.COMPLETED: "BookingCompleted",
    Status.NO_SHOW: "BookingNoShow",
}


def _step(
    caller: Caller,
    permission: Permission,
    booking: str,
    status: Booking.Status,
    effect: Callable[[BookingRecord], None],
    more: dict[str, str] | None = None,
    ticket: Ticket | None = None,
) -> BookingRecord | Replay:
    """One step of the life-cycle under the lock of the booking's sector-day."""
    seen = find_booking(caller=caller, booking=booking, permission=permission)

    def work() -> BookingRecord:
        before = locked(seen.id)
        effect(before)
        after = replace(before, status=status, version=before.version + 1, updated_at=now())
        writes.update(after, event_type=EVENT_OF[status], actor=caller, more=more)
        if ticket:
            ticket.keep_for(after)
        return after

    return take_turn([SectorDay(seen.sector_id, seen.service_date)], work, ticket)


def locked(booking_id: UUID) -> BookingRecord:
    """The booking as it is now, its row locked until the transaction ends. Raises NotFound."""
    found = fetch("WHERE booking.id = %(id)s FOR UPDATE OF booking", {"id": booking_id})
    if not found:
        raise NotFound
    return found[0]


def _expect(booking: BookingRecord, *allowed: Booking.Status) -> None:
    if booking.status not in allowed:
        raise InvalidTransition(
            format_lazy(_("A booking that is {status} does not allow this."), status=booking.status.label)
        )


def guest_of(restaurant_id: str, contact: Contact) -> tuple[GuestRecord | None, bool]:
    """The person of that contact: one known by the same name and address, else a new one.

    The name must match too, so that whoever knows an address cannot attach to, or rename, its owner.
    """
    if not contact:
        return None, False
    if contact.email or contact.phone:
        same = Q()
        if contact.email:
            same |= Q(email=contact.email)
        if contact.phone:
            same |= Q(phone=contact.phone)
        known = (
            Guest.objects.filter(same, restaurant_id=restaurant_id, name=contact.name, erased_at__isnull=True)
            .order_by("created_at")
            .first()
        )
        if known:
            return GuestRecord(known.id, known.name, known.email, known.phone), False
    return GuestRecord(uuid7(), contact.name, contact.email, contact.phone), True


def now() -> datetime:
    """Now, to the millisecond: what JSON's readers can hold."""
    moment = clock.now()
    return moment - timedelta(microseconds=moment.microsecond % 1000)
