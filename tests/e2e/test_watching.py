"""Long-lived sockets: lost permissions end subscriptions, slow clients are dropped, absent ones catch up."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import threading
from collections.abc import Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from bookings.live.messages import restaurant_group
from tests.e2e.conftest import PASSWORD, Product
from tests.e2e.test_board import SignIn, block, iso, open_board, quarter, tomorrow
from tests.e2e.test_live import hear, later, say
from tests.pipeline import INSERT, event_row
from tests.processes import Api, api_servers, manage
from tests.waiting import PATIENCE
from wokibrain.core.ids import uuid7

QUICK = {
    "LIVE_ANNOUNCE_SECONDS": "0.4",
    "LIVE_RECHECK_SECONDS": "0.3",
    "PUBLIC_PERMISSIONS": "booking:create,booking:read,booking:delete",
}


@pytest.fixture(scope="module")
def quick(product: Product) -> Iterator[Api]:
    """Run two processes that check presence and permissions several times a second."""
    with api_servers(2, services=product.services, environment=QUICK) as api:
        yield api


def shell(product: Product, code: str) -> str:
    return manage("shell", "-v", "0", "-c", code, environment=product.services.environment).strip()


def live(url: str) -> str:
    return url.replace("http", "ws", 1) + "/ws/"


def watch(url: str, *, page: Any = None, **headers: str) -> ClientConnection:
    """Open a socket to that server as the user signed in on ``page``."""
    if page is not None:
        key = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid")
        headers["Cookie"] = f"sessionid={key}"
    return connect(live(url), additional_headers=headers, origin=Origin(url) if page else None)


def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while (message := hear(socket))["type"] != kind:
        pass
    return message


def shows(socket: ClientConnection, people: list[str]) -> None:
    """Wait until the presence list is exactly these names."""
    while until(socket, "presence")["people"] != people:
        pass


def test_a_board_whose_server_died_leaves_the_presence_list(
    product: Product, quick: Api, signed_in: SignIn
) -> None:
    ana, bea = signed_in("ana"), signed_in("bea")
    with (
        api_servers(1, services=product.services, environment=QUICK) as dying,
        watch(quick.urls[0], page=bea) as stays,
        watch(dying.urls[0], page=ana) as goes,
    ):
        say(stays, type="subscribe", restaurantId="OPEN", presence=True)
        shows(stays, ["Bea"])
        say(goes, type="subscribe", restaurantId="OPEN", presence=True)
        shows(stays, ["Ana", "Bea"])
        dying.servers[0].kill()
        shows(stays, ["Bea"])


def test_a_killed_browser_leaves_the_presence_list(product: Product, quick: Api, signed_in: SignIn) -> None:
    ana, bea = signed_in("ana"), signed_in("bea")
    with watch(quick.urls[0], page=bea) as stays:
        say(stays, type="subscribe", restaurantId="OPEN", presence=True)
        shows(stays, ["Bea"])
        goes = watch(quick.urls[1], page=ana)
        say(goes, type="subscribe", restaurantId="OPEN", presence=True)
        shows(stays, ["Ana", "Bea"])
        # As the kernel does for a killed process: without a close frame.
        goes.socket.shutdown(sockets.SHUT_RDWR)
        shows(stays, ["Bea"])


def test_a_membership_that_ends_ends_its_subscriptions(
    product: Product, quick: Api, signed_in: SignIn
) -> None:
    make = (
        "from django.contrib.auth.models import User\n"
        "from wokibrain.access.models import Membership\n"
        f"user = User.objects.create_user('leo', password='{PASSWORD}', first_name='Leo', is_staff=True)\n"
        "Membership.objects.create(user=user, restaurant_id='OTHER', role='restaurant_staff')\n"
        "Membership.objects.create(user=user, restaurant_id='OPEN', role='restaurant_staff')"
    )
    shell(product, make)
    page = signed_in("leo")
    with watch(quick.urls[0], page=page) as socket:
        say(socket, type="subscribe", restaurantId="OTHER")
        assert hear(socket)["success"] is True
        shell(
            product,
            "from wokibrain.access.models import Membership\n"
            "Membership.objects.filter(user__username='leo', restaurant_id='OTHER').delete()",
        )
        with pytest.raises(ConnectionClosed):
            until(socket, "booking-event")
        assert socket.close_code == 4401
    with watch(quick.urls[0], page=page) as socket:
        say(socket, type="subscribe", restaurantId="OTHER")
        assert hear(socket)["error"] == "NOT_FOUND"
        say(socket, type="subscribe", restaurantId="OPEN")
        assert hear(socket)["success"] is True


def test_an_expired_token_ends_its_subscriptions(product: Product, quick: Api) -> None:
    token = shell(
        product,
        "from datetime import timedelta\n"
        "from django.contrib.auth.models import User\n"
        "from django.utils.timezone import now\n"
        "from rest_framework_simplejwt.tokens import AccessToken\n"
        "from wokibrain.access import tokens\n"
        "from wokibrain.access.models import LoginSession\n"
        "user = User.objects.get(username='ana')\n"
        "session = LoginSession.objects.create(user=user, token_id='t', expires_at=now() + timedelta(days=1))\n"
        "token = AccessToken(tokens.issue(session)[0])\n"
        "token.set_exp(lifetime=timedelta(seconds=10))\n"
        "print(token)",
    )
    with watch(quick.urls[0], Authorization=f"Bearer {token}") as socket:
        say(socket, type="subscribe", restaurantId="OPEN")
        assert hear(socket)["success"] is True
        with pytest.raises(ConnectionClosed):
            until(socket, "booking-event")
        assert socket.close_code == 4401


AHEAD = 20
"""How many events a flood may be ahead of the reader that keeps up, on a machine that is slow too."""


def flood(product: Product, restaurant: str, count: int, size: int, heard: Sized) -> None:
    """Publish that many events of that many bytes to the sockets, no faster than ``heard`` grows."""

    async def send() -> None:
        layer = RedisPubSubChannelLayer(hosts=[product.services.redis.url], prefix="wokibrain")
        for number in range(count):
            data = {"restaurantId": restaurant, "sectorId": "OTHER-S", "number": number, "pad": "x" * size}
            event = {"type": "BookingUpdated", "data": data, "timestamp": "", "id": str(uuid7())}
            await layer.group_send(restaurant_group(restaurant), {"type": "booking.event", "event": event})
            while number - len(heard) >= AHEAD:
                await asyncio.sleep(0.004)
        await layer.flush()

    async def send_in_time() -> None:
        # A dropped reader receives no more, and the flood would wait for it.
        async with asyncio.timeout(2 * PATIENCE):
            await send()

    # Playwright runs an event loop in this thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, send_in_time()).result()


def test_only_the_client_that_does_not_read_is_disconnected(product: Product) -> None:
    count = 600
    small = sockets.socket()
    # What the kernel buffers for a reader does not count as read.
    small.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", int(product.url.rpartition(":")[2])))
    with (
        connect(product.live, max_queue=None, compression=None) as good,
        connect(product.live, max_queue=1, compression=None, sock=small) as slow,
    ):
        for socket in (good, slow):
            say(socket, type="subscribe", restaurantId="OTHER")
            assert hear(socket)["success"] is True
        heard: list[int] = []

        def read() -> None:
            while len(heard) < count:
                heard.append(hear(good)["event"]["data"]["number"])

        reader = threading.Thread(target=read)
        reader.start()
        flood(product, "OTHER", count, 60_000, heard)
        reader.join(PATIENCE)
        assert heard == list(range(count))
        got: list[dict[str, Any]] = []
        with contextlib.suppress(ConnectionClosed):
            while len(got) < count:
                got.append(hear(slow))
        assert len(got) < count
        say(good, type="ping")
        assert hear(good) == {"type": "pong"}


def missed(product: Product, count: int) -> list[str]:
    """Append that many events of OTHER; return their ids."""
    rows = [event_row(str(uuid7()), restaurantId="OTHER", sectorId="OTHER-S") for _ in range(count)]
    with psycopg.connect(product.services.postgres.url) as link:
        link.cursor().executemany(INSERT, rows)
    return [str(row[0]) for row in rows]


def test_five_hundred_missed_events_are_sent_and_more_make_the_client_reload(product: Product) -> None:
    (last,) = missed(product, 1)
    ids = missed(product, 500)
    with connect(product.live) as socket:
        say(socket, type="subscribe", restaurantId="OTHER", lastEventId=last)
        assert hear(socket)["success"] is True
        heard = [hear(socket)["event"]["id"] for _ in ids]
        # The relay may be publishing some right now; each still arrives once, and in order.
        assert heard == ids
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.5)
    missed(product, 1)
    with connect(product.live) as socket:
        say(socket, type="subscribe", restaurantId="OTHER", lastEventId=last)
        assert [hear(socket)["type"], until(socket, "resync")] == ["subscribed", {"type": "resync"}]


@pytest.mark.browser
def test_boards_catch_up_after_a_redis_outage(product: Product, signed_in: SignIn) -> None:
    boards = [open_board(signed_in(name), tomorrow()) for name in ("ana", "bea")]
    redis = product.services.redis
    with connect(product.live) as socket:
        say(socket, type="subscribe", restaurantId="OPEN")
        hear(socket)
        redis.kill()
        meanwhile = later(product, 20, tableIds=["OPEN-6"], guestName="While Away")
        redis.start()
        assert until(socket, "resync") == {"type": "resync"}
        after = later(product, 20.5, tableIds=["OPEN-6"], guestName="Back Again")
        assert until(socket, "booking-event")["event"]["data"]["id"] in (meanwhile["id"], after["id"])
    for board in boards:
        for made in (meanwhile, after):
            block(board, made).wait_for()


@pytest.mark.browser
def test_an_open_board_advances_to_the_new_day(product: Product, signed_in: SignIn) -> None:
    """When the server's date becomes tomorrow, a board that showed today shows tomorrow."""
    booking = product.book(date=tomorrow(), start=iso(quarter(5)), tableIds=["OPEN-6"], guestName="Next Day")
    board = open_board(signed_in())
    assert block(board, booking).count() == 0
    shown = board.input_value("#date")

    def as_tomorrow(route: Any) -> None:
        route.continue_(url=f"{route.request.url}&date={tomorrow()}")

    board.route("**/admin/floor/data?restaurant=OPEN", as_tomorrow)
    board.evaluate("window.live.refresh()")
    block(board, booking).wait_for()
    assert (shown, board.input_value("#date")) == (quarter(-24).date().isoformat(), tomorrow())
