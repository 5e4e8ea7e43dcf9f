"""The AsyncAPI 3.0 document of the live channel, /ws/: what a client sends and what it is sent."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from django.conf import settings

from wokibrain.core.errors import Code
from wokibrain.events.types import EventType, Topic

SUBSCRIPTION: Final = {"restaurantId": "R1", "sectorId": "S1"}
EVENT_ID: Final = "019a0b5e-6d2a-7c3f-9a41-0c5d8e7f1b22"
NAME: Final = {"type": "string", "minLength": 1, "maxLength": 50}
PLACE: Final = {
    "restaurantId": NAME | {"description": "A restaurant, all its sectors."},
    "sectorId": NAME | {"description": "One sector; with its restaurant or alone."},
}
BOOKING: Final = {
    "id": "019a0b5e-6d2a-7c3f-9a41-000000000001",
    "reference": "B7K2QX",
    "restaurantId": "R1",
    "sectorId": "S1",
    "tableIds": ["T2"],
    "serviceDate": "2025-10-22",
    "partySize": 3,
    "start": "2025-10-22T20:30:00-03:00",
    "end": "2025-10-22T21:15:00-03:00",
    "durationMinutes": 45,
    "status": "CONFIRMED",
    "channel": "api",
    "guestId": None,
    "createdAt": "2025-10-20T09:00:00.000-03:00",
}
BLOCK: Final = {
    "restaurantId": "R1",
    "sectorId": "S1",
    "tableId": "T2",
    "blockId": "019a0b5e-6d2a-7c3f-9a41-000000000002",
    "start": "2025-10-22T12:00:00-03:00",
    "end": "2025-10-22T16:00:00-03:00",
}


def _events_of(topic: Topic) -> list[str]:
    return [each.value for each in EventType if each.startswith(topic.value.capitalize())]


def _message(
    name: str,
    summary: str,
    properties: dict[str, Any],
    required: list[str],
    example: dict[str, Any],
    *,
    kind: str | None = None,
    any_of: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    said = kind or name
    payload: dict[str, Any] = {
        "type": "object",
        "required": ["type", *required],
        "properties": {"type": {"const": said}} | properties,
    }
    if any_of:
        payload["anyOf"] = any_of
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": payload,
        "examples": [{"name": name, "payload": {"type": said} | example}],
    }


ONE_OF_BOTH: Final = [{"required": ["restaurantId"]}, {"required": ["sectorId"]}]
PROBLEM: Final = {
    "error": {"enum": [each.value for each in Code]},
    "detail": {"type": "string"},
    "requestId": {"type": "string", "format": "uuid"},
    "issues": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["path", "message"],
            "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
TEXT: Final = {"type": "string"}
INSTANT: Final = {"type": "string", "format": "date-time"}
UUID: Final = {"type": "string", "format": "uuid"}
WHOLE: Final = {"type": "integer"}
BOOKING_DATA: Final = {
    "type": "object",
    "description": "The booking after the event; it names the guest by id only.",
    "required": list(BOOKING),
    "properties": {
        "id": UUID,
        "reference": TEXT,
        "restaurantId": TEXT,
        "sectorId": TEXT,
        "tableIds": {"type": "array", "items": TEXT},
        "serviceDate": {"type": "string", "format": "date"},
        "partySize": WHOLE,
        "start": INSTANT,
        "end": INSTANT,
        "durationMinutes": WHOLE,
        "status": {"enum": ["CONFIRMED", "SEATED", "COMPLETED", "CANCELLED", "NO_SHOW"]},
        "channel": TEXT,
        "guestId": {"anyOf": [UUID, {"type": "null"}]},
        "createdAt": INSTANT,
        "changes": {
            "type": "object",
            "description": "With BookingUpdated: field -> from and to; values of personal fields are left out.",
            "additionalProperties": {
                "type": "object",
                "required": ["from", "to"],
                "properties": {"from": {}, "to": {}, "redacted": {"const": True}},
            },
        },
        "reason": TEXT | {"description": "With BookingCancelled."},
        "undoes": {
            "type": "object",
            "description": "The event of this booking that staff took back with this one.",
            "required": ["version", "eventType"],
            "properties": {"version": WHOLE, "eventType": {"enum": _events_of(Topic.BOOKING)}},
        },
        "swappedWith": {
            "type": "object",
            "description": "The booking it changed tables with, and the version that has by it.",
            "required": ["id", "version"],
            "properties": {"id": UUID, "version": WHOLE},
        },
    },
}
BLOCK_DATA: Final = {
    "type": "object",
    "description": "The interval for which the table is, or was, out of service.",
    "required": list(BLOCK),
    "properties": {
        "restaurantId": TEXT,
        "sectorId": TEXT,
        "tableId": TEXT,
        "blockId": UUID,
        "start": INSTANT,
        "end": INSTANT,
    },
}


def _event(types: list[str], data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "data", "timestamp", "id"],
        "properties": {"type": {"enum": types}, "data": data, "timestamp": INSTANT, "id": UUID},
    }


EVENT: Final = {
    "oneOf": [_event(_events_of(Topic.BOOKING), BOOKING_DATA), _event(_events_of(Topic.TABLE), BLOCK_DATA)]
}

SENT: Final = [
    _message(
        "subscribe",
        "Follow a restaurant or a sector. With `lastEventId`, first what was missed since.",
        PLACE
        | {
            "lastEventId": UUID,
            "presence": {
                "type": "boolean",
                "description": "Of signed-in staff, with a restaurant: be seen by the others there, and see them.",
            },
        },
        [],
        SUBSCRIPTION,
        any_of=ONE_OF_BOTH,
    ),
    _message("unsubscribe", "Follow it no longer.", PLACE, [], SUBSCRIPTION, any_of=ONE_OF_BOTH),
    _message("ping", "Answered with a pong.", {}, [], {}),
]
RECEIVED: Final = [
    _message(
        "subscribed",
        "The answer to subscribe; with `success` false it says why not.",
        {"success": {"type": "boolean"}} | PLACE | PROBLEM,
        ["success"],
        {"success": True} | SUBSCRIPTION,
    ),
    _message(
        "unsubscribed",
        "The answer to unsubscribe.",
        {"success": {"type": "boolean"}} | PLACE | PROBLEM,
        ["success"],
        {"success": True} | SUBSCRIPTION,
    ),
    _message(
        "bookingEvent",
        "A booking changed, or a table went out of service or back. Once for each event, however many "
        "subscriptions it matches.",
        {"event": EVENT},
        ["event"],
        {
            "event": {
                "type": "BookingCreated",
                "data": BOOKING,
                "timestamp": "2025-10-20T09:00:00.000-03:00",
                "id": EVENT_ID,
            }
        },
        kind="booking-event",
    ),
    _message(
        "presence",
        "Who of the staff has this restaurant's board open, for those who asked to be seen.",
        {"restaurantId": NAME, "people": {"type": "array", "items": TEXT}},
        ["restaurantId", "people"],
        {"restaurantId": "R1", "people": ["Ana"]},
    ),
    _message("resync", "More was missed than is sent again: read the day anew, over REST.", {}, [], {}),
    _message("pong", "The answer to ping.", {}, [], {}),
    _message(
        "error",
        "A message that was not understood or not allowed.",
        PROBLEM,
        ["error", "detail", "requestId"],
        {
            "error": "VALIDATION_ERROR",
            "detail": "Expected a JSON object with a type.",
            "requestId": EVENT_ID,
        },
    ),
]


def document(host: str = "localhost:8000", *, secure: bool = False) -> dict[str, Any]:
    """The document, for who reads it at that host, by TLS or not."""
    server = _document()["servers"]["here"] | {"host": host, "protocol": "wss" if secure else "ws"}
    return _document() | {"servers": {"here": server}}


@cache
def _document() -> dict[str, Any]:
    """What is the same everywhere, made once a process."""

    def references(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/live/messages/{each['name']}"} for each in messages]

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "WokiBrain live",
            "version": settings.VERSION,
            "description": "Bookings as they change, over WebSocket. Credentials come as the header "
            "`Authorization: Bearer ...` or `X-API-Key`, as `?token=`, or as the staff's session cookie, which counts "
            "from a page of this address only: with another `Origin`, or without one, the handshake is refused (403). "
            "An error bears the `requestId` of the handshake and is said in the language of its `Accept-Language`.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "description": "The address of the API; wss where it is served with TLS.",
                "security": [{"$ref": f"#/components/securitySchemes/{each}"} for each in SCHEMES],
            }
        },
        "channels": {
            "live": {
                "address": "/ws/",
                "summary": "One socket, as many subscriptions as fifty.",
                "messages": {each["name"]: {"$ref": f"#/components/messages/{each['name']}"} for each in ALL},
            }
        },
        "operations": {
            "listen": {
                "action": "receive",
                "channel": {"$ref": "#/channels/live"},
                "summary": "What the server takes from a client.",
                "messages": references(SENT),
            },
            "tell": {
                "action": "send",
                "channel": {"$ref": "#/channels/live"},
                "summary": "What the server sends to a client.",
                "messages": references(RECEIVED),
            },
        },
        "components": {
            "messages": {each["name"]: each for each in ALL},
            "securitySchemes": SCHEMES,
        },
    }


ALL: Final = SENT + RECEIVED
SCHEMES: Final[dict[str, dict[str, str]]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or an access token."},
    "key": {"type": "httpApiKey", "in": "header", "name": "X-API-Key"},
    "token": {"type": "httpApiKey", "in": "query", "name": "token"},
}
