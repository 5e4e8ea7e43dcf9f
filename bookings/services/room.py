"""What stands in the way of a party at its tables, in words, and the free tables that would do instead."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability.day import Day, SeatRequest, Sitting
from bookings.models import Allocation
from bookings.repository.records import BookingRecord, local_start
from bookings.statuses import Status
from wokibrain.core import clock
from wokibrain.core.errors import Conflict, Issue, Text

MAX_ALTERNATIVES: Final = 6
MOMENT: Final = timedelta(minutes=2)
"""For how long at least a party that is there needs its table; stays are measured in whole minutes."""


def sitting_there(day: Day, sitting: Sitting) -> Conflict:
    """Return the error that names a party which still sits at the tables."""
    since = f"{sitting.since.astimezone(day.plan.zone):%H:%M}"
    text = format_lazy(
        _("Another party still sits there, since {time} ({reference})."),
        time=since,
        reference=sitting.reference,
    )
    return _naming(sitting.reference, text)


def planned_there(
    booking_id: UUID, table_ids: Iterable[str], start: datetime, end: datetime, day: Day
) -> Conflict | None:
    """Return the error that names the first booking or block which holds one of the tables in that time, if any."""
    first = (
        Allocation.objects.filter(table__in=list(table_ids), active=True, period__overlap=(start, end))
        .filter(~Q(booking=booking_id) | Q(booking__isnull=True))
        .order_by("period", "table")
        .select_related("booking__restaurant")
        .first()
    )
    if first is None:
        return None
    if first.booking is None:
        begins = first.period.lower.astimezone(day.plan.zone)
        return Conflict(
            format_lazy(_("One of its tables is out of service from {time} on."), time=f"{begins:%H:%M}")
        )
    text = format_lazy(
        _("Its tables are booked for another party at {time} ({reference})."),
        time=f"{local_start(first.booking):%H:%M}",
        reference=first.booking.reference,
    )
    return _naming(first.booking.reference, text)


def in_the_way(day: Day, booking: BookingRecord, start: datetime, end: datetime) -> Conflict | None:
    """Return why a party cannot sit at the booking's tables from ``start`` to ``end``; None where it can."""
    for sitting in day.sitting_at(booking.table_ids):
        return sitting_there(day, sitting)
    return planned_there(booking.id, booking.table_ids, start, end, day)


def with_alternatives(
    conflict: Conflict, day: Day, booking: BookingRecord, start: datetime, end: datetime
) -> Conflict:
    """Return the conflict with the free tables that seat the booking's party in that time, best first.

    A party that sits needs them from now on, whatever its times.
    """
    if booking.status is Status.SEATED:
        start = min(start, clock.now_to_millisecond())
    minutes = int((needed_until(day, start, end) - start).total_seconds() // 60)
    request = SeatRequest(
        party=booking.party_size,
        duration=day.covering(start, minutes),
        start=day.aligned(start),
        standing=True,
    )
    candidates = day.candidates(request, MAX_ALTERNATIVES) if minutes > 0 else []
    conflict.extra = {
        "alternatives": [
            {"sectorId": day.sector_of(candidate.table_ids), "tableIds": list(candidate.table_ids)}
            for candidate in candidates
        ]
    }
    return conflict


def seated_from(booking: BookingRecord) -> datetime:
    """Return the instant from which the tables are needed if the party sits down now: at the latest its start."""
    return min(booking.start, clock.now_to_millisecond())


def needed_until(day: Day, start: datetime, end: datetime) -> datetime:
    """Return until when tables are needed from ``start`` on: what has begun needs them now, even past its end."""
    now = clock.now_to_millisecond()
    begun = start <= now < day.service.instant_of(day.service.slots)
    return max(end, now + MOMENT) if begun else end


def _naming(reference: str, text: Text) -> Conflict:
    return Conflict(text, issues=[Issue(f"bookings.{reference}", text)])
