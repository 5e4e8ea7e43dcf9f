"""The live channel's documents: the data file, the parts filled in by code, and the page."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client

from bookings.event_types import BOOKING, TABLE
from bookings.live import asyncapi
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
