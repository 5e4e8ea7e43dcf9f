"""Live bookings over WebSocket (/ws/): what the contract calls "Live".

A process holds one Channels channel, joins a group only while one of its sockets wants it, and hands
each event to its sockets by a table of its own: a channel for each socket costs several times more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import orjson
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import close_old_connections
from django.db.models import Q
from django.http.cookie import parse_cookie
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from bookings.live import groups_of, restaurant_group, sector_group
from restaurants.models import Restaurant, Sector
from wokibrain.access.addresses import client_address
from wokibrain.access.authentication import anonymous
from wokibrain.access.callers import Caller
from wokibrain.access.credentials import caller_of, caller_of_user
from wokibrain.access.permissions import Permission
from wokibrain.access.staff import is_staff
from wokibrain.errors import (
    DomainError,
    Forbidden,
    NotFound,
    RateLimitExceeded,
    Unauthorized,
    ValidationFailed,
)
from wokibrain.events.models import StoredEvent
from wokibrain.events.names import Topic

Scope = MutableMapping[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = TypeVar("Answer")

logger = logging.getLogger("wokibrain.live")

MAX_SUBSCRIPTIONS: Final = 50
MAX_MESSAGE: Final = 4_096
MAX_WAITING: Final = 256
"""Messages a socket may be behind before it is dropped."""
RATE: Final = (40, 10.0)
"""So many messages of a client in so many seconds."""
REPLAYED: Final = 500
REPLAY_REACH: Final = 1_000
"""How far before the last event seen one may lie that was published after it: ids commit out of order."""
RECHECK_SECONDS: Final = 120.0
ANNOUNCE_SECONDS: Final = 20.0
REMEMBERED: Final = 4_096

SLOW, NOT_ALLOWED, TOO_FAST = 4408, 4401, 4429
"""Close codes: too slow a reader; credentials ended; too many messages."""


async def in_thread(work: Callable[..., Answer], *args: Any) -> Answer:
    """Database work beside the event loop, on a connection that is looked after."""

    def looked_after() -> Answer:
        close_old_connections()
        try:
            return work(*args)
        finally:
            close_old_connections()

    return await sync_to_async(looked_after, thread_sensitive=False)()


# --- who is asking ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a handshake brought along: a token, else a session's key, else neither."""

    token: str | None
    session: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """A caller, and for staff in a browser the name others see."""

    caller: Caller
    name: str = ""


def credentials_of(scope: Scope) -> Credentials:
    """Raises Unauthorized for two tokens that disagree and for what is none, Forbidden for a foreign page.

    A browser sends cookies whoever made the page, so a session counts from our own pages only.
    """
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20)
    except ValueError:
        raise Unauthorized from None
    given = {*query.get("token", ())}
    if key := headers.get("x-api-key"):
        given.add(key)
    if authorization := headers.get("authorization"):
        scheme, _space, bearer = authorization.partition(" ")
        if scheme.lower() != "bearer" or not bearer.strip():
            raise Unauthorized
        given.add(bearer.strip())
    address = _address_of(scope)
    if given:
        if len(given) > 1 or len(token := given.pop()) > 4_096 or "\x00" in token:
            raise Unauthorized
        return Credentials(token, None, address)
    session = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if session and "\x00" in session:
        raise Unauthorized
    if session and not _own_page(headers.get("origin"), headers.get("host", "")):
        raise Forbidden
    return Credentials(None, session, address)


def _address_of(scope: Scope) -> str:
    """The client's address by the rule every request goes by: proxies are believed where TRUSTED_PROXIES says so."""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    remote = (scope.get("client") or ("",))[0]
    return client_address({"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": ",".join(forwarded)})


def _own_page(origin: str | None, host: str) -> bool:
    if origin is None:
        return False
    try:
        return origin in settings.CSRF_TRUSTED_ORIGINS or urlsplit(origin).netloc == host
    except ValueError:
        return False


def visitor_of(credentials: Credentials) -> Visitor:
    """Raises Unauthorized for a token that is not, or no longer, good."""
    if credentials.token is not None:
        return Visitor(caller_of(credentials.token))
    if credentials.session is not None and (user := _user_of(credentials.session)):
        return Visitor(caller_of_user(user), user.get_full_name() or user.get_username())
    return Visitor(anonymous(credentials.address))


def _user_of(key: str) -> User | None:
    session: SessionBase = import_string(f"{settings.SESSION_ENGINE}.SessionStore")(key)
    user = get_user(type("Request", (), {"session": session})())
    return user if isinstance(user, User) and is_staff(user) else None


def wanted_groups(caller: Caller, restaurant_id: str | None, sector_id: str | None) -> tuple[str, str]:
    """The group to join and the restaurant it is of. Raises NotFound, Forbidden, Unauthorized."""
    if sector_id is not None:
        owner = Sector.objects.filter(pk=sector_id).values_list("restaurant_id", flat=True).first()
        if owner is None or restaurant_id not in (None, owner):
            raise NotFound.at("sectorId")
        caller.require(Permission.BOOKING_READ, owner)
        return sector_group(sector_id), owner
    assert restaurant_id is not None, "one of the two is given"
    caller.require(Permission.BOOKING_READ, restaurant_id)
    if not Restaurant.objects.filter(pk=restaurant_id).exists():
        raise NotFound.at("restaurantId")
    return restaurant_group(restaurant_id), restaurant_id


def missed(last: UUID, restaurant_id: str, sector_id: str | None) -> list[Message] | None:
    """The events handed on after ``last``, oldest first; None where that is unknown or too much.

    The relay's order counts, not that of positions: a slow transaction's event has an early position
    and is handed on late.
    """
    seen = StoredEvent.objects.filter(event_id=last).values("position", "published_at").first()
    if seen is None:
        return None
    later = Q(position__gt=seen["position"])
    if seen["published_at"] is not None:
        later = (
            Q(published_at__gt=seen["published_at"])
            | Q(published_at__isnull=True)
            | (Q(published_at=seen["published_at"]) & later)
        )
    rows = StoredEvent.objects.filter(
        later,
        position__gt=seen["position"] - REPLAY_REACH,
        payload__restaurantId=restaurant_id,
        # Not what other aggregates keep in the same store, as webhooks do.
        aggregate_type__in=list(Topic),
    ).order_by("position")
    if sector_id is not None:
        rows = rows.filter(Q(payload__sectorId=sector_id) | Q(payload__changes__sectorId__from=sector_id))
    found = list(rows[: REPLAYED + 1])
    if len(found) > REPLAYED:
        return None
    return [
        {
            "type": each.event_type,
            "data": each.payload,
            "timestamp": each.occurred_at.isoformat(),
            "id": str(each.event_id),
        }
        for each in found
    ]


# --- one process -----------------------------------------------------------------------------------------------


class Hub:
    """The process' side of Channels: one channel, and who of its sockets wants which group."""

    def __init__(self) -> None:
        self.sockets: dict[str, set[Socket]] = defaultdict(set)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._present: dict[str, dict[str, tuple[str, float]]] = defaultdict(dict)
        self._tasks: list[asyncio.Task[None]] = []
        self._channel = ""
        self._lock = asyncio.Lock()
        self._away = False

    async def _start(self) -> None:
        if not self._tasks:
            self._layer = get_channel_layer()
            self._channel = await self._layer.new_channel()
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look_after())]

    async def join(self, group: str, socket: Socket) -> None:
        async with self._lock:
            await self._start()
            first = not self.sockets[group]
            self.sockets[group].add(socket)
            if first:
                await self._tell(self._layer.group_add(group, self._channel))

    async def leave(self, group: str, socket: Socket) -> None:
        async with self._lock:
            self.sockets[group].discard(socket)
            if not self.sockets[group]:
                del self.sockets[group]
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

    def route(self, event: Message) -> None:
        """To each socket that wants it, once, however many of its groups the event came by."""
        if event["id"] in self._seen:
            return
        self._seen[event["id"]] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        wanted: set[Socket] = set()
        for group in groups_of(event["data"]):
            wanted |= self.sockets.get(group, set())
        if wanted:
            text = orjson.dumps({"type": "booking-event", "event": event}).decode()
            for socket in wanted:
                socket.hand(text, event["id"])

    # Presence: each process says now and then which boards are open in it; silence means gone.

    async def announce(self, restaurant_id: str, socket: Socket, *, gone: bool = False) -> None:
        until = 0.0 if gone else ANNOUNCE_SECONDS * 2.5
        await self._publish(
            restaurant_id, {"board": socket.id, "name": socket.visitor.name, "for": until, "hello": not gone}
        )

    async def _publish(self, restaurant_id: str, said: Message) -> None:
        message = {"type": "presence", "restaurantId": restaurant_id} | said
        await self._tell(self._layer.group_send(restaurant_group(restaurant_id), message))

    async def _heard(self, message: Message) -> None:
        restaurant_id, board = message["restaurantId"], message["board"]
        boards = self._present[restaurant_id]
        before = self.people(restaurant_id)
        if message["for"]:
            boards[board] = (message["name"], time.monotonic() + message["for"])
        else:
            boards.pop(board, None)
        mine = self._boards(restaurant_id)
        if message["hello"] and board not in {each.id for each in mine}:
            for each in mine:
                await self._publish(
                    restaurant_id,
                    {
                        "board": each.id,
                        "name": each.visitor.name,
                        "for": ANNOUNCE_SECONDS * 2.5,
                        "hello": False,
                    },
                )
        if self.people(restaurant_id) != before or board in {each.id for each in mine}:
            self._show_people(restaurant_id)

    def people(self, restaurant_id: str) -> list[str]:
        now = time.monotonic()
        return sorted({name for name, until in self._present[restaurant_id].values() if until > now})

    def _boards(self, restaurant_id: str) -> list[Socket]:
        return [each for each in self.sockets.get(restaurant_group(restaurant_id), ()) if each.present]

    def _show_people(self, restaurant_id: str) -> None:
        told = {"type": "presence", "restaurantId": restaurant_id, "people": self.people(restaurant_id)}
        text = orjson.dumps(told).decode()
        for socket in self._boards(restaurant_id):
            socket.hand(text)

    async def _look_after(self) -> None:
        """Say who is still here; and when Redis is back, join again and have everybody look anew."""
        while True:
            await asyncio.sleep(ANNOUNCE_SECONDS if not self._away else 2.0)
            if self._away:
                self._away = False
                async with self._lock:
                    for group in list(self.sockets):
                        await self._tell(self._layer.group_add(group, self._channel))
                if not self._away:
                    for socket in {each for group in self.sockets.values() for each in group}:
                        socket.hand('{"type":"resync"}')
                continue
            for restaurant_id in list(self._present):
                before = self.people(restaurant_id)
                now = time.monotonic()
                boards = self._present[restaurant_id]
                for board in [each for each, (_name, until) in boards.items() if until <= now]:
                    del boards[board]
                if self.people(restaurant_id) != before:
                    self._show_people(restaurant_id)
                for each in self._boards(restaurant_id):
                    await self.announce(restaurant_id, each)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


# --- one socket ------------------------------------------------------------------------------------------------


class Socket:
    """One client. What is for it waits in a bounded queue; who reads too slowly is dropped."""

    def __init__(self, credentials: Credentials, visitor: Visitor, send: Send) -> None:
        self.id = uuid4().hex
        self.credentials = credentials
        self.visitor = visitor
        self.present: set[str] = set()
        self._send = send
        self._groups: dict[str, str] = {}
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._replayed: set[str] = set()
        self._heard: deque[float] = deque(maxlen=RATE[0])
        self._closing: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def hand(self, text: str, event_id: str | None = None) -> None:
        """Put a message into the queue; never waits."""
        if event_id is not None and event_id in self._replayed:
            return
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.end(SLOW)

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
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                self.visitor = await in_thread(visitor_of, self.credentials)
            except DomainError:
                self.end(NOT_ALLOWED)
                return
            places = self.visitor.caller.restaurants(Permission.BOOKING_READ)
            if places is not None and not set(self._groups.values()) <= places:
                self.end(NOT_ALLOWED)

    async def _take(self, text: str | None) -> None:
        now = time.monotonic()
        if len(self._heard) == RATE[0] and now - self._heard[0] < RATE[1]:
            self._answer({"type": "error"} | _spelled(RateLimitExceeded()))
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
            self._answer({"type": "error"} | _spelled(error))

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
                self._answer(done)
                return
            last = _event_id(message.get("lastEventId"))
            if group not in self._groups:
                if len(self._groups) >= MAX_SUBSCRIPTIONS:
                    raise RateLimitExceeded(_("Too many subscriptions on one connection."))
                self._groups[group] = restaurant_id
                await hub().join(group, self)
        except DomainError as error:
            self._answer(done | {"success": False} | _spelled(error))
            return
        self._answer(done)
        if last is not None:
            await self._replay(last, restaurant_id, named.get("sectorId"))
        if message.get("presence") and self.visitor.name and "sectorId" not in named:
            self.present.add(restaurant_id)
            await hub().announce(restaurant_id, self)

    async def _replay(self, last: UUID, restaurant_id: str, sector_id: str | None) -> None:
        events = await in_thread(partial(missed, last, restaurant_id, sector_id))
        if events is None:
            self._answer({"type": "resync"})
            return
        for event in events:
            if event["id"] not in self._replayed:
                self._replayed.add(event["id"])
                # As fast as it is read: what is missed may be more than may wait.
                while self._waiting.qsize() >= MAX_WAITING // 2:
                    await asyncio.sleep(0.01)
                self._answer({"type": "booking-event", "event": event})

    def _answer(self, message: Message) -> None:
        self.hand(orjson.dumps(message).decode())


def _spelled(error: DomainError) -> Message:
    spelled: Message = {"error": error.code.value, "detail": str(error.detail)}
    if error.issues:
        spelled["issues"] = [{"path": each.path, "message": str(each.message)} for each in error.issues]
    return spelled


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


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of /ws/. Bad credentials are refused before the socket is accepted."""
    await receive()
    try:
        credentials = credentials_of(scope)
        visitor = await in_thread(visitor_of, credentials)
    except DomainError as error:
        await _refuse(scope, send, 403 if isinstance(error, Forbidden) else 401, _spelled(error))
        return
    await send({"type": "websocket.accept"})
    await Socket(credentials, visitor, send).serve(receive)


async def _refuse(scope: Scope, send: Send, status: int, body: Message) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": NOT_ALLOWED})
        return
    headers: Iterable[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": orjson.dumps(body)})
