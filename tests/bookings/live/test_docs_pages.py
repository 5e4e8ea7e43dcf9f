"""The live channel's documents: the data file, the parts filled in by code, and the page."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
import yaml
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import Client

from bookings.event_types import BOOKING, TABLE
from bookings.live import asyncapi
from bookings.live.endpoint import application
from bookings.statuses import Status
from wokibrain.core.errors import Code
from wokibrain.events.types import event_types

pytestmark = pytest.mark.django_db
TO_SERVER = ["subscribe", "unsubscribe", "ping"]
TO_CLIENT = ["subscribed", "unsubscribed", "booking-event", "presence", "resync", "pong", "error"]


@pytest.mark.parametrize("root", ["", "/api/v1"])
def test_json_and_yaml_documents_name_the_host_that_serves_them(root: str) -> None:
    document = asyncapi.document("testserver")
    assert Client().get(f"{root}/asyncapi.json").json() == document
    assert yaml.safe_load(Client().get(f"{root}/asyncapi.yaml").content) == document
    assert document["info"]["version"] == settings.VERSION


def event_schemas() -> list[dict[str, Any]]:
    (message,) = (message for message in asyncapi.messages("tell") if message["name"] == "bookingEvent")
    schemas: list[dict[str, Any]] = message["payload"]["properties"]["event"]["oneOf"]
    return schemas


def test_the_document_lists_every_code_event_type_and_status() -> None:
    error = asyncapi.messages("tell")[-1]["payload"]["properties"]["error"]
    assert error["enum"] == [code.value for code in Code]
    booking, table = event_schemas()
    types = booking["properties"]["type"]["enum"] + table["properties"]["type"]["enum"]
    assert types == [event_type.name for event_type in event_types()]
    data = booking["properties"]["data"]["properties"]
    assert data["undoes"]["properties"]["eventType"]["enum"] == booking["properties"]["type"]["enum"]
    for topic, schema in ((BOOKING, booking), (TABLE, table)):
        for event_type in event_types(topic):
            assert schema["properties"]["data"]["required"] == list(event_type.fields)
    assert sorted(data["status"]["enum"]) == sorted(Status.values)


def test_the_page_shows_each_message_with_its_example() -> None:
    page = Client().get("/docs/websockets").content.decode()
    assert re.findall(r'<h3 id="\w+"><code>([\w-]+)</code></h3>', page) == TO_SERVER + TO_CLIENT
    assert page.count("<pre>") == len(TO_SERVER + TO_CLIENT)
    assert "&quot;reference&quot;: &quot;B7K2QX&quot;" in page


SOCKET_IO = "This is a WebSocket, not Socket.IO. Connect a plain WebSocket client to /ws/;"


@pytest.mark.parametrize("path", ["/ws/", "/ws"])
def test_a_poll_of_socket_io_is_told_where_to_go(path: str) -> None:
    answer = Client().get(f"{path}?EIO=4&transport=polling")
    assert answer.status_code == 400
    body = answer.json()
    assert (body["error"], body["detail"].partition(" /docs")[0]) == ("VALIDATION_ERROR", SOCKET_IO)
    spanish = Client().get(f"{path}?EIO=4", headers={"Accept-Language": "es"}).json()
    assert spanish["detail"].startswith("Esto es un WebSocket, no Socket.IO.")


def test_a_plain_request_to_the_websocket_is_told_that_it_is_one() -> None:
    answer = Client().get("/ws/")
    assert answer.status_code == 404
    assert (
        answer.json()["detail"] == "This is a WebSocket: connect to /ws/. /docs/websockets has its messages."
    )


def test_a_websocket_of_socket_io_is_refused_with_the_same_words() -> None:
    async def shake_hands() -> list[Any]:
        scope = {
            "type": "websocket",
            "path": "/ws/",
            "headers": [],
            "query_string": b"EIO=4&transport=websocket",
            "extensions": {"websocket.http.response": {}},
        }
        client: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
        for kind in ("connect", "disconnect", "disconnect"):
            await client.send_input({"type": f"websocket.{kind}"})
        return [await client.receive_output(), await client.receive_output()]

    start, body = asyncio.run(shake_hands())
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 400)
    assert json.loads(body["body"])["detail"].startswith(SOCKET_IO)
