"""A booking's side of Idempotency-Keys: what a replay will say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from bookings.repository.records import BookingRecord
from wokibrain.idempotency import keys
from wokibrain.idempotency.keys import Replay


@dataclass(frozen=True, slots=True)
class Ticket(keys.Ticket):
    """``respond`` renders the status and body that a replay will give."""

    respond: Callable[[BookingRecord], Replay]

    @classmethod
    def of(cls, held: keys.Ticket | None, respond: Callable[[BookingRecord], Replay]) -> Ticket | None:
        """The request's ticket, where it has one, for a booking."""
        if held is None:
            return None
        return cls(held.caller, held.key, held.fingerprints, held.received, respond)

    def keep_for(self, record: BookingRecord) -> None:
        """Store the result, in the transaction of the effect."""
        with connection.cursor() as cursor:
            cursor.execute(keys.KEEP, self.row(self.respond(record), record.id))
