"""The live channel conforms to its AsyncAPI document, message by message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import jsonschema
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.pipeline import Pipeline
from tests.processes import ApiServer, Services, api_servers, manage, private_services
from tests.wokibrain.rest.test_openapi import strict

SET_UP = """
from datetime import timedelta
from importlib import import_module
from bookings.sample_data import example
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from wokibrain.access.keys import create_key
from wokibrain.core.callers import SYSTEM
example.example()
root = User.objects.create_superuser("root", first_name="Ana")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY] = str(root.pk)
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = root.get_session_auth_hash()
session.save()
print(create_key(caller=SYSTEM, name="live", role="super_admin")[1], session.session_key)
"""


@dataclass(frozen=True, slots=True)
class Live:
    """A server with a relay, an API key with every permission there, and a user's session."""

    url: str
    services: Services
    key: str
    session: str
    server: ApiServer

    @property
    def address(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws/"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        response = httpx.request(
            method, f"{self.url}/api/v1/{path}", json=body, headers={"X-API-Key": self.key}, timeout=20
        )
        assert response.status_code < 300, response.text
        return response.json() if response.content else None


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with private_services() as services:
        key, session = manage("shell", "-v0", "-c", SET_UP, environment=services.environment).split()
        with api_servers(1, services=services) as api, Pipeline(services) as pipeline:
            pipeline.start("relay")
            yield Live(api.urls[0], services, key, session, api.servers[0])


@dataclass(slots=True)
class Talk:
    """A socket that checks every message against the served document."""

    socket: ClientConnection
    document: dict[str, Any]
    types: set[str]

    def say(self, **message: Any) -> None:
        self._check("listen", message)
        self.socket.send(json.dumps(message))

    def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=20))
        self._check("tell", message)
        return message

    def hear_types(self, count: int) -> list[str]:
        """Return the next messages' types; of events, the event's type."""
        return [message.get("event", message)["type"] for message in (self.hear() for _ in range(count))]

    def _check(self, operation: str, message: dict[str, Any]) -> None:
        names = [
            reference["$ref"].rpartition("/")[2]
            for reference in self.document["operations"][operation]["messages"]
        ]
        schemas = [strict(self.document["components"]["messages"][name]["payload"]) for name in names]
        (schema,) = [schema for schema in schemas if schema["properties"]["type"]["const"] == message["type"]]
        checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        assert [error.message for error in checker.iter_errors(message)] == []
        self.types.add(message["type"])


def talk(live: Live, **headers: str) -> Talk:
    document = httpx.get(f"{live.url}/asyncapi.json").json()
    credentials = headers or {"X-API-Key": live.key}
    return Talk(
        connect(live.address, additional_headers=credentials, origin=Origin(live.url), legacy=True),
        document,
        set(),
    )


def test_every_live_message_is_in_the_document(live: Live) -> None:
    socket = talk(live)
    socket.say(type="ping")
    socket.say(type="subscribe", restaurantId="R1")
    assert socket.hear_types(2) == ["pong", "subscribed"]
    body = {"restaurantId": "R1", "date": "2031-05-06", "partySize": 2, "durationMinutes": 60}
    reply = live.call("POST", "woki/bookings", body | {"guestName": "Ana", "guestEmail": "ana@example.com"})
    path = f"woki/bookings/{reply['id']}"
    first = socket.hear()
    assert (first["event"]["type"], first["event"]["data"]["id"]) == ("BookingCreated", reply["id"])
    live.call("PATCH", path, {"partySize": 4, "notes": "x", "guestName": "Eva"})
    # A no-show is one from its start on, and a party is seated on its own day.
    late = live.call("POST", "woki/bookings", body | {"date": "2025-05-06"})
    live.call("POST", f"woki/bookings/{late['id']}/no-show")
    today = datetime.now(ZoneInfo("America/Argentina/Buenos_Aires")).date().isoformat()
    here = live.call("POST", "woki/bookings", body | {"date": today})
    live.call("POST", f"woki/bookings/{here['id']}/seat")
    live.call("POST", f"woki/bookings/{here['id']}/complete")
    live.call("DELETE", f"woki/bookings/{live.call('POST', 'woki/bookings', body)['id']}")
    live.call("POST", "tables/T5/blocks", {"start": "2031-05-07T12:00:00Z", "end": "2031-05-07T16:00:00Z"})
    live.call("DELETE", "tables/T5/blocks")
    after = [
        "BookingUpdated", "BookingCreated", "BookingNoShow", "BookingCreated", "BookingSeated",
        "BookingCompleted", "BookingCreated", "BookingCancelled", "TableBlocked", "TableUnblocked",
    ]  # fmt: skip
    assert socket.hear_types(len(after)) == after
    socket.say(type="unsubscribe", restaurantId="R1")
    socket.say(type="subscribe", restaurantId="R1", sectorId="S1", lastEventId=first["event"]["id"])
    assert socket.hear_types(2 + len(after)) == ["unsubscribed", "subscribed", *after]
    socket.say(type="subscribe", restaurantId="R1", lastEventId=str(uuid4()))
    socket.say(type="subscribe", restaurantId="NOPE")
    assert socket.hear_types(2) == ["subscribed", "resync"]
    assert socket.hear()["error"] == "NOT_FOUND"
    socket.socket.send('{"type":"dance"}')
    assert socket.hear()["type"] == "error"
    staff = talk(live, Cookie=f"sessionid={live.session}")
    staff.say(type="subscribe", restaurantId="R1", presence=True)
    assert staff.hear()["success"] is True
    assert staff.hear() == {"type": "presence", "restaurantId": "R1", "people": ["Ana"]}
    socket.socket.close()
    staff.socket.close()
    documented = {
        message["payload"]["properties"]["type"]["const"]
        for message in staff.document["components"]["messages"].values()
    }
    assert socket.types | staff.types == documented


def test_canary_an_undocumented_message_is_reported(live: Live) -> None:
    """The canary: a document without one property or message fails the check."""
    socket = talk(live)
    del socket.document["components"]["messages"]["subscribed"]["payload"]["properties"]["restaurantId"]
    socket.say(type="subscribe", restaurantId="R1")
    with pytest.raises(AssertionError, match="restaurantId"):
        socket.hear()
    socket.document["operations"]["tell"]["messages"].clear()
    socket.say(type="ping")
    with pytest.raises(ValueError, match="not enough values"):
        socket.hear()
    socket.socket.close()


def test_a_replay_contains_the_same_events_as_live(live: Live) -> None:
    """Webhook events are in the same store and must not appear here."""
    reply = live.call("POST", "webhooks", {
        "url": "https://example.com/hook", "events": ["booking.created"], "restaurantId": "R1",
    })  # fmt: skip
    socket = talk(live)
    socket.say(type="subscribe", restaurantId="R1")
    socket.hear()
    body = {"restaurantId": "R1", "date": "2031-06-06", "partySize": 2, "durationMinutes": 60}
    live.call("POST", "woki/bookings", body)
    last = socket.hear()["event"]["id"]
    give_up = (
        "from webhooks import health; from webhooks.models import Webhook; from django.db import transaction\n"
        "with transaction.atomic():\n"
        f"    health.deactivate(Webhook.objects.select_for_update().get(pk='{reply['id']}'), Webhook.Reason.GONE)"
    )
    manage("shell", "-v0", "-c", give_up, environment=live.services.environment)
    live.call("POST", "woki/bookings", body)
    assert socket.hear_types(1) == ["BookingCreated"]
    socket.socket.close()
    back = talk(live)
    back.say(type="subscribe", sectorId="S1", restaurantId="R1", lastEventId=last)
    assert back.hear_types(2) == ["subscribed", "BookingCreated"]
    back.say(type="ping")
    assert back.hear_types(1) == ["pong"]
    back.socket.close()


@pytest.mark.parametrize(
    ("query", "headers", "origin", "status"),
    [
        ("?" + "&".join(f"a{number}=1" for number in range(30)), {}, None, 401),
        ("?token=%00", {}, None, 401),
        ("?token=%C3%A9", {}, None, 401),
        ("?token=a&token=b", {}, None, 401),
        ("", {"Cookie": "sessionid=abcdefghij"}, "http://[", 403),
        ("", {"Cookie": 'sessionid="\\000abcdefghij"'}, "own", 401),
        ("", {"Authorization": "Bearer é"}, None, 401),
    ],
)
def test_an_unusual_handshake_is_answered(
    live: Live, query: str, headers: dict[str, str], origin: str | None, status: int
) -> None:
    origin_header = Origin(live.url if origin == "own" else origin) if origin else None
    try:
        with connect(live.address + query, additional_headers=headers, origin=origin_header) as socket:
            assert socket.response is not None
            code = socket.response.status_code
    except InvalidStatus as refused:
        code = refused.response.status_code
    assert code == status


def test_a_refused_handshake_is_answered_like_a_request(live: Live) -> None:
    request_id = str(uuid4())
    headers = {"X-API-Key": "wk_wrong", "Accept-Language": "es", "X-Request-ID": request_id}
    with pytest.raises(InvalidStatus) as refused, connect(live.address, additional_headers=headers):
        pass
    response = refused.value.response
    assert json.loads(response.body) == {
        "error": "UNAUTHORIZED",
        "detail": "Se necesitan credenciales válidas.",
        "requestId": request_id,
    }
    response_headers = {
        name: response.headers[name] for name in ("X-Request-ID", "Content-Language", "Content-Type")
    }
    assert response_headers == {
        "X-Request-ID": request_id,
        "Content-Language": "es",
        "Content-Type": "application/json",
    }
    foreign = Origin("http://elsewhere.example")
    cookie = {"Cookie": f"sessionid={live.session}"}
    with pytest.raises(InvalidStatus), connect(live.address, additional_headers=cookie, origin=foreign):
        pass
    assert "ASGI callable" not in live.server.output()


def test_an_error_has_the_handshakes_request_id_and_language(live: Live) -> None:
    request_id = str(uuid4())
    spanish = talk(live, **{"X-API-Key": live.key, "Accept-Language": "es", "X-Request-ID": request_id})
    english = talk(live)
    messages = []
    for conversation in (spanish, english):
        conversation.socket.send('{"type":"dance"}')
        messages.append(conversation.hear())
        conversation.say(type="subscribe", restaurantId="NOPE")
        messages.append(conversation.hear())
    ids = [UUID(message["requestId"]) for message in messages]
    assert ids[0] == ids[1] == UUID(request_id) != ids[2] == ids[3]
    assert [message["detail"] for message in messages] == [
        "Se esperaba uno de: subscribe, unsubscribe, ping.",
        "No existe o no tienes acceso.",
        "Expected one of: subscribe, unsubscribe, ping.",
        "Not found, or you do not have access to it.",
    ]
    spanish.socket.close()
    english.socket.close()
