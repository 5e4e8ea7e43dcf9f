"""The readers: discover, list, get. They take the caller and see only what is theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, time
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
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
    try:
        day = days.read(restaurant_id, sector_id, service_date)
        minutes = duration or day.plan.turn_time(party_size)
        if minutes is None:
            raise ValidationFailed.at("duration", _("This field is required."))
        check_bounds(day.plan, party_size, minutes, service_date, duration_path="duration")
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
    if sector_id is not None and sector_id not in plan.sectors:
        plans.current(restaurant_id).rooms(sector_id)
    values: dict[str, Any] = {
        "restaurant": restaurant_id,
        "date": service_date,
        "sector": sector_id,
        "status": status.value if status else None,
        "first": (page - 1) * limit,
        "limit": limit,
    }
    chosen = fetch(f"{LISTED} ORDER BY booking.start, booking.id OFFSET %(first)s LIMIT %(limit)s", values)
    if len(chosen) < limit and (chosen or page == 1):
        total = (page - 1) * limit + len(chosen)
    else:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM bookings_booking AS booking {LISTED}", values)  # noqa: S608
            (total,) = cursor.fetchone()
    return Page(seen_by(caller, restaurant_id, chosen), total)


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
    found = fetch(*_named(booking))
    if not found or not caller.permissions_at(found[0].restaurant_id):
        raise NotFound
    caller.require(permission, found[0].restaurant_id)
    return found[0]


def seen_by(caller: Caller, restaurant_id: str, bookings: list[BookingRecord]) -> list[BookingRecord]:
    """The bookings as the caller may see them: without guests and notes where guest:read is missing."""
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
