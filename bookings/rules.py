"""What may be asked of a restaurant: its bounds, and the wish as the engine wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.day import Day, Wish
from bookings.models import Booking
from bookings.plan import Plan
from bookings.refusals import refuse
from wokibrain.errors import NotFound, ValidationFailed


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a guest; empty text for what is not known."""

    name: str = ""
    email: str = ""
    phone: str = ""

    def __bool__(self) -> bool:
        return bool(self.name or self.email or self.phone)


@dataclass(frozen=True, slots=True)
class NewBooking:
    """What a caller asks to book. Without ``start`` and ``table_ids`` the best candidate is taken.

    Minutes; wall times of the service day ``date``; ``start`` an aware instant on the grid.
    """

    restaurant_id: str
    party_size: int
    date: date
    sector_id: str | None = None
    duration_minutes: int | None = None
    window_start: time | None = None
    window_end: time | None = None
    start: datetime | None = None
    table_ids: frozenset[str] | None = None
    contact: Contact = Contact()
    notes: str = ""
    channel: Booking.Channel = Booking.Channel.API


def wish_for(plan: Plan, wanted: NewBooking) -> Wish:
    """The engine's question. The duration is resolved here: the request's, else the turn time."""
    duration = wanted.duration_minutes or plan.turn_time(wanted.party_size)
    if duration is None:
        raise ValidationFailed.at(
            "durationMinutes", _("This field is required: the restaurant sets no turn times.")
        )
    return Wish(
        party=wanted.party_size,
        duration=duration,
        window_start=wanted.window_start,
        window_end=wanted.window_end,
        start=wanted.start,
        tables=wanted.table_ids,
    )


def check_bounds(
    plan: Plan,
    party: int | None,
    duration: int | None,
    service_date: date | None,
    *,
    duration_path: str = "durationMinutes",
) -> None:
    """Raise ValidationFailed for what lies outside the restaurant's own bounds; None is not asked for."""
    if party is not None and not plan.min_party <= party <= plan.max_party:
        raise ValidationFailed.at(
            "partySize",
            format_lazy(
                _("This restaurant takes parties of {least} to {most}."),
                least=plan.min_party,
                most=plan.max_party,
            ),
        )
    if duration is not None and not plan.min_duration <= duration <= plan.max_duration:
        raise ValidationFailed.at(
            duration_path,
            format_lazy(
                _("This restaurant takes bookings of {least} to {most} minutes."),
                least=plan.min_duration,
                most=plan.max_duration,
            ),
        )
    last = plan.last_date()
    if last is not None and service_date is not None and service_date > last:
        raise ValidationFailed.at(
            "date", format_lazy(_("This restaurant can be booked up to {date}."), date=last.isoformat())
        )


def check_tables(day: Day, tables: frozenset[str] | None) -> None:
    """Raise NotFound naming ``tableIds`` unless all are active tables of one of the day's sectors."""
    if tables is not None and not any(tables <= room.engine.index.keys() for room, _ in day.rooms):
        raise NotFound.at("tableIds")


def seat_for(day: Day, wish: Wish) -> tuple[tuple[str, ...], datetime, datetime]:
    """The best tables, start and end for a wish, or the refusal that says why there are none."""
    if found := day.candidates(wish, 1):
        best = found[0]
        return best.table_ids, best.start, best.end
    raise refuse(day, wish)
