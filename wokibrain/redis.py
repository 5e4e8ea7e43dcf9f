"""Redis for work that must not wait for it: short time-outs, no retries, and a circuit breaker."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from threading import local
from typing import Any, Final, TypeVar

import redis
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import NoScriptError

logger = logging.getLogger("wokibrain.redis")
Answer = TypeVar("Answer")


class Away(Exception):
    """Redis did not answer in time, refused what it was asked, or did so a moment ago and is being left alone."""


class _Breaker:
    """Closed while Redis answers; after a failure open for a while, then one caller may try."""

    def __init__(self) -> None:
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        return not self._retry_at

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

    def failed(self, error: Exception) -> None:
        if not self._retry_at:
            refuses = isinstance(error, redis.ResponseError)
            said = f"refuses work ({error})" if refuses else "does not answer"
            logger.warning("Redis %s; going on without it", said)
        self._retry_at = time.monotonic() + settings.REDIS_COOL_DOWN_MS / 1000


_breaker: Final = _Breaker()


def ask(question: Callable[[redis.Redis], Answer]) -> Answer:
    """Put one question to Redis. Raises Away, within milliseconds when it is known to be away."""
    if not _breaker.may_try():
        raise Away
    try:
        answer = question(get_redis_connection("default"))
    except (redis.RedisError, OSError) as error:
        _breaker.failed(error)
        raise Away from error
    _breaker.answered()
    return answer


PATIENCE: Final = 4
"""How many times REDIS_TIMEOUT_MS a command is waited for while Redis was well: slow is not away."""
_own_breaker: Final = _Breaker()


def command(*parts: str | bytes | int) -> Any:
    """One command on this thread's own connection, and the raw answer; for what every request pays for.

    A tenth of what the client costs: no pool, no health check, no call back. It has a breaker of its
    own and more patience than ``ask``, because what is counted here should be exact on a busy
    machine too. Raises Away, also where Redis refuses (it is full, a replica, or its rules forbid the
    command), and NoScriptError for a script that it does not know yet.
    """
    patience = PATIENCE if _own_breaker.closed else 1
    if not _own_breaker.may_try():
        raise Away
    for fresh in (False, True):
        try:
            answer = _exchange(fresh, patience, parts)
        except NoScriptError:
            _own_breaker.answered()
            raise
        except redis.TimeoutError as error:
            _own_breaker.failed(error)
            raise Away from error
        except (redis.RedisError, OSError) as error:
            # Kept open, it may have been closed from the other side meanwhile, or lead to what has become
            # a replica: once more, anew.
            if fresh:
                _own_breaker.failed(error)
                raise Away from error
        else:
            _own_breaker.answered()
            return answer
    raise AssertionError


_mine = local()


def _exchange(fresh: bool, patience: int, parts: tuple[str | bytes | int, ...]) -> Any:
    connection = getattr(_mine, "connection", None)
    if connection is None or _mine.pid != os.getpid():
        connection = get_redis_connection("default").connection_pool.make_connection()
        _mine.connection, _mine.pid = connection, os.getpid()
    if fresh:
        connection.disconnect()
    connection.send_packed_command(connection.pack_command(*parts), check_health=False)
    for _ in range(patience - 1):
        try:
            return connection.read_response(disconnect_on_error=False)
        except redis.TimeoutError:
            continue
        except redis.ResponseError:
            raise
        except BaseException:
            connection.disconnect()
            raise
    return connection.read_response()
