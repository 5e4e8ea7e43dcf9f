"""Find and flag the future bookings that a restaurant's plan, once changed, no longer accommodates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings import statuses
from bookings.availability import plan as plans
from bookings.availability.plan import Plan
from bookings.engine import SLOT_MINUTES
from bookings.event_types import BOOKING_UPDATED
from bookings.models import Booking
from bookings.repository import statements
from bookings.repository.records import BookingRecord
from bookings.repository.statements import fetch
from bookings.transactions import lock_plans
from restaurants.services.plan_guard import Stranded
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Text, UnknownZone

Cause = Booking.Attention
SLOT: Final = timedelta(minutes=SLOT_MINUTES)

FUTURE: Final = f"""
WHERE booking.restaurant_id = %(restaurant_id)s AND booking.status IN ({statuses.sql(statuses.OPEN)})
  AND booking."end" > %(now)s
ORDER BY booking.start, booking.id
"""

# In order of id, like every statement that locks several bookings, so that none deadlocks.
LOCKED: Final = "WHERE booking.id = ANY (%(ids)s) ORDER BY booking.id FOR UPDATE OF booking"


class PlanWatch:
    """Locks the plans of a restaurant's sectors: no booking is created there until the transaction ends.

    So the list is complete: a booking either is in it, or is checked against the new plan.
    """

    def __init__(self, restaurant_id: str) -> None:
        lock_plans(restaurant_id)
        self.before = plans.load(restaurant_id)
        self.future = fetch(FUTURE, {"restaurant_id": restaurant_id, "now": clock.now()})
        try:
            self.misfits = {str(booking.id) for booking, _, _ in self._misfits(self.before)}
        except UnknownZone:
            # The change gives the restaurant a zone that this host knows: nothing fitted before.
            self.misfits = set()

    def stranded(self) -> list[Stranded]:
        """Return the future bookings that fit the plan before the change and do not fit the present one."""
        after = plans.load(self.before.restaurant_id)
        return [
            Stranded(
                id=str(booking.id),
                reference=booking.reference,
                service_date=booking.service_date,
                start=booking.local(booking.start).time(),
                party_size=booking.party_size,
                guest_name=booking.guest.name if booking.guest else "",
                cause=cause.value,
                label=cause.label,
                why=why,
            )
            for booking, cause, why in self._misfits(after)
            if str(booking.id) not in self.misfits
        ]

    def flag(self, stranded: Sequence[Stranded], caller: Caller) -> None:
        """Flag the bookings for staff, each with an event, so that its history shows it."""
        causes = {UUID(booking.id): booking.cause for booking in stranded}
        bookings = fetch(LOCKED, {"ids": list(causes)})
        for booking in bookings:
            flagged = replace(
                booking.flagged(causes[booking.id]),
                version=booking.version + 1,
                updated_at=clock.now_to_millisecond(),
            )
            statements.update(
                flagged,
                event_type=BOOKING_UPDATED,
                actor=caller,
                more={"changes": flagged.changes_from(booking)},
            )

    def _misfits(self, plan: Plan) -> Iterator[tuple[BookingRecord, Booking.Attention, Text]]:
        for booking in self.future:
            if cause := misfit(plan, booking, self.before.zone_name):
                yield booking, *cause


def misfit(plan: Plan, booking: BookingRecord, zone_before: str) -> tuple[Booking.Attention, Text] | None:
    """Return why a booking does not fit a plan, as cause and sentence; None if it does.

    ``zone_before`` is the restaurant's zone when the booking fitted. Limits on party, duration, lead time and horizon
    apply to new bookings only.
    """
    told, local = booking.local(booking.start), booking.start.astimezone(plan.zone)
    if plan.zone_name != zone_before and local.replace(tzinfo=None) != told.replace(tzinfo=None):
        why = _("The guest was told {old}; the time would become {new}.")
        return Cause.ZONE, format_lazy(why, old=f"{told:%Y-%m-%d %H:%M}", new=f"{local:%Y-%m-%d %H:%M}")
    room = plan.sectors.get(booking.sector_id)
    if room is None or not all(table_id in room.engine.index for table_id in booking.table_ids):
        why = _("{when}: one of its tables would be out of use ({tables}).")
        return Cause.TABLES, format_lazy(why, when=_when(booking), tables=", ".join(booking.table_ids))
    tables = tuple(sorted(room.engine.index[table_id] for table_id in booking.table_ids))
    bounds = room.engine.capacity(tables)
    if bounds is None or not bounds[0] <= booking.party_size <= bounds[1]:
        why = _("{when}: its tables ({tables}) would not seat {party}.")
        return Cause.TABLES, format_lazy(
            why, when=_when(booking), tables=", ".join(booking.table_ids), party=booking.party_size
        )
    if not is_served(plan, booking):
        return Cause.HOURS, format_lazy(
            _("{when}: the restaurant would not be serving at that time."), when=_when(booking)
        )
    return None


def _when(booking: BookingRecord) -> str:
    return f"{booking.local(booking.start):%Y-%m-%d %H:%M}"


def is_served(plan: Plan, booking: BookingRecord) -> bool:
    """Return whether the booking lies within one service of its day and starts no later than the last seating."""
    day = plan.day(booking.service_date)
    first = day.slot_of(booking.start)
    last = -((day.origin - booking.end) // SLOT)
    return any(span.lo <= first and last <= span.hi and span.seats >> first & 1 for span in day.spans)
