"""One effect per Idempotency-Key: the first request's result is kept with its effect and given again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bookings.locking import advisory_number
from bookings.models import IdempotencyKey
from bookings.records import BookingRecord
from wokibrain import clock
from wokibrain.errors import IdempotencyKeyReused

KEPT: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Replay:
    """A result given before, as it was given."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """One caller's key for one request.

    ``fingerprint`` is the SHA-256 of what is asked (method, path, body); ``respond`` renders the
    status and body that a replay will give. Refusals are not kept: nothing happened, so the same
    key may try again.
    """

    caller: str
    key: str
    fingerprint: bytes
    respond: Callable[[BookingRecord], Replay]

    @property
    def number(self) -> int:
        """The advisory lock that the twins of a request wait on."""
        return advisory_number(f"idempotency:{self.caller}:{self.key}")

    def replay(self) -> Replay | None:
        """What this key gave before, if it did within 24 hours.

        Raises IdempotencyKeyReused when it was used for something else.
        """
        row = IdempotencyKey.objects.filter(
            caller=self.caller, key=self.key, expires_at__gt=clock.now()
        ).first()
        if row is None:
            return None
        if bytes(row.fingerprint) != self.fingerprint:
            raise IdempotencyKeyReused
        return Replay(row.status, row.body)

    def keep(self, record: BookingRecord) -> None:
        """Store the result, in the transaction of the effect."""
        result = self.respond(record)
        IdempotencyKey.objects.update_or_create(
            caller=self.caller,
            key=self.key,
            defaults={
                "fingerprint": self.fingerprint,
                "status": result.status,
                "body": result.body,
                "booking_id": record.id,
                "expires_at": clock.now() + KEPT,
            },
        )
