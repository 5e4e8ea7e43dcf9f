"""The steps of a booking's life-cycle: cancel, seat, complete, no-show.

REST, admin, board and commands all call these services, so that every booking meets the same lock, constraint and
events. Each raises DomainErrors and leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings import metrics
from bookings.event_types import BOOKING_CANCELLED, BOOKING_COMPLETED, BOOKING_NO_SHOW, BOOKING_SEATED
from bookings.repository import statements
from bookings.repository.records import BookingRecord, Ticket
from bookings.repository.statements import locked
from bookings.services.command import booking_command
from bookings.statuses import CANCEL, COMPLETE, MARK_NO_SHOW, SEAT, Status, Step
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import AlreadyCancelled, Conflict, InvalidTransition
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay


@booking_command(Permission.BOOKING_DELETE, metric=metrics.BOOKING_CANCELLED)
def cancel_booking(
    seen: BookingRecord, *, caller: Caller, reason: str = "", ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Cancel a CONFIRMED booking, which frees its tables. Raises AlreadyCancelled, InvalidTransition.

    ``reason`` is one of the product's words, not free text.
    """

    def cancel(before: BookingRecord) -> None:
        if before.status is Status.CANCELLED:
            raise AlreadyCancelled
        _expect(before, CANCEL)
        statements.free(before.id)

    return _step(seen, CANCEL, cancel, caller, ticket, {"reason": reason or "requested"})


@booking_command(Permission.BOOKING_UPDATE)
def seat_booking(
    seen: BookingRecord, *, caller: Caller, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Seat the party of a CONFIRMED booking, or of a NO_SHOW one whose tables are still free (else Conflict)."""

    def seat(before: BookingRecord) -> None:
        _expect(before, SEAT)
        if before.status is Status.NO_SHOW and not statements.hold_again(before.id):
            raise Conflict(_("Its tables are no longer free for its time."))

    return _step(seen, SEAT, seat, caller, ticket)


@booking_command(Permission.BOOKING_UPDATE)
def complete_booking(
    seen: BookingRecord, *, caller: Caller, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Complete a SEATED booking; before its end this frees the rest of its time. Raises InvalidTransition."""

    def complete(before: BookingRecord) -> None:
        _expect(before, COMPLETE)
        statements.shorten(before.id, clock.now_to_millisecond())

    return _step(seen, COMPLETE, complete, caller, ticket)


@booking_command(Permission.BOOKING_UPDATE)
def no_show_booking(
    seen: BookingRecord, *, caller: Caller, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Mark a CONFIRMED booking as a no-show, which frees its tables. Raises InvalidTransition."""

    def no_show(before: BookingRecord) -> None:
        _expect(before, MARK_NO_SHOW)
        statements.free(before.id)

    return _step(seen, MARK_NO_SHOW, no_show, caller, ticket)


EVENT_OF: Final = {
    Status.CANCELLED: BOOKING_CANCELLED,
    Status.SEATED: BOOKING_SEATED,
    Status.COMPLETED: BOOKING_COMPLETED,
    Status.NO_SHOW: BOOKING_NO_SHOW,
}


def _step(
    seen: BookingRecord,
    step: Step,
    effect: Callable[[BookingRecord], None],
    caller: Caller,
    ticket: Ticket | None,
    more: Mapping[str, str] | None = None,
) -> BookingRecord | Replay:
    """Take one step of the life-cycle under the lock of the booking's sector-day."""

    def write() -> BookingRecord:
        before = locked(seen.id)
        effect(before)
        after = replace(
            before, status=step.target, version=before.version + 1, updated_at=clock.now_to_millisecond()
        )
        statements.update(after, event_type=EVENT_OF[step.target], actor=caller, more=more, ticket=ticket)
        return after

    return in_transaction_for([SectorDay(seen.sector_id, seen.service_date)], write, ticket)


def _expect(booking: BookingRecord, step: Step) -> None:
    if booking.status not in step.sources:
        raise InvalidTransition(
            format_lazy(_("A booking that is {status} does not allow this."), status=booking.status.label)
        )
