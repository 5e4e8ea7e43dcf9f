"""The steps of a booking's life-cycle: cancel, seat, complete, no-show.

REST, admin, board and commands all call these services, so that every booking meets the same lock, constraint and
events. Each raises DomainErrors and leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings import metrics
from bookings.availability import day as days
from bookings.availability import plan as plans
from bookings.availability.plan import Plan, service_date_at
from bookings.engine import SLOT_MINUTES
from bookings.event_types import BOOKING_CANCELLED, BOOKING_COMPLETED, BOOKING_NO_SHOW, BOOKING_SEATED
from bookings.repository import statements
from bookings.repository.records import BookingRecord, Ticket
from bookings.repository.statements import locked
from bookings.services.change import check_not_moved, clear_attention
from bookings.services.command import booking_command
from bookings.services.room import in_the_way, needed_until, seated_from, with_alternatives
from bookings.statuses import CANCEL, COMPLETE, MARK_NO_SHOW, SEAT, Status, Step, possible
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import AlreadyCancelled, Conflict, InvalidTransition
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay

QUARTER_SECONDS: Final = 60 * SLOT_MINUTES


@booking_command(Permission.BOOKING_DELETE, metric=metrics.BOOKING_CANCELLED, or_own=True)
def cancel_booking(
    seen: BookingRecord, *, caller: Caller, reason: str = "", ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Cancel a CONFIRMED booking, which frees its tables. Raises AlreadyCancelled, InvalidTransition.

    ``reason`` is one of the product's words, not free text.
    """

    def cancel(before: BookingRecord) -> BookingRecord:
        if before.status is Status.CANCELLED:
            raise AlreadyCancelled
        _expect(before, CANCEL)
        statements.free(before.id)
        return before

    return _step(seen, CANCEL, cancel, caller, ticket, {"reason": reason or "requested"})


@booking_command(Permission.BOOKING_UPDATE)
def seat_booking(
    seen: BookingRecord,
    *,
    caller: Caller,
    table_ids: frozenset[str] | None = None,
    ticket: Ticket | None = None,
) -> BookingRecord | Replay:
    """Seat the party of a CONFIRMED or NO_SHOW booking now, at its own tables or at others that the caller names.

    Only on its service day; early is possible where the tables are free from now on, late, even past its end, where
    they are free now. Raises InvalidTransition; NotFound for a table; Conflict, with ``alternatives``, where another
    party sits or is planned there, or the tables do not seat the party.
    """

    def seat(before: BookingRecord) -> BookingRecord:
        _expect(before, SEAT)
        start = seated_from(before)
        day = days.read(before.restaurant_id, None, before.service_date, without=(before.id,))
        check_its_day(before, day.plan)
        day.check_tables(table_ids)
        after = before
        if table_ids is not None and table_ids != frozenset(before.table_ids):
            after = replace(before, sector_id=day.sector_of(table_ids), table_ids=tuple(sorted(table_ids)))
        # What ended by now is in the way of tables that are taken anew only, which is for the whole of its time.
        keeps = after is before and before.status is Status.CONFIRMED
        needed_from = max(start, quarter_of(clock.now())) if keeps else start
        conflict = in_the_way(day, after, needed_from, needed_until(day, start, before.end))
        if after is not before and not day.seats(after.table_ids, after.party_size):
            conflict = Conflict(
                format_lazy(_("The tables do not seat a party of {party}."), party=before.party_size)
            )
        if conflict:
            raise with_alternatives(conflict, day, before, start, before.end)
        if after is not before or before.status is Status.NO_SHOW:
            statements.reseat(after)
        return after

    rooms = plans.current(seen.restaurant_id).sectors if table_ids else (seen.sector_id,)
    return _step(seen, SEAT, seat, caller, ticket, sectors=rooms)


@booking_command(Permission.BOOKING_UPDATE)
def complete_booking(
    seen: BookingRecord, *, caller: Caller, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Complete a SEATED booking; before its end this frees the rest of its time. Raises InvalidTransition."""

    def complete(before: BookingRecord) -> BookingRecord:
        _expect(before, COMPLETE)
        statements.shorten(before.id, quarter_of(clock.now()))
        return before

    return _step(seen, COMPLETE, complete, caller, ticket)


@booking_command(Permission.BOOKING_UPDATE)
def no_show_booking(
    seen: BookingRecord, *, caller: Caller, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Mark a CONFIRMED booking as a no-show from its start on, which frees its tables. Raises InvalidTransition."""

    def no_show(before: BookingRecord) -> BookingRecord:
        _expect(before, MARK_NO_SHOW)
        statements.free(before.id)
        return before

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
    effect: Callable[[BookingRecord], BookingRecord],
    caller: Caller,
    ticket: Ticket | None,
    more: Mapping[str, Any] | None = None,
    *,
    sectors: Iterable[str] = (),
) -> BookingRecord | Replay:
    """Take one step of the life-cycle under the locks of the booking's sector-day and of others of that day."""

    def write() -> BookingRecord:
        before = locked(seen.id)
        check_not_moved(seen, before)
        return write_step(before, effect(before), step, caller=caller, more=more, ticket=ticket)

    sector_days = {SectorDay(sector_id, seen.service_date) for sector_id in (seen.sector_id, *sectors)}
    return in_transaction_for(sector_days, write, ticket)


def write_step(
    before: BookingRecord,
    moved: BookingRecord,
    step: Step,
    *,
    caller: Caller,
    more: Mapping[str, Any] | None = None,
    ticket: Ticket | None = None,
) -> BookingRecord:
    """Write the booking's next version, one step after ``before`` and at the tables of ``moved``, and its event.

    Nothing is read, and what the step does to allocations is the caller's to write.
    """
    changes = {"changes": moved.changes_from(before)} if moved != before else {}
    after = replace(
        clear_attention(before, moved),
        status=step.target,
        version=before.version + 1,
        updated_at=clock.now_to_millisecond(),
    )
    statements.update(
        after,
        event_type=EVENT_OF[step.target],
        actor=caller,
        more={**(more or {}), **changes},
        ticket=ticket,
    )
    return after


def _expect(booking: BookingRecord, step: Step) -> None:
    if booking.status not in step.sources:
        raise InvalidTransition(
            format_lazy(
                _("A booking that is {status} does not allow this. Possible now: {steps}."),
                status=booking.status.label,
                steps=possible(booking.status),
            )
        )
    if step.from_its_start and clock.now() < booking.start:
        raise InvalidTransition(
            format_lazy(
                _("This is possible from the booking's start on, {when}."),
                when=f"{booking.local(booking.start):%Y-%m-%d %H:%M}",
            )
        )


def check_its_day(booking: BookingRecord, plan: Plan) -> None:
    """Raise InvalidTransition unless it is the booking's own service day, on which alone its party can sit."""
    if service_date_at(plan, clock.now()) != booking.service_date:
        raise InvalidTransition(
            format_lazy(
                _("A party is seated on its own service day, {date}."), date=booking.service_date.isoformat()
            )
        )


def quarter_of(instant: datetime) -> datetime:
    """Return the quarter hour that contains ``instant``: what ended in it is not in the way of what begins with it."""
    return instant - timedelta(seconds=instant.timestamp() % QUARTER_SECONDS)
