"""What a socket may hear, and what it missed while it was away."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from bookings.live.messages import restaurant_group, sector_group, told
from restaurants.models import Restaurant, Sector
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import NotFound
from wokibrain.core.permissions import Permission
from wokibrain.events import types
from wokibrain.events.models import StoredEvent
from wokibrain.events.store import Envelope

REPLAYED: Final = 500
REPLAY_REACH: Final = 1_000
"""How far before the last event seen one may lie that was published after it: ids commit out of order."""


REPLAY_SPAN: Final = 20_000
"""Events of all restaurants that are looked through at most for those of one: no index knows them apart."""


def wanted_groups(caller: Caller, restaurant_id: str | None, sector_id: str | None) -> tuple[str, str]:
    """The group to join and the restaurant it is of. Raises NotFound, Forbidden, Unauthorized."""
    if sector_id is not None:
        owner = Sector.objects.filter(pk=sector_id).values_list("restaurant_id", flat=True).first()
        if owner is None or restaurant_id not in (None, owner):
            raise NotFound.at("sectorId")
        caller.require(Permission.BOOKING_READ, owner)
        return sector_group(sector_id), owner
    assert restaurant_id is not None, "one of the two is given"
    caller.require(Permission.BOOKING_READ, restaurant_id)
    if not Restaurant.objects.filter(pk=restaurant_id).exists():
        raise NotFound.at("restaurantId")
    return restaurant_group(restaurant_id), restaurant_id


def missed(last: UUID, restaurant_id: str, sector_id: str | None) -> list[dict[str, Any]] | None:
    """The events handed on after ``last``, oldest first; None where that is unknown or too much.

    The relay's order counts, not that of positions: a slow transaction's event has an early position
    and is handed on late.
    """
    seen = StoredEvent.objects.filter(event_id=last).values("position", "published_at").first()
    if seen is None:
        return None
    newest = StoredEvent.objects.values_list("position", flat=True).latest("position")
    if newest - seen["position"] > REPLAY_SPAN:
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
        position__gt=seen["position"] - REPLAY_REACH,
        payload__restaurantId=restaurant_id,
        # Not what other aggregates keep in the same store, as webhooks do.
        aggregate_type__in=types.topics(),
    ).order_by("position")
    if sector_id is not None:
        rows = rows.filter(Q(payload__sectorId=sector_id) | Q(payload__changes__sectorId__from=sector_id))
    found = list(rows[: REPLAYED + 1])
    if len(found) > REPLAYED:
        return None
    zone = Restaurant.objects.values_list("zone", flat=True).get(pk=restaurant_id)
    return [told(Envelope.from_row(each), clock.zone(zone)) for each in found]
