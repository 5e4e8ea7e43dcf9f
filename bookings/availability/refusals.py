"""The engine's reasons as errors, with a sentence that says what would work instead."""

from __future__ import annotations

from dataclasses import replace

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability.day import Day, SeatRequest, Sitting
from bookings.engine import Reason, Refusal
from wokibrain.core import clock
from wokibrain.core.errors import (
    Conflict,
    DomainError,
    NoCapacity,
    OutsideServiceWindow,
    Text,
    ValidationFailed,
)


def refuse(day: Day, request: SeatRequest, *, named: bool | None = None) -> DomainError:
    """Return the error for a request that no candidate of ``day`` meets.

    OutsideServiceWindow if the day is closed or the requested window meets no service window; ValidationFailed for a
    past start, or one outside the window of the same request; Conflict if the caller named tables or a start;
    NoCapacity otherwise. ``named`` says whether the caller named them, where ``request`` differs from what was sent.
    """
    refusal = day.refusal(request)
    error = _error(day, request, refusal, named)
    error.reason = refusal.reason.value
    return error


def _error(day: Day, request: SeatRequest, refusal: Refusal, named: bool | None) -> DomainError:
    detail = _sentence(day, request, refusal)
    if refusal.reason is Reason.OUTSIDE_WINDOW and _contradicts_itself(day, request):
        return ValidationFailed.at("start", _("The start is not between the requested times."))
    if refusal.reason in (Reason.CLOSED, Reason.OUTSIDE_WINDOW):
        return OutsideServiceWindow(detail)
    if named is None:
        named = request.tables is not None or request.start is not None
    if refusal.reason is Reason.TOO_SOON:
        if named and request.start is not None:
            return ValidationFailed.at("start", detail)
        if day.service.date < clock.now().astimezone(day.plan.zone).date():
            return ValidationFailed.at("date", _("This date is in the past."))
    return (Conflict if named else NoCapacity)(detail)


def _contradicts_itself(day: Day, request: SeatRequest) -> bool:
    """Return whether the day serves the start, and only the window of the same request excludes it."""
    if request.start is None or (request.window_start is None and request.window_end is None):
        return False
    alone = replace(request, window_start=None, window_end=None)
    return day.refusal(alone).reason is not Reason.OUTSIDE_WINDOW


def _sentence(day: Day, request: SeatRequest, refusal: Refusal) -> Text:
    nearest = ", ".join(f"{start.astimezone(day.plan.zone):%H:%M}" for start in refusal.nearest)
    match refusal.reason:
        case Reason.CLOSED:
            return _("The restaurant is closed on that date.")
        case Reason.OUTSIDE_WINDOW:
            text = format_lazy(
                _("The restaurant does not serve at that time; on that day it serves {hours}."),
                hours=_hours(day),
            )
        case Reason.WINDOW_TOO_SHORT if request.start is not None:
            text = format_lazy(
                _("From that start {minutes} minutes do not fit before closing."), minutes=request.duration
            )
        case Reason.WINDOW_TOO_SHORT if request.window_start is not None or request.window_end is not None:
            text = format_lazy(
                _("{minutes} minutes do not fit between the requested times."), minutes=request.duration
            )
        case Reason.WINDOW_TOO_SHORT:
            text = format_lazy(
                _("No service of that day is {minutes} minutes long; it serves {hours}."),
                minutes=request.duration,
                hours=_hours(day),
            )
        case Reason.PARTY_TOO_LARGE if request.tables is None and refusal.largest_party is not None:
            return format_lazy(
                _("No table or combination of tables seats a party of {party}; the largest is {largest}."),
                party=request.party,
                largest=refusal.largest_party,
            )
        case Reason.PARTY_TOO_LARGE if request.tables is not None and refusal.largest_party is None:
            return _("The requested tables cannot be combined.")
        case Reason.PARTY_TOO_LARGE | Reason.PARTY_TOO_SMALL if request.tables is not None:
            return format_lazy(_("The requested tables do not seat a party of {party}."), party=request.party)
        case Reason.PARTY_TOO_LARGE | Reason.PARTY_TOO_SMALL:
            return format_lazy(
                _("No table or combination of tables seats a party of {party}."), party=request.party
            )
        case Reason.TOO_SOON:
            text = _("It is too late to book that time.")
        case Reason.FULL if request.tables is not None and (sitting := _sitting(day, request)):
            # The caller may be anyone: which booking it is, only staff are told, by `services.room`.
            text = format_lazy(
                _("Another party still sits there, since {time}."),
                time=f"{sitting.since.astimezone(day.plan.zone):%H:%M}",
            )
        case Reason.FULL if request.tables is not None:
            text = _("The requested tables are not free at that time.")
        case Reason.FULL:
            text = format_lazy(_("No table for {party} is free at that time."), party=request.party)
    if nearest:
        return format_lazy(_("{text} The nearest times that would work: {times}."), text=text, times=nearest)
    return text


def _sitting(day: Day, request: SeatRequest) -> Sitting | None:
    """Return who sits at the tables of the request, if the plan alone would not refuse it."""
    sitting = next(iter(day.sitting_at(request.tables or ())), None)
    return sitting if sitting and day.by_plan().best(request) else None


def _hours(day: Day) -> Text:
    """Return the day's windows for a sentence, e.g. ``12:00-16:00, 20:00-23:45 (last seating 22:00)``."""
    windows = [
        format_lazy(
            _("{opens}-{closes} (last seating {last})"),
            opens=f"{window.opens:%H:%M}",
            closes=f"{window.closes:%H:%M}",
            last=f"{window.last_seating:%H:%M}",
        )
        if window.last_seating is not None
        else f"{window.opens:%H:%M}-{window.closes:%H:%M}"
        for window in sorted(day.service.windows, key=lambda window: window.opens)
    ]
    return format_lazy(", ".join(["{}"] * len(windows)), *windows)
