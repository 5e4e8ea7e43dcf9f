"""Swap the tables of two bookings of the same service day; both keep their times."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability import day as days
from bookings.availability.day import Day, SeatRequest
from bookings.availability.refusals import refuse
from bookings.event_types import BOOKING_UPDATED
from bookings.repository import statements
from bookings.repository.records import BookingRecord
from bookings.repository.statements import find_booking, locked
from bookings.services.change import CHANGED_SINCE, check_open, clear_attention
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, ValidationFailed
from wokibrain.core.permissions import Permission


@dataclass(frozen=True, slots=True)
class BookingVersion:
    """A booking, by id or reference, and the version of it that the caller saw."""

    booking: str
    version: int


def swap_bookings(
    *, caller: Caller, first: BookingVersion, second: BookingVersion
) -> tuple[BookingRecord, BookingRecord]:
    """Give each booking the other's tables in one transaction; on any failure both stay as they were.

    Each gets a BookingUpdated whose ``swappedWith`` names the other booking and its new version. Because of the
    versions, a request that is sent twice swaps once. Raises NotFound; ValidationFailed unless they are two bookings
    of one restaurant and service day; Conflict if one was changed since, its party does not fit at the other's tables
    or these are not free; AlreadyCancelled, InvalidTransition if one is no longer open.
    """
    one, other = (
        find_booking(caller=caller, booking=named.booking, permission=Permission.BOOKING_UPDATE)
        for named in (first, second)
    )
    same_day = (one.restaurant_id, one.service_date) == (other.restaurant_id, other.service_date)
    if one.id == other.id or not same_day:
        raise ValidationFailed.at("withBooking", _("Choose another booking of the same day."))
    versions = {one.id: first.version, other.id: second.version}

    def write() -> tuple[BookingRecord, BookingRecord]:
        before = {booking_id: locked(booking_id) for booking_id in sorted(versions)}
        for booking in before.values():
            if booking.version != versions[booking.id]:
                raise Conflict(CHANGED_SINCE)
            check_open(booking)
        left, right = before[one.id], before[other.id]
        sector = left.sector_id if left.sector_id == right.sector_id else None
        day = days.read(left.restaurant_id, sector, left.service_date, without=(left.id, right.id))
        for booking, partner in ((left, right), (right, left)):
            _check_fits(day, booking, partner)
        moment = clock.now_to_millisecond()
        after = tuple(
            clear_attention(
                booking,
                replace(
                    booking,
                    sector_id=partner.sector_id,
                    table_ids=partner.table_ids,
                    version=booking.version + 1,
                    updated_at=moment,
                ),
            )
            for booking, partner in ((left, right), (right, left))
        )
        with statements.exchanging_tables():
            for booking, partner in zip(after, reversed(after), strict=True):
                statements.reseat(booking)
                statements.update(
                    booking,
                    event_type=BOOKING_UPDATED,
                    actor=caller,
                    more={
                        "changes": booking.changes_from(before[booking.id]),
                        "swappedWith": {"id": str(partner.id), "version": partner.version},
                    },
                )
        return after[0], after[1]

    sector_days = {SectorDay(booking.sector_id, booking.service_date) for booking in (one, other)}
    return in_transaction_for(sector_days, write)


def _check_fits(day: Day, booking: BookingRecord, partner: BookingRecord) -> None:
    """Raise Conflict unless the partner's tables seat the booking's party and no third booking takes them then."""
    if not day.seats(partner.table_ids, booking.party_size):
        raise Conflict(
            format_lazy(
                _("The party of {party} at {time} does not fit at the other's tables."),
                party=booking.party_size,
                time=f"{booking.local(booking.start):%H:%M}",
            )
        )
    request = SeatRequest(
        party=booking.party_size,
        duration=day.covering(booking.start, booking.duration_minutes),
        start=day.aligned(booking.start),
        standing=True,
        tables=frozenset(partner.table_ids),
    )
    if not day.candidates(request, 1):
        raise refuse(day, request)
