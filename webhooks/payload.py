"""The bytes that a receiver reads: ``{event, data, timestamp, id}`` as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from webhooks.event_types import WebhookEvent
from wokibrain.core import clock

UTC: Final = ZoneInfo("UTC")
"""The zone of timestamps when the restaurant does not exist any more."""
PRIVATE_CHANGES: Final = frozenset({"guestId", "channel"})
"""Changes that receivers are not sent."""


def body(
    webhook_event: WebhookEvent, payload: Mapping[str, Any], *, event_id: UUID, at: datetime, zone: ZoneInfo
) -> bytes:
    """Return the bytes to send for an event with this payload. Raises KeyError if the payload lacks a field."""
    data = (
        _of_block(payload, at, zone)
        if webhook_event is WebhookEvent.TABLE_UNAVAILABLE
        else _of_booking(payload)
    )
    if webhook_event is WebhookEvent.BOOKING_UPDATED:
        changes = payload.get("changes") or {}
        data["changes"] = {
            name: _from_first(changes[name]) for name in _in_order(changes) if name not in PRIVATE_CHANGES
        }
    return envelope(webhook_event, data, event_id=event_id, at=at, zone=zone)


def envelope(
    webhook_event: WebhookEvent, data: Mapping[str, Any], *, event_id: UUID, at: datetime, zone: ZoneInfo
) -> bytes:
    return encode(
        {
            "event": webhook_event.value,
            "data": data,
            "timestamp": clock.iso_milliseconds(at, zone),
            "id": str(event_id),
        }
    )


def encode(message: Mapping[str, Any]) -> bytes:
    """Return ``message`` as JSON in UTF-8: the bytes of JavaScript's ``JSON.stringify``.

    A receiver that lost the raw body may then sign ``JSON.stringify(JSON.parse(body))`` instead. The two agree
    on what payloads hold: strings, integers within 2**53, booleans, null, lists, and objects whose keys are names.
    They differ on floats and on keys that look like array indices. Raises UnicodeEncodeError for a lone surrogate.
    """
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


FIELDS: Final = (
    "id", "restaurantId", "sectorId", "tableIds", "partySize", "start", "end", "durationMinutes", "status", "createdAt",
)  # fmt: skip


def _of_booking(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: payload[name] for name in FIELDS}


def _of_block(payload: Mapping[str, Any], at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Return a block in the shape of a booking: no party, one table, status UNAVAILABLE."""
    elapsed = datetime.fromisoformat(payload["end"]) - datetime.fromisoformat(payload["start"])
    return {
        "id": payload["blockId"],
        "restaurantId": payload["restaurantId"],
        "sectorId": payload["sectorId"],
        "tableIds": [payload["tableId"]],
        "partySize": None,
        "start": payload["start"],
        "end": payload["end"],
        "durationMinutes": round(elapsed.total_seconds() / 60),
        "status": "UNAVAILABLE",
        "createdAt": clock.iso_milliseconds(at, zone),
    }


def _in_order(changes: Mapping[str, Any]) -> list[str]:
    # jsonb does not keep the order of keys; this one is stable: as in data, then by name.
    return [name for name in FIELDS if name in changes] + sorted(set(changes) - set(FIELDS))


def _from_first(change: Any) -> Any:
    """Return ``{from, to}`` in this order, which jsonb does not keep either."""
    if not isinstance(change, Mapping):
        return change
    return {edge: change[edge] for edge in ("from", "to") if edge in change} | dict(change)


def sample(
    webhook_event: WebhookEvent, *, restaurant_id: str, event_id: UUID, at: datetime, zone: ZoneInfo
) -> bytes:
    """Return an example for a test delivery. Its id is all zeros, so that no receiver takes it for a booking."""
    start = datetime(2030, 1, 5, 20, 0, tzinfo=zone)
    data: dict[str, Any] = {
        "id": str(UUID(int=0)),
        "restaurantId": restaurant_id,
        "sectorId": "S1",
        "tableIds": ["T1"],
        "partySize": 4,
        "start": start.isoformat(),
        "end": start.replace(hour=21, minute=30).isoformat(),
        "durationMinutes": 90,
        "status": SAMPLE_STATUS.get(webhook_event, "CONFIRMED"),
        "createdAt": clock.iso_milliseconds(at, zone),
    }
    if webhook_event is WebhookEvent.TABLE_UNAVAILABLE:
        data["partySize"] = None
    if webhook_event is WebhookEvent.BOOKING_UPDATED:
        data["changes"] = {"partySize": {"from": 2, "to": 4}}
    return envelope(webhook_event, data, event_id=event_id, at=at, zone=zone)


SAMPLE_STATUS: Final = {
    WebhookEvent.BOOKING_CANCELLED: "CANCELLED",
    WebhookEvent.BOOKING_SEATED: "SEATED",
    WebhookEvent.BOOKING_COMPLETED: "COMPLETED",
    WebhookEvent.BOOKING_NO_SHOW: "NO_SHOW",
    WebhookEvent.TABLE_UNAVAILABLE: "UNAVAILABLE",
}
