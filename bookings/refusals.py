"""The engine's reasons as errors with a sentence that says what would work instead."""

from __future__ import annotations

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.day import Day, Wish
from bookings.engine import Reason, Refusal
from wokibrain import clock
from wokibrain.errors import Conflict, DomainError, NoCapacity, OutsideServiceWindow, Text, ValidationFailed


def refuse(day: Day, wish: Wish) -> DomainError:
    """The error for a wish that no candidate of ``day`` meets.

    OutsideServiceWindow when the day is closed or the asked window meets no service window;
    ValidationFailed for a start that is past; Conflict when the caller named tables or a start;
    NoCapacity for the rest.
    """
    refusal = day.refusal(wish)
    detail = _sentence(day, wish, refusal)
    if refusal.reason in (Reason.CLOSED, Reason.OUTSIDE_WINDOW):
        return OutsideServiceWindow(detail)
    if refusal.reason is Reason.TOO_SOON:
        if wish.start is not None:
            return ValidationFailed.at("start", detail)
        if day.service.date < clock.now().astimezone(day.plan.zone).date():
            return ValidationFailed.at("date", _("This date is past."))
    named = wish.tables is not None or wish.start is not None
    return (Conflict if named else NoCapacity)(detail)


def _sentence(day: Day, wish: Wish, refusal: Refusal) -> Text:
    nearest = ", ".join(f"{start.astimezone(day.plan.zone):%H:%M}" for start in refusal.nearest)
    match refusal.reason:
        case Reason.CLOSED:
            return _("The restaurant is closed on that date.")
        case Reason.OUTSIDE_WINDOW:
            hours = ", ".join(f"{each.opens:%H:%M}-{each.closes:%H:%M}" for each in day.service.windows)
            return format_lazy(
                _("The restaurant does not serve then; that day it serves {hours}."), hours=hours
            )
        case Reason.WINDOW_TOO_SHORT:
            text = format_lazy(
                _("{minutes} minutes do not fit between the times asked for."), minutes=wish.duration
            )
        case Reason.PARTY_TOO_LARGE if refusal.largest_party is not None:
            return format_lazy(
                _("No table or combination of tables seats a party of {party}; the largest is {largest}."),
                party=wish.party,
                largest=refusal.largest_party,
            )
        case Reason.PARTY_TOO_LARGE | Reason.PARTY_TOO_SMALL:
            return format_lazy(
                _("No table or combination of tables asked for seats a party of {party}."), party=wish.party
            )
        case Reason.TOO_SOON:
            return _("It is too late to book that; later times may still be free.")
        case Reason.FULL:
            text = format_lazy(_("No table for {party} is free then."), party=wish.party)
    if nearest:
        return format_lazy(_("{text} The nearest times that would work: {times}."), text=text, times=nearest)
    return text
