"""Undo the caller's own latest change of a booking.

A change takes effect at once, so that every board and the database constraint know of it. An undo is a further change
with an event of its own, which names the version it undoes. (If the browser delayed the change instead, two hosts
would see different rooms for as long as it offers to undo.) An undo is a correction and not a step of the life-cycle,
so it may reopen a booking whose status is otherwise final.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from bookings.event_types import BOOKING, BOOKING_CANCELLED, BOOKING_UPDATED
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

OFFER: Final = timedelta(seconds=10)
"""How long after a change the board offers to undo it."""
GRACE: Final = timedelta(seconds=20)
"""How much longer an undo is accepted, for a request that a slow network delays."""


@booking_command(Permission.BOOKING_UPDATE)
def undo_booking(seen: BookingRecord, *, caller: Caller, version: int) -> BookingRecord:
    """Restore the booking as it was before ``version``, which must be its latest version and the caller's own change.

    A creation is undone by cancelling, with the reason "undone"; a swap is undone for both of its bookings or not at
    all. Raises NotFound; Conflict if the booking was changed since or its tables are no longer free; InvalidTransition
    if it is too late, another caller made the change, or it changed contact data (whose values events do not store).
    """
    # Events are immutable, so they may be read before the locks, which depend on them.
    versions = {seen.id: version}
    if partner := (_payload(seen.id, version) or {}).get("swappedWith"):
        versions[UUID(partner["id"])] = partner["version"]
    earlier = {booking_id: _payload(booking_id, latest - 1) for booking_id, latest in versions.items()}
    sector_days = {SectorDay(seen.sector_id, seen.service_date)}
    for payload in earlier.values():
        if payload:
            sector_days.add(SectorDay(payload["sectorId"], date.fromisoformat(payload["serviceDate"])))

    def write() -> BookingRecord:
        moment = clock.now_to_millisecond()
        restored = [
            _undo(locked(booking_id), versions[booking_id], earlier[booking_id], caller, moment)
            for booking_id in sorted(versions)
        ]
        with statements.exchanging_tables():
            for after, more in restored:
                if after.status in OPEN:
                    statements.reseat(after)
                else:
                    statements.free(after.id)
                event_type = BOOKING_UPDATED if earlier[after.id] else BOOKING_CANCELLED
                statements.update(after, event_type=event_type, actor=caller, more=more)
        return next(after for after, _more in restored if after.id == seen.id)

    return in_transaction_for(sector_days, write)


def _undo(
    before: BookingRecord, version: int, earlier: dict[str, Any] | None, caller: Caller, moment: datetime
) -> tuple[BookingRecord, dict[str, Any]]:
    """Return the booking as it will be, and the event's further payload.

    Raises Conflict, InvalidTransition if the change may not be undone.
    """
    if before.version != version:
        raise Conflict(CHANGED_SINCE)
    latest = _event(before.id, version)
    assert latest is not None, "the latest version of a booking has its event"
    _check_undoable(latest, caller)
    if earlier:
        restored = replace(_restore(before, earlier), attention=_restore_attention(before, latest))
    else:
        restored = replace(before, status=Status.CANCELLED)
    after = replace(restored, version=before.version + 1, updated_at=moment)
    undoes = {"undoes": {"version": version, "eventType": latest.event_type}}
    if earlier:
        return after, undoes | {"changes": after.changes_from(before)}
    return after, undoes | {"reason": "undone"}


def _restore_attention(before: BookingRecord, latest: Envelope) -> tuple[str, ...]:
    """Return the flags with those that the latest change cleared; a flag that it left or set stays."""
    change = (latest.payload.get("changes") or {}).get("attention")
    if change is None:
        return before.attention
    cleared = _flags(change["from"]) - _flags(change["to"])
    return tuple(sorted(cleared.union(before.attention)))


def _flags(value: list[str] | str | None) -> set[str]:
    """Return the flags of one side of a change; events of older versions hold one flag or null instead of a list."""
    return set(value) if isinstance(value, list) else {value} if value else set()


def _event(booking_id: UUID, version: int) -> Envelope | None:
    row = StoredEvent.objects.filter(
        aggregate_type=BOOKING, aggregate_id=str(booking_id), version=version
    ).first()
    return Envelope.from_row(row) if row else None


def _payload(booking_id: UUID, version: int) -> Payload | None:
    event = _event(booking_id, version)
    return event.payload if event else None


def _check_undoable(latest: Envelope, caller: Caller) -> None:
    if latest.metadata.get("actor") != caller.actor:
        raise InvalidTransition(_("Only the author of a change may undo it."))
    if clock.now_to_millisecond() - latest.occurred_at > OFFER + GRACE:
        raise InvalidTransition(_("It is too late to undo this."))
    changes = latest.payload.get("changes") or {}
    if any(isinstance(change, dict) and change.get("redacted") for change in changes.values()):
        raise InvalidTransition(_("Contact data and notes cannot be undone; type them again."))
    if latest.payload.get("undoes"):
        raise InvalidTransition(_("This change is an undo itself and cannot be undone."))


def _restore(before: BookingRecord, earlier: dict[str, Any]) -> BookingRecord:
    """Return the booking with the seat and status of an earlier event; guest and notes stay as they are."""
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
