"""Read bookings: one, or the page of a service day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.db import connection

from bookings.availability.cache import open_day
from bookings.repository.records import BookingRecord, seen_by
from bookings.repository.statements import IN_ORDER, OF_DAY, fetch, find_booking
from bookings.statuses import Status
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.permissions import Permission

CHOSEN: Final = f"""{OF_DAY}
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


def list_rendered(*, caller: Caller, day_list: DayList, render: Callable[[DayList, Page], bytes]) -> bytes:
    """Return the page as ``render``, a function of a module, writes it; cached with the day.

    With guests it is cached in this process only. Raises NotFound, Forbidden, Unauthorized.
    """
    caller.require(Permission.BOOKING_READ, day_list.restaurant_id)
    cached = open_day(day_list.restaurant_id, day_list.sector_id, day_list.service_date)
    with_guests = caller.may(Permission.GUEST_READ, day_list.restaurant_id)
    # A flag by the clock changes on the minute at most, and only near the day itself.
    now = clock.now()
    near = (
        abs((now.astimezone(clock.zone_or_utc(cached.plan.zone_name)).date() - day_list.service_date).days)
        <= 1
    )
    minute = now.replace(second=0, microsecond=0) if near else None
    return cached.answer(
        (minute, render.__qualname__, with_guests, day_list.status, day_list.page, day_list.limit),
        lambda: render(day_list, _page(caller, day_list)),
        shared=not with_guests,
    )


def _page(caller: Caller, day_list: DayList) -> Page:
    first = (day_list.page - 1) * day_list.limit
    values: dict[str, Any] = {
        "restaurant": day_list.restaurant_id,
        "date": day_list.service_date,
        "sector": day_list.sector_id,
        "status": day_list.status.value if day_list.status else None,
        "first": first,
        "limit": day_list.limit,
    }
    records = fetch(f"{CHOSEN} {IN_ORDER} OFFSET %(first)s LIMIT %(limit)s", values)
    if len(records) < day_list.limit and (records or day_list.page == 1):
        total = first + len(records)
    else:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM bookings_booking AS booking {CHOSEN}", values)  # noqa: S608
            (total,) = cursor.fetchone()
    return Page(seen_by(caller, day_list.restaurant_id, records), total)


def get_booking(*, caller: Caller, booking: str) -> BookingRecord:
    """Return the booking of that id or reference. Raises NotFound, Forbidden, Unauthorized."""
    record = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_READ)
    return seen_by(caller, record.restaurant_id, [record])[0]
