"""What goes out to those who watch a restaurant live, and under which group names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from restaurants.models import Restaurant
from wokibrain.core import clock
from wokibrain.events.store import Envelope


def restaurant_group(restaurant_id: str) -> str:
    return f"restaurant.{_plain(restaurant_id)}"


def sector_group(sector_id: str) -> str:
    return f"sector.{_plain(sector_id)}"


def _plain(name: str) -> str:
    """The id itself, or a stand-in for one with a '~', which Channels does not take in a group's name.

    No id begins with '-', so a stand-in is never another's id.
    """
    return name if "~" not in name else f"-{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def message(event: Envelope, zone: ZoneInfo) -> dict[str, Any]:
    """The Channels message of an event; the same event may reach a socket by several groups and again later."""
    return {"type": "booking.event", "event": told(event, zone)}


def told(event: Envelope, zone: ZoneInfo) -> dict[str, Any]:
    """The event as a socket's client hears it, live or afterwards: by the restaurant's clock."""
    return {
        "type": event.event_type,
        "data": event.payload,
        "timestamp": clock.stamped(event.occurred_at, zone),
        "id": str(event.event_id),
    }


def zones_of(events: Iterable[Envelope]) -> Mapping[str, ZoneInfo]:
    """The zones of the restaurants that the events are of; UTC for one that is gone."""
    ids = {event.payload["restaurantId"] for event in events}
    known = Restaurant.objects.filter(pk__in=ids).values_list("pk", "zone")
    return dict.fromkeys(ids, ZoneInfo("UTC")) | {id_: clock.zone(name) for id_, name in known}


def groups_of(payload: Mapping[str, Any]) -> Sequence[str]:
    """Where an event is of interest, by its payload: its restaurant and its sector, and the sector it left."""
    sectors = [payload["sectorId"]]
    if (left := (payload.get("changes") or {}).get("sectorId")) is not None:
        sectors.append(left["from"])
    return [restaurant_group(payload["restaurantId"]), *map(sector_group, sectors)]
