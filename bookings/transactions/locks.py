"""The only way to take a sector-day lock.

In front, a lock in Redis, so that those who wait do so without a database connection; behind it, an
advisory lock of the transaction, which carries on alone when Redis is away and holds when the Redis
lock ran out under a paused holder. Neither is the truth: that is the exclusion constraint.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.conf import settings
from django.db import connection

from bookings import metrics
from restaurants.models import Sector
from wokibrain.core.failpoints import point, without
from wokibrain.core.ids import tag
from wokibrain.core.redis import Away, Script
from wokibrain.postgres.advisory import advisory_number

RELEASE: Final = Script("""
local released = 0
for _, key in ipairs(KEYS) do
  if redis.call('get', key) == ARGV[1] then redis.call('del', key); released = released + 1 end
end
return released
""")
# All or none, so that two who want overlapping sets cannot hold a part each.
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
PLANS: Final = """
SELECT pg_advisory_xact_lock(number)
FROM (SELECT set_config('lock_timeout', %s, true) OFFSET 0) AS timeout, unnest(%s::bigint[]) AS number
"""
POLL_SECONDS: Final = (0.002, 0.012)


@dataclass(frozen=True, slots=True, order=True)
class SectorDay:
    """What is locked: one sector on one service date."""

    sector_id: str
    service_date: date

    @property
    def key(self) -> str:
        return f"lock:{self.sector_id}:{self.service_date.isoformat()}"

    @property
    def number(self) -> int:
        """The advisory lock's signed 64-bit number."""
        return advisory_number(self.key)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long is left of what a request may wait for locks, all of them together."""

    until: float

    @classmethod
    def begin(cls) -> Wait:
        return cls(time.monotonic() + settings.LOCK_WAIT_MS / 1000)

    @property
    def left(self) -> float:
        return max(self.until - time.monotonic(), 0.0)


@contextmanager
def held(days: Iterable[SectorDay], wait: Wait) -> Iterator[None]:
    """Hold the Redis lock of all ``days`` for the block; go on without when Redis is away or time is up.

    Enter it before the transaction: nobody waits here on a database connection.
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
            # Should Redis be away now, it runs out by itself.
            RELEASE.start(keys, token)


def _take(keys: list[str], token: str, wait: Wait) -> bool:
    contended = False
    while True:
        try:
            taken = TAKE.run(keys, token, settings.LOCK_TTL_MS)
        except Away:
            return False
        if taken:
            metrics.LOCK_ACQUISITIONS.labels("redis").inc()
            return True
        if not contended:
            contended = True
            metrics.LOCK_CONTENTIONS.labels("redis").inc()
        if wait.left <= 0:
            return False
        time.sleep(min(random.uniform(*POLL_SECONDS), wait.left))  # noqa: S311


def lock(days: Iterable[SectorDay], wait: Wait, *, first: int | None = None) -> None:
    """Take the advisory locks of ``days`` in key order, inside the transaction, until it ends.

    With them, shared, those of their sectors' plans: who changes a plan waits until nobody is
    seating by the old one. ``first`` is a lock number to take before them. Raises OperationalError
    (55P03) when the time left runs out.
    """
    assert connection.in_atomic_block, "a sector-day lock lives in a transaction"
    if without("locks"):
        return
    ordered = sorted(set(days))
    plans = [_plan_number(sector_id) for sector_id in sorted({day.sector_id for day in ordered})]
    numbers = [day.number for day in ordered]
    firsts = [] if first is None else [first]
    with connection.cursor() as cursor:
        cursor.execute(
            ADVISORY,
            [
                _timeout(wait),
                [*firsts, *plans, *numbers],
                [*[False] * len(firsts), *[True] * len(plans), *[False] * len(numbers)],
            ],
        )


def lock_plans(restaurant_id: str) -> None:
    """Let nobody seat anybody in any sector of the restaurant until the transaction ends.

    Raises OperationalError (55P03) when those who do so now take too long.
    """
    assert connection.in_atomic_block, "a plan's lock lives in a transaction"
    sectors = Sector.objects.filter(restaurant_id=restaurant_id).values_list("id", flat=True)
    with connection.cursor() as cursor:
        cursor.execute(PLANS, [_timeout(Wait.begin()), [_plan_number(each) for each in sorted(sectors)]])


def _plan_number(sector_id: str) -> int:
    return advisory_number(f"plan:{sector_id}")


def _timeout(wait: Wait) -> str:
    return f"{max(int(wait.left * 1000), 50)}ms"
