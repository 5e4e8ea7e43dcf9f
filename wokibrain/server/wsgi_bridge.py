"""Django's WSGI handler behind an ASGI server, so that HTTP and WebSocket share one address.

Django's own ASGI handler serves a third to a quarter of what its WSGI handler does. Here the event loop reads the
request and writes the response, and in between Django runs in a few threads that live as long as the process and keep
their database connections. Requests that find no free thread wait in a bounded queue.

It is our own because a2wsgi 1.10, behind a gate for the same limits, took 2.9 times the processor time for a small GET
and 1.7 times for a POST of 2 kB: it hands each part of a response from its thread to the event loop separately.
"""

import asyncio
import contextlib
import io
import logging
import queue
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import orjson

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Environ = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

FILE_CHUNK_BYTES = 262_144
MAX_WHOLE_FILE_BYTES = 4_194_304
"""A smaller file is read whole, so that a slow client of it does not hold a thread."""
MAX_STALL_SECONDS = 30
"""How long the client of a stream may read nothing before its thread gives it up."""
WATCH_AFTER_SECONDS = 0.05
"""After waiting this long a request gets a task that notices when its client disconnects."""
BEAT_SECONDS = 0.1
"""How often the event loop notes that it runs."""
PAUSE_SECONDS = 0.3
"""A longer gap between two beats is a pause."""
BACKLOG_SECONDS = 1.0
"""For this long after a pause, requests may date from within it."""
log = logging.getLogger(__name__)


class WsgiApplication(Protocol):
    def __call__(self, environ: Environ, start_response: Any, /) -> Iterable[bytes]: ...


class Job:
    """One request, passed from the event loop to a thread and back."""

    __slots__ = ("abandoned", "done", "environ", "loop", "receive", "send", "taken")

    def __init__(
        self, environ: Environ, loop: asyncio.AbstractEventLoop, receive: Receive, send: Send
    ) -> None:
        self.environ = environ
        self.loop = loop
        self.receive = receive
        self.send = send
        self.done: asyncio.Future[tuple[int, Headers, bytes] | None] = loop.create_future()
        self.abandoned = False
        self.taken = False

    def finish(self, result: tuple[int, Headers, bytes] | None) -> None:
        self._settle(self.done.set_result, result)

    def fail(self, error: BaseException) -> None:
        self._settle(self.done.set_exception, error)

    def _settle(self, setter: Callable[[Any], None], outcome: Any) -> None:
        def settle() -> None:
            if not self.done.done():
                setter(outcome)

        # The loop may be closed by the time a slow request ends.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(settle)

    def send_now(self, message: MutableMapping[str, Any]) -> None:
        """Send from the thread; return when the client has accepted it. Raises TimeoutError."""
        asyncio.run_coroutine_threadsafe(_awaited(self.send(message)), self.loop).result(MAX_STALL_SECONDS)

    async def watch(self) -> None:
        """Note when the client disconnects, which nothing else does while a stream is being written."""
        while not self.done.done():
            if (await self.receive())["type"] == "http.disconnect":
                self.abandoned = True
                return

    async def wait(self) -> tuple[int, Headers, bytes] | None:
        """Return the response; None if the thread sent it, or if the client left before a thread was free.

        In the latter case Django does not run: the client may have repeated the request elsewhere.
        """
        await asyncio.wait((self.done,), timeout=WATCH_AFTER_SECONDS)
        if not self.done.done() and not self.taken:
            watch = self.loop.create_task(self.watch())
            try:
                await asyncio.wait((self.done, watch), return_when=asyncio.FIRST_COMPLETED)
            finally:
                watch.cancel()
            if self.abandoned and not self.taken:
                return None
        return await self.done


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


class Pulse:
    """Tells how old a request may be when the event loop reads it.

    The kernel accepts requests even while the process is stopped, busy or being restarted on an inherited socket, so
    a request that is read soon after a pause may be as old as the pause. Times are ``time.monotonic``.
    """

    def __init__(self) -> None:
        self._last = self._since = self._resumed = 0.0

    def beat(self) -> None:
        """Note that the event loop runs, and do so again every BEAT_SECONDS. Call it once, in the loop."""
        now = time.monotonic()
        if now - self._last > PAUSE_SECONDS:
            self._since, self._resumed = self._last, now
        self._last = now
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self.beat)

    def earliest(self) -> float:
        """Return the earliest time at which a request that is read now may have arrived."""
        now = time.monotonic()
        if now - self._last > PAUSE_SECONDS:
            return self._last
        return self._since if now - self._resumed < BACKLOG_SECONDS else now


class Bridge:
    """An ASGI application for HTTP that answers with a WSGI one.

    `threads` requests run at a time and `backlog` more wait; any further one is answered 503. A body over `max_body`
    bytes is answered 413, and not read if its Content-Length says so.
    """

    def __init__(
        self, application: WsgiApplication, *, threads: int, max_body: int, backlog: int = 1000
    ) -> None:
        self.application = application
        self.threads = threads
        self.max_body = max_body
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._backlog = backlog
        self._start_lock = threading.Lock()
        self._started = False
        self._pulse = Pulse()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._started:
            self._start()
        environ, length = build_environ(scope)
        # The request may now wait for a thread and for locks; its age tells whether the client has given up.
        environ["wokibrain.received"] = self._pulse.earliest()
        if length > self.max_body:
            await refuse(send, 413, "PAYLOAD_TOO_LARGE", f"The body may have at most {self.max_body} bytes.")
            return
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_body:
                await refuse(
                    send, 413, "PAYLOAD_TOO_LARGE", f"The body may have at most {self.max_body} bytes."
                )
                return
            more = message.get("more_body", False)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        # A chunked body announces no length; Django reads none without one.
        if body and length < 0:
            environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        if self._jobs.qsize() >= self._backlog:
            await refuse(send, 503, "SERVICE_UNAVAILABLE", "Too many requests are waiting.", retry_after=1)
            return
        job = Job(environ, asyncio.get_running_loop(), receive, send)
        self._jobs.put(job)
        try:
            result = await job.wait()
        except asyncio.CancelledError:
            job.abandoned = True
            raise
        if result is not None:
            status, headers, content = result
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

    def _start(self) -> None:
        # Not at import: threads do not survive a fork.
        with self._start_lock:
            if not self._started:
                for number in range(self.threads):
                    threading.Thread(target=self._work, name=f"django-{number}", daemon=True).start()
                self._pulse.beat()
                self._started = True

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            job.taken = True
            if job.abandoned:
                job.finish(None)
                continue
            try:
                job.finish(self._answer(job))
            except BaseException as error:
                job.fail(error)
            del job

    def _answer(self, job: Job) -> tuple[int, Headers, bytes] | None:
        """Run Django and return the response; send a streaming one from this thread and return None."""
        status = 500
        headers: Headers = []

        def start_response(line: str, fields: list[tuple[str, str]], exc_info: Any = None) -> None:
            nonlocal status, headers
            status = int(line[:3])
            headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]

        response = self.application(job.environ, start_response)
        try:
            if isinstance(response, FileChunks):
                if (content := response.read_whole()) is not None:
                    return (
                        status,
                        with_length(headers, job.environ["REQUEST_METHOD"], status, content),
                        content,
                    )
            elif not getattr(response, "streaming", False):
                content = b"".join(response)
                return status, with_length(headers, job.environ["REQUEST_METHOD"], status, content), content
            self._stream(job, status, headers, response)
            return None
        finally:
            # Fires request_finished, which must run in the thread that owns the database connections.
            close = getattr(response, "close", None)
            if close is not None:
                close()

    def _stream(self, job: Job, status: int, headers: Headers, response: Iterable[bytes]) -> None:
        watch = asyncio.run_coroutine_threadsafe(job.watch(), job.loop)
        try:
            job.send_now({"type": "http.response.start", "status": status, "headers": headers})
            for chunk in response:
                if job.abandoned:
                    return
                if chunk:
                    job.send_now({"type": "http.response.body", "body": chunk, "more_body": True})
            job.send_now({"type": "http.response.body", "body": b""})
        except TimeoutError:
            log.warning("gave up a stream whose client reads nothing: %s", job.environ["PATH_INFO"])
        finally:
            watch.cancel()


def with_length(headers: Headers, method: str, status: int, content: bytes) -> Headers:
    """Return the headers with a Content-Length; without one the server would send the body in chunks.

    204 and 304 have no body, and the length of a HEAD response without a body is unknown: their headers stay.
    """
    if status in (204, 304) or (method == "HEAD" and not content):
        return headers
    for name, _ in headers:
        if name == b"content-length":
            return headers
    return [*headers, (b"content-length", b"%d" % len(content))]


class FileChunks:
    """wsgi.file_wrapper: a file, whole or in chunks large enough for the cost of a trip through the event loop."""

    def __init__(self, file: Any, block_size: int = FILE_CHUNK_BYTES) -> None:
        self.file = file
        self._start = b""

    def read_whole(self) -> bytes | None:
        """Return the whole file; None if it is too large, in which case iterating starts at the beginning."""
        start: bytes = self.file.read(MAX_WHOLE_FILE_BYTES)
        if len(start) < MAX_WHOLE_FILE_BYTES:
            return start
        self._start = start
        return None

    def __iter__(self) -> Iterator[bytes]:
        yield self._start
        while chunk := self.file.read(FILE_CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        self.file.close()


MAX_HEADER_NAMES = 512
"""Clients choose the names, so the cache must be bounded."""
_HEADER_NAMES: dict[bytes, str] = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def build_environ(scope: Scope) -> tuple[Environ, int]:
    """Return the WSGI environ of an ASGI request, and the length of its body as announced, -1 if it is not."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", ""),
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileChunks,
    }
    length = -1
    for name, value in scope["headers"]:
        key = _HEADER_NAMES.get(name)
        if key is None:
            # In WSGI X_Real_IP and X-Real-IP are the same: a client could imitate a proxy.
            if b"_" in name:
                continue
            key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            if len(_HEADER_NAMES) < MAX_HEADER_NAMES:
                _HEADER_NAMES[name] = key
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
        if key == "CONTENT_LENGTH" and text.isdigit():
            length = int(text)
    return environ, length


async def refuse(send: Send, status: int, code: str, detail: str, retry_after: int | None = None) -> None:
    """Answer without Django, in the format of the API's errors."""
    request_id = str(uuid.uuid4())
    body = orjson.dumps({"error": code, "detail": detail, "requestId": request_id})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Complete start-up and shutdown: uvicorn logs an application without lifespan as an error."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
