"""A live connection with the real event store and Redis, without a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from channels.layers import get_channel_layer
from django.db import connection, connections, transaction
from pytest_django import Settings

from bookings.live import catch_up
from bookings.live.connection import DATABASE_THREADS, Socket, Visitor, in_thread
from bookings.live.hub import hub
from bookings.live.messages import restaurant_group
from bookings.repository.records import BookingRecord, Contact
from bookings.sample_data import example
from bookings.services import create
from bookings.services.create import NewBooking
from tests.waiting import PATIENCE
from wokibrain.core.callers import SYSTEM, Caller, CallerKind
from wokibrain.core.permissions import PERMISSIONS, Role
from wokibrain.embedded.redis import Redis
from wokibrain.events.models import StoredEvent

Message = dict[str, Any]


class Client:
    """A client of a live connection: sends messages and reads the replies."""

    def __init__(self, caller: Caller = SYSTEM) -> None:
        self._said: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self.code: int | None = None
        visitor = Visitor(caller, "Ana")
        self.socket = Socket(visitor, lambda: visitor, self._take)
        self.serving = asyncio.create_task(self.socket.serve(self._said.get))

    async def _take(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.close":
            self.code = message["code"]
        if message["type"] == "websocket.send":
            self._told.put_nowait(orjson.loads(message["text"]))

    def say(self, **message: Any) -> None:
        self._said.put_nowait({"type": "websocket.receive", "text": orjson.dumps(message).decode()})

    async def hear(self, seconds: float = 60) -> Message:
        async with asyncio.timeout(seconds):
            return await self._told.get()

    async def messages_until_pong(self) -> list[str]:
        """Return the types of all messages up to the reply to a ping; of events, the ids."""
        self.say(type="ping")
        messages = []
        while (message := await self.hear())["type"] != "pong":
            messages.append(message["event"]["id"] if "event" in message else message["type"])
        return messages

    async def leave(self) -> None:
        self._said.put_nowait({"type": "websocket.disconnect"})
        await self.serving


def with_client(talk: Callable[[Client], Awaitable[None]], caller: Caller = SYSTEM) -> None:
    async def run() -> None:
        client = Client(caller)
        await talk(client)
        await client.leave()

    asyncio.run(run())


def book(minute: int) -> Message:
    """Publish a new booking's event, as the relay does."""
    booking = create.create_booking(
        caller=SYSTEM,
        new=NewBooking(
            "R1", 2, date(2031, 5, 6 + minute), duration_minutes=60, contact=Contact(f"Ana {minute}")
        ),
    )
    assert isinstance(booking, BookingRecord)
    event = StoredEvent.objects.get(aggregate_id=str(booking.id))
    return {"type": event.event_type, "data": event.payload, "timestamp": "", "id": str(event.event_id)}


@pytest.fixture
def committed(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit the example restaurant for other threads, which close their database connection after each query."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    example.example()


@pytest.mark.usefixtures("committed")
def test_a_live_event_is_not_repeated_by_the_catch_up() -> None:
    first, second, third = book(0), book(1), book(2)

    async def talk(client: Client) -> None:
        client.say(type="subscribe", restaurantId="R1")
        assert await client.messages_until_pong() == ["subscribed"]
        hub().route(second)
        client.say(type="subscribe", sectorId="S1", lastEventId=first["id"])
        assert await client.messages_until_pong() == [second["id"], "subscribed", third["id"]]
        hub().route(third)
        client.say(type="unsubscribe", sectorId="S1")
        client.say(type="subscribe", sectorId="S1", lastEventId=first["id"])
        assert await client.messages_until_pong() == ["unsubscribed", "subscribed"]
        client.say(type="unsubscribe", sectorId="S1")
        client.say(type="unsubscribe", restaurantId="R1")
        client.say(type="subscribe", sectorId="S1", lastEventId=first["id"])
        again = ["unsubscribed", "unsubscribed", "subscribed", second["id"], third["id"]]
        assert await client.messages_until_pong() == again

    with_client(talk)


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(("role", "may"), [(Role.STAFF, True), (Role.API_CLIENT, False)])
def test_an_event_names_the_guest_by_id_only_to_those_who_may_see_guests(role: Role, may: bool) -> None:
    first, second, third = book(0), book(1), book(2)
    known = [event["data"]["guestId"] for event in (second, third)]

    async def talk(client: Client) -> None:
        client.say(type="subscribe", restaurantId="R1", lastEventId=first["id"])
        assert (await client.hear())["type"] == "subscribed"
        missed = [await client.hear(), await client.hear()]
        fourth = third | {"id": str(uuid4())}
        hub().route(fourth)
        live = await client.hear()
        shown = [message["event"]["data"]["guestId"] for message in (*missed, live)]
        assert shown == ([*known, known[1]] if may else [None] * 3)

    with_client(talk, Caller(CallerKind.API_KEY, "till", {"R1": PERMISSIONS[role]}))


@pytest.mark.usefixtures("committed")
def test_a_client_that_missed_too_many_events_is_told_to_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of them may be other restaurants' events: reading through them is what costs."""
    monkeypatch.setattr(catch_up, "MAX_POSITIONS_AFTER", 2)
    first, second, third = book(0), book(1), book(2)
    assert [message["id"] for message in catch_up.missed(UUID(first["id"]), "R1", None) or ()] == [
        second["id"],
        third["id"],
    ]
    messages = catch_up.missed(UUID(second["id"]), "R1", None) or []
    event = StoredEvent.objects.get(event_id=third["id"])
    assert [message["timestamp"] for message in messages] == [event.payload["createdAt"]]
    book(3)
    assert catch_up.missed(UUID(first["id"]), "R1", None) is None


@pytest.mark.usefixtures("committed")
def test_a_catch_up_that_the_database_cancels_is_answered_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = book(0)

    async def talk(client: Client) -> None:
        client.say(type="subscribe", restaurantId="R1", lastEventId=first["id"])
        assert await client.messages_until_pong() == ["subscribed", "resync"]

    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "options", "-c statement_timeout=300")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE events_storedevent")
        with_client(talk)


@pytest.fixture
def redis(tmp_path: Path, settings: Settings) -> Iterator[Redis]:
    """Return a Redis for live updates only, not started yet."""
    server = Redis(tmp_path / "redis", durable=False)
    backend = settings.CHANNEL_LAYERS["default"]["BACKEND"]
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [server.url]}}}
    yield server
    server.stop()


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("frozen", [False, True])
def test_a_first_subscriber_during_a_redis_outage_gets_all_events_afterwards(
    redis: Redis, frozen: bool
) -> None:
    if frozen:
        redis.start()
        redis.pause()
    event = book(0)

    async def talk(client: Client) -> None:
        other = Client()
        for subscriber in (client, other):
            subscriber.say(type="subscribe", restaurantId="R1")
            assert await subscriber.hear() == {"type": "subscribed", "success": True, "restaurantId": "R1"}
        await asyncio.to_thread(redis.resume if frozen else redis.start)
        for subscriber in (client, other):
            assert await subscriber.hear() == {"type": "resync"}
        layer = get_channel_layer()
        await layer.group_send(restaurant_group("R1"), {"type": "booking.event", "event": event})
        for subscriber in (client, other):
            # On a busy machine Redis may time out once more: then the message comes again, and nothing is lost.
            while (message := await subscriber.hear()) == {"type": "resync"}:
                pass
            assert message == {"type": "booking-event", "event": event}
        # Leftovers of attempts would fill the memory of a process that waits for long.
        assert len(layer.channels) == 1
        await other.leave()

    with_client(talk)


@pytest.mark.usefixtures("committed")
def test_presence_is_restored_after_a_redis_outage(redis: Redis, settings: Settings) -> None:
    settings.LIVE_ANNOUNCE_SECONDS = 0.2
    redis.start()

    async def presence(client: Client) -> list[str]:
        while (message := await client.hear())["type"] != "presence":
            pass
        people: list[str] = message["people"]
        return people

    async def talk(client: Client) -> None:
        client.say(type="subscribe", restaurantId="R1", presence=True)
        assert await presence(client) == ["Ana"]
        await asyncio.to_thread(redis.kill)
        assert await presence(client) == []
        await asyncio.to_thread(redis.start)
        assert await presence(client) == ["Ana"]

    with_client(talk)


def test_many_sockets_share_few_database_connections() -> None:
    """All connect at once, as after a server upgrade, when each thread would keep a connection."""
    together = threading.Barrier(DATABASE_THREADS)
    looking: set[int] = set()

    def look() -> None:
        looking.add(threading.get_ident())
        together.wait(PATIENCE)

    async def run() -> None:
        await asyncio.gather(*(in_thread(look) for _ in range(DATABASE_THREADS * 8)))

    asyncio.run(run())
    assert len(looking) == 4


@pytest.mark.usefixtures("committed")
def test_a_subscriber_during_a_postgres_outage_is_told_to_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> int | None:
        client = Client()
        client.say(type="subscribe", restaurantId="R1", sectorId="S1")
        async with asyncio.timeout(60):
            await client.serving
        return client.code

    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connections.settings["default"], "HOST", str(tmp_path))
        code = asyncio.run(run())
    assert code == 1013
