"""The readers: discover, list, get. They take the caller and see only what is theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils.translation import gettext_lazy as _

from bookings import history, refused
from bookings import plan as plans
from bookings.cache import Sheet, open_day
from bookings.day import Day, Wish
from bookings.engine import Candidate
from bookings.models import Booking
from bookings.records import BookingRecord, fetch
from bookings.refusals import refuse
from bookings.rules import check_bounds
from wokibrain import clock, metrics
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.errors import (
    DomainError,
    NoCapacity,
    NotFound,
    OutsideServiceWindow,
    ValidationFailed,
)
from wokibrain.events.store import Envelope, Payload

REFERENCE_LIMIT: Final = 40
LISTED: Final = """
WHERE booking.restaurant_id = %(restaurant)s AND booking.service_date = %(date)s
  AND (%(sector)s::text IS NULL OR booking.sector_id = %(sector)s)
  AND (%(status)s::text IS NULL OR booking.status = %(status)s)
"""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is free: candidates, best first, and the duration (minutes) they are for."""

    zone: ZoneInfo
    duration_minutes: int
    candidates: list[Candidate]


@dataclass(frozen=True, slots=True)
class Question:
    """What a guest may ask of a service day. ``duration`` in minutes; None for the usual turn time."""

    restaurant_id: str
    sector_id: str | None
    service_date: date
    party_size: int
    duration: int | None = None
    window_start: time | None = None
    window_end: time | None = None
    limit: int = 10


def discover_rendered(*, caller: Caller, question: Question, render: Callable[[Discovery], bytes]) -> bytes:
    """What ``render`` (a function of a module) makes of the best ``limit`` candidates, kept while the day stands.

    Not kept where the clock decides too: on a day that has begun, lead time counted in. Raises what
    ``create_booking`` raises.
    """
    sheet, wish = _asked(caller, question)
    soonest = sheet.plan.not_before()
    if soonest is not None and soonest > sheet.plan.day(question.service_date).origin:
        return render(_found(sheet.day(), wish, question.limit))
    body = sheet.answer(
        (render.__qualname__, wish, question.limit),
        lambda: render(_found(sheet.day(), wish, question.limit)),
        shared=True,
    )
    metrics.DISCOVERY_REQUESTS.labels("found").inc()
    return body


def _asked(caller: Caller, question: Question) -> tuple[Sheet, Wish]:
    caller.require(Permission.BOOKING_READ, question.restaurant_id)
    try:
        sheet = open_day(question.restaurant_id, question.sector_id, question.service_date)
        minutes = question.duration or sheet.plan.turn_time(question.party_size)
        if minutes is None:
            raise ValidationFailed.at(
                "duration", _("This field is required: the restaurant sets no turn times.")
            )
        check_bounds(
            sheet.plan, question.party_size, minutes, question.service_date, duration_path="duration"
        )
    except DomainError as error:
        metrics.DISCOVERY_REQUESTS.labels(error.code.value).inc()
        raise
    return sheet, Wish(question.party_size, minutes, question.window_start, question.window_end)


def _found(day: Day, wish: Wish, limit: int) -> Discovery:
    candidates = day.candidates(wish, limit)
    if not candidates:
        refusal = refuse(day, wish)
        metrics.DISCOVERY_REQUESTS.labels(refusal.code.value).inc()
        if isinstance(refusal, NoCapacity | OutsideServiceWindow):
            refused.note(day.plan.restaurant_id, refused.Door.SEARCH, refusal)
        raise refusal
    return Discovery(day.plan.zone, wish.duration, candidates)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a day's bookings, in order of start."""

    bookings: list[BookingRecord]
    total: int


@dataclass(frozen=True, slots=True)
class DayList:
    """Which bookings of a service date to list; ``page`` counts from 1."""

    restaurant_id: str
    sector_id: str | None
    service_date: date
    status: Booking.Status | None = None
    page: int = 1
    limit: int = 50


def list_rendered(*, caller: Caller, wanted: DayList, render: Callable[[DayList, Page], bytes]) -> bytes:
    """What ``render`` makes of the page, kept while the day stands; with guests in this process only."""
    caller.require(Permission.BOOKING_READ, wanted.restaurant_id)
    sheet = open_day(wanted.restaurant_id, wanted.sector_id, wanted.service_date)
    with_guests = caller.may(Permission.GUEST_READ, wanted.restaurant_id)
    return sheet.answer(
        (render.__qualname__, with_guests, wanted.status, wanted.page, wanted.limit),
        lambda: render(wanted, _listed(caller, wanted)),
        shared=not with_guests,
    )


def _listed(caller: Caller, wanted: DayList) -> Page:
    first = (wanted.page - 1) * wanted.limit
    values: dict[str, Any] = {
        "restaurant": wanted.restaurant_id,
        "date": wanted.service_date,
        "sector": wanted.sector_id,
        "status": wanted.status.value if wanted.status else None,
        "first": first,
        "limit": wanted.limit,
    }
    chosen = fetch(f"{LISTED} ORDER BY booking.start, booking.id OFFSET %(first)s LIMIT %(limit)s", values)
    if len(chosen) < wanted.limit and (chosen or wanted.page == 1):
        total = first + len(chosen)
    else:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM bookings_booking AS booking {LISTED}", values)  # noqa: S608
            (total,) = cursor.fetchone()
    return Page(seen_by(caller, wanted.restaurant_id, chosen), total)


def get_booking(*, caller: Caller, booking: str) -> BookingRecord:
    """One booking by id or reference. Raises NotFound for one the caller may not see."""
    found = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    return seen_by(caller, found.restaurant_id, [found])[0]


def booking_history(*, caller: Caller, booking: str) -> tuple[list[Envelope], ZoneInfo]:
    """The booking's events, oldest first, and its zone. Raises NotFound for one the caller may not see."""
    found = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    return history.history(found.id), clock.zone(found.zone)


def booking_as_of(*, caller: Caller, booking: str, instant: datetime) -> tuple[Payload, ZoneInfo]:
    """The booking as it stood at ``instant``, and its zone. Raises NotFound before it was made.

    Folded from its events, which name the guest by id only and hold no notes.
    """
    found = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    state = history.as_of(found.id, instant)
    if state is None:
        raise NotFound
    return state, clock.zone(found.zone)


def list_as_of(*, caller: Caller, wanted: DayList, instant: datetime) -> tuple[list[Payload], int, ZoneInfo]:
    """The page of a service date's bookings as they stood at ``instant``, how many there were, and their zone."""
    caller.require(Permission.BOOKING_READ, wanted.restaurant_id)
    plan = plans.current(wanted.restaurant_id)
    plan.rooms(wanted.sector_id)
    there = [
        each
        for each in history.day_as_of(wanted.restaurant_id, wanted.sector_id, wanted.service_date, instant)
        if wanted.status is None or each["status"] == wanted.status
    ]
    first = (wanted.page - 1) * wanted.limit
    return there[first : first + wanted.limit], len(there), plan.zone


def find_booking(*, caller: Caller, booking: str, permission: Permission) -> BookingRecord:
    """The booking, where the caller holds ``permission``, guest and all; for services.

    Raises NotFound when there is none or the caller has no footing at its restaurant, Forbidden
    when the footing lacks the permission, Unauthorized for a caller without credentials.
    """
    caller.require_somewhere(permission)
    found = fetch(*_named(booking))
    if not found or not caller.permissions_at(found[0].restaurant_id):
        raise NotFound
    caller.require(permission, found[0].restaurant_id)
    return found[0]


def seen_by(caller: Caller, restaurant_id: str, bookings: list[BookingRecord]) -> list[BookingRecord]:
    """The bookings as the caller may see them: without guests where guest:read is missing."""
    if caller.may(Permission.GUEST_READ, restaurant_id):
        return bookings
    return [replace(each, guest=None) for each in bookings]


def _named(booking: str) -> tuple[str, dict[str, Any]]:
    """The condition for an id, else for a reference; what can be neither finds nothing."""
    if len(booking) > REFERENCE_LIMIT or "\x00" in booking:
        raise NotFound
    try:
        return "WHERE booking.id = %(id)s", {"id": UUID(booking)}
    except ValueError:
        return "WHERE booking.reference = %(reference)s", {"reference": booking.upper()}
