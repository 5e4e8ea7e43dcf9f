"""Redis for work that must not wait for it: short time-outs, no retries, and a circuit breaker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

import redis
from django.conf import settings
from django_redis import get_redis_connection

logger = logging.getLogger("wokibrain.redis")
Answer = TypeVar("Answer")


class Away(Exception):
    """Redis did not answer in time, or failed to a moment ago and is being left alone."""


class _Breaker:
    """Closed while Redis answers; after a failure open for a while, then one caller may try."""

    def __init__(self) -> None:
        self._retry_at = 0.0

    def may_try(self) -> bool:
        now = time.monotonic()
        if now < self._retry_at:
            return False
        if self._retry_at:
            # This caller probes; the others stay away until it comes back.
            self._retry_at = now + settings.REDIS_COOL_DOWN_MS / 1000
        return True

    def answered(self) -> None:
        self._retry_at = 0.0

    def failed(self) -> None:
        if not self._retry_at:
            logger.warning("Redis does not answer; going on without it")
        self._retry_at = time.monotonic() + settings.REDIS_COOL_DOWN_MS / 1000


_breaker: Final = _Breaker()


def ask(question: Callable[[redis.Redis], Answer]) -> Answer:
    """Put one question to Redis. Raises Away, within milliseconds when it is known to be away."""
    if not _breaker.may_try():
        raise Away
    try:
        answer = question(get_redis_connection("default"))
    except (redis.RedisError, OSError) as error:
        _breaker.failed()
        raise Away from error
    _breaker.answered()
    return answer
