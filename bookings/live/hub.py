"""The fan-out of live updates within one process, and the presence of staff at the boards.

A process has one Channels channel and joins a group only while one of its clients subscribes to it. It
hands each event to its clients by a table of its own: a channel per client costs several times more.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Iterable
from contextvars import Context
from typing import Any, Final, Protocol

import orjson
from channels.layers import get_channel_layer
from django.conf import settings

from bookings.event_types import without_guest
from bookings.live.messages import groups_of, restaurant_group

Message = dict[str, Any]

logger = logging.getLogger("wokibrain.live")

BEAT_SECONDS: Final = 0.5
"""Shorter than the second that channels_redis waits before it reconnects, so that every gap is noticed."""
REDIS_TIMEOUT_SECONDS: Final = 2
MAX_REMEMBERED_EVENTS: Final = 4_096
"""Event ids kept to drop repeats: an event arrives once per group, and again if it is relayed twice."""


class Listener(Protocol):
    """One connected client, as the hub sees it."""

    id: str
    present: set[str]
    """Ids of the restaurants whose board it has open."""

    @property
    def name(self) -> str:
        """The name under which other staff see it."""

    def may_see_guests(self, restaurant_id: str) -> bool:
        """Return whether it may know, by the guest's id, which bookings are of one guest."""

    def hand(self, text: str, event_id: str | None = None) -> None:
        """Queue ``text`` for the client without waiting; ``event_id`` if it is an event."""


class Hub:
    """One process' channel and the groups that its clients subscribe to."""

    def __init__(self) -> None:
        self.listeners: dict[str, set[Listener]] = defaultdict(set)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._present: dict[str, dict[str, tuple[str, float]]] = defaultdict(dict)
        self._shown: dict[str, list[str]] = {}
        """The names last sent to the boards of each restaurant."""
        self._tasks: list[asyncio.Task[None]] = []
        self._beats = 0
        self._channel = ""
        self._joined: set[str] = set()
        """Groups joined in Redis. While Redis is away, joining is put off and no client waits for it."""
        self._lock = asyncio.Lock()
        self._away = False
        """Whether Redis failed since all groups were joined; they are joined again when it is back."""

    async def _start(self) -> None:
        if not self._tasks:
            self._layer = get_channel_layer()
            await self._try(self._open())
            work = (self._listen(), self._refresh_presence(), self._beat())
            # Run outside any request context, not in that of the first client that happens to connect.
            self._tasks = [asyncio.create_task(job, context=Context()) for job in work]

    async def _open(self) -> None:
        self._channel = await self._layer.new_channel()

    async def join(self, group: str, listener: Listener) -> None:
        async with self._lock:
            await self._start()
            self.listeners[group].add(listener)
            if group not in self._joined and not self._away:
                await self._join(group)

    async def leave(self, group: str, listener: Listener) -> None:
        async with self._lock:
            self.listeners[group].discard(listener)
            if not self.listeners[group]:
                del self.listeners[group]
                if group in self._joined and not self._away:
                    await self._part(group)

    async def _join(self, group: str) -> None:
        self._joined.add(group)
        await self._try(self._layer.group_add(group, self._channel))

    async def _part(self, group: str) -> None:
        self._joined.discard(group)
        await self._try(self._layer.group_discard(group, self._channel))

    async def _try(self, work: Awaitable[Any]) -> None:
        """Await ``work`` on Redis. If it fails, clients stay connected and get a resync once Redis is back."""
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_SECONDS):
                await work
        except Exception:
            if not self._away:
                logger.warning("live updates pause: the channel layer does not answer", exc_info=True)
            self._away = True

    async def _listen(self) -> None:
        while not self._channel:
            await asyncio.sleep(BEAT_SECONDS)
            # A failed attempt leaves a channel behind that nothing refers to.
            await self._try(self._layer.flush())
            await self._try(self._open())
        while True:
            try:
                message = await self._layer.receive(self._channel)
            except Exception:
                self._away = True
                await asyncio.sleep(BEAT_SECONDS)
                continue
            if message["type"] == "booking.event":
                self.route(message["event"])
            elif message["type"] == "presence":
                await self._take_presence(message)
            elif message["type"] == "beat":
                await self._take_beat(message["number"])

    async def _beat(self) -> None:
        """Send a number to this process' own channel regularly: a gap means that events may be lost as well."""
        for number in itertools.count(1):
            await asyncio.sleep(BEAT_SECONDS)
            if self._channel:
                await self._try(self._layer.send(self._channel, {"type": "beat", "number": number}))

    async def _take_beat(self, number: int) -> None:
        """After a gap, join all groups again and have every client read the day anew."""
        if number != self._beats + 1:
            self._away = True
        self._beats = number
        if not self._away:
            return
        self._away = False
        async with self._lock:
            for group in self._joined - self.listeners.keys():
                await self._part(group)
            for group in list(self.listeners):
                if not self._away:
                    await self._join(group)
        if not self._away:
            for listener in set().union(*self.listeners.values()):
                listener.hand('{"type":"resync"}')

    def route(self, event: Message) -> None:
        """Hand the event to each subscribed client, once, however many of its groups it came by."""
        if event["id"] in self._seen:
            return
        self._seen[event["id"]] = None
        if len(self._seen) > MAX_REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
        listeners: set[Listener] = set()
        for group in groups_of(event["data"]):
            listeners |= self.listeners.get(group, set())
        if listeners:
            restaurant_id = event["data"]["restaurantId"]
            texts: dict[bool, str] = {}
            for listener in listeners:
                whole = listener.may_see_guests(restaurant_id)
                if whole not in texts:
                    texts[whole] = _event_text(
                        event if whole else event | {"data": without_guest(event["data"])}
                    )
                listener.hand(texts[whole], event["id"])

    # Presence: each process announces its open boards regularly; a board that falls silent is gone.

    async def announce(
        self, restaurant_id: str, listener: Listener, *, hello: bool = False, gone: bool = False
    ) -> None:
        """Announce a board to all processes. ``hello``: it is new, so that the others announce theirs."""
        # One lost announcement and a late one are forgiven.
        seconds = 0.0 if gone else settings.LIVE_ANNOUNCE_SECONDS * 2.5
        message = {
            "type": "presence",
            "restaurantId": restaurant_id,
            "board": listener.id,
            "name": listener.name,
            "for": seconds,
            "hello": hello,
        }
        await self._try(self._layer.group_send(restaurant_group(restaurant_id), message))

    async def _take_presence(self, message: Message) -> None:
        restaurant_id, board = message["restaurantId"], message["board"]
        boards = self._present[restaurant_id]
        if message["for"]:
            boards[board] = (message["name"], time.monotonic() + message["for"])
        else:
            boards.pop(board, None)
        own = {listener.id: listener for listener in self._boards(restaurant_id)}
        if self.people(restaurant_id) != self._shown.get(restaurant_id):
            self._show_people(restaurant_id, own.values())
        elif message["hello"] and board in own:
            self._show_people(restaurant_id, [own[board]])
        if message["hello"] and board not in own:
            for listener in own.values():
                await self.announce(restaurant_id, listener)

    def people(self, restaurant_id: str) -> list[str]:
        """Return the names of the staff who have the restaurant's board open in any process, sorted."""
        now = time.monotonic()
        return sorted({name for name, until in self._present[restaurant_id].values() if until > now})

    def _boards(self, restaurant_id: str) -> list[Listener]:
        return [
            listener
            for listener in self.listeners.get(restaurant_group(restaurant_id), ())
            if restaurant_id in listener.present
        ]

    def _show_people(self, restaurant_id: str, boards: Iterable[Listener]) -> None:
        people = self._shown[restaurant_id] = self.people(restaurant_id)
        message = {"type": "presence", "restaurantId": restaurant_id, "people": people}
        text = orjson.dumps(message).decode()
        for listener in boards:
            listener.hand(text)

    async def _refresh_presence(self) -> None:
        """Announce the open boards regularly, and forget boards that are no longer announced."""
        while True:
            await asyncio.sleep(settings.LIVE_ANNOUNCE_SECONDS)
            # Includes boards whose announcements were all lost: they are announced again.
            here = {
                restaurant_id
                for group in self.listeners.values()
                for listener in group
                for restaurant_id in listener.present
            }
            for restaurant_id in here | self._present.keys():
                now = time.monotonic()
                boards = self._present[restaurant_id]
                for board in [board for board, (_name, until) in boards.items() if until <= now]:
                    del boards[board]
                if self.people(restaurant_id) != self._shown.get(restaurant_id, []):
                    self._show_people(restaurant_id, self._boards(restaurant_id))
                if not boards:
                    del self._present[restaurant_id]
                    self._shown.pop(restaurant_id, None)
                for listener in self._boards(restaurant_id):
                    await self.announce(restaurant_id, listener)


def _event_text(event: Message) -> str:
    return orjson.dumps({"type": "booking-event", "event": event}).decode()


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """Return the hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
