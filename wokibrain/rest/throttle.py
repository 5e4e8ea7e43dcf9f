"""The rate limit: at most RATE_LIMIT_MAX requests per minute, per caller and endpoint.

A one-minute window begins with a caller's first request at an endpoint. One Redis script counts and
reads the window, so the count is exact across concurrent requests and processes. While Redis is away,
each process continues from the last count it saw: the limit is then wider by the number of processes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from django.conf import settings

from wokibrain.core.callers import Caller
from wokibrain.core.errors import RateLimitExceeded
from wokibrain.core.redis import RATE_LIMIT_TIMEOUTS, Away, Script

WINDOW_MS: Final = 60_000
MAX_LOCAL_WINDOWS: Final = 20_000
"""Windows kept in each process for when Redis is away; the oldest are dropped first."""

COUNT: Final = Script("""
local count = redis.call('incr', KEYS[1])
if count == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) return {count, ARGV[1]} end
local left = redis.call('pttl', KEYS[1])
if left < 0 then redis.call('pexpire', KEYS[1], ARGV[1]) left = ARGV[1] end
return {count, left}
""")


@dataclass(frozen=True, slots=True)
class Rate:
    """A caller's use of an endpoint: ``count`` of ``limit`` requests; ``reset`` in seconds to the next window."""

    limit: int
    count: int
    reset: int

    @property
    def exceeded(self) -> bool:
        return self.count > self.limit

    @property
    def headers(self) -> dict[str, str]:
        headers = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(self.limit - self.count, 0)),
            "RateLimit-Reset": str(self.reset),
        }
        if self.exceeded:
            headers["Retry-After"] = str(self.reset)
        return headers


class Exceeded(RateLimitExceeded):
    """The limit is exceeded; ``headers`` say for how long."""

    def __init__(self, rate: Rate) -> None:
        super().__init__()
        self.rate = rate
        self.headers = rate.headers


def admit(caller: Caller, endpoint: str) -> Rate | None:
    """Count one request of ``caller`` at ``endpoint`` (method and route) and return the rate so far.

    Returns None when no limit is set. Raises Exceeded.
    """
    limit: int = settings.RATE_LIMIT_MAX
    if not limit:
        return None
    key = f"rate:{caller.kind.value}:{caller.id}:{endpoint}"
    try:
        count, left = _count(key)
        _local.learn(key, count, left)
    except Away:
        count, left = _local.count(key)
    rate = Rate(limit, count, max(-(-left // 1000), 1))
    if rate.exceeded:
        raise Exceeded(rate)
    return rate


def _count(key: str) -> tuple[int, int]:
    """Count a request; return the requests in its window and the milliseconds left of it."""
    count, left = COUNT.run([key], WINDOW_MS, patience=RATE_LIMIT_TIMEOUTS)
    return int(count), int(left)


class _LocalWindows:
    """The windows as this process knows them, to continue from while Redis is away."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = Lock()

    def learn(self, key: str, count: int, left: int) -> None:
        """Remember what Redis answered."""
        with self._lock:
            self._windows[key] = (count, time.monotonic() + left / 1000)
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        while len(self._windows) > MAX_LOCAL_WINDOWS:
            self._windows.popitem(last=False)

    def count(self, key: str) -> tuple[int, int]:
        now = time.monotonic()
        with self._lock:
            count, until = self._windows.get(key, (0, 0.0))
            if now >= until:
                count, until = 0, now + WINDOW_MS / 1000
            self._windows[key] = (count + 1, until)
            self._windows.move_to_end(key)
            self._drop_oldest()
        return count + 1, int((until - now) * 1000)


_local: Final = _LocalWindows()
