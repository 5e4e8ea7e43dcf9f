"""The transaction in which a booking is written: the locks of its sector-days, one round trip of reads, retries.

In front stands a lock in Redis, so that requests wait without a database connection; behind it an advisory lock of
the transaction, which carries on alone when Redis is away, and holds when the Redis lock of a paused holder expired.
Neither is the truth: that is the exclusion constraint.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar, overload

from django.conf import settings
from django.db import Error, connection, transaction

from bookings import metrics
from bookings.repository.records import Ticket
from restaurants.models import Sector
from wokibrain.core.errors import Conflict
from wokibrain.core.failpoints import point, without
from wokibrain.core.ids import tag
from wokibrain.core.redis import Away, Script
from wokibrain.idempotency.keys import Past, Replay
from wokibrain.postgres.advisory import advisory_number
from wokibrain.postgres.diagnosis import sqlstate
from wokibrain.postgres.pipeline import pipelined

logger = logging.getLogger("wokibrain.bookings")
Result = TypeVar("Result")

MAX_ATTEMPTS: Final = 5
# Overlap, deadlock, serialisation failure, lock time-out, and a reference or key used in between.
RETRIED_SQLSTATES: Final = frozenset({"23P01", "40P01", "40001", "55P03", "23505"})

RELEASE: Final = Script("""
local released = 0
for _, key in ipairs(KEYS) do
  if redis.call('get', key) == ARGV[1] then redis.call('del', key); released = released + 1 end
end
return released
""")
# All keys or none, so that two requests for overlapping sets cannot hold a part each.
TAKE: Final = Script("""
for _, key in ipairs(KEYS) do if redis.call('exists', key) == 1 then return 0 end end
for _, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'px', ARGV[2]) end
return 1
""")
# The time-out counts from the first wait on; one statement, since each costs a round trip.
ADVISORY: Final = """
SELECT CASE WHEN shared THEN pg_advisory_xact_lock_shared(number) ELSE pg_advisory_xact_lock(number) END
FROM (SELECT set_config('lock_timeout', %s, true) OFFSET 0) AS timeout,
     unnest(%s::bigint[], %s::bool[]) AS lock (number, shared)
"""
POLL_SECONDS: Final = (0.002, 0.012)
"""Bounds of the random pause between two attempts at the Redis lock."""
MIN_LOCK_TIMEOUT_MS: Final = 50
"""Granted by Postgres even to a request whose wait is over: a free lock needs no more."""


@dataclass(frozen=True, slots=True, order=True)
class SectorDay:
    """One sector on one service date: what a writer of bookings locks."""

    sector_id: str
    service_date: date

    @property
    def key(self) -> str:
        return f"lock:{self.sector_id}:{self.service_date.isoformat()}"

    @property
    def number(self) -> int:
        """Return the advisory lock's signed 64-bit number."""
        return advisory_number(self.key)


@dataclass(frozen=True, slots=True)
class Wait:
    """The time that a request may still wait for all its locks together: LOCK_WAIT_MS from ``begin`` on."""

    until: float

    @classmethod
    def begin(cls) -> Wait:
        return cls(time.monotonic() + settings.LOCK_WAIT_MS / 1000)

    @property
    def left(self) -> float:
        return max(self.until - time.monotonic(), 0.0)


@overload
def in_transaction_for(days: Iterable[SectorDay], write: Callable[[], Result]) -> Result: ...


@overload
def in_transaction_for(
    days: Iterable[SectorDay],
    write: Callable[[], Result],
    ticket: Ticket | None,
    *,
    send: Callable[[], None] | None = None,
) -> Result | Replay: ...


def in_transaction_for(
    days: Iterable[SectorDay],
    write: Callable[[], Result],
    ticket: Ticket | None = None,
    *,
    send: Callable[[], None] | None = None,
) -> Result | Replay:
    """Run ``write`` in one transaction that holds the locks of ``days``.

    The locks are taken before ``write`` reads availability, so that the loser of a race sees the tables that are
    left. Where they did not hold (a paused holder, an overlap from the day before) the database refuses, and
    ``write`` runs again with fresh availability, at most MAX_ATTEMPTS times; then Conflict is raised. A used ticket
    is replayed; a ticket whose later twin was refused raises IdempotencyInProgress and has no effect. If ``write``
    raises, the transaction is rolled back and the error propagates. ``send`` executes statements whose rows ``write``
    fetches: they travel with the locks, and the database runs them once it has granted these.
    """
    days = tuple(days)
    wait = Wait.begin()
    with _redis_locks(days, wait):
        for _ in range(MAX_ATTEMPTS):
            try:
                with transaction.atomic():
                    with pipelined():
                        _advisory_locks(days, wait, first=ticket.number if ticket else None)
                        history = ticket.ask() if ticket else None
                        if send:
                            send()
                    metrics.LOCK_ACQUISITIONS.labels("postgres").inc(len(days))
                    past = ticket.past(history) if ticket else Past()
                    if past.replay:
                        return past.replay
                    result = write()
                    past.check()
                    return result
            except Error as error:
                state = sqlstate(error)
                if state not in RETRIED_SQLSTATES:
                    raise
                logger.info("sector-day contended (%s), trying again", state)
                if state == "55P03" and wait.left <= 0:
                    break
    raise Conflict


@contextmanager
def _redis_locks(days: Iterable[SectorDay], wait: Wait) -> Iterator[None]:
    """Hold the Redis locks of ``days`` for the block; go on without them when Redis is away or the wait is over.

    Entered before the transaction, so that no request waits here with a database connection.
    """
    if without("locks"):
        yield
        return
    keys = [day.key for day in sorted(set(days))]
    token = tag().hex
    locked = _take(keys, token, wait)
    try:
        point("lock-taken")
        yield
    finally:
        if locked:
            # If Redis is away by now, the locks expire by themselves.
            RELEASE.start(keys, token)


def _take(keys: list[str], token: str, wait: Wait) -> bool:
    contended = False
    while True:
        try:
            acquired = TAKE.run(keys, token, settings.LOCK_TTL_MS)
        except Away:
            return False
        if acquired:
            metrics.LOCK_ACQUISITIONS.labels("redis").inc()
            return True
        if not contended:
            contended = True
            metrics.LOCK_CONTENTIONS.labels("redis").inc()
        if wait.left <= 0:
            return False
        time.sleep(min(random.uniform(*POLL_SECONDS), wait.left))  # noqa: S311


def _advisory_locks(days: Iterable[SectorDay], wait: Wait, *, first: int | None = None) -> None:
    """Take the advisory locks of ``days``, in key order, until the transaction ends.

    Before them it takes the plans of their sectors, shared: a change of a plan waits for the bookings that are being
    written by the old one. ``first`` is the number of a lock to take before all. Raises OperationalError (55P03)
    when the wait is over.
    """
    assert connection.in_atomic_block, "a sector-day lock lives in a transaction"
    if without("locks"):
        return
    ordered = sorted(set(days))
    plans = [_plan_number(sector_id) for sector_id in sorted({day.sector_id for day in ordered})]
    numbers = [day.number for day in ordered]
    firsts = [] if first is None else [first]
    shared = [*[False] * len(firsts), *[True] * len(plans), *[False] * len(numbers)]
    _lock([*firsts, *plans, *numbers], shared, wait)


def lock_plans(restaurant_id: str) -> None:
    """Keep every booking of the restaurant from being written until the transaction ends.

    Raises OperationalError (55P03) when the bookings that are being written take longer than LOCK_WAIT_MS.
    """
    lock_sectors(Sector.objects.filter(restaurant_id=restaurant_id).values_list("id", flat=True))


def lock_sectors(sector_ids: Iterable[str]) -> None:
    """Keep every booking of these sectors from being written until the transaction ends. Raises as ``lock_plans``."""
    assert connection.in_atomic_block, "a plan's lock lives in a transaction"
    numbers = [_plan_number(sector_id) for sector_id in sorted(sector_ids)]
    _lock(numbers, [False] * len(numbers), Wait.begin())


def _lock(numbers: list[int], shared: list[bool], wait: Wait) -> None:
    """Take the advisory locks of ``numbers``, in this order; ``shared`` says of each whether it is."""
    timeout = f"{max(int(wait.left * 1000), MIN_LOCK_TIMEOUT_MS)}ms"
    with connection.cursor() as cursor:
        cursor.execute(ADVISORY, [timeout, numbers, shared])


def _plan_number(sector_id: str) -> int:
    return advisory_number(f"plan:{sector_id}")
