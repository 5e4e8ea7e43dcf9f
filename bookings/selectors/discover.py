"""."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

from bookings import metrics
from bookings.availability import turned_away
from bookings.availability.cache import Sheet, open_day
from bookings.availability.day import Day, Wish
from bookings.availability.refusals import refuse
from bookings.engine import Candidate
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError, NoCapacity, OutsideServiceWindow, ValidationFailed
from wokibrain.core.permissions import Permission


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
        sheet.plan.check(question.party_size, minutes, question.service_date, duration_path="duration")
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
            turned_away.note(day.plan.restaurant_id, turned_away.Door.SEARCH, refusal)
        raise refusal
    return Discovery(day.plan.zone, wish.duration, candidates)
