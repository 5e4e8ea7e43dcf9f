"""The steps of a booking's life-cycle: cancel, seat, complete, no-show.

REST, admin, board and commands all call these services, so that every booking meets the same lock, constraint and
events. Each raises DomainErrors and leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings import metrics
from bookings.event_types import BOOKING_CANCELLED, BOOKING_COMPLETED, BOOKING_NO_SHOW, BOOKING_SEATED
from bookings.repository import writes
from bookings.repository.records import BookingRecord, fetch
from bookings.repository.ticket import Ticket
from bookings.selectors.bookings import find_booking
from bookings.services.command import command
from bookings.statuses import CANCEL, COMPLETE, MARK_NO_SHOW, SEAT, Status, Step
from bookings.transactions.locks import SectorDay
from bookings.transactions.sector_days import in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import AlreadyCancelled, Conflict, InvalidTransition, NotFound
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay


@command(metric=metrics.BOOKING_CANCELLED)
def cancel_booking(
    *, caller: Caller, booking: str, reason: str = "", ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """CONFIRMED -> CANCELLED, which frees the tables. Raises AlreadyCancelled, InvalidTransition.

    ``booking`` is an id or a reference; ``reason`` is one of the product's words, not free text.
    """

    def cancel(before: BookingRecord) -> None:
        if before.status is Status.CANCELLED:
            raise AlreadyCancelled
        _expect(before, CANCEL)
        writes.free(before.id)

    more = {"reason": reason or "requested"}
    return _step(caller, Permission.BOOKING_DELETE, booking, CANCEL, cancel, more, ticket)


@command()
def seat_booking(*, caller: Caller, booking: str, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """CONFIRMED -> SEATED; NO_SHOW -> SEATED too, where the tables are still free (else Conflict)."""

    def seat(before: BookingRecord) -> None:
        _expect(before, SEAT)
        if before.status is Status.NO_SHOW and not writes.hold_again(before.id):
            raise Conflict(_("Its tables are no longer free for its time."))

    return _step(caller, Permission.BOOKING_UPDATE, booking, SEAT, seat, ticket=ticket)


@command()
def complete_booking(*, caller: Caller, booking: str, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """SEATED -> COMPLETED; before its end it frees the rest of its time."""

    def complete(before: BookingRecord) -> None:
        _expect(before, COMPLETE)
        writes.shorten(before.id, clock.now_to_millisecond())

    return _step(caller, Permission.BOOKING_UPDATE, booking, COMPLETE, complete, ticket=ticket)


@command()
def no_show_booking(*, caller: Caller, booking: str, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """CONFIRMED -> NO_SHOW, which frees the tables."""

    def no_show(before: BookingRecord) -> None:
        _expect(before, MARK_NO_SHOW)
        writes.free(before.id)

    return _step(caller, Permission.BOOKING_UPDATE, booking, MARK_NO_SHOW, no_show, ticket=ticket)


EVENT_OF: Final = {
    Status.CANCELLED: BOOKING_CANCELLED,
    Status.SEATED: BOOKING_SEATED,
    Status.COMPLETED: BOOKING_COMPLETED,
    Status.NO_SHOW: BOOKING_NO_SHOW,
}


def _step(
    caller: Caller,
    permission: Permission,
    booking: str,
    step: Step,
    effect: Callable[[BookingRecord], None],
    more: dict[str, str] | None = None,
    ticket: Ticket | None = None,
) -> BookingRecord | Replay:
    """Take one step of the life-cycle under the lock of the booking's sector-day."""
    seen = find_booking(caller=caller, booking=booking, permission=permission)

    def write() -> BookingRecord:
        before = locked(seen.id)
        effect(before)
        after = replace(
            before, status=step.target, version=before.version + 1, updated_at=clock.now_to_millisecond()
        )
        writes.update(after, event_type=EVENT_OF[step.target], actor=caller, more=more)
        if ticket:
            ticket.keep_for(after)
        return after

    return in_transaction_for([SectorDay(seen.sector_id, seen.service_date)], write, ticket)


def locked(booking_id: UUID) -> BookingRecord:
    """Return the booking as it is now, its row locked until the transaction ends. Raises NotFound."""
    bookings = fetch("WHERE booking.id = %(id)s FOR UPDATE OF booking", {"id": booking_id})
    if not bookings:
        raise NotFound
    return bookings[0]


def _expect(booking: BookingRecord, step: Step) -> None:
    if booking.status not in step.sources:
        raise InvalidTransition(
            format_lazy(_("A booking that is {status} does not allow this."), status=booking.status.label)
        )
