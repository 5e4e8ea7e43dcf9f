"""Requests that the board sends again after a lost answer: done once, and answered with the present state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from bookings.floor.bookings import booking_with_story
from bookings.repository.records import BookingRecord, Ticket
from wokibrain.core.callers import Caller
from wokibrain.core.errors import IdempotencyInProgress, IdempotencyKeyReused
from wokibrain.idempotency.keys import Replay
from wokibrain.idempotency.models import IdempotencyKey
from wokibrain.rest.idempotency import ticket_for

Service = Callable[..., BookingRecord | Replay]


def once(
    request: HttpRequest, caller: Caller, service: Service, *arguments: Any, **named: Any
) -> dict[str, Any]:
    """Return the booking that ``service`` writes, as it is now; a repeat of the Idempotency-Key writes nothing.

    A repeat has ``again``: "same", or "other" if the request differs from the first one.
    """
    key = ticket_for(caller.actor, request, request.body.decode())
    ticket = Ticket.of(key, _stored)
    try:
        result = service(*arguments, caller=caller, ticket=ticket, **named)
    except IdempotencyInProgress:
        raise IdempotencyInProgress(
            _("The first attempt is still under way. Try again in a moment.")
        ) from None
    except IdempotencyKeyReused:
        assert key is not None, "only a key can have been used"
        first = IdempotencyKey.objects.filter(caller=key.caller, key=key.key, booking__isnull=False).first()
        if first is None:
            raise
        return booking_with_story(caller=caller, booking=str(first.booking_id)) | {"again": "other"}
    if isinstance(result, Replay):
        return booking_with_story(caller=caller, booking=result.body) | {"again": "same"}
    return booking_with_story(caller=caller, booking=str(result.id))


def _stored(booking: BookingRecord) -> Replay:
    """Store only the booking's id: a repeat shows the booking as it is by then, if the caller may see it."""
    return Replay(200, str(booking.id))
