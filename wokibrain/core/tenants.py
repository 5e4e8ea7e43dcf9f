"""What code that knows a restaurant only by its id may ask about it. The app of restaurants answers."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

ZoneOf = Callable[[str], ZoneInfo | None]

_zone_of: ZoneOf | None = None


def register(zone_of: ZoneOf) -> None:
    """Have ``zone_of`` answer for every restaurant. The app of restaurants calls this once, in ``ready()``."""
    global _zone_of
    _zone_of = zone_of


def zone_of(restaurant_id: str) -> ZoneInfo | None:
    """Return the restaurant's time zone; None where there is no such restaurant (any more)."""
    assert _zone_of is not None, "no app registered the zones of restaurants"
    return _zone_of(restaurant_id)
