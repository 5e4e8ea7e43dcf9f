"""The WebSocket of the contract, against the product's own processes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.e2e.conftest import Product
from tests.e2e.test_board import iso, quarter, tomorrow
from tests.processes import api_servers
from tests.waiting import PATIENCE


def say(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


def hear(socket: ClientConnection) -> dict[str, Any]:
    heard: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE))
    return heard


def later(product: Product, hours: float, **more: Any) -> dict[str, Any]:
    return product.book(date=tomorrow(), start=iso(quarter(hours)), durationMinutes=30, **more)


def test_a_client_subscribed_twice_gets_an_event_once(product: Product) -> None:
    with connect(product.live) as socket:
        say(socket, type="subscribe", restaurantId="OPEN")
        say(socket, type="subscribe", sectorId="OPEN-S")
        assert hear(socket) == {"type": "subscribed", "success": True, "restaurantId": "OPEN"}
        assert hear(socket) == {"type": "subscribed", "success": True, "sectorId": "OPEN-S"}
        made = [later(product, hours, tableIds=["OPEN-6"]) for hours in (1, 1.5)]
        events = [hear(socket) for _ in made]
        assert [each["type"] for each in events] == ["booking-event"] * 2
        assert [message["event"]["data"]["id"] for message in events] == [booking["id"] for booking in made]
        assert [message["event"]["type"] for message in events] == ["BookingCreated"] * 2
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)


def test_missed_events_are_sent_in_order(product: Product) -> None:
    with connect(product.live) as socket:
        say(socket, type="subscribe", restaurantId="OPEN")
        hear(socket)
        later(product, 2, tableIds=["OPEN-6"])
        last = hear(socket)["event"]["id"]
    missed = [later(product, hours, tableIds=["OPEN-6"])["id"] for hours in (2.5, 3, 3.5)]
    with connect(product.live) as socket:
        say(socket, type="subscribe", restaurantId="OPEN", sectorId="OPEN-S", lastEventId=last)
        assert hear(socket)["success"] is True
        assert [hear(socket)["event"]["data"]["id"] for _ in missed] == missed
        after = later(product, 4, tableIds=["OPEN-6"])["id"]
        assert hear(socket)["event"]["data"]["id"] == after


def test_an_unknown_last_event_id_makes_the_client_reload(product: Product) -> None:
    with connect(product.live) as socket:
        unknown = "00000000-0000-7000-8000-000000000000"
        say(socket, type="subscribe", restaurantId="OPEN", lastEventId=unknown)
        assert [hear(socket)["type"], hear(socket)] == ["subscribed", {"type": "resync"}]


def test_an_unsubscribed_client_gets_no_events(product: Product) -> None:
    with connect(product.live) as socket:
        say(socket, type="subscribe", restaurantId="OPEN")
        say(socket, type="unsubscribe", restaurantId="OPEN")
        hear(socket)
        assert hear(socket) == {"type": "unsubscribed", "success": True, "restaurantId": "OPEN"}
        later(product, 4.5, tableIds=["OPEN-6"])
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.5)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "subscribe"}, "VALIDATION_ERROR"),
        ({"type": "subscribe", "restaurantId": 7}, "VALIDATION_ERROR"),
        ({"type": "subscribe", "restaurantId": "NOPE"}, "NOT_FOUND"),
        ({"type": "subscribe", "restaurantId": "OTHER", "sectorId": "OPEN-S"}, "NOT_FOUND"),
        ({"type": "subscribe", "restaurantId": "OPEN", "lastEventId": "x"}, "VALIDATION_ERROR"),
        ({"type": "dance"}, "VALIDATION_ERROR"),
        ({"type": "x" * 5000}, "VALIDATION_ERROR"),
    ],
)
def test_an_invalid_message_is_answered_and_the_socket_stays_open(
    product: Product, message: dict[str, Any], code: str
) -> None:
    with connect(product.live) as socket:
        socket.send(json.dumps(message))
        assert hear(socket)["error"] == code
        say(socket, type="ping")
        assert hear(socket) == {"type": "pong"}


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"type":null}'])
def test_malformed_messages_are_answered_with_an_error(product: Product, text: str) -> None:
    with connect(product.live) as socket:
        socket.send(text)
        assert hear(socket)["error"] == "VALIDATION_ERROR"


def test_a_bad_token_is_refused_before_the_socket_opens(product: Product) -> None:
    for address, headers in (
        (f"{product.live}?token=wk_nonsense", {}),
        (product.live, {"Authorization": "Bearer wk_nonsense"}),
        (f"{product.live}?token=a", {"Authorization": "Bearer b"}),
    ):
        with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 401


def test_a_session_cookie_counts_only_from_our_own_origin(
    product: Product, signed_in: Callable[..., Any]
) -> None:
    page = signed_in("bea")
    key = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid")
    cookie = {"Cookie": f"sessionid={key}"}
    for origin in (Origin("https://evil.example"), None):
        with pytest.raises(InvalidStatus) as refused:
            connect(product.live, additional_headers=cookie, origin=origin, legacy=True)
        assert refused.value.response.status_code == 403
    with connect(product.live, additional_headers=cookie, origin=Origin(product.url)) as socket:
        say(socket, type="subscribe", restaurantId="OPEN")
        say(socket, type="subscribe", restaurantId="OTHER")
        assert hear(socket)["success"] is True
        assert hear(socket)["error"] == "NOT_FOUND"


def test_a_client_that_floods_is_disconnected(product: Product) -> None:
    heard = []
    with connect(product.live) as socket:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(60):
                say(socket, type="ping")
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard.append(hear(socket))
        assert socket.close_code == 4429
    assert heard[:40] == [{"type": "pong"}] * 40
    assert {each["error"] for each in heard[40:]} <= {"RATE_LIMIT_EXCEEDED"}


def test_a_stopping_server_closes_its_sockets_cleanly(product: Product) -> None:
    with (
        api_servers(1, services=product.services) as api,
        connect(api.urls[0].replace("http", "ws", 1) + "/ws/") as socket,
    ):
        say(socket, type="subscribe", restaurantId="OPEN")
        hear(socket)
        assert api.servers[0].stop() == 0
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
        assert socket.close_code == 1012
