"""One process' side of the live updates: which of its sockets wants what, and who has a board open.

A process holds one Channels channel, joins a group only while one of its sockets wants it, and hands
each event to its sockets by a table of its own: a channel for each socket costs several times more.
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

from bookings.live.messages import groups_of, restaurant_group

Message = dict[str, Any]

logger = logging.getLogger("wokibrain.live")

BEAT_SECONDS: Final = 0.5
"""Shorter than the second that channels_redis waits before it connects again, so that a gap is noticed."""
REMEMBERED: Final = 4_096


class Listener(Protocol):
    """One connected client, as the hub sees it."""

    id: str
    present: set[str]
    """Ids of the restaurants whose board it has open."""

    @property
    def name(self) -> str:
        """The name under which other staff see it."""

    def hand(self, text: str, event_id: str | None = None) -> None:
        """Queue ``text`` for the client without waiting; ``event_id`` if it is an event."""


class Hub:
    """The process' side of Channels: one channel, and who of its sockets wants which group."""

    def __init__(self) -> None:
        self.sockets: dict[str, set[Listener]] = defaultdict(set)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._present: dict[str, dict[str, tuple[str, float]]] = defaultdict(dict)
        self._shown: dict[str, list[str]] = {}
        """What the boards of a restaurant were last told of who is there."""
        self._tasks: list[asyncio.Task[None]] = []
        self._beats = 0
        self._channel = ""
        self._joined: set[str] = set()
        """The groups that Redis was told of; while it is away they wait, and no socket does."""
        self._lock = asyncio.Lock()
        self._away = False
        """Redis was missed since all groups were joined: they are joined anew when it is heard again."""

    async def _start(self) -> None:
        if not self._tasks:
            self._layer = get_channel_layer()
            await self._tell(self._open())
            work = (self._listen(), self._look_after(), self._beat())
            # Of no request: not of that of the socket which happens to be the first.
            self._tasks = [asyncio.create_task(each, context=Context()) for each in work]

    async def _open(self) -> None:
        self._channel = await self._layer.new_channel()

    async def join(self, group: str, listener: Listener) -> None:
        async with self._lock:
            await self._start()
            self.sockets[group].add(listener)
            if group not in self._joined and not self._away:
                await self._join(group)

    async def leave(self, group: str, listener: Listener) -> None:
        async with self._lock:
            self.sockets[group].discard(listener)
            if not self.sockets[group]:
                del self.sockets[group]
                if group in self._joined and not self._away:
                    await self._part(group)

    async def _join(self, group: str) -> None:
        self._joined.add(group)
        await self._tell(self._layer.group_add(group, self._channel))

    async def _part(self, group: str) -> None:
        self._joined.discard(group)
        await self._tell(self._layer.group_discard(group, self._channel))

    async def _tell(self, work: Awaitable[Any]) -> None:
        """Redis away: the sockets stay, and are told to look again when it is back."""
        try:
            async with asyncio.timeout(2):
                await work
        except Exception:
            if not self._away:
                logger.warning("live updates pause: the channel layer does not answer", exc_info=True)
            self._away = True

    async def _listen(self) -> None:
        while not self._channel:
            await asyncio.sleep(BEAT_SECONDS)
            # A try that failed leaves a channel behind that nobody can name.
            await self._tell(self._layer.flush())
            await self._tell(self._open())
        while True:
            try:
                message = await self._layer.receive(self._channel)
            except Exception:
                self._away = True
                await asyncio.sleep(0.5)
                continue
            if message["type"] == "booking.event":
                self.route(message["event"])
            elif message["type"] == "presence":
                await self._heard(message)
            elif message["type"] == "beat":
                await self._beaten(message["number"])

    async def _beat(self) -> None:
        """Tell oneself a number now and then: who does not hear one was deaf and may have missed more."""
        for number in itertools.count(1):
            await asyncio.sleep(BEAT_SECONDS)
            if self._channel:
                await self._tell(self._layer.send(self._channel, {"type": "beat", "number": number}))

    async def _beaten(self, number: int) -> None:
        """Messages come again; where some did not, join again and have everybody look anew."""
        if number != self._beats + 1:
            self._away = True
        self._beats = number
        if not self._away:
            return
        self._away = False
        async with self._lock:
            for group in self._joined - self.sockets.keys():
                await self._part(group)
            for group in list(self.sockets):
                if not self._away:
                    await self._join(group)
        if not self._away:
            for listener in {each for group in self.sockets.values() for each in group}:
                listener.hand('{"type":"resync"}')

    def route(self, event: Message) -> None:
        """To each socket that wants it, once, however many of its groups the event came by."""
        if event["id"] in self._seen:
            return
        self._seen[event["id"]] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        wanted: set[Listener] = set()
        for group in groups_of(event["data"]):
            wanted |= self.sockets.get(group, set())
        if wanted:
            text = orjson.dumps({"type": "booking-event", "event": event}).decode()
            for listener in wanted:
                listener.hand(text, event["id"])

    # Presence: each process says now and then which boards are open in it; silence means gone.

    async def announce(
        self, restaurant_id: str, listener: Listener, *, hello: bool = False, gone: bool = False
    ) -> None:
        """``hello``: it is new and wants to know who else is there."""
        stays = 0.0 if gone else settings.LIVE_ANNOUNCE_SECONDS * 2.5
        message = {
            "type": "presence",
            "restaurantId": restaurant_id,
            "board": listener.id,
            "name": listener.name,
            "for": stays,
            "hello": hello,
        }
        await self._tell(self._layer.group_send(restaurant_group(restaurant_id), message))

    async def _heard(self, message: Message) -> None:
        restaurant_id, board = message["restaurantId"], message["board"]
        boards = self._present[restaurant_id]
        if message["for"]:
            boards[board] = (message["name"], time.monotonic() + message["for"])
        else:
            boards.pop(board, None)
        mine = {each.id: each for each in self._boards(restaurant_id)}
        if self.people(restaurant_id) != self._shown.get(restaurant_id):
            self._show_people(restaurant_id, mine.values())
        elif message["hello"] and board in mine:
            self._show_people(restaurant_id, [mine[board]])
        if message["hello"] and board not in mine:
            for each in mine.values():
                await self.announce(restaurant_id, each)

    def people(self, restaurant_id: str) -> list[str]:
        now = time.monotonic()
        return sorted({name for name, until in self._present[restaurant_id].values() if until > now})

    def _boards(self, restaurant_id: str) -> list[Listener]:
        return [
            each
            for each in self.sockets.get(restaurant_group(restaurant_id), ())
            if restaurant_id in each.present
        ]

    def _show_people(self, restaurant_id: str, boards: Iterable[Listener]) -> None:
        people = self._shown[restaurant_id] = self.people(restaurant_id)
        told = {"type": "presence", "restaurantId": restaurant_id, "people": people}
        text = orjson.dumps(told).decode()
        for listener in boards:
            listener.hand(text)

    async def _look_after(self) -> None:
        """Say who is still here, and forget who no longer says so."""
        while True:
            await asyncio.sleep(settings.LIVE_ANNOUNCE_SECONDS)
            # Also where everybody's word was lost: of those who are here it is said again.
            here = {
                each for group in self.sockets.values() for listener in group for each in listener.present
            }
            for restaurant_id in here | self._present.keys():
                now = time.monotonic()
                boards = self._present[restaurant_id]
                for board in [each for each, (_name, until) in boards.items() if until <= now]:
                    del boards[board]
                if self.people(restaurant_id) != self._shown.get(restaurant_id, []):
                    self._show_people(restaurant_id, self._boards(restaurant_id))
                if not boards:
                    del self._present[restaurant_id]
                    self._shown.pop(restaurant_id, None)
                for each in self._boards(restaurant_id):
                    await self.announce(restaurant_id, each)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
