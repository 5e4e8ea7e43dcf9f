"""The tables that a new booking on the floor board could have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from bookings.availability import day as days
from bookings.availability.day import SeatRequest
from bookings.availability.refusals import refuse
from bookings.floor.bookings import milliseconds, wall
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission

MAX_SUGGESTIONS: Final = 6


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A party and a start. Without ``minutes`` the stay is the turn time; without a sector any will do."""

    restaurant_id: str
    service_date: date
    start: datetime
    party: int
    minutes: int | None
    sector_id: str | None


def suggest(*, caller: Caller, inquiry: Inquiry) -> dict[str, Any]:
    """Return the best tables, or why there are none and the nearest starts that work. Raises NotFound, Forbidden."""
    caller.require(Permission.BOOKING_READ, inquiry.restaurant_id)
    day = days.read(inquiry.restaurant_id, inquiry.sector_id, inquiry.service_date)
    minutes = inquiry.minutes or day.plan.turn_time(inquiry.party)
    request = SeatRequest(party=inquiry.party, duration=minutes, start=inquiry.start)
    try:
        day.plan.check(inquiry.party, minutes, inquiry.service_date)
        candidates = day.candidates(request, MAX_SUGGESTIONS)
        if not candidates:
            raise refuse(day, request)
    except DomainError as error:
        nearest = [
            {"start": milliseconds(start), "wall": wall(start.astimezone(day.plan.zone))}
            for start in day.refusal(request).nearest
        ]
        return {"minutes": minutes, "candidates": [], "why": str(error.detail), "nearest": nearest}
    return {
        "minutes": minutes,
        "candidates": [
            {
                "tables": list(candidate.table_ids),
                "sector": day.sector_of(candidate.table_ids),
                "score": candidate.score,
                "seats": candidate.capacity,
            }
            for candidate in candidates
        ],
        "why": "",
        "nearest": [],
    }
