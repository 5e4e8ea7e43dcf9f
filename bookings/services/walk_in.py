"""Parties at the door: seated now, to the minute, at what is free from now on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, overload

from django.utils.translation import gettext_lazy as _

from bookings import metrics
from bookings.availability import day as days
from bookings.availability import plan as plans
from bookings.availability.day import Day, Wish, check_tables
from bookings.availability.plan import Plan, check_bounds, service_date_at
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
from wokibrain.core.errors import OutsideServiceWindow
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay

CHOICES: Final = 6


@dataclass(frozen=True, slots=True)
class WalkIn:
    """A party at the door. Without tables the best that are free; without a duration the turn time.

    A turn time that would run past closing is cut there; a duration that was given is not.
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
    """Tables that would seat the party now, until ``end``."""

    sector_id: str
    table_ids: tuple[str, ...]
    end: datetime
    score: float


def choices(*, caller: Caller, wanted: WalkIn) -> list[Choice]:
    """Where the party could sit now, best first. Raises what ``seat_walk_in`` raises."""
    caller.require(Permission.BOOKING_CREATE, wanted.restaurant_id)
    plan = plans.current(wanted.restaurant_id)
    moment = clock.now_to_millisecond()
    service_date = service_date_at(plan, moment)
    minutes = _minutes(plan, wanted, service_date, moment)
    day = days.read(wanted.restaurant_id, wanted.sector_id, service_date, since=moment)
    wish = _wish(day, wanted, moment, minutes)
    found = day.candidates(wish, CHOICES)
    if not found:
        raise refuse(day, wish)
    end = moment + timedelta(minutes=minutes)
    return [Choice(day.sector_of(each.table_ids), each.table_ids, end, each.score) for each in found]


@overload
def seat_walk_in(*, caller: Caller, wanted: WalkIn) -> BookingRecord: ...


@overload
def seat_walk_in(*, caller: Caller, wanted: WalkIn, ticket: Ticket | None) -> BookingRecord | Replay: ...


def seat_walk_in(*, caller: Caller, wanted: WalkIn, ticket: Ticket | None = None) -> BookingRecord | Replay:
    """Seat the party at once: one booking, SEATED from its first version on, one BookingCreated.

    It starts now, off the grid, so it holds its tables to the minute. Raises NotFound,
    ValidationFailed, OutsideServiceWindow when the restaurant is not serving, NoCapacity or Conflict.
    """
    caller.require(Permission.BOOKING_CREATE, wanted.restaurant_id)
    plan = plans.current(wanted.restaurant_id)
    service_date = service_date_at(plan, clock.now_to_millisecond())
    rooms = plan.rooms(wanted.sector_id)

    def work() -> BookingRecord:
        moment = clock.now_to_millisecond()
        minutes = _minutes(plan, wanted, service_date, moment)
        day = days.read(wanted.restaurant_id, wanted.sector_id, service_date, since=moment)
        check_tables(day, wanted.table_ids)
        wish = _wish(day, wanted, moment, minutes)
        found = day.candidates(wish, 1)
        if not found:
            raise refuse(day, wish)
        guest, is_new = guest_of(wanted.restaurant_id, wanted.contact)
        made = BookingRecord(
            id=uuid7(),
            reference=ids.reference(),
            restaurant_id=wanted.restaurant_id,
            zone=plan.zone_name,
            sector_id=day.sector_of(found[0].table_ids),
            table_ids=found[0].table_ids,
            service_date=service_date,
            start=moment,
            end=moment + timedelta(minutes=minutes),
            duration_minutes=minutes,
            party_size=wanted.party_size,
            status=Status.SEATED,
            channel=Booking.Channel.WALK_IN,
            guest=guest,
            notes=wanted.notes,
            version=1,
            created_at=moment,
            updated_at=moment,
        )
        writes.insert(made, event_type=BOOKING_CREATED, actor=caller, new_guest=is_new, ticket=ticket)
        return made

    with counted(wanted.restaurant_id, Door.WALK_IN):
        made = take_turn([SectorDay(room.id, service_date) for room in rooms], work, ticket)
    if isinstance(made, BookingRecord):
        metrics.BOOKING_CREATED.inc()
    return made


def _minutes(plan: Plan, wanted: WalkIn, service_date: date, moment: datetime) -> int:
    """How long the party stays. Raises where nothing is served now or the bounds forbid it."""
    service = plan.day(service_date)
    slot = service.slot_of(moment)
    serving = [each for each in service.spans if each.lo <= slot < each.hi]
    if not serving:
        raise OutsideServiceWindow(_("The restaurant is not serving now."))
    minutes = wanted.duration_minutes or plan.turn_time(wanted.party_size) or plan.min_duration
    if wanted.duration_minutes is None:
        # Of services that overlap, the one that still seats and goes on longest.
        closing = max(serving, key=lambda each: (each.seats >> slot & 1, each.hi)).hi
        left = int((service.instant_of(closing) - moment).total_seconds() // 60)
        if left < plan.min_duration:
            raise OutsideServiceWindow(_("The restaurant is about to close."))
        minutes = min(minutes, left)
    check_bounds(plan, wanted.party_size, minutes, service_date)
    return minutes


def _wish(day: Day, wanted: WalkIn, moment: datetime, minutes: int) -> Wish:
    return Wish(
        party=wanted.party_size,
        duration=day.covering(moment, minutes),
        start=day.aligned(moment),
        standing=True,
        tables=wanted.table_ids,
    )
