"""What a client may subscribe to, and the events that it missed while it was away."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from bookings.live.messages import client_event, restaurant_group, sector_group
from restaurants.models import Restaurant, Sector
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission
from wokibrain.events import types
from wokibrain.events.envelope import Envelope
from wokibrain.events.models import StoredEvent

MAX_REPLAYED_EVENTS: Final = 500
"""A client that missed more reads the day anew over REST, which is cheaper for both sides."""
MAX_POSITIONS_BEFORE: Final = 1_000
"""How far before the last event seen to look for events published after it: positions commit out of order."""
MAX_POSITIONS_AFTER: Final = 20_000
"""Events of all restaurants to scan for those of one; no index tells them apart."""


def subscription(caller: Caller, restaurant_id: str | None, sector_id: str | None) -> tuple[str, str]:
    """Return the group to join and the id of its restaurant; one of the two ids must be set.

    Raises NotFound, and Forbidden or Unauthorized for a caller who may not read its bookings.
    """
    if sector_id is not None:
        owner = Sector.objects.filter(pk=sector_id).values_list("restaurant_id", flat=True).first()
        if owner is None or restaurant_id not in (None, owner):
            raise NotFound.at("sectorId")
        caller.require(Permission.BOOKING_READ, owner)
        return sector_group(sector_id), owner
    assert restaurant_id is not None, "the caller checks that one of the two ids is set"
    caller.require(Permission.BOOKING_READ, restaurant_id)
    if not Restaurant.objects.filter(pk=restaurant_id).exists():
        raise NotFound.at("restaurantId")
    return restaurant_group(restaurant_id), restaurant_id


def missed(last: UUID, restaurant_id: str, sector_id: str | None) -> list[dict[str, Any]] | None:
    """Return the events published after ``last``, oldest first; None if it is unknown or they are too many.

    The order of publication decides, not that of positions: the event of a slow transaction has an
    early position and is published late.
    """
    seen = StoredEvent.objects.filter(event_id=last).values("position", "published_at").first()
    if seen is None:
        return None
    newest = StoredEvent.objects.values_list("position", flat=True).latest("position")
    if newest - seen["position"] > MAX_POSITIONS_AFTER:
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
        position__gt=seen["position"] - MAX_POSITIONS_BEFORE,
        payload__restaurantId=restaurant_id,
        # Other aggregates, such as webhooks, have events in the same store.
        aggregate_type__in=types.topics(),
    ).order_by("position")
    if sector_id is not None:
        rows = rows.filter(Q(payload__sectorId=sector_id) | Q(payload__changes__sectorId__from=sector_id))
    events = list(rows[: MAX_REPLAYED_EVENTS + 1])
    if len(events) > MAX_REPLAYED_EVENTS:
        return None
    zone = Restaurant.objects.values_list("zone", flat=True).get(pk=restaurant_id)
    return [client_event(Envelope.from_row(event), clock.zone_or_utc(zone)) for event in events]
