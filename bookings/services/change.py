"""Change a booking: its party is re-seated only if it must be, and loses no seat if it cannot be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, cast

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from bookings.availability import day as days
from bookings.availability import plan as plans
from bookings.availability.day import Day, SeatRequest
from bookings.availability.plan import service_date_at
from bookings.availability.refusals import refuse
from bookings.engine import Candidate, Reason
from bookings.event_types import BOOKING_UPDATED, PRIVATE
from bookings.models import Booking, Guest
from bookings.repository import statements
from bookings.repository.records import BookingRecord, GuestRecord, Ticket
from bookings.repository.statements import locked
from bookings.services.command import booking_command
from bookings.services.room import planned_there, sitting_there, with_alternatives
from bookings.statuses import OPEN, Status, possible
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import AlreadyCancelled, Conflict, InvalidTransition
from wokibrain.core.ids import uuid7
from wokibrain.core.permissions import Permission
from wokibrain.idempotency.keys import Replay

CHANGED_SINCE: Final = _("The booking was changed again since; look at it first.")


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
        """Return whether the change has a field that decides the seat."""
        return any(
            value is not None
            for value in (
                self.party_size, self.duration_minutes, self.date, self.window_start, self.window_end,
                self.start, self.table_ids, self.sector_id,
            )
        )  # fmt: skip


@booking_command(Permission.BOOKING_UPDATE, or_own=True)
def update_booking(
    seen: BookingRecord,
    *,
    caller: Caller,
    change: Change,
    ticket: Ticket | None = None,
    version: int | None = None,
) -> BookingRecord | Replay:
    """Apply a change in one transaction; on any failure the booking stays as it was.

    The tables stay while they fit, unless the change names others or another sector. The start stays unless the
    change names a start, a window that excludes it, or another date; on another date the same wall time comes first,
    and a start on another date moves the booking there. ``version`` is the one that the caller saw, if that matters.
    Raises what ``create_booking`` raises, Conflict if the version is another by now, AlreadyCancelled, and
    InvalidTransition for a booking that is over.
    """
    sector_id = change.sector_id or seen.sector_id
    service_date = change.date or _service_date(seen, change.start)

    def write() -> BookingRecord:
        before = locked(seen.id)
        check_not_moved(seen, before)
        if version is not None and before.version != version:
            raise Conflict(CHANGED_SINCE)
        check_open(before)
        if before.status is Status.SEATED and not caller.may(Permission.BOOKING_UPDATE, before.restaurant_id):
            raise InvalidTransition(_("The party has arrived. Only the restaurant changes its booking now."))
        if before.status is Status.SEATED and service_date != before.service_date:
            raise InvalidTransition(_("A seated party stays on its service day."))
        after = before
        if change.seating:
            target = replace(
                before,
                sector_id=sector_id,
                service_date=service_date,
                party_size=change.party_size or before.party_size,
                duration_minutes=change.duration_minutes or before.duration_minutes,
            )
            day = days.read(seen.restaurant_id, sector_id, service_date, without=(before.id,))
            # Fields that stay are not checked: the bounds may have been others when they were agreed on.
            moved = service_date if service_date != before.service_date else change.date
            day.plan.check(change.party_size, change.duration_minutes, moved)
            after = clear_attention(before, _seated(day, before, target, change))
        private = _private(before, change)
        if change.notes is not None:
            after = replace(after, notes=change.notes)
        if after == before and not private:
            if ticket:
                statements.store_answer(ticket, before)
            return before
        after = replace(after, version=before.version + 1, updated_at=clock.now_to_millisecond())
        if (after.table_ids, after.start, after.end) != (before.table_ids, before.start, before.end):
            statements.reseat(after)
        if private:
            after = replace(after, guest=_write_guest(before, private))
        statements.update(
            after,
            event_type=BOOKING_UPDATED,
            actor=caller,
            more={"changes": _changes(before, after, private)},
            ticket=ticket,
        )
        return after

    sector_days = {SectorDay(seen.sector_id, seen.service_date), SectorDay(sector_id, service_date)}
    return in_transaction_for(sector_days, write, ticket)


def _service_date(booking: BookingRecord, start: datetime | None) -> date:
    """Return the service date of a start without a date: the booking's own, if that day serves at ``start``."""
    if start is None:
        return booking.service_date
    plan = plans.with_sector(booking.restaurant_id, None)
    own = plan.day(booking.service_date)
    if 0 <= own.slot_of(start) < own.slots:
        return booking.service_date
    return service_date_at(plan, start)


def check_not_moved(seen: BookingRecord, now: BookingRecord) -> None:
    """Raise Conflict if the booking has left the sector-day on which it was seen, and whose lock is held."""
    if (now.sector_id, now.service_date) != (seen.sector_id, seen.service_date):
        raise Conflict(_("The booking was just moved; look at it and try again."))


def check_open(booking: BookingRecord) -> None:
    """Raise AlreadyCancelled or InvalidTransition for a booking that is over."""
    if booking.status is Status.CANCELLED:
        raise AlreadyCancelled
    if booking.status not in OPEN:
        raise InvalidTransition(
            format_lazy(
                _("A booking that is {status} cannot be changed. Possible now: {steps}."),
                status=booking.status.label,
                steps=possible(booking.status),
            )
        )


def clear_attention(before: BookingRecord, after: BookingRecord) -> BookingRecord:
    """Return ``after`` without the flags of ``before`` whose cause the change cures."""
    cured: set[str] = set()
    if after.table_ids != before.table_ids:
        cured.add(Booking.Attention.TABLES)
    if (after.start, after.end) != (before.start, before.end):
        cured |= {Booking.Attention.HOURS, Booking.Attention.ZONE}
    return replace(after, attention=tuple(flag for flag in before.attention if flag not in cured))


def _seated(day: Day, before: BookingRecord, target: BookingRecord, change: Change) -> BookingRecord:
    """Return ``target`` with a seat: the least disturbing one that is free. Raises what ``refuse`` returns."""
    day.check_tables(change.table_ids)
    same_place = target.sector_id == before.sector_id and change.table_ids is None
    same_time = (
        change.start is None
        and change.window_start is None
        and change.window_end is None
        and target.service_date == before.service_date
        and target.duration_minutes == before.duration_minutes
    )
    seats = day.seats(before.table_ids, target.party_size)
    if same_place and same_time and seats:
        return target
    sits = before.status is Status.SEATED
    if sits and change.table_ids is None and (not same_place or not seats):
        raise _sits_already(day, before, target)
    any_time = change.window_start is not None or change.window_end is not None
    if same_place and seats and (sits or (not any_time and target.service_date == before.service_date)):
        return _at_own_tables(day, before, target, change)
    request = SeatRequest(
        party=target.party_size,
        duration=target.duration_minutes,
        window_start=change.window_start,
        window_end=change.window_end,
        start=change.start,
        tables=change.table_ids,
    )
    own_tables = frozenset(before.table_ids)
    if change.start is None:
        start = _kept_start(day, before)
        at_that_start = replace(
            request,
            start=day.aligned(start),
            duration=day.covering(start, request.duration),
            standing=start == before.start,
        )
        best = _best(day, at_that_start, own_tables if same_place else None)
        if best:
            end = start + timedelta(minutes=request.duration)
            return replace(target, table_ids=best.table_ids, start=start, end=end)
        if change.date is None and change.window_start is None and change.window_end is None:
            # The start is the booking's own: the caller did not name it.
            raise refuse(day, at_that_start, named=change.table_ids is not None)
    best = _best(day, request, own_tables if same_place else None)
    if best:
        return replace(target, table_ids=best.table_ids, start=best.start, end=best.end)
    raise refuse(day, request)


def _sits_already(day: Day, before: BookingRecord, target: BookingRecord) -> Conflict:
    """Return the error for a party that would have to leave the tables it sits at, with free ones that would do."""
    conflict = Conflict(_("The party is already seated. Name the tables that it moves to."))
    end = target.start + timedelta(minutes=target.duration_minutes)
    return with_alternatives(conflict, day, target, before.start, end)


def _at_own_tables(day: Day, before: BookingRecord, target: BookingRecord, change: Change) -> BookingRecord:
    """Return ``target`` at the tables that the booking has, at another time or for longer.

    Raises Conflict that names the party or block in the way, else what ``refuse`` returns.
    """
    start = change.start or before.start
    end = start + timedelta(minutes=target.duration_minutes)
    request = SeatRequest(
        party=target.party_size,
        duration=day.covering(start, target.duration_minutes),
        window_start=change.window_start,
        window_end=change.window_end,
        start=day.aligned(start),
        standing=start == before.start or before.status is Status.SEATED,
        tables=frozenset(before.table_ids),
    )
    # With its start a booking keeps its place in the plan, even while another party still sits there.
    room = day.by_plan() if start == before.start else day
    if room.best(request):
        return replace(target, start=start, end=end)
    conflict = None
    if room.refusal(request).reason is Reason.FULL:
        conflict = planned_there(before.id, before.table_ids, start, end, day)
        if conflict is None:
            conflict = next((sitting_there(day, party) for party in room.sitting_at(before.table_ids)), None)
    if conflict is None:
        raise refuse(day, request, named=change.start is not None)
    raise with_alternatives(conflict, day, target, start, end)


def _best(day: Day, request: SeatRequest, own_tables: frozenset[str] | None) -> Candidate | None:
    """Return the best candidate: one at the booking's own tables, if it may keep them, before any other."""
    return (own_tables and day.best(replace(request, tables=own_tables))) or day.best(request)


def _kept_start(day: Day, before: BookingRecord) -> datetime:
    """Return the booking's start, or on another service date the same wall time of the same night."""
    if day.service.date == before.service_date:
        return before.start
    wall = before.local(before.start).replace(tzinfo=None) + (day.service.date - before.service_date)
    return wall.replace(tzinfo=day.plan.zone).astimezone(UTC)


def _private(before: BookingRecord, change: Change) -> dict[str, str]:
    """Return the contact fields (of Guest) that the change alters."""
    guest = before.guest or GuestRecord(uuid7())
    contact = {"name": change.guest_name, "email": change.guest_email, "phone": change.guest_phone}
    return {
        field: value
        for field, value in contact.items()
        if value is not None and value != getattr(guest, field)
    }


def _write_guest(before: BookingRecord, fields: dict[str, str]) -> GuestRecord:
    """Correct the booking's guest; or give it a new one if it has none, shares its own, or that one was erased.

    Other bookings keep a shared guest, whom ``guests.update_guest`` corrects on all of them.
    """
    guest = before.guest
    if guest:
        # A booking that is being written for the same guest locks the row too: wait for it, then count it.
        row = Guest.objects.select_for_update().filter(pk=guest.id, erased_at__isnull=True).first()
        others = Booking.objects.filter(guest=guest.id).exclude(pk=before.id)
        if row and others.exists():
            fields = {"name": guest.name, "email": guest.email, "phone": guest.phone} | fields
        elif row:
            Guest.objects.filter(pk=guest.id).update(**fields, updated_at=clock.now_to_millisecond())
            return replace(guest, **cast(dict[str, Any], fields))
    row = Guest.objects.create(restaurant_id=before.restaurant_id, **fields)
    return GuestRecord(row.id, row.name, row.email, row.phone)


def _changes(
    before: BookingRecord, after: BookingRecord, private: dict[str, str]
) -> dict[str, dict[str, Any]]:
    changes = after.changes_from(before)
    for field in private:
        changes[f"guest{field.capitalize()}"] = PRIVATE
    if before.notes != after.notes:
        changes["notes"] = PRIVATE
    return changes
