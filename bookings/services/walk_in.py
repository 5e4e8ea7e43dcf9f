"""Walk-ins: parties seated now, to the minute, at tables that are free from now on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, overload

from django.utils.translation import gettext_lazy as _

from bookings import metrics
from bookings.availability import day as days
from bookings.availability import plan as plans
from bookings.availability.day import Day, SeatRequest
from bookings.availability.plan import Plan, service_date_at
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
from wokibrain.core.errors import OutsideServiceWindow
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay

MAX_CHOICES: Final = 6


@dataclass(frozen=True, slots=True)
class WalkIn:
    """A party at the door. Without ``table_ids`` it gets the best free tables; without a duration, the turn time.

    A turn time that would run past closing ends there; a duration that the request names does not.
    """

    restaurant_id: str
    party_size: int
    sector_id: str | None = None
    table_ids: frozenset[str] | None = None
    duration_minutes: int | None = None
    contact: Contact = field(default_factory=Contact)
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Tables that seat the party now, until ``end``."""

    sector_id: str
    table_ids: tuple[str, ...]
    end: datetime
    score: float


def choices(*, caller: Caller, party: WalkIn) -> list[Choice]:
    """Return where the party can sit now, best first. Raises what ``seat_walk_in`` raises."""
    caller.require(Permission.BOOKING_CREATE, party.restaurant_id)
    plan = plans.current(party.restaurant_id)
    now = clock.now_to_millisecond()
    service_date = service_date_at(plan, now)
    minutes = _minutes(plan, party, service_date, now)
    day = days.read(party.restaurant_id, party.sector_id, service_date, since=now)
    request = _seat_request(day, party, now, minutes)
    candidates = day.candidates(request, MAX_CHOICES)
    if not candidates:
        raise refuse(day, request)
    end = now + timedelta(minutes=minutes)
    return [Choice(day.sector_of(best.table_ids), best.table_ids, end, best.score) for best in candidates]


@overload
def seat_walk_in(*, caller: Caller, party: WalkIn) -> BookingRecord: ...


@overload
def seat_walk_in(*, caller: Caller, party: WalkIn, ticket: Ticket | None) -> BookingRecord | Replay: ...


@command(Permission.BOOKING_CREATE, door=Door.WALK_IN, metric=metrics.BOOKING_CREATED)
def seat_walk_in(*, caller: Caller, party: WalkIn, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """Seat the party at once: one booking, SEATED from version 1 on, one BookingCreated.

    It starts now, off the grid, and holds its tables to the minute. Raises NotFound, ValidationFailed,
    OutsideServiceWindow when the restaurant is not serving, NoCapacity, and Conflict when the named tables are taken.
    """
    plan = plans.current(party.restaurant_id)
    service_date = service_date_at(plan, clock.now_to_millisecond())

    def write() -> BookingRecord:
        now = clock.now_to_millisecond()
        minutes = _minutes(plan, party, service_date, now)
        day = days.read(party.restaurant_id, party.sector_id, service_date, since=now)
        seat = _best_seat(day, party, now, minutes)
        guest, is_new = guest_of(party.restaurant_id, party.contact)
        booking = _seated(day, party, now, minutes, seat, guest)
        statements.insert(booking, event_type=BOOKING_CREATED, actor=caller, new_guest=is_new, ticket=ticket)
        return booking

    sector_days = [SectorDay(room.id, service_date) for room in plan.rooms(party.sector_id)]
    return in_transaction_for(sector_days, write, ticket)


def seated(day: Day, party: WalkIn, guest: GuestRecord | None) -> BookingRecord:
    """Return the first version of the booking of a party that sits down now, where ``day`` seats it best.

    Raises what ``seat_walk_in`` raises.
    """
    now = clock.now_to_millisecond()
    minutes = _minutes(day.plan, party, day.service.date, now)
    return _seated(day, party, now, minutes, _best_seat(day, party, now, minutes), guest)


def _best_seat(day: Day, party: WalkIn, now: datetime, minutes: int) -> Candidate:
    day.check_tables(party.table_ids)
    request = _seat_request(day, party, now, minutes)
    best = day.best(request)
    if best is None:
        raise refuse(day, request)
    return best


def _seated(
    day: Day, party: WalkIn, now: datetime, minutes: int, seat: Candidate, guest: GuestRecord | None
) -> BookingRecord:
    return BookingRecord.new(
        restaurant_id=party.restaurant_id,
        zone=day.plan.zone_name,
        sector_id=day.sector_of(seat.table_ids),
        table_ids=seat.table_ids,
        service_date=day.service.date,
        start=now,
        end=now + timedelta(minutes=minutes),
        duration_minutes=minutes,
        party_size=party.party_size,
        status=Status.SEATED,
        channel=Booking.Channel.WALK_IN,
        guest=guest,
        notes=party.notes,
        now=now,
    )


def _minutes(plan: Plan, party: WalkIn, service_date: date, now: datetime) -> int:
    """Return how many minutes the party stays. Raises OutsideServiceWindow, ValidationFailed."""
    service = plan.day(service_date)
    slot = service.slot_of(now)
    serving = [span for span in service.spans if span.lo <= slot < span.hi]
    if not serving:
        raise OutsideServiceWindow(_("The restaurant is not serving now."))
    minutes = party.duration_minutes or plan.turn_time(party.party_size)
    if party.duration_minutes is None:
        # Of overlapping services, the one that still seats and lasts longest.
        closing = max(serving, key=lambda span: (span.seats >> slot & 1, span.hi)).hi
        minutes_left = int((service.instant_of(closing) - now).total_seconds() // 60)
        if minutes_left < plan.min_duration:
            raise OutsideServiceWindow(_("The restaurant is about to close."))
        minutes = min(minutes, minutes_left)
    plan.check(party.party_size, minutes, service_date)
    return minutes


def _seat_request(day: Day, party: WalkIn, now: datetime, minutes: int) -> SeatRequest:
    return SeatRequest(
        party=party.party_size,
        duration=day.covering(now, minutes),
        start=day.aligned(now),
        standing=True,
        tables=party.table_ids,
    )
