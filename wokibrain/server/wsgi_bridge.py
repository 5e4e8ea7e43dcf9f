"""Django's WSGI handler behind an ASGI server, so that HTTP and WebSocket share one address.

Django's own ASGI handler serves a third to a quarter of what its WSGI handler does. Here the event loop reads the
request and writes the response, and a few threads that live as long as the process run Django in between; database
connections belong to those threads and are kept. Requests beyond what the threads manage wait in a bounded queue.
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

FILE_CHUNK = 262_144
# A file up to this size is read whole, so that a slow reader of it does not hold a thread.
FILE_AT_ONCE = 4_194_304
# How long a client of a stream may take nothing before its thread is given to somebody else.
STALLED_SECONDS = 30
# Who has waited for this long is worth a task that notices when they go.
PATIENT_SECONDS = 0.05
# How often the event loop notes that it is at work, what counts as a pause, and how long its wake is.
BEAT_SECONDS = 0.1
PAUSE_SECONDS = 0.3
WAKE_SECONDS = 1.0
log = logging.getLogger(__name__)


class WsgiApplication(Protocol):
    def __call__(self, environ: Environ, start_response: Any, /) -> Iterable[bytes]: ...


class Job:
    """One request on its way through a thread."""

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

    def _settle(self, how: Callable[[Any], None], outcome: Any) -> None:
        def settle() -> None:
            if not self.done.done():
                how(outcome)

        # The loop may be closed by the time a slow request is through with it.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(settle)

    def send_now(self, message: MutableMapping[str, Any]) -> None:
        """Send from the thread, and wait until the client has taken it."""
        asyncio.run_coroutine_threadsafe(_awaited(self.send(message)), self.loop).result(STALLED_SECONDS)

    async def watch(self) -> None:
        """Notice that the client has gone, which nobody else would while a stream is written."""
        while not self.done.done():
            if (await self.receive())["type"] == "http.disconnect":
                self.abandoned = True
                return

    async def wait(self) -> tuple[int, Headers, bytes] | None:
        """The answer; None where it is sent already, or where the client went before a thread was free.

        Such a request is not run: its client may have repeated it and been answered meanwhile.
        """
        await asyncio.wait((self.done,), timeout=PATIENT_SECONDS)
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
    """Since when this process's event loop has been at work, so that it knows how old what it reads may be.

    Requests are taken in by the system also while the process is stopped, busy, or being started anew on a
    socket that it inherits; what is read soon after a pause may be as old as the pause. Times are
    ``time.monotonic``.
    """

    def __init__(self) -> None:
        self._last = self._since = self._resumed = 0.0

    def beat(self) -> None:
        """Begin, in the event loop; it goes on by itself."""
        now = time.monotonic()
        if now - self._last > PAUSE_SECONDS:
            self._since, self._resumed = self._last, now
        self._last = now
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self.beat)

    def earliest(self) -> float:
        """When a request that is read now may have come in at the earliest."""
        now = time.monotonic()
        if now - self._last > PAUSE_SECONDS:
            return self._last
        return self._since if now - self._resumed < WAKE_SECONDS else now


class Bridge:
    """An ASGI application for HTTP that answers with a WSGI one.

    `threads` requests run at a time and `backlog` more wait; what comes on top is answered 503. A body above
    `max_body` bytes is answered 413, before it is read where its length is announced.
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
        # From here on it may wait for a thread or for a lock: its age tells whether its client gave it up.
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
        # A body without a length came in chunks; whole as it is now, it has one.
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
        # On the first request, not at import: the process may still fork after that.
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
        """Run Django; return a whole answer, or send one that comes in pieces from here and return None."""
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
            # Fires request_finished, in the thread whose connections it looks after.
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
            log.warning("gave up a stream whose client takes nothing: %s", job.environ["PATH_INFO"])
        finally:
            watch.cancel()


def with_length(headers: Headers, method: str, status: int, content: bytes) -> Headers:
    """The headers with the length of a whole answer; without one the server would send it in chunks.

    204 and 304 have no body and none announced; of a HEAD's, which may be left out, nothing is known.
    """
    if status in (204, 304) or (method == "HEAD" and not content):
        return headers
    for name, _ in headers:
        if name == b"content-length":
            return headers
    return [*headers, (b"content-length", b"%d" % len(content))]


class FileChunks:
    """wsgi.file_wrapper: a file in pieces worth a trip through the event loop."""

    def __init__(self, file: Any, block_size: int = FILE_CHUNK) -> None:
        self.file = file
        self._start = b""

    def read_whole(self) -> bytes | None:
        """All of it; None when that is too much to hold, and then iterating starts at the beginning."""
        start: bytes = self.file.read(FILE_AT_ONCE)
        if len(start) < FILE_AT_ONCE:
            return start
        self._start = start
        return None

    def __iter__(self) -> Iterator[bytes]:
        yield self._start
        while chunk := self.file.read(FILE_CHUNK):
            yield chunk

    def close(self) -> None:
        self.file.close()


_HEADER_NAMES: dict[bytes, str] = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def build_environ(scope: Scope) -> tuple[Environ, int]:
    """The WSGI environ of an ASGI request, and the announced length of its body (-1: none)."""
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
            # X_Real_IP would reach Django as X-Real-IP does: a client could pass itself off as a proxy.
            if b"_" in name:
                continue
            key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            if len(_HEADER_NAMES) < 512:
                _HEADER_NAMES[name] = key
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
        if key == "CONTENT_LENGTH" and text.isdigit():
            length = int(text)
    return environ, length


async def refuse(send: Send, status: int, code: str, detail: str, retry_after: int | None = None) -> None:
    """Answer without Django, in the words of every other error."""
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
    """Nothing to set up or take down; said so, and not refused, because a refusal is logged as an error."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
