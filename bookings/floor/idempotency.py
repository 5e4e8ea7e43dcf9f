"""Acts of the board that are sent again after a lost answer: done once, and shown as they are now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from bookings.floor import board
from bookings.repository.records import BookingRecord
from bookings.repository.ticket import Ticket
from wokibrain.core.callers import Caller
from wokibrain.core.errors import IdempotencyInProgress, IdempotencyKeyReused
from wokibrain.idempotency.keys import Replay, settle
from wokibrain.idempotency.models import IdempotencyKey
from wokibrain.rest.idempotency import ticket_for

Act = Callable[[Ticket | None], BookingRecord | Replay]


def once(request: HttpRequest, caller: Caller, act: Act) -> dict[str, Any]:
    """The booking that ``act`` writes, as it is now; a repeat of the request's Idempotency-Key writes nothing.

    ``again`` tells a repeat from a first time: "same", or "other" where something else is asked than was done.
    """
    held = ticket_for(caller.actor, request, request.body.decode())
    ticket = Ticket.of(held, _kept)
    try:
        result = settle(ticket, lambda: act(ticket))
    except IdempotencyInProgress:
        raise IdempotencyInProgress(
            _("The first try is still under way; send it again in a moment.")
        ) from None
    except IdempotencyKeyReused:
        assert held is not None, "only a key can have been used"
        used = IdempotencyKey.objects.filter(caller=held.caller, key=held.key, booking__isnull=False).first()
        if used is None:
            raise
        return board.one(caller=caller, booking=str(used.booking_id)) | {"again": "other"}
    if isinstance(result, Replay):
        return board.one(caller=caller, booking=result.body) | {"again": "same"}
    return board.one(caller=caller, booking=str(result.id))


def _kept(booking: BookingRecord) -> Replay:
    """Which booking it was: a repeat is shown what has become of it since, to whoever may see that."""
    return Replay(200, str(booking.id))
