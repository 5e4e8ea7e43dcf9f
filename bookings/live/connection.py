"""One client of /ws/: what it may say, what it is told, and when it is cut off."""

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

from bookings.live.catch_up import missed, wanted_groups
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
MAX_MESSAGE: Final = 4_096
MAX_WAITING: Final = 256
"""Messages a socket may be behind before it is dropped."""
MAX_HELD: Final = 1_000
"""Events that may happen while what was missed is being told."""
MAX_TOLD: Final = 2_000
"""Events that a socket remembers having told: more than are ever told anew and held back meanwhile."""
RATE: Final = (40, 10.0)
"""So many messages of a client in so many seconds."""

THREADS: Final = 4
"""So many sockets of a process look into the database at a time; each thread keeps a connection to Postgres."""
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="live")

SLOW, NOT_ALLOWED, TOO_FAST, TRY_AGAIN = 4408, 4401, 4429, 1013
"""Close codes: too slow a reader; credentials ended; too many messages; something of ours is away."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A caller, and for staff in a browser the name others see."""

    caller: Caller
    name: str = ""


async def in_thread(work: Callable[..., Answer], *args: Any) -> Answer:
    """Database work beside the event loop, on a connection that is looked after."""

    def looked_after() -> Answer:
        close_old_connections()
        try:
            return work(*args)
        finally:
            close_old_connections()

    return await sync_to_async(looked_after, thread_sensitive=False, executor=_threads)()


class Socket:
    """One client. What is for it waits in a bounded queue; who reads too slowly is dropped."""

    def __init__(self, visitor: Visitor, look_again: Callable[[], Visitor], send: Send) -> None:
        self.id = uuid4().hex
        self.visitor = visitor
        self._look_again = look_again
        self.present: set[str] = set()
        self._send = send
        self._groups: dict[str, str] = {}
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._told: OrderedDict[str, None] = OrderedDict()
        """The latest events told, live or anew: an event is told once, whichever way it comes first."""
        self._held: list[tuple[str, str]] | None = None
        """What happens while what was missed is being told: it comes afterwards, and once."""
        self._heard: deque[float] = deque(maxlen=RATE[0])
        self._closing: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        """The name under which other staff see this client; empty for one without."""
        return self.visitor.name

    def hand(self, text: str, event_id: str | None = None) -> None:
        """Put a message into the queue; never waits."""
        if event_id is not None and self._held is not None:
            self._held.append((text, event_id))
            if len(self._held) > MAX_HELD:
                self.end(SLOW)
            return
        if event_id is not None and not self._first_time(event_id):
            return
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.end(SLOW)

    def _first_time(self, event_id: str) -> bool:
        """Whether it was not told yet; from now on it was."""
        if event_id in self._told:
            return False
        self._told[event_id] = None
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return True

    def end(self, code: int) -> None:
        if not self._closing.done():
            self._closing.set_result(code)

    async def serve(self, receive: Receive) -> None:
        """Until either side ends it."""
        work: list[asyncio.Future[Any]] = [
            asyncio.create_task(self._write()),
            asyncio.create_task(self._read(receive)),
            asyncio.create_task(self._recheck()),
        ]
        try:
            await asyncio.wait([*work, self._closing], return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                error = task.exception() if task.done() else None
                # An OSError is the client's going.
                if error is not None and not isinstance(error, OSError):
                    logger.warning("a socket ends: %s", type(error).__name__, exc_info=error)
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
            await self._send({"type": "websocket.send", "text": await self._waiting.get()})

    async def _read(self, receive: Receive) -> None:
        while not self._closing.done():
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] == "websocket.receive":
                await self._take(message.get("text"))

    async def _recheck(self) -> None:
        """A key that was revoked or a person who was let go does not listen on."""
        while True:
            await asyncio.sleep(settings.LIVE_RECHECK_SECONDS)
            try:
                self.visitor = await in_thread(self._look_again)
            except DomainError:
                self.end(NOT_ALLOWED)
                return
            except (OperationalError, InterfaceError):
                # Postgres is away; who may listen is asked again when it is back.
                continue
            places = self.visitor.caller.restaurants(Permission.BOOKING_READ)
            if places is not None and not set(self._groups.values()) <= places:
                self.end(NOT_ALLOWED)

    async def _take(self, text: str | None) -> None:
        now = time.monotonic()
        if len(self._heard) == RATE[0] and now - self._heard[0] < RATE[1]:
            self._answer({"type": "error"} | error_body(RateLimitExceeded()))
            self.end(TOO_FAST)
            return
        self._heard.append(now)
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
        named = {
            name: message[name] for name in ("restaurantId", "sectorId") if message.get(name) is not None
        }
        done = {"type": f"{message['type']}d", "success": True} | named
        try:
            for name, value in named.items():
                if not isinstance(value, str) or not 1 <= len(value) <= 50 or "\x00" in value:
                    raise ValidationFailed.at(name, _("This value is not valid."))
            if not named:
                raise ValidationFailed.at("restaurantId", _("This field is required."))
            group, restaurant_id = await in_thread(
                wanted_groups, self.visitor.caller, named.get("restaurantId"), named.get("sectorId")
            )
            if message["type"] == "unsubscribe":
                if self._groups.pop(group, None):
                    await hub().leave(group, self)
                    # Who comes back to a place that it left may ask for all of it anew.
                    if restaurant_id not in self._groups.values():
                        self._told.clear()
                self._answer(done)
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
            self._answer(done | {"success": False} | error_body(error))
            await self._release()
            return
        self._answer(done)
        if last is not None:
            await self._replay(last, restaurant_id, named.get("sectorId"))
            await self._release()
        if message.get("presence") and self.name and "sectorId" not in named:
            self.present.add(restaurant_id)
            await hub().announce(restaurant_id, self, hello=True)

    async def _replay(self, last: UUID, restaurant_id: str, sector_id: str | None) -> None:
        self._first_time(str(last))
        try:
            events = await in_thread(partial(missed, last, restaurant_id, sector_id))
        except OperationalError:
            logger.warning("what a socket missed cannot be told", exc_info=True)
            events = None
        if events is None:
            self._answer({"type": "resync"})
            return
        for event in events:
            if self._first_time(event["id"]):
                await self._room()
                self._answer({"type": "booking-event", "event": event})

    async def _release(self) -> None:
        """Hand on what was held back, in its order, and hold back no more."""
        at = 0
        while self._held is not None and at < len(self._held):
            await self._room()
            text, event_id = self._held[at]
            if self._first_time(event_id):
                self._waiting.put_nowait(text)
            at += 1
        self._held = None

    async def _room(self) -> None:
        """As fast as it is read: what is told at once may be more than may wait."""
        while self._waiting.qsize() >= MAX_WAITING // 2:
            await asyncio.sleep(0.01)

    def _answer(self, message: Message) -> None:
        self.hand(orjson.dumps(message).decode())


def _parsed(text: str | None) -> Message:
    if text is None or len(text) > MAX_MESSAGE:
        raise ValidationFailed(_("Send JSON text of at most 4096 characters."))
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValidationFailed.at("type", _("Expected a JSON object with a type."))
    return message


def _event_id(given: object) -> UUID | None:
    if given is None:
        return None
    try:
        return UUID(str(given))
    except ValueError:
        raise ValidationFailed.at("lastEventId", _("This value is not valid.")) from None
