"""One effect per Idempotency-Key: the first request's result is kept with its effect and given again.

And no effect after a refusal. A client that heard nothing repeats its request; when the repeat is
refused, the first one may still be waiting for a lock somewhere. So a refusal leaves a mark at its
key, and what came in before the mark was made takes no effect any more, while a later repeat may.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from wokibrain.core import clock
from wokibrain.core.errors import Code, DomainError, IdempotencyInProgress, IdempotencyKeyReused
from wokibrain.core.failpoints import point, without
from wokibrain.postgres.advisory import advisory_number

KEPT: Final = timedelta(hours=24)
SHORTEST_WAIT: Final = 0.05
"""Seconds a lock is waited for, even by a request that has waited for long."""

OPEN: Final = frozenset(
    {
        Code.IDEMPOTENCY_IN_PROGRESS,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.RATE_LIMIT_EXCEEDED,
        Code.UNAUTHORIZED,
        Code.SERVICE_UNAVAILABLE,
        Code.INTERNAL_SERVER_ERROR,
    }
)
"""What says nothing about the request itself: it may still take effect, or is another's."""
WITHHELD: Final = frozenset({Code.FORBIDDEN, Code.NOT_FOUND})
"""Who is told this is not shown what was answered before."""

LOCK: Final = """
SELECT pg_advisory_xact_lock(%s) FROM (SELECT set_config('lock_timeout', %s, true) OFFSET 0) AS timeout
"""
# The age of a mark is the difference of two times of one clock, and so is the age of a request.
PAST: Final = """
SELECT fingerprint, status, body, expires_at > %s, extract(epoch FROM clock_timestamp() - refused_at)::float8
FROM bookings_idempotencykey WHERE caller = %s AND key = %s
"""
# An expired key is as good as none; a live one cannot be here, its lock is held and it was looked for.
KEEP: Final = """
INSERT INTO bookings_idempotencykey (caller, key, fingerprint, status, body, booking_id, expires_at)
VALUES (%(key_caller)s, %(key)s, %(key_fingerprint)s, %(key_status)s, %(key_body)s, %(key_booking)s::uuid,
        %(key_expires_at)s)
ON CONFLICT (caller, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body,
        booking_id = excluded.booking_id, expires_at = excluded.expires_at
"""
# Under the key's lock, so that a twin either took effect before this looks, or sees the mark. The row of
# a mark is born long expired: it is no result, and does not bind the key to a request.
REFUSE: Final = """
INSERT INTO bookings_idempotencykey (caller, key, fingerprint, status, body, expires_at, refused_at)
SELECT %s, %s, %s, 0, '', to_timestamp(0), clock_timestamp()
FROM (SELECT pg_advisory_xact_lock(%s) FROM (SELECT set_config('lock_timeout', %s, true) OFFSET 0) AS timeout
      OFFSET 0) AS lock
ON CONFLICT (caller, key) DO UPDATE SET refused_at = excluded.refused_at
    WHERE bookings_idempotencykey.expires_at <= %s
"""
# A mark is needed for as long as a request that is older than it may live.
FORGET: Final = """
DELETE FROM bookings_idempotencykey
WHERE expires_at <= %s AND (refused_at IS NULL OR refused_at <= clock_timestamp() - interval '1 hour')
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """A result given before, as it was given."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Past:
    """What became of a key before: its result, if it has one, and whether a later twin was refused."""

    replay: Replay | None = None
    overtaken: bool = False

    def check(self) -> None:
        """Raise IdempotencyInProgress, in the transaction of the effect, where it must not happen any more."""
        if self.overtaken:
            raise IdempotencyInProgress


@dataclass(frozen=True, slots=True)
class Ticket:
    """One caller's key for one request.

    ``fingerprints`` stand for what is asked (method, path, body), by the present secret and former ones;
    ``received`` is when it came in, by this process's ``time.monotonic``. Refusals are not kept: nothing
    happened, so the same key may try again.
    """

    caller: str
    key: str
    fingerprints: tuple[bytes, ...]
    received: float

    @property
    def number(self) -> int:
        """The advisory lock that the twins of a request wait on."""
        return advisory_number(f"idempotency:{self.caller}:{self.key}")

    def lock(self) -> None:
        """Wait for the twins, in a transaction, for as long as it lasts.

        Raises IdempotencyInProgress when LOCK_WAIT_MS since the request came in are over.
        """
        assert connection.in_atomic_block, "a key's lock lives in a transaction"
        with connection.cursor() as cursor:
            self._waiting(lambda: cursor.execute(LOCK, [self.number, self._timeout()]))

    def ask(self) -> CursorWrapper:
        """Ask what became of this key before, for ``past`` to take the answer."""
        cursor = connection.cursor()
        cursor.execute(PAST, [clock.now(), self.caller, self.key])
        return cursor

    def past(self, asked: CursorWrapper | None = None) -> Past:
        """What became of this key before; under its lock that is the truth.

        Raises IdempotencyKeyReused when it was used, within 24 hours, for something else.
        """
        with asked or self.ask() as cursor:
            row = cursor.fetchone()
        if row is None:
            return Past()
        fingerprint, status, body, live, refused_for = row
        if live:
            if bytes(fingerprint) not in self.fingerprints:
                raise IdempotencyKeyReused
            return Past(Replay(status, body))
        # Measured after the answer came, so that the request counts as older than it is, never as younger.
        age = time.monotonic() - self.received
        return Past(overtaken=refused_for is not None and refused_for <= age)

    def keep(self, result: Replay) -> None:
        """Store the result, in the transaction of the effect."""
        with connection.cursor() as cursor:
            cursor.execute(KEEP, self.row(result))

    def row(self, result: Replay, booking_id: UUID | None = None) -> Mapping[str, Any]:
        """The values of KEEP."""
        return {
            "key_caller": self.caller,
            "key": self.key,
            "key_fingerprint": self.fingerprints[0],
            "key_status": result.status,
            "key_body": result.body,
            "key_booking": booking_id,
            "key_expires_at": clock.now() + KEPT,
        }

    def refuse(self) -> Replay | None:
        """Leave a mark that this key's request was refused, after its transaction.

        Returns the result of a twin that took effect meanwhile: then that is the answer, and there is no
        mark. Raises IdempotencyInProgress where a twin still runs.
        """
        with connection.cursor() as cursor:
            self._waiting(
                lambda: cursor.execute(
                    REFUSE,
                    [self.caller, self.key, self.fingerprints[0], self.number, self._timeout(), clock.now()],
                )
            )
            if cursor.rowcount:
                return None
        try:
            return self.past().replay
        except IdempotencyKeyReused:
            return None

    def _timeout(self) -> str:
        left = settings.LOCK_WAIT_MS / 1000 - (time.monotonic() - self.received)
        return f"{max(left, SHORTEST_WAIT) * 1000:.0f}ms"

    def _waiting(self, statement: Callable[[], object]) -> None:
        try:
            statement()
        except OperationalError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise IdempotencyInProgress from error
            raise


Result = TypeVar("Result")


def settle(ticket: Ticket | None, act: Callable[[], Result | Replay]) -> Result | Replay:
    """What ``act`` gives; a refusal it raises is marked at the ticket's key before it passes."""
    try:
        return act()
    except DomainError as refusal:
        if ticket is None or refusal.code in OPEN or without("refusals"):
            raise
        point("refused")
        replay = ticket.refuse()
        if replay is None or refusal.code in WITHHELD:
            raise
        return replay


def forget() -> int:
    """Delete the stored answers whose 24 hours are over, and old marks. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [clock.now()])
        return int(cursor.rowcount)
