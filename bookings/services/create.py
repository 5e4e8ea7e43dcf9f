"""Create a booking."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time

from bookings import metrics
from bookings.availability import plan as plans
from bookings.availability.day import Day, DayRead, SeatRequest
from bookings.availability.refusals import refuse
from bookings.availability.turned_away import Door
from bookings.engine import Candidate
from bookings.event_types import BOOKING_CREATED
from bookings.models import Booking
from bookings.repository import statements
from bookings.repository.records import BookingRecord, Contact, GuestRecord, Ticket
from bookings.repository.statements import guest_of
from bookings.services.command import command
from bookings.statuses import Status
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.failpoints import point
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay


@dataclass(frozen=True, slots=True)
class NewBooking:
    """A request for a booking. Without ``start`` and ``table_ids`` the best candidate is taken.

    Minutes; wall times of the service day ``date``; ``start`` an aware instant on the grid.
    """

    restaurant_id: str
    party_size: int
    date: date
    sector_id: str | None = None
    duration_minutes: int | None = None
    window_start: time | None = None
    window_end: time | None = None
    start: datetime | None = None
    table_ids: frozenset[str] | None = None
    contact: Contact = field(default_factory=Contact)
    notes: str = ""
    channel: Booking.Channel = Booking.Channel.API


@command(Permission.BOOKING_CREATE, door=Door.BOOKING, metric=metrics.BOOKING_CREATED)
def create_booking(
    *, caller: Caller, new: NewBooking, ticket: Ticket | None = None
) -> BookingRecord | Replay:
    """Book the best candidate, or exactly the tables and start that ``new`` names.

    Raises NotFound (restaurant, sector, table), ValidationFailed (outside the restaurant's bounds),
    OutsideServiceWindow, NoCapacity, and Conflict when the tables or the start that ``new`` names are taken. A repeat
    of ``ticket`` returns the stored answer.
    """
    read = DayRead(new.restaurant_id, new.sector_id, new.date)

    def write() -> BookingRecord:
        day = read.day()
        seat = best_seat(day, new)
        point("seat-chosen")
        guest, is_new = guest_of(new.restaurant_id, new.contact)
        booking = booked(day, new, seat, guest)
        statements.insert(booking, event_type=BOOKING_CREATED, actor=caller, new_guest=is_new, ticket=ticket)
        point("booking-written")
        return booking

    sectors = [new.sector_id] if new.sector_id else plans.recent(new.restaurant_id).sectors
    days = [SectorDay(sector_id, new.date) for sector_id in sectors]
    result = in_transaction_for(days, write, ticket, send=read.send)
    point("booking-committed")
    return result


def best_seat(day: Day, new: NewBooking) -> Candidate:
    """Return the best candidate for ``new``. Raises what ``create_booking`` raises where there is none."""
    request = _seat_request(day, new)
    day.plan.check(new.party_size, request.duration, new.date)
    day.check_tables(request.tables)
    best = day.best(request)
    if best is None:
        raise refuse(day, request)
    return best


def booked(day: Day, new: NewBooking, seat: Candidate, guest: GuestRecord | None) -> BookingRecord:
    """Return the first version of the booking of ``seat``, made now."""
    return BookingRecord.new(
        restaurant_id=new.restaurant_id,
        zone=day.plan.zone_name,
        sector_id=day.sector_of(seat.table_ids),
        table_ids=seat.table_ids,
        service_date=new.date,
        start=seat.start,
        end=seat.end,
        duration_minutes=_minutes(day, new),
        party_size=new.party_size,
        status=Status.CONFIRMED,
        channel=new.channel,
        guest=guest,
        notes=new.notes,
        now=clock.now_to_millisecond(),
    )


def _minutes(day: Day, new: NewBooking) -> int:
    """Return the duration of the request, else the turn time."""
    return new.duration_minutes or day.plan.turn_time(new.party_size)


def _seat_request(day: Day, new: NewBooking) -> SeatRequest:
    """Return the request in the engine's terms."""
    return SeatRequest(
        party=new.party_size,
        duration=_minutes(day, new),
        window_start=new.window_start,
        window_end=new.window_end,
        start=new.start,
        tables=new.table_ids,
    )
