"""The readers: discover, list, get. They take the caller and see only what is theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from django.db import connection

from bookings.availability.cache import open_day
from bookings.repository.records import BookingRecord, fetch, seen_by
from bookings.statuses import Status
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission

REFERENCE_LIMIT: Final = 40
LISTED: Final = """
WHERE booking.restaurant_id = %(restaurant)s AND booking.service_date = %(date)s
  AND (%(sector)s::text IS NULL OR booking.sector_id = %(sector)s)
  AND (%(status)s::text IS NULL OR booking.status = %(status)s)
"""


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
    status: Status | None = None
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


def _named(booking: str) -> tuple[str, dict[str, Any]]:
    """The condition for an id, else for a reference; what can be neither finds nothing."""
    if len(booking) > REFERENCE_LIMIT or "\x00" in booking:
        raise NotFound
    try:
        return "WHERE booking.id = %(id)s", {"id": UUID(booking)}
    except ValueError:
        return "WHERE booking.reference = %(reference)s", {"reference": booking.upper()}
