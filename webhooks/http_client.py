"""One POST to a foreign server, which may be slow, endless, hostile or absent.

Everything is bounded: one deadline over name, connection, TLS, headers and body; a maximum of bytes in all, and
of the body as it is on the wire. Redirects are not followed, proxies of the environment are not used. A connection
goes only to an address that was checked after its name was resolved, so a name that resolves differently the
second time gains nothing; the name stays in SNI, certificate and Host.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

import httpcore
import httpx

from webhooks.url_policy import Address, Refused, check_url, may_connect
from wokibrain.core import clock

MAX_HEAD_BYTES: Final = 2_048
"""The part of a response's body that is stored."""
MAX_BODY_BYTES: Final = 16_384
"""The part of a response's body that is read."""
MAX_WIRE_BYTES: Final = 131_072
"""Bytes that are read in all."""
MAX_HEADER_BYTES: Final = 32_768
"""Bytes before the body: headers, and interim responses, which are the most expensive to parse."""
OWN_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
MAX_LOOKUPS: Final = 64
"""Concurrent lookups of names. A lookup cannot be interrupted, only abandoned."""

# httpx's clients log the URL of every request, and a webhook's URL may carry a credential. None is used here, but one
# used elsewhere in the process must not log it either.
logging.getLogger("httpx").setLevel(logging.WARNING)

Resolver = Callable[[str, int], Awaitable[list[Address]]]


class Trouble(StrEnum):
    """Why there was no response."""

    TIMEOUT = "timeout"
    DNS = "dns"
    REFUSED = "address_refused"
    CONNECT = "connect"
    TLS = "tls"
    PROTOCOL = "protocol"
    TOO_LARGE = "too_large"
    SECRET = "secret_unreadable"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to: a status or a trouble. ``head`` is the start of the response's body."""

    status: int | None
    trouble: Trouble | None
    milliseconds: int
    head: str = ""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class _Unresolved(httpcore.ConnectError):
    pass


class _AddressRefused(httpcore.ConnectError):
    pass


class _TooMuch(httpcore.ReadError):
    pass


class _TlsFailed(httpcore.ConnectError):
    pass


@dataclass(slots=True)
class Allowance:
    """The number of bytes that may still be received."""

    left: int


class _Bounded(httpcore.AsyncNetworkStream):
    """A stream that fails once it received more than ``allowed``."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, allowed: Allowance) -> None:
        self._inner = inner
        self._allowed = allowed

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # In small pieces: each is parsed before other attempts get their turn in the loop.
        data = await self._inner.read(min(max_bytes, 16_384), timeout)
        self._allowed.left -= len(data)
        if self._allowed.left < 0:
            raise _TooMuch("more than a response may have")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
            return _Bounded(inner, self._allowed)
        except httpcore.ConnectError as error:
            raise _TlsFailed(str(error)) from error

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Pinned(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks every address, and connects to those addresses only."""

    def __init__(self, resolver: Resolver, allowed: Allowance) -> None:
        self._resolve = resolver
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        # One bad address among good ones is an attack or a mistake; in both cases nothing is sent.
        if not addresses or not all(may_connect(address) for address in addresses):
            raise _AddressRefused(host)
        failure: Exception | None = None
        for address in addresses[:4]:
            try:
                inner = await self._inner.connect_tcp(str(address), port, timeout)
                return _Bounded(inner, self._allowed)
            except httpcore.ConnectError as error:
                failure = error
        assert failure is not None
        raise failure


class _Transport(httpx.AsyncBaseTransport):
    """Opens a connection for each request: attempts share none, so none waits for another."""

    def __init__(self, resolver: Resolver, tls: ssl.SSLContext) -> None:
        self._resolver = resolver
        self._tls = tls

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        allowed = Allowance(MAX_HEADER_BYTES)
        connection = httpcore.AsyncHTTPConnection(
            origin=url.origin, ssl_context=self._tls, network_backend=_Pinned(self._resolver, allowed)
        )
        try:
            response = await connection.handle_async_request(
                httpcore.Request(
                    method=request.method, url=url, headers=request.headers.raw, content=request.stream
                )
            )
        except BaseException:
            await connection.aclose()
            raise
        allowed.left += MAX_WIRE_BYTES - MAX_HEADER_BYTES
        return httpx.Response(response.status, headers=response.headers, stream=_Stream(response, connection))


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response, connection: httpcore.AsyncHTTPConnection) -> None:
        self._response = response
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()
        await self._connection.aclose()


class Client:
    """Sends deliveries. Must be created and used within one event loop."""

    def __init__(
        self, *, timeout: float, resolver: Resolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._timeout = timeout
        # Without httpx's client around it: redirects, cookies, proxies and log lines are not wanted, and the client
        # would take a fifth of a delivery's time.
        self._transport = _Transport(resolver or resolve, tls or trusted())

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST ``body`` and return the outcome. Raises nothing but cancellation."""
        began = time.monotonic()
        status: int | None = None
        trouble: Trouble | None = None
        head, retry_after = "", None
        try:
            check_url(url)
            request = httpx.Request("POST", url, headers={**headers, **OWN_HEADERS}, content=body)
            async with (
                asyncio.timeout(self._timeout),
                aclosing(await self._transport.handle_async_request(request)) as response,
            ):
                head = await _head(response)
                status = response.status_code
                retry_after = _retry_after(response.headers.get("retry-after", ""))
        except (TimeoutError, Refused, httpx.InvalidURL, httpcore.ProxyError, OSError) as error:
            trouble = _trouble(error)
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            httpx.HTTPError,
        ) as error:
            trouble = _trouble(error)
        except ValueError:
            # Raised by h11 and httpx for a response that is not HTTP.
            trouble = Trouble.PROTOCOL
        if status is not None:
            # The answer was read in time: what closing the connection brings does not take it back.
            trouble = None
        return Outcome(status, trouble, round((time.monotonic() - began) * 1000), head, retry_after)


def _trouble(error: BaseException) -> Trouble:
    match error:
        case TimeoutError() | httpcore.TimeoutException():
            return Trouble.TIMEOUT
        case Refused() | _AddressRefused():
            return Trouble.REFUSED
        case _Unresolved():
            return Trouble.DNS
        case _TooMuch():
            return Trouble.TOO_LARGE
        case _TlsFailed() | ssl.SSLError():
            return Trouble.TLS
        case httpcore.ConnectError():
            return Trouble.CONNECT
    return Trouble.PROTOCOL


async def _head(response: httpx.Response) -> str:
    """Return the start of the body as text; compressed bodies are not decoded, since they could fill memory."""
    head = bytearray()
    async for part in response.aiter_raw():
        head += part[: MAX_BODY_BYTES - len(head)]
        if len(head) >= MAX_BODY_BYTES:
            break
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        return f"({encoding[:20]})"
    return bytes(head[:MAX_HEAD_BYTES]).decode(errors="replace").replace("\x00", "�")


def _retry_after(value: str) -> float | None:
    """Return the seconds from now that a Retry-After header names; None if it is missing or malformed."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError):
        return None
    return max(0.0, at.timestamp() - clock.now().timestamp())


@cache
def trusted() -> ssl.SSLContext:
    """Return the TLS context, which always verifies certificates. Once per process: loading authorities is slow."""
    return httpx.create_ssl_context(trust_env=False)


_lookups: Final = threading.BoundedSemaphore(MAX_LOOKUPS)


async def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses that a name resolves to now. Raises ``_Unresolved``.

    Each lookup has a thread of its own: the few of the event loop would all wait for the same dead name server.
    The threads are daemons, so that such a server cannot delay the end of the process either.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    if not _lookups.acquire(blocking=False):
        raise _Unresolved("too many names are being looked up")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Address]] = loop.create_future()

    def settle(result: list[Address] | None) -> None:
        if answer.done():
            return
        if result is None:
            answer.set_exception(_Unresolved(host))
        else:
            answer.set_result(result)

    def look_up() -> None:
        result: list[Address] | None
        try:
            result = addresses_of(host, port)
        except (OSError, UnicodeError):
            result = None
        finally:
            _lookups.release()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=look_up, name="lookup", daemon=True).start()
    return await answer


def addresses_of(host: str, port: int) -> list[Address]:
    """Return the addresses by the system's resolver. Blocks. Raises OSError."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(text) for text in dict.fromkeys(str(answer[4][0]) for answer in answers)]
