"""The messages of the live channel, and the names of the Channels groups that they go to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from restaurants.models import Restaurant
from wokibrain.core import clock
from wokibrain.events.envelope import Envelope


def restaurant_group(restaurant_id: str) -> str:
    return f"restaurant.{_plain(restaurant_id)}"


def sector_group(sector_id: str) -> str:
    return f"sector.{_plain(sector_id)}"


def _plain(name: str) -> str:
    """Return the id, or a hash in place of one with a "~", which Channels does not allow in a group's name.

    No id begins with "-", so a hash never equals another id.
    """
    return name if "~" not in name else f"-{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def message(event: Envelope, zone: ZoneInfo) -> dict[str, Any]:
    """Return the Channels message of an event. A socket may get it from several groups, and again later."""
    return {"type": "booking.event", "event": client_event(event, zone)}


def client_event(event: Envelope, zone: ZoneInfo) -> dict[str, Any]:
    """Return the event as clients get it, live or when they catch up: its time on the restaurant's clock."""
    return {
        "type": event.event_type,
        "data": event.payload,
        "timestamp": clock.iso_milliseconds(event.occurred_at, zone),
        "id": str(event.event_id),
    }


def zones_of(events: Iterable[Envelope]) -> Mapping[str, ZoneInfo]:
    """Return the time zone of each event's restaurant, by id; UTC for a restaurant that was deleted."""
    ids = {event.payload["restaurantId"] for event in events}
    zones = Restaurant.objects.filter(pk__in=ids).values_list("pk", "zone")
    return dict.fromkeys(ids, ZoneInfo("UTC")) | {id_: clock.zone_or_utc(name) for id_, name in zones}


def groups_of(payload: Mapping[str, Any]) -> Sequence[str]:
    """Return the groups that an event goes to: its restaurant, its sector, and the sector that it left."""
    sectors = [payload["sectorId"]]
    if (left := (payload.get("changes") or {}).get("sectorId")) is not None:
        sectors.append(left["from"])
    return [restaurant_group(payload["restaurantId"]), *map(sector_group, sectors)]
