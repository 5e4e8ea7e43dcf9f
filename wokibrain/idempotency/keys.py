"""One effect per Idempotency-Key: the result of the first request is stored with its effect and replayed to repeats.

And no effect after a refusal. A client without an answer repeats its request; when the repeat is refused, the first
request may still be waiting for a lock. So a refusal marks its key: requests received before the mark take no effect
any more, later repeats may.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

RESULT_LIFETIME: Final = timedelta(hours=24)
"""How long a result is replayed, as the API documents."""
MIN_LOCK_WAIT_SECONDS: Final = 0.05
"""For a request that has already waited LOCK_WAIT_MS elsewhere: a lock that is free must still be obtained."""

NOT_REFUSALS: Final = frozenset(
    {
        Code.IDEMPOTENCY_IN_PROGRESS,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.RATE_LIMIT_EXCEEDED,
        Code.UNAUTHORIZED,
        Code.SERVICE_UNAVAILABLE,
        Code.INTERNAL_SERVER_ERROR,
    }
)
"""Errors that do not decide the request: it may still take effect, or belongs to another caller."""
NO_REPLAY: Final = frozenset({Code.FORBIDDEN, Code.NOT_FOUND})
"""Errors after which the caller must not see the stored result of an earlier request."""

LOCK: Final = """
SELECT pg_advisory_xact_lock(%s) FROM (SELECT set_config('lock_timeout', %s, true) OFFSET 0) AS timeout
"""
# The age of a mark is taken by the database's clock alone, that of a request by this process's clock alone.
PAST: Final = """
SELECT fingerprint, status, body, expires_at > %s, extract(epoch FROM clock_timestamp() - refused_at)::float8
FROM bookings_idempotencykey WHERE caller = %s AND key = %s
"""
# Replaces only an expired row: a live one was looked for under the key's lock and did not exist.
KEEP: Final = """
INSERT INTO bookings_idempotencykey (caller, key, fingerprint, status, body, booking_id, expires_at)
VALUES (%(key_caller)s, %(key)s, %(key_fingerprint)s, %(key_status)s, %(key_body)s, %(key_booking)s::uuid,
        %(key_expires_at)s)
ON CONFLICT (caller, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body,
        booking_id = excluded.booking_id, expires_at = excluded.expires_at
"""
# Under the key's lock, so that a concurrent repeat has either taken effect before this statement or sees the mark.
# The row of a mark is expired from the start: it is no result, and does not bind the key to a request.
REFUSE: Final = """
INSERT INTO bookings_idempotencykey (caller, key, fingerprint, status, body, expires_at, refused_at)
SELECT %s, %s, %s, 0, '', to_timestamp(0), clock_timestamp()
FROM (SELECT pg_advisory_xact_lock(%s) FROM (SELECT set_config('lock_timeout', %s, true) OFFSET 0) AS timeout
      OFFSET 0) AS lock
ON CONFLICT (caller, key) DO UPDATE SET refused_at = excluded.refused_at
    WHERE bookings_idempotencykey.expires_at <= %s
"""
# A mark is needed as long as a request older than it may still run.
FORGET: Final = """
DELETE FROM bookings_idempotencykey
WHERE expires_at <= %s AND (refused_at IS NULL OR refused_at <= clock_timestamp() - interval '1 hour')
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """The stored result of an earlier request: HTTP status and body."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Past:
    """The history of a key: its stored result, if any, and whether a repeat was refused since this request came in."""

    replay: Replay | None = None
    overtaken: bool = False

    def check(self) -> None:
        """Raise IdempotencyInProgress if the request was overtaken. Call it in the transaction of the effect."""
        if self.overtaken:
            raise IdempotencyInProgress


@dataclass(frozen=True, slots=True)
class Ticket:
    """One caller's key for one request.

    ``fingerprints`` are those of its method, path, query and body, by the present secret and by former ones;
    ``former_fingerprints`` returns those by which an earlier release stored it. ``received`` is when it came in, by
    this process's ``time.monotonic``. Refusals are not stored: nothing happened, so the key may be
    used again.
    """

    caller: str
    key: str
    fingerprints: tuple[bytes, ...]
    received: float
    former_fingerprints: Callable[[], tuple[bytes, ...]] = field(default=tuple, kw_only=True)

    @property
    def number(self) -> int:
        """The number of the advisory lock that a request and its repeats wait for."""
        return advisory_number(f"idempotency:{self.caller}:{self.key}")

    def lock(self) -> None:
        """Take the key's lock until the transaction ends, so that a request and its repeats run one by one.

        Raises IdempotencyInProgress when LOCK_WAIT_MS have passed since the request came in.
        """
        assert connection.in_atomic_block, "a key's lock lives in a transaction"
        with connection.cursor() as cursor:
            self._waiting(lambda: cursor.execute(LOCK, [self.number, self._timeout()]))

    def ask(self) -> CursorWrapper:
        """Query the history of the key. Return the cursor for ``past``, so that the query can share a round trip."""
        cursor = connection.cursor()
        cursor.execute(PAST, [clock.now(), self.caller, self.key])
        return cursor

    def past(self, query: CursorWrapper | None = None) -> Past:
        """Return the history of the key; it is reliable only under the key's lock.

        Raises IdempotencyKeyReused when the key was used for another request within RESULT_LIFETIME.
        """
        with query or self.ask() as cursor:
            row = cursor.fetchone()
        if row is None:
            return Past()
        fingerprint, status, body, live, refused_for = row
        if live:
            if bytes(fingerprint) not in (*self.fingerprints, *self.former_fingerprints()):
                raise IdempotencyKeyReused
            return Past(Replay(status, body))
        # Measured after the query, so that the request can only seem older than it is, never younger.
        age = time.monotonic() - self.received
        return Past(overtaken=refused_for is not None and refused_for <= age)

    def keep(self, result: Replay) -> None:
        """Store the result, in the transaction of the effect."""
        with connection.cursor() as cursor:
            cursor.execute(KEEP, self.row(result))

    def row(self, result: Replay, booking_id: UUID | None = None) -> Mapping[str, Any]:
        """Return the parameters of KEEP."""
        return {
            "key_caller": self.caller,
            "key": self.key,
            "key_fingerprint": self.fingerprints[0],
            "key_status": result.status,
            "key_body": result.body,
            "key_booking": booking_id,
            "key_expires_at": clock.now() + RESULT_LIFETIME,
        }

    def refuse(self) -> Replay | None:
        """Mark the key as refused. Call it after the request's transaction was rolled back.

        Return the result of a concurrent repeat that took effect meanwhile, if any: it is the answer then, and there
        is no mark. Raises IdempotencyInProgress while a repeat still runs.
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
        return f"{max(left, MIN_LOCK_WAIT_SECONDS) * 1000:.0f}ms"

    def _waiting(self, statement: Callable[[], object]) -> None:
        try:
            statement()
        except OperationalError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise IdempotencyInProgress from error
            raise


Result = TypeVar("Result")


def settle(ticket: Ticket | None, act: Callable[[], Result | Replay]) -> Result | Replay:
    """Return what ``act`` returns. If it raises a refusal, mark the ticket's key, then raise it.

    Returns the stored result instead where a concurrent repeat took effect and the caller may see it.
    """
    try:
        return act()
    except DomainError as refusal:
        if ticket is None or refusal.code in NOT_REFUSALS or without("refusals"):
            raise
        point("refused")
        replay = ticket.refuse()
        if replay is None or refusal.code in NO_REPLAY:
            raise
        return replay


def forget() -> int:
    """Delete stored results past their lifetime, and old marks. Return how many rows."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [clock.now()])
        return int(cursor.rowcount)
