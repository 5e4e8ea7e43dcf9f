"""The readers: discover, list, get. They take the caller and see only what is theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, time
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

from bookings import day as days
from bookings import plan as plans
from bookings.day import Wish
from bookings.engine import Candidate
from bookings.models import Booking
from bookings.records import BookingRecord, fetch
from bookings.refusals import refuse
from bookings.rules import check_bounds
from wokibrain import metrics
from wokibrain.access.callers import Caller, CallerKind
from wokibrain.access.permissions import Permission
from wokibrain.errors import DomainError, NotFound, Unauthorized, ValidationFailed

REFERENCE_LIMIT: Final = 40


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is free: candidates, best first, and the duration (minutes) they are for."""

    zone: ZoneInfo
    duration_minutes: int
    candidates: list[Candidate]


def discover(
    *,
    caller: Caller,
    restaurant_id: str,
    sector_id: str | None,
    service_date: date,
    party_size: int,
    duration: int | None,
    window_start: time | None = None,
    window_end: time | None = None,
    limit: int = 10,
) -> Discovery:
    """The best ``limit`` candidates of a service day. Raises what ``create_booking`` raises."""
    caller.require(Permission.BOOKING_READ, restaurant_id)
    plan = plans.recent(restaurant_id)
    plan.rooms(sector_id)
    minutes = duration or plan.turn_time(party_size)
    if minutes is None:
        raise ValidationFailed.at("duration", _("This field is required."))
    try:
        check_bounds(plan, party_size, minutes, service_date, duration_path="duration")
        day = days.read(plan, sector_id, service_date)
        wish = Wish(party_size, minutes, window_start, window_end)
        candidates = day.candidates(wish, limit)
        if not candidates:
            raise refuse(day, wish)
    except DomainError as error:
        metrics.DISCOVERY_REQUESTS.labels(error.code.value).inc()
        raise
    metrics.DISCOVERY_REQUESTS.labels("found").inc()
    return Discovery(day.plan.zone, minutes, candidates)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a day's bookings, in order of start."""

    bookings: list[BookingRecord]
    total: int


def list_bookings(
    *,
    caller: Caller,
    restaurant_id: str,
    sector_id: str | None,
    service_date: date,
    status: Booking.Status | None = None,
    page: int = 1,
    limit: int = 50,
) -> Page:
    """The bookings of a service date. Raises NotFound for a restaurant or sector that is not there."""
    caller.require(Permission.BOOKING_READ, restaurant_id)
    plan = plans.recent(restaurant_id)
    plan.rooms(sector_id)
    rows = Booking.objects.filter(restaurant_id=restaurant_id, service_date=service_date)
    if sector_id is not None:
        rows = rows.filter(sector_id=sector_id)
    if status is not None:
        rows = rows.filter(status=status)
    first = (page - 1) * limit
    chosen = fetch(rows.order_by("start", "id")[first : first + limit])
    short = len(chosen) < limit and (chosen or page == 1)
    return Page(seen_by(caller, restaurant_id, chosen), first + len(chosen) if short else rows.count())


def get_booking(*, caller: Caller, booking: str) -> BookingRecord:
    """One booking by id or reference. Raises NotFound for one the caller may not see."""
    found = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    return seen_by(caller, found.restaurant_id, [found])[0]


def find_booking(*, caller: Caller, booking: str, permission: Permission) -> BookingRecord:
    """The booking, where the caller holds ``permission``, guest and all; for services.

    Raises NotFound when there is none or the caller has no footing at its restaurant, Forbidden
    when the footing lacks the permission, Unauthorized for a caller without credentials.
    """
    if caller.kind is CallerKind.ANONYMOUS and caller.restaurants(permission) == frozenset():
        raise Unauthorized
    found = fetch(Booking.objects.filter(**_named(booking)))
    if not found or not caller.permissions_at(found[0].restaurant_id):
        raise NotFound
    caller.require(permission, found[0].restaurant_id)
    return found[0]


def seen_by(caller: Caller, restaurant_id: str, bookings: list[BookingRecord]) -> list[BookingRecord]:
    """The bookings as the caller may see them: without guests and notes where guest:read is missing."""
    if caller.may(Permission.GUEST_READ, restaurant_id):
        return bookings
    return [replace(each, guest=None) for each in bookings]


def _named(booking: str) -> dict[str, UUID | str]:
    """A lookup by id, else by reference; what can be neither finds nothing."""
    if len(booking) > REFERENCE_LIMIT or "\x00" in booking:
        raise NotFound
    try:
        return {"id": UUID(booking)}
    except ValueError:
        return {"reference": booking.upper()}
