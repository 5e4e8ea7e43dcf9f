"""One client of /ws/: its messages, its queue of answers and events, and when it is cut off."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils.translation import gettext as _

from bookings.event_types import without_guest
from bookings.live.catch_up import missed, subscription
from bookings.live.hub import hub
from wokibrain.core.callers import Caller
from wokibrain.core.errors import DomainError, RateLimitExceeded, ValidationFailed
from wokibrain.core.permissions import Permission
from wokibrain.rest.views import error_body

logger = logging.getLogger("wokibrain.live")

Message = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = TypeVar("Answer")

MAX_SUBSCRIPTIONS: Final = 50
MAX_MESSAGE_CHARACTERS: Final = 4_096
MAX_QUEUED_MESSAGES: Final = 256
"""Messages that a client may be behind before it is dropped."""
MAX_HELD_EVENTS: Final = 1_000
"""Events that may arrive while the client still catches up on those it missed."""
MAX_REMEMBERED_EVENTS: Final = 2_000
"""Event ids kept to send each event once: more than one catch-up and the events held back during it."""
MAX_MESSAGES: Final = 40
MAX_MESSAGES_SECONDS: Final = 10.0
"""A client may send MAX_MESSAGES within this many seconds."""

DATABASE_THREADS: Final = 4
"""Clients of one process that read the database at a time; each thread keeps a connection to Postgres."""
_threads = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="live")

SLOW, NOT_ALLOWED, TOO_FAST, TRY_AGAIN = 4408, 4401, 4429, 1013
"""Close codes: the client reads too slowly; its credentials ended; it sends too much; the server failed."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A caller and, for staff in a browser, the name that other staff see."""

    caller: Caller
    name: str = ""


async def in_thread(work: Callable[..., Answer], *args: Any) -> Answer:
    """Run database work in a thread beside the event loop, closing connections that are stale."""

    def run() -> Answer:
        close_old_connections()
        try:
            return work(*args)
        finally:
            close_old_connections()

    return await sync_to_async(run, thread_sensitive=False, executor=_threads)()


class Socket:
    """One client. Its messages wait in a bounded queue; a client that reads too slowly is dropped."""

    def __init__(self, visitor: Visitor, authenticate: Callable[[], Visitor], send: Send) -> None:
        self.id = uuid4().hex
        self.visitor = visitor
        self._authenticate = authenticate
        self.present: set[str] = set()
        self._send = send
        self._groups: dict[str, str] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED_MESSAGES)
        self._sent: OrderedDict[str, None] = OrderedDict()
        """Ids of the latest events sent: each is sent once, live or as a missed one, whichever comes first."""
        self._held: list[tuple[str, str]] | None = None
        """Events that arrived while the client catches up, to be sent afterwards; None at other times."""
        self._received: deque[float] = deque(maxlen=MAX_MESSAGES)
        self._closing: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        """The name under which other staff see this client; empty for one without."""
        return self.visitor.name

    def may_see_guests(self, restaurant_id: str) -> bool:
        """Return whether the client may know, by the guest's id, which bookings are of one guest."""
        return self.visitor.caller.may(Permission.GUEST_READ, restaurant_id)

    def hand(self, text: str, event_id: str | None = None) -> None:
        """Queue a message without waiting; drop the client if the queue is full.

        ``event_id`` marks an event: it is sent once, and held back while the client catches up.
        """
        if event_id is not None and self._held is not None:
            self._held.append((text, event_id))
            if len(self._held) > MAX_HELD_EVENTS:
                self.end(SLOW)
            return
        if event_id is not None and not self._first_time(event_id):
            return
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.end(SLOW)

    def _first_time(self, event_id: str) -> bool:
        """Record the event as sent; return whether it was not before."""
        if event_id in self._sent:
            return False
        self._sent[event_id] = None
        if len(self._sent) > MAX_REMEMBERED_EVENTS:
            self._sent.popitem(last=False)
        return True

    def end(self, code: int) -> None:
        """Have `serve` close the connection with ``code``; the first code counts."""
        if not self._closing.done():
            self._closing.set_result(code)

    async def serve(self, receive: Receive) -> None:
        """Serve the client until either side closes the connection."""
        work: list[asyncio.Future[Any]] = [
            asyncio.create_task(self._write()),
            asyncio.create_task(self._read(receive)),
            asyncio.create_task(self._recheck()),
        ]
        try:
            await asyncio.wait([*work, self._closing], return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                error = task.exception() if task.done() else None
                # An OSError means that the client has gone.
                if error is not None and not isinstance(error, OSError):
                    logger.warning("a live connection fails: %s", type(error).__name__, exc_info=error)
                    self.end(TRY_AGAIN)
            if self._closing.done():
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(2):
                        await self._send({"type": "websocket.close", "code": self._closing.result()})
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            for group in list(self._groups):
                await hub().leave(group, self)
            for restaurant_id in self.present:
                await hub().announce(restaurant_id, self, gone=True)

    async def _write(self) -> None:
        while True:
            await self._send({"type": "websocket.send", "text": await self._queue.get()})

    async def _read(self, receive: Receive) -> None:
        while not self._closing.done():
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] == "websocket.receive":
                await self._handle(message.get("text"))

    async def _recheck(self) -> None:
        """Close the connection soon after its key is revoked or its user loses access."""
        while True:
            await asyncio.sleep(settings.LIVE_RECHECK_SECONDS)
            try:
                self.visitor = await in_thread(self._authenticate)
            except DomainError:
                self.end(NOT_ALLOWED)
                return
            except (OperationalError, InterfaceError):
                # Postgres is away; check again when it is back.
                continue
            restaurants = self.visitor.caller.restaurants(Permission.BOOKING_READ)
            if restaurants is not None and not set(self._groups.values()) <= restaurants:
                self.end(NOT_ALLOWED)

    async def _handle(self, text: str | None) -> None:
        now = time.monotonic()
        if len(self._received) == MAX_MESSAGES and now - self._received[0] < MAX_MESSAGES_SECONDS:
            self._answer({"type": "error"} | error_body(RateLimitExceeded()))
            self.end(TOO_FAST)
            return
        self._received.append(now)
        try:
            message = _parsed(text)
            match message["type"]:
                case "ping":
                    self._answer({"type": "pong"})
                case "subscribe" | "unsubscribe":
                    await self._subscribe(message)
                case _:
                    raise ValidationFailed.at("type", _("Expected one of: subscribe, unsubscribe, ping."))
        except DomainError as error:
            self._answer({"type": "error"} | error_body(error))

    async def _subscribe(self, message: Message) -> None:
        ids = {name: message[name] for name in ("restaurantId", "sectorId") if message.get(name) is not None}
        answer = {"type": f"{message['type']}d", "success": True} | ids
        try:
            for name, value in ids.items():
                if not isinstance(value, str) or not 1 <= len(value) <= 50 or "\x00" in value:
                    raise ValidationFailed.at(name, _("This value is not valid."))
            if not ids:
                raise ValidationFailed.at("restaurantId", _("This field is required."))
            group, restaurant_id = await in_thread(
                subscription, self.visitor.caller, ids.get("restaurantId"), ids.get("sectorId")
            )
            if message["type"] == "unsubscribe":
                if self._groups.pop(group, None):
                    await hub().leave(group, self)
                    # A client that returns to a restaurant that it left may request all its events again.
                    if restaurant_id not in self._groups.values():
                        self._sent.clear()
                self._answer(answer)
                return
            last = _event_id(message.get("lastEventId"))
            if last is not None:
                self._held = []
            if group not in self._groups:
                if len(self._groups) >= MAX_SUBSCRIPTIONS:
                    raise RateLimitExceeded(_("Too many subscriptions on one connection."))
                self._groups[group] = restaurant_id
                await hub().join(group, self)
        except DomainError as error:
            self._answer(answer | {"success": False} | error_body(error))
            await self._release()
            return
        self._answer(answer)
        if last is not None:
            await self._catch_up(last, restaurant_id, ids.get("sectorId"))
            await self._release()
        if message.get("presence") and self.name and "sectorId" not in ids:
            self.present.add(restaurant_id)
            await hub().announce(restaurant_id, self, hello=True)

    async def _catch_up(self, last: UUID, restaurant_id: str, sector_id: str | None) -> None:
        self._first_time(str(last))
        try:
            events = await in_thread(partial(missed, last, restaurant_id, sector_id))
        except OperationalError:
            logger.warning("a client cannot catch up on missed events", exc_info=True)
            events = None
        if events is None:
            self._answer({"type": "resync"})
            return
        whole = self.may_see_guests(restaurant_id)
        for event in events:
            if self._first_time(event["id"]):
                if not whole:
                    event["data"] = without_guest(event["data"])
                await self._wait_for_space()
                self._answer({"type": "booking-event", "event": event})

    async def _release(self) -> None:
        """Send the events held back, in their order, and stop holding back."""
        at = 0
        while self._held is not None and at < len(self._held):
            await self._wait_for_space()
            text, event_id = self._held[at]
            if self._first_time(event_id):
                self._queue.put_nowait(text)
            at += 1
        self._held = None

    async def _wait_for_space(self) -> None:
        """Wait until the client has read half its queue: a catch-up may be longer than the queue."""
        while self._queue.qsize() >= MAX_QUEUED_MESSAGES // 2:
            await asyncio.sleep(0.01)

    def _answer(self, message: Message) -> None:
        self.hand(orjson.dumps(message).decode())


def _parsed(text: str | None) -> Message:
    if text is None or len(text) > MAX_MESSAGE_CHARACTERS:
        raise ValidationFailed(_("Send JSON text of at most 4096 characters."))
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValidationFailed.at("type", _("Expected a JSON object with a type."))
    return message


def _event_id(value: object) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(str(value))
    except ValueError:
        raise ValidationFailed.at("lastEventId", _("This value is not valid.")) from None
