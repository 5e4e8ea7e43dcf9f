"""The engine's reasons as errors with a sentence that says what would work instead."""

from __future__ import annotations

from dataclasses import replace

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability.day import Day, Wish
from bookings.engine import Candidate, Reason, Refusal
from wokibrain.core import clock
from wokibrain.core.errors import (
    Conflict,
    DomainError,
    NoCapacity,
    OutsideServiceWindow,
    Text,
    ValidationFailed,
)


def best_candidate(day: Day, wish: Wish) -> Candidate:
    """Return the best candidate for ``wish``; raise the error that says why there is none."""
    candidates = day.candidates(wish, 1)
    if not candidates:
        raise refuse(day, wish)
    return candidates[0]


def refuse(day: Day, wish: Wish, *, named: bool | None = None) -> DomainError:
    """The error for a wish that no candidate of ``day`` meets.

    OutsideServiceWindow when the day is closed or the asked window meets no service window;
    ValidationFailed for a start that is past, or outside of the window asked for beside it; Conflict
    when the caller named tables or a start; NoCapacity for the rest. ``named`` says whether the caller
    did, where the wish does not tell.
    """
    refusal = day.refusal(wish)
    error = _error(day, wish, refusal, named)
    error.reason = refusal.reason.value
    return error


def _error(day: Day, wish: Wish, refusal: Refusal, named: bool | None) -> DomainError:
    detail = _sentence(day, wish, refusal)
    if refusal.reason is Reason.OUTSIDE_WINDOW and _contradicts_itself(day, wish):
        return ValidationFailed.at("start", _("The start does not lie between the times asked for."))
    if refusal.reason in (Reason.CLOSED, Reason.OUTSIDE_WINDOW):
        return OutsideServiceWindow(detail)
    if named is None:
        named = wish.tables is not None or wish.start is not None
    if refusal.reason is Reason.TOO_SOON:
        if named and wish.start is not None:
            return ValidationFailed.at("start", detail)
        if day.service.date < clock.now().astimezone(day.plan.zone).date():
            return ValidationFailed.at("date", _("This date is past."))
    return (Conflict if named else NoCapacity)(detail)


def _contradicts_itself(day: Day, wish: Wish) -> bool:
    """Whether the start is one of the day's, and only the window asked for beside it leaves it out."""
    if wish.start is None or (wish.window_start is None and wish.window_end is None):
        return False
    alone = replace(wish, window_start=None, window_end=None)
    return day.refusal(alone).reason is not Reason.OUTSIDE_WINDOW


def _sentence(day: Day, wish: Wish, refusal: Refusal) -> Text:
    nearest = ", ".join(f"{start.astimezone(day.plan.zone):%H:%M}" for start in refusal.nearest)
    match refusal.reason:
        case Reason.CLOSED:
            return _("The restaurant is closed on that date.")
        case Reason.OUTSIDE_WINDOW:
            text = format_lazy(
                _("The restaurant does not serve then; that day it serves {hours}."), hours=_hours(day)
            )
        case Reason.WINDOW_TOO_SHORT if wish.start is not None:
            text = format_lazy(
                _("From that start {minutes} minutes do not fit before closing."), minutes=wish.duration
            )
        case Reason.WINDOW_TOO_SHORT if wish.window_start is not None or wish.window_end is not None:
            text = format_lazy(
                _("{minutes} minutes do not fit between the times asked for."), minutes=wish.duration
            )
        case Reason.WINDOW_TOO_SHORT:
            text = format_lazy(
                _("No service of that day is {minutes} minutes long; it serves {hours}."),
                minutes=wish.duration,
                hours=_hours(day),
            )
        case Reason.PARTY_TOO_LARGE if wish.tables is None and refusal.largest_party is not None:
            return format_lazy(
                _("No table or combination of tables seats a party of {party}; the largest is {largest}."),
                party=wish.party,
                largest=refusal.largest_party,
            )
        case Reason.PARTY_TOO_LARGE if wish.tables is not None and refusal.largest_party is None:
            return _("The tables asked for may not be put together.")
        case Reason.PARTY_TOO_LARGE | Reason.PARTY_TOO_SMALL if wish.tables is not None:
            return format_lazy(_("The tables asked for do not seat a party of {party}."), party=wish.party)
        case Reason.PARTY_TOO_LARGE | Reason.PARTY_TOO_SMALL:
            return format_lazy(
                _("No table or combination of tables seats a party of {party}."), party=wish.party
            )
        case Reason.TOO_SOON:
            text = _("It is too late to book that.")
        case Reason.FULL if wish.tables is not None:
            text = _("The tables asked for are not free then.")
        case Reason.FULL:
            text = format_lazy(_("No table for {party} is free then."), party=wish.party)
    if nearest:
        return format_lazy(_("{text} The nearest times that would work: {times}."), text=text, times=nearest)
    return text


def _hours(day: Day) -> Text:
    """The day's windows as people read them, e.g. ``12:00-16:00, 20:00-23:45 (last seating 22:00)``."""
    each = [
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
    return format_lazy(", ".join(["{}"] * len(each)), *each)
