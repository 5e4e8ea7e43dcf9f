"""Changing a booking: re-seated only where it must be, and never losing its seat when it cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, cast

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability import day as days
from bookings.availability import plan as plans
from bookings.availability.day import Day, Wish
from bookings.availability.plan import service_date_at
from bookings.availability.refusals import refuse
from bookings.event_types import BOOKING_UPDATED
from bookings.models import Booking, Guest
from bookings.repository import writes
from bookings.repository.records import BookingRecord, GuestRecord
from bookings.repository.ticket import Ticket
from bookings.selectors.bookings import find_booking
from bookings.services.command import command
from bookings.services.lifecycle import locked
from bookings.statuses import OPEN, Status
from bookings.transactions.locks import SectorDay
from bookings.transactions.sector_days import in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import AlreadyCancelled, Conflict, InvalidTransition
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay

CHANGED_SINCE: Final = _("The booking was changed again since; look at it first.")
PRIVATE: Final = {"from": None, "to": None, "redacted": True}
"""How an event says that a guest's data or the notes changed, and not what they are."""


@dataclass(frozen=True, slots=True)
class Change:
    """What to change; None leaves a field as it is. Empty text clears contact data and notes."""

    party_size: int | None = None
    duration_minutes: int | None = None
    date: date | None = None
    window_start: time | None = None
    window_end: time | None = None
    start: datetime | None = None
    table_ids: frozenset[str] | None = None
    sector_id: str | None = None
    guest_name: str | None = None
    guest_email: str | None = None
    guest_phone: str | None = None
    notes: str | None = None

    @property
    def seating(self) -> bool:
        """Whether anything that decides the seat is given."""
        return any(
            each is not None
            for each in (
                self.party_size, self.duration_minutes, self.date, self.window_start, self.window_end,
                self.start, self.table_ids, self.sector_id,
            )
        )  # fmt: skip


@command()
def update_booking(
    *,
    caller: Caller,
    booking: str,
    change: Change,
    ticket: Ticket | None = None,
    version: int | None = None,
) -> BookingRecord | Replay:
    """Apply a change in one transaction; on any failure the booking stays as it was.

    The tables stay while they fit and no others (or another sector) are asked for. The start stays
    unless a start, a window that it is not in, or another date is given; on another date the same
    wall time is preferred, and a start on another date moves the booking there. ``version`` is the one
    that whoever asks looked at, where that matters. Raises what ``create_booking`` raises, Conflict
    when it is another by now, AlreadyCancelled, and InvalidTransition for a booking that is over.
    """
    seen = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_UPDATE)
    sector_id = change.sector_id or seen.sector_id
    service_date = change.date or _service_date(seen, change.start)

    def write() -> BookingRecord:
        before = locked(seen.id)
        if (before.sector_id, before.service_date) != (seen.sector_id, seen.service_date):
            raise Conflict(_("The booking was just moved; look at it and try again."))
        if version is not None and before.version != version:
            raise Conflict(CHANGED_SINCE)
        check_open(before)
        after = before
        if change.seating:
            wanted = replace(
                before,
                sector_id=sector_id,
                service_date=service_date,
                party_size=change.party_size or before.party_size,
                duration_minutes=change.duration_minutes or before.duration_minutes,
            )
            day = days.read(seen.restaurant_id, sector_id, service_date, without=(before.id,))
            # The bounds may have been others when the rest was agreed on, and that stays.
            moved = service_date if service_date != before.service_date else change.date
            day.plan.check(change.party_size, change.duration_minutes, moved)
            after = _seated(day, before, wanted, change)
        private = _private(before, change)
        if change.notes is not None:
            after = replace(after, notes=change.notes)
        if after == before and not private:
            if ticket:
                ticket.keep_for(before)
            return before
        after = replace(after, version=before.version + 1, updated_at=clock.now_to_millisecond())
        if (after.table_ids, after.start, after.end) != (before.table_ids, before.start, before.end):
            writes.reseat(after)
        if private:
            after = replace(after, guest=_write_guest(before, private))
        writes.update(
            after,
            event_type=BOOKING_UPDATED,
            actor=caller,
            more={"changes": _changes(before, after, private) | see_to(before, after)},
        )
        if ticket:
            ticket.keep_for(after)
        return after

    sector_days = {SectorDay(seen.sector_id, seen.service_date), SectorDay(sector_id, service_date)}
    return in_transaction_for(sector_days, write, ticket)


def _service_date(booking: BookingRecord, start: datetime | None) -> date:
    """The service date of a start that was asked for without one: the booking's own while that day serves then."""
    if start is None:
        return booking.service_date
    plan = plans.with_sector(booking.restaurant_id, None)
    own = plan.day(booking.service_date)
    if 0 <= own.slot_of(start) < own.slots:
        return booking.service_date
    return service_date_at(plan, start)


def check_open(booking: BookingRecord) -> None:
    """Raise for a booking that is over and cannot be changed."""
    if booking.status is Status.CANCELLED:
        raise AlreadyCancelled
    if booking.status not in OPEN:
        raise InvalidTransition(
            format_lazy(_("A booking that is {status} cannot be changed."), status=booking.status.label)
        )


def see_to(before: BookingRecord, after: BookingRecord) -> dict[str, dict[str, Any]]:
    """Take away the flag of who gets other tables or another time than were wrong; what the event says of it."""
    causes = []
    if after.table_ids != before.table_ids:
        causes.append(Booking.Attention.TABLES)
    if (after.start, after.end) != (before.start, before.end):
        causes += [Booking.Attention.HOURS, Booking.Attention.ZONE]
    flagged = Booking.objects.filter(pk=before.id, attention__in=causes)
    cause = flagged.values_list("attention", flat=True).first() if causes else None
    if cause is None:
        return {}
    flagged.update(attention="")
    return {"attention": {"from": cause, "to": None}}


def _seated(day: Day, before: BookingRecord, wanted: BookingRecord, change: Change) -> BookingRecord:
    """``wanted`` with a seat: the wishes in order of how little they disturb, the first that fits."""
    day.check_tables(change.table_ids)
    same_place = wanted.sector_id == before.sector_id and change.table_ids is None
    same_time = (
        change.start is None
        and change.window_start is None
        and change.window_end is None
        and wanted.service_date == before.service_date
        and wanted.duration_minutes == before.duration_minutes
    )
    if same_place and same_time and day.seats(before.table_ids, wanted.party_size):
        return wanted
    asked = Wish(
        party=wanted.party_size,
        duration=wanted.duration_minutes,
        window_start=change.window_start,
        window_end=change.window_end,
        start=change.start,
        tables=change.table_ids,
    )
    own = frozenset(before.table_ids)
    if change.start is None:
        kept = _kept_start(day, before)
        still = replace(
            asked,
            start=day.aligned(kept),
            duration=day.covering(kept, asked.duration),
            standing=kept == before.start,
        )
        for wish in (replace(still, tables=own), still) if same_place else (still,):
            if found := day.candidates(wish, 1):
                end = kept + timedelta(minutes=asked.duration)
                return replace(wanted, table_ids=found[0].table_ids, start=kept, end=end)
        if change.date is None and change.window_start is None and change.window_end is None:
            # The start is the booking's own: nobody named it.
            raise refuse(day, still, named=change.table_ids is not None)
    for wish in (replace(asked, tables=own), asked) if same_place else (asked,):
        if found := day.candidates(wish, 1):
            best = found[0]
            return replace(wanted, table_ids=best.table_ids, start=best.start, end=best.end)
    raise refuse(day, asked)


def _kept_start(day: Day, before: BookingRecord) -> datetime:
    """The booking's start, or the same wall time (and the same night) on another service date."""
    if day.service.date == before.service_date:
        return before.start
    wall = before.local(before.start).replace(tzinfo=None) + (day.service.date - before.service_date)
    return wall.replace(tzinfo=day.plan.zone).astimezone(UTC)


def _private(before: BookingRecord, change: Change) -> dict[str, str]:
    """The contact fields (of Guest) that the change would alter."""
    held = before.guest or GuestRecord(uuid7())
    given = {"name": change.guest_name, "email": change.guest_email, "phone": change.guest_phone}
    return {
        field: value for field, value in given.items() if value is not None and value != getattr(held, field)
    }


def _write_guest(before: BookingRecord, fields: dict[str, str]) -> GuestRecord:
    """Correct the booking's guest, or give it another: where it has none, shares its own, or that was erased.

    Other bookings keep the guest they share, whom ``guests.update_guest`` corrects on all of them.
    """
    held = before.guest
    if held:
        # A booking being made for the same guest holds the row as well: it is waited for, and then seen.
        alive = Guest.objects.select_for_update().filter(pk=held.id, erased_at__isnull=True).first()
        others = Booking.objects.filter(guest=held.id).exclude(pk=before.id)
        if alive and others.exists():
            fields = {"name": held.name, "email": held.email, "phone": held.phone} | fields
        elif alive:
            Guest.objects.filter(pk=held.id).update(**fields, updated_at=clock.now_to_millisecond())
            return replace(held, **cast(dict[str, Any], fields))
    guest = Guest.objects.create(restaurant_id=before.restaurant_id, **fields)
    return GuestRecord(guest.id, guest.name, guest.email, guest.phone)


def _changes(
    before: BookingRecord, after: BookingRecord, private: dict[str, str]
) -> dict[str, dict[str, Any]]:
    changes = after.changes_from(before)
    for field in private:
        changes[f"guest{field.capitalize()}"] = PRIVATE
    if before.notes != after.notes:
        changes["notes"] = PRIVATE
    return changes
