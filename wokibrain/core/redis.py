"""Redis for work that must not wait for it: short time-outs, no retries, and a circuit breaker."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import local
from typing import Any, Final, TypeVar

import redis
from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import NoScriptError

logger = logging.getLogger("wokibrain.core.redis")
Answer = TypeVar("Answer")


class Away(Exception):
    """Redis did not answer in time, refused what it was asked, or did so a moment ago and is being left alone."""


LONGEST_COOL_DOWN: Final = 8
"""Of how many times REDIS_COOL_DOWN_MS Redis is left alone at most; it doubles with each failure in a row."""


class _Breaker:
    """Closed while Redis answers; after a failure open for a while, then one caller may try."""

    def __init__(self) -> None:
        self._retry_at = 0.0
        self._cool_down = 1

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
        self._cool_down = 1

    def failed(self, error: Exception) -> None:
        if not self._retry_at:
            refuses = isinstance(error, redis.ResponseError)
            said = f"refuses work ({error})" if refuses else "does not answer"
            logger.warning("Redis %s; going on without it", said)
        self._retry_at = time.monotonic() + self._cool_down * settings.REDIS_COOL_DOWN_MS / 1000
        self._cool_down = min(2 * self._cool_down, LONGEST_COOL_DOWN)


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
"""How many times REDIS_TIMEOUT_MS a count is waited for while Redis was well: slow is not away."""
Part = str | bytes | int


class _Own:
    """This thread's own connection: a tenth of what the client costs, with no pool, health check or call back.

    It has a breaker of its own, and so a caller with more patience does not make others wait.
    """

    def __init__(self) -> None:
        self.breaker: Final = _Breaker()
        self._mine = local()

    def ask(self, parts: Sequence[Part], patience: int) -> Any:
        """The raw answer to one command. Raises Away, also where Redis refuses, and NoScriptError."""
        patience = patience if self.breaker.closed else 1
        if not self.breaker.may_try():
            raise Away
        for fresh in (False, True):
            try:
                answer = self._exchange(fresh, patience, parts)
            except NoScriptError:
                self.breaker.answered()
                raise
            except redis.TimeoutError as error:
                self.breaker.failed(error)
                raise Away from error
            except (redis.RedisError, OSError) as error:
                # Kept open, it may have been closed from the other side meanwhile, or lead to what has become
                # a replica: once more, anew.
                if fresh:
                    self.breaker.failed(error)
                    raise Away from error
            else:
                self.breaker.answered()
                return answer
        raise AssertionError

    def tell(self, parts: Sequence[Part]) -> None:
        """Send one command and go on; whoever asks next on this connection passes its answer by.

        Nothing is said of what became of it.
        """
        if not self.breaker.closed:
            return
        with suppress(redis.RedisError, OSError):
            self._send(self._connection(fresh=False), parts)
            self._mine.owed += 1

    def _exchange(self, fresh: bool, patience: int, parts: Sequence[Part]) -> Any:
        connection = self._connection(fresh)
        self._send(connection, parts)
        while self._mine.owed:
            with suppress(redis.ResponseError):
                self._read(connection, patience)
            self._mine.owed -= 1
        return self._read(connection, patience)

    def _connection(self, fresh: bool) -> Any:
        mine = self._mine
        if getattr(mine, "connection", None) is None or mine.pid != os.getpid():
            mine.connection = get_redis_connection("default").connection_pool.make_connection()
            mine.pid, mine.owed = os.getpid(), 0
        if fresh:
            self._drop(mine.connection)
        return mine.connection

    def _drop(self, connection: Any) -> None:
        connection.disconnect()
        self._mine.owed = 0

    def _send(self, connection: Any, parts: Sequence[Part]) -> None:
        try:
            connection.send_packed_command(connection.pack_command(*parts), check_health=False)
        except BaseException:
            self._drop(connection)
            raise

    def _read(self, connection: Any, patience: int) -> Any:
        for left in reversed(range(patience)):
            try:
                return connection.read_response(disconnect_on_error=False)
            except redis.ResponseError:
                raise
            except redis.TimeoutError:
                if not left:
                    self._drop(connection)
                    raise
            except BaseException:
                self._drop(connection)
                raise
        raise AssertionError


_own: Final = _Own()


class Script:
    """A Lua script, run where what every request pays for is decided."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def run(self, keys: Sequence[str], *arguments: Part, patience: int = 1) -> Any:
        """Its raw answer, waited for ``patience`` times REDIS_TIMEOUT_MS. Raises Away, also where Redis refuses."""
        try:
            return _own.ask(("EVALSHA", self._sha, len(keys), *keys, *arguments), patience)
        except NoScriptError:
            return _own.ask(("EVAL", self._source, len(keys), *keys, *arguments), patience)

    def start(self, keys: Sequence[str], *arguments: Part) -> None:
        """Let Redis run it, and do not wait until it has; what this thread runs next comes after it."""
        _own.tell(("EVAL", self._source, len(keys), *keys, *arguments))
