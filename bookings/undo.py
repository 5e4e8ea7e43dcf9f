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

from django.utils.translation import gettext_lazy as _

from bookings import writes
from bookings.locking import SectorDay
from bookings.models import Booking
from bookings.records import BookingRecord
from bookings.selectors import find_booking
from bookings.services import locked, now
from bookings.turns import take_turn
from wokibrain.access.callers import Caller
from wokibrain.access.permissions import Permission
from wokibrain.errors import Conflict, InvalidTransition
from wokibrain.events.models import StoredEvent

OFFERED: Final = timedelta(seconds=10)
"""How long the board offers it."""
GRACE: Final = timedelta(seconds=20)
"""How long after the offer a request may still be under way, over a bad network."""
HOLDING: Final = (Booking.Status.CONFIRMED, Booking.Status.SEATED)


def undo_booking(*, caller: Caller, booking: str, version: int) -> BookingRecord:
    """Put the booking back to what it was before ``version``, which must be its latest and the caller's own.

    A creation is undone by cancelling, with the reason "undone". Raises NotFound, Conflict when
    somebody changed the booking since or its tables are no longer free, InvalidTransition when it is
    too late, somebody else's, or contact data (events do not keep it).
    """
    seen = find_booking(caller=caller, booking=booking, permission=Permission.BOOKING_UPDATE)
    # Where the earlier version stood is fixed: events do not change.
    earlier = _payload(seen, version - 1)
    turn = {SectorDay(seen.sector_id, seen.service_date)}
    if earlier:
        turn.add(SectorDay(earlier["sectorId"], date.fromisoformat(earlier["serviceDate"])))

    def work() -> BookingRecord:
        before = locked(seen.id)
        if before.version != version:
            raise Conflict(_("The booking was changed again since; look at it first."))
        latest = StoredEvent.objects.get(
            aggregate_type="booking", aggregate_id=str(before.id), version=version
        )
        _may_undo(latest, caller)
        more: dict[str, Any] = {"undoes": {"version": version, "eventType": latest.event_type}}
        restored = _restored(before, earlier) if earlier else replace(before, status=Booking.Status.CANCELLED)
        after = replace(restored, version=before.version + 1, updated_at=now())
        if after.status in HOLDING:
            writes.reseat(after)
        else:
            writes.free(after.id)
        if earlier:
            more["changes"] = after.changes_from(before)
        else:
            more["reason"] = "undone"
        event_type = "BookingUpdated" if earlier else "BookingCancelled"
        writes.update(after, event_type=event_type, actor=caller, more=more)
        return after

    done = take_turn(turn, work)
    assert isinstance(done, BookingRecord), "there is no ticket to replay"
    return done


def _payload(booking: BookingRecord, version: int) -> dict[str, Any] | None:
    return (
        StoredEvent.objects.filter(aggregate_type="booking", aggregate_id=str(booking.id), version=version)
        .values_list("payload", flat=True)
        .first()
    )


def _may_undo(latest: StoredEvent, caller: Caller) -> None:
    if latest.metadata.get("actor") != caller.actor:
        raise InvalidTransition(_("Only who made a change may undo it."))
    if now() - latest.occurred_at > OFFERED + GRACE:
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
        status=Booking.Status(earlier["status"]),
    )
