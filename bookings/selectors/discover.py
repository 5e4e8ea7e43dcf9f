"""Discover free tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from zoneinfo import ZoneInfo

from bookings import metrics
from bookings.availability import turned_away
from bookings.availability.cache import CachedDay, open_day
from bookings.availability.day import Day, SeatRequest
from bookings.availability.refusals import refuse
from bookings.engine import Candidate
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError, NoCapacity, OutsideServiceWindow
from wokibrain.core.permissions import Permission


@dataclass(frozen=True, slots=True)
class Discovery:
    """Free tables: candidates, best first, and the duration in minutes that they are for."""

    zone: ZoneInfo
    duration_minutes: int
    candidates: list[Candidate]


@dataclass(frozen=True, slots=True)
class Search:
    """A search for free tables on a service day. ``duration`` in minutes; None for the restaurant's turn time."""

    restaurant_id: str
    sector_id: str | None
    service_date: date
    party_size: int
    duration: int | None = None
    window_start: time | None = None
    window_end: time | None = None
    limit: int = 10


def discover_rendered(*, caller: Caller, search: Search, render: Callable[[Discovery], bytes]) -> bytes:
    """Return the best ``limit`` candidates as ``render``, a function of a module, writes them; cached with the day.

    Not cached where the clock decides too: on a day that has begun, lead time included. Raises what
    ``create_booking`` raises.
    """
    cached, request = _open(caller, search)
    if cached.depends_on_clock():
        return render(_discover(cached.day(), request, search.limit))
    body = cached.answer(
        (render.__qualname__, request, search.limit),
        lambda: render(_discover(cached.day(), request, search.limit)),
        shared=True,
    )
    metrics.DISCOVERY_REQUESTS.labels("found").inc()
    return body


def _open(caller: Caller, search: Search) -> tuple[CachedDay, SeatRequest]:
    caller.require(Permission.BOOKING_READ, search.restaurant_id)
    try:
        cached = open_day(search.restaurant_id, search.sector_id, search.service_date)
        minutes = search.duration or cached.plan.turn_time(search.party_size)
        cached.plan.check(search.party_size, minutes, search.service_date, duration_path="duration")
    except DomainError as error:
        metrics.DISCOVERY_REQUESTS.labels(error.code.value).inc()
        raise
    return cached, SeatRequest(search.party_size, minutes, search.window_start, search.window_end)


def _discover(day: Day, request: SeatRequest, limit: int) -> Discovery:
    candidates = day.candidates(request, limit)
    if not candidates:
        refusal = refuse(day, request)
        metrics.DISCOVERY_REQUESTS.labels(refusal.code.value).inc()
        if isinstance(refusal, NoCapacity | OutsideServiceWindow):
            turned_away.note(day.plan.restaurant_id, turned_away.Door.SEARCH, refusal)
        raise refusal
    return Discovery(day.plan.zone, request.duration, candidates)
