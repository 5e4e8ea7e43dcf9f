"""Taking back one's own latest change of a booking.

The change itself goes out at once, so that every board and the constraint know of it; taking it back
is a further change with an event of its own, which says what it undoes. (Holding a change back in
the browser instead would leave two hosts looking at different rooms for as long as undo is offered.)
It is a correction and no step of the life-cycle, so it may reopen what is otherwise final.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from bookings.event_types import BOOKING, BOOKING_CANCELLED, BOOKING_UPDATED
from bookings.models import Booking
from bookings.repository import statements
from bookings.repository.records import BookingRecord
from bookings.repository.statements import locked
from bookings.services.change import CHANGED_SINCE
from bookings.services.command import booking_command
from bookings.statuses import OPEN, Status
from bookings.transactions import SectorDay, in_transaction_for
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, InvalidTransition
from wokibrain.core.permissions import Permission
from wokibrain.events.envelope import Envelope, Payload
from wokibrain.events.models import StoredEvent

OFFERED: Final = timedelta(seconds=10)
"""How long the board offers it."""
GRACE: Final = timedelta(seconds=20)
"""How long after the offer a request may still be under way, over a bad network."""


@booking_command(Permission.BOOKING_UPDATE)
def undo_booking(seen: BookingRecord, *, caller: Caller, version: int) -> BookingRecord:
    """Put the booking back to what it was before ``version``, which must be its latest and the caller's own.

    A creation is undone by cancelling, with the reason "undone"; a swap with both of its bookings or
    not at all. Raises NotFound, Conflict when somebody changed the booking since or its tables are no
    longer free, InvalidTransition when it is too late, somebody else's, or contact data (events do
    not keep it).
    """
    # What an event says is fixed, so it may be read before the lock that follows from it.
    versions = {seen.id: version}
    if partner := (_payload(seen.id, version) or {}).get("swappedWith"):
        versions[UUID(partner["id"])] = partner["version"]
    earlier = {booking_id: _payload(booking_id, its - 1) for booking_id, its in versions.items()}
    sector_days = {SectorDay(seen.sector_id, seen.service_date)}
    for payload in earlier.values():
        if payload:
            sector_days.add(SectorDay(payload["sectorId"], date.fromisoformat(payload["serviceDate"])))

    def write() -> BookingRecord:
        moment = clock.now_to_millisecond()
        undone = [
            _undone(locked(booking_id), versions[booking_id], earlier[booking_id], caller, moment)
            for booking_id in sorted(versions)
        ]
        statements.reseat_together([after for after, _more in undone if after.status in OPEN])
        for after, more in undone:
            if after.status not in OPEN:
                statements.free(after.id)
            event_type = BOOKING_UPDATED if earlier[after.id] else BOOKING_CANCELLED
            statements.update(after, event_type=event_type, actor=caller, more=more)
        return next(after for after, _more in undone if after.id == seen.id)

    return in_transaction_for(sector_days, write)


def _undone(
    before: BookingRecord, version: int, earlier: dict[str, Any] | None, caller: Caller, moment: datetime
) -> tuple[BookingRecord, dict[str, Any]]:
    """The booking as it will be, and what its event says besides. Raises where it may not be undone."""
    if before.version != version:
        raise Conflict(CHANGED_SINCE)
    latest = _event(before.id, version)
    assert latest is not None, "the latest version of a booking has its event"
    _may_undo(latest, caller)
    restored = _restored(before, earlier) if earlier else replace(before, status=Status.CANCELLED)
    after = replace(restored, version=before.version + 1, updated_at=moment)
    undoes = {"undoes": {"version": version, "eventType": latest.event_type}}
    if earlier:
        return after, undoes | {"changes": after.changes_from(before) | _flagged_again(latest)}
    return after, undoes | {"reason": "undone"}


def _flagged_again(latest: Envelope) -> dict[str, dict[str, Any]]:
    """What a change saw to needs attention again with it; a flag that stands is none of an undo's business."""
    told = (latest.payload.get("changes") or {}).get("attention")
    if told is None or told["to"] is not None:
        return {}
    Booking.objects.filter(pk=latest.aggregate_id).update(attention=told["from"])
    return {"attention": {"from": None, "to": told["from"]}}


def _event(booking_id: UUID, version: int) -> Envelope | None:
    row = StoredEvent.objects.filter(
        aggregate_type=BOOKING, aggregate_id=str(booking_id), version=version
    ).first()
    return Envelope.from_row(row) if row else None


def _payload(booking_id: UUID, version: int) -> Payload | None:
    event = _event(booking_id, version)
    return event.payload if event else None


def _may_undo(latest: Envelope, caller: Caller) -> None:
    if latest.metadata.get("actor") != caller.actor:
        raise InvalidTransition(_("Only who made a change may undo it."))
    if clock.now_to_millisecond() - latest.occurred_at > OFFERED + GRACE:
        raise InvalidTransition(_("It is too late to undo this."))
    changes = latest.payload.get("changes") or {}
    if any(isinstance(each, dict) and each.get("redacted") for each in changes.values()):
        raise InvalidTransition(_("Contact data and notes cannot be undone; type them again."))
    if latest.payload.get("undoes"):
        raise InvalidTransition(_("This was an undo already."))


def _restored(before: BookingRecord, earlier: dict[str, Any]) -> BookingRecord:
    """The booking with the seat and status of an earlier event; the guest and notes stay."""
    return replace(
        before,
        sector_id=earlier["sectorId"],
        table_ids=tuple(earlier["tableIds"]),
        service_date=date.fromisoformat(earlier["serviceDate"]),
        party_size=earlier["partySize"],
        start=datetime.fromisoformat(earlier["start"]),
        end=datetime.fromisoformat(earlier["end"]),
        duration_minutes=earlier["durationMinutes"],
        status=Status(earlier["status"]),
    )
