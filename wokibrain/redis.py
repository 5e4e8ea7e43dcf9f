"""Redis for work that must not wait for it: short time-outs, no retries, and a circuit breaker."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from threading import local
from typing import Any, Final, TypeVar, cast

import hiredis
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


PATIENCE: Final = 4
"""How many times REDIS_TIMEOUT_MS a command is waited for while Redis was well: slow is not away."""
_own_breaker: Final = _Breaker()


def command(*parts: str | bytes | int) -> Any:
    """One command on this thread's own connection, and the raw answer; for what every request pays for.

    A tenth of what the client costs: no pool, no health check, no call back. It has a breaker of its
    own and more patience than ``ask``, because what is counted here should be exact on a busy
    machine too. Raises Away, and redis.ResponseError for what Redis itself refuses.
    """
    patience = PATIENCE if _own_breaker.closed else 1
    if not _own_breaker.may_try():
        raise Away
    for fresh in (False, True):
        try:
            answer = _exchange(fresh, patience, parts)
        except redis.ResponseError:
            _own_breaker.answered()
            raise
        except redis.TimeoutError as error:
            _own_breaker.failed()
            raise Away from error
        except (redis.RedisError, OSError) as error:
            # Kept open, it may have been closed from the other side meanwhile: once more, anew.
            if fresh:
                _own_breaker.failed()
                raise Away from error
        else:
            _own_breaker.answered()
            return answer
    raise AssertionError


class _Line:
    """A connection of one thread: the client's handshake, and from then on its bare socket.

    The kernel keeps the time-out: a socket that Python times asks the kernel twice for everything, and each
    time another thread takes over, which under load costs as much as all the rest of counting a request.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._connection = get_redis_connection("default").connection_pool.make_connection()
        self._socket: socket.socket | None = None

    def close(self) -> None:
        self._connection.disconnect()
        self._socket = None

    def exchange(self, parts: tuple[str | bytes | int, ...], patience: int) -> Any:
        """The answer to one command. Raises redis.RedisError, OSError; closed unless it was answered."""
        try:
            answer = self._asked(hiredis.pack_command(cast(Any, parts)), patience)
        except BaseException:
            self.close()
            raise
        if isinstance(answer, hiredis.ReplyError):
            # As the client spells them.
            said = str(answer)
            raise (
                redis.exceptions.NoScriptError(said)
                if said.startswith("NOSCRIPT")
                else redis.ResponseError(said)
            )
        return answer

    def _asked(self, packed: bytes, patience: int) -> Any:
        wire, reader = self._socket or self._connected(), hiredis.Reader()
        wire.sendall(packed)
        for _ in range(patience):
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                while True:
                    if not (data := wire.recv(65_536)):
                        raise redis.ConnectionError("closed by the server")
                    reader.feed(data)
                    if (answer := reader.gets()) is not False:
                        return answer
        raise redis.TimeoutError

    def _connected(self) -> socket.socket:
        self._connection.connect()
        wire: socket.socket = self._connection._sock
        wire.settimeout(None)
        seconds, micros = divmod(settings.REDIS_TIMEOUT_MS * 1000, 1_000_000)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            wire.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", seconds, micros))
        self._socket = wire
        return wire


_mine = local()


def _exchange(fresh: bool, patience: int, parts: tuple[str | bytes | int, ...]) -> Any:
    line: _Line | None = getattr(_mine, "line", None)
    if line is None or line.pid != os.getpid():
        line = _mine.line = _Line()
    if fresh:
        line.close()
    return line.exchange(parts, patience)
