"""What may be asked of a restaurant: its bounds, and the wish as the engine wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time

from django.utils.translation import gettext_lazy as _

from bookings import metrics
from bookings.availability import day as days
from bookings.availability import plan as plans
from bookings.availability.day import Day, Wish, check_tables
from bookings.availability.plan import Plan, check_bounds
from bookings.availability.refusals import refuse
from bookings.availability.turned_away import Door, counted
from bookings.event_types import BOOKING_CREATED
from bookings.models import Booking
from bookings.repository import writes
from bookings.repository.records import BookingRecord
from bookings.repository.ticket import Ticket
from bookings.services.guests import Contact, guest_of
from bookings.statuses import Status
from bookings.transactions.locks import SectorDay
from bookings.transactions.sector_days import take_turn
from wokibrain.core import clock, ids
from wokibrain.core.callers import Caller
from wokibrain.core.errors import ValidationFailed
from wokibrain.core.failpoints import point
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay, settle


@dataclass(frozen=True, slots=True)
class NewBooking:
    """What a caller asks to book. Without ``start`` and ``table_ids`` the best candidate is taken.

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


def wish_for(plan: Plan, wanted: NewBooking) -> Wish:
    """The engine's question. The duration is resolved here: the request's, else the turn time."""
    duration = wanted.duration_minutes or plan.turn_time(wanted.party_size)
    if duration is None:
        raise ValidationFailed.at(
            "durationMinutes", _("This field is required: the restaurant sets no turn times.")
        )
    return Wish(
        party=wanted.party_size,
        duration=duration,
        window_start=wanted.window_start,
        window_end=wanted.window_end,
        start=wanted.start,
        tables=wanted.table_ids,
    )


def seat_for(day: Day, wish: Wish) -> tuple[tuple[str, ...], datetime, datetime]:
    """The best tables, start and end for a wish, or the refusal that says why there are none."""
    if found := day.candidates(wish, 1):
        best = found[0]
        return best.table_ids, best.start, best.end
    raise refuse(day, wish)


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
        moment = clock.now_to_millisecond()
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
        writes.insert(made, event_type=BOOKING_CREATED, actor=caller, new_guest=is_new, ticket=ticket)
        point("booking-written")
        return made

    turn = [SectorDay(sector_id, wanted.date) for sector_id in sectors]
    return take_turn(turn, work, ticket, ahead=ahead)
