"""Put a booking back to what it was before its latest step, by anyone who may change bookings, at any time.

An undo takes back one's own change within seconds; this corrects what was noticed later. Only the status goes back: the
tables, the time and the guest stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability import day as days
from bookings.availability.plan import Plan
from bookings.event_types import BOOKING, BOOKING_UPDATED
from bookings.repository import statements
from bookings.repository.records import BookingRecord, Ticket
from bookings.repository.statements import locked
from bookings.services.change import check_not_moved
from bookings.services.command import booking_command
from bookings.services.lifecycle import check_its_day
from bookings.services.plan_changes import misfit
from bookings.services.room import in_the_way, planned_there, seated_from, with_alternatives
from bookings.statuses import BEFORE, OPEN, Status, possible
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import InvalidTransition
from wokibrain.core.permissions import Permission
from wokibrain.events.models import StoredEvent
from wokibrain.idempotency.keys import Replay


@booking_command(Permission.BOOKING_UPDATE)
def reopen_booking(
    seen: BookingRecord, *, caller: Caller, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Put a SEATED, COMPLETED, CANCELLED or NO_SHOW booking back to the status before.

    One BookingUpdated, whose ``undoes`` names the event that is taken back. Back to SEATED only on the booking's own
    service day. The booking is flagged where the plan no longer has its tables or serves its time. Raises
    InvalidTransition; Conflict, with ``alternatives``, where the tables were given away or another party sits there.
    """

    def write() -> BookingRecord:
        before = locked(seen.id)
        check_not_moved(seen, before)
        target, undone = _before(before)
        now = clock.now_to_millisecond()
        after = replace(before, status=target, version=before.version + 1, updated_at=now)
        if target in OPEN:
            plan = _check_tables(before, target)
            # Changes of the plan flag open bookings only: those that it no longer serves are flagged now.
            zone = before.promise.zone if before.promise else plan.zone_name
            if before.end > now and (cause := misfit(plan, before, zone)):
                after = after.flagged(cause[0].value)
            statements.reseat(after)
        else:
            statements.free(after.id)
        statements.update(
            after,
            event_type=BOOKING_UPDATED,
            actor=caller,
            more={"undoes": undone, "changes": after.changes_from(before)},
            ticket=ticket,
        )
        return after

    return in_transaction_for([SectorDay(seen.sector_id, seen.service_date)], write, ticket)


def _before(booking: BookingRecord) -> tuple[Status, dict[str, Any]]:
    """Return the status to put back, and the version and type of the event that ended it. Raises InvalidTransition."""
    events = StoredEvent.objects.filter(aggregate_type=BOOKING, aggregate_id=str(booking.id))
    earlier = [status.value for status in BEFORE.get(booking.status, ())]
    last = events.filter(payload__status__in=earlier).order_by("-version").first()
    if last is None:
        raise InvalidTransition(
            format_lazy(
                _("There is nothing to put this booking back to. Possible now: {steps}."),
                steps=possible(booking.status, put_back=False),
            )
        )
    step = events.get(version=last.version + 1)
    return Status(last.payload["status"]), {"version": step.version, "eventType": step.event_type}


def _check_tables(booking: BookingRecord, target: Status) -> Plan:
    """Return the plan. Raise InvalidTransition, or Conflict where the booking cannot have its tables back."""
    day = days.read(booking.restaurant_id, None, booking.service_date, without=(booking.id,))
    start = booking.start
    if target is Status.SEATED:
        check_its_day(booking, day.plan)
        start = seated_from(booking)
        # Past its end it may well sit where the next party is planned: it had not left.
        conflict = in_the_way(day, booking, start, booking.end)
    else:
        conflict = planned_there(booking.id, booking.table_ids, start, booking.end, day)
    if conflict:
        raise with_alternatives(conflict, day, booking, start, booking.end)
    return day.plan
