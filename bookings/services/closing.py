"""Close what a day left open: parties that nobody marked as gone before their service day ended."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Final

from django.db import DatabaseError

from bookings.availability import plan as plans
from bookings.availability.plan import service_date_at
from bookings.models import Booking, Seating
from bookings.repository import statements
from bookings.repository.records import BookingRecord
from bookings.repository.statements import locked
from bookings.services.command import booking_command
from bookings.services.lifecycle import quarter_of, write_step
from bookings.statuses import COMPLETE, Status
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM, Caller
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission

log = logging.getLogger(__name__)

END_OF_DAY: Final = "end of day"
"""The reason in the event."""


def close_ended_days() -> int:
    """Complete each SEATED booking whose service day and own time are over; return how many there were.

    Their seatings end now and are marked as assumed: the back office lists them, and the usual stays leave them out.
    One that fails is logged and tried again by the next run.
    """
    now = clock.now()
    seated = Booking.objects.filter(
        pk__in=Seating.objects.filter(period__upper_inf=True).values("booking"),
        status=Status.SEATED,
        end__lte=now,
    )
    open_bookings: dict[str, list[Booking]] = defaultdict(list)
    for booking in seated.order_by("id"):
        open_bookings[booking.restaurant_id].append(booking)
    closed = 0
    for restaurant_id, bookings in open_bookings.items():
        plan = plans.current(restaurant_id)
        if not plan.zone_is_known:
            # When its day ends, only a host that has the zone's rules can tell.
            continue
        today = service_date_at(plan, now)
        for booking in bookings:
            if booking.service_date < today:
                try:
                    closed += _close(str(booking.id), caller=SYSTEM)
                except (DomainError, DatabaseError) as error:
                    log.warning("booking %s is not closed: %s", booking.reference, type(error).__name__)
    return closed


@booking_command(Permission.BOOKING_UPDATE)
def _close(seen: BookingRecord, *, caller: Caller) -> bool:
    """Complete the booking; return False if its party is no longer seated."""

    def write() -> bool:
        before = locked(seen.id)
        if before.status is not Status.SEATED:
            return False
        statements.shorten(before.id, quarter_of(clock.now()))
        write_step(before, before, COMPLETE, caller=caller, more={"reason": END_OF_DAY})
        Seating.objects.filter(booking=before.id).update(assumed=True)
        return True

    return in_transaction_for([SectorDay(seen.sector_id, seen.service_date)], write)
