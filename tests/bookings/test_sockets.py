"""A socket against the real store and Redis, without a server around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import date
from typing import Any

import orjson
import pytest
from django.db import connections

from bookings import seed, services
from bookings.hub import hub
from bookings.records import BookingRecord
from bookings.rules import NewBooking
from bookings.sockets import Socket, Visitor
from wokibrain.access.callers import SYSTEM
from wokibrain.events.models import StoredEvent

Message = dict[str, Any]


class Client:
    """What is said to a socket, and what it tells."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        visitor = Visitor(SYSTEM, "Ana")
        self.socket = Socket(visitor, lambda: visitor, self._take)
        self.serving = asyncio.create_task(self.socket.serve(self._said.get))

    async def _take(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.send":
            self._told.put_nowait(orjson.loads(message["text"]))

    def say(self, **message: Any) -> None:
        self._said.put_nowait({"type": "websocket.receive", "text": orjson.dumps(message).decode()})

    async def hear(self, seconds: float = 15) -> Message:
        async with asyncio.timeout(seconds):
            return await self._told.get()

    async def told_until_pong(self) -> list[str]:
        """The types of all that is told up to the answer to a ping, the ids of events."""
        self.say(type="ping")
        heard = []
        while (message := await self.hear())["type"] != "pong":
            heard.append(message["event"]["id"] if "event" in message else message["type"])
        return heard

    async def leave(self) -> None:
        self._said.put_nowait({"type": "websocket.disconnect"})
        await self.serving


def with_client(talk: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        client = Client()
        await talk(client)
        await client.leave()

    asyncio.run(run())


def book(minute: int) -> Message:
    """A new booking's event, as the sockets hear it."""
    made = services.create_booking(
        caller=SYSTEM,
        wanted=NewBooking("R1", 2, date(2031, 5, 6 + minute), duration_minutes=60),
    )
    assert isinstance(made, BookingRecord)
    event = StoredEvent.objects.get(aggregate_id=str(made.id))
    return {"type": event.event_type, "data": event.payload, "timestamp": "", "id": str(event.event_id)}


@pytest.fixture
def committed(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example restaurant for threads of their own, which let go of the database after each look."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    seed.example()


@pytest.mark.usefixtures("committed")
def test_what_was_heard_live_is_not_told_again_with_what_was_missed() -> None:
    first, second, third = book(0), book(1), book(2)

    async def talk(client: Client) -> None:
        client.say(type="subscribe", restaurantId="R1")
        assert await client.told_until_pong() == ["subscribed"]
        hub().route(second)
        client.say(type="subscribe", sectorId="S1", lastEventId=first["id"])
        assert await client.told_until_pong() == [second["id"], "subscribed", third["id"]]
        hub().route(third)
        client.say(type="unsubscribe", sectorId="S1")
        client.say(type="subscribe", sectorId="S1", lastEventId=first["id"])
        assert await client.told_until_pong() == ["unsubscribed", "subscribed"]
        client.say(type="unsubscribe", sectorId="S1")
        client.say(type="unsubscribe", restaurantId="R1")
        client.say(type="subscribe", sectorId="S1", lastEventId=first["id"])
        again = ["unsubscribed", "unsubscribed", "subscribed", second["id"], third["id"]]
        assert await client.told_until_pong() == again

    with_client(talk)
