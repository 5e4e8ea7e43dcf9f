"""Parties that a restaurant turned away, by door and reason: demand that left no booking and so no event.

Counted in Redis, one hash for each of the restaurant's dates, with a field for each door and reason; it expires after
KEPT_DAYS. All processes share the counts. A booking costs nothing here, and without Redis a refusal is answered
uncounted.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from redis import Redis

from bookings.availability import plan as plans
from wokibrain.core import clock
from wokibrain.core.callers import Caller
from wokibrain.core.errors import Conflict, DomainError, NoCapacity, OutsideServiceWindow
from wokibrain.core.permissions import Permission
from wokibrain.core.redis import Away, ask

KEPT_DAYS: Final = 28


class Door(StrEnum):
    """The way by which a party asked."""

    SEARCH = "search"
    BOOKING = "booking"
    WALK_IN = "walk_in"


TURNED_AWAY: Final = (NoCapacity, Conflict, OutsideServiceWindow)
"""The refusals that count: for want of tables or hours."""


def note(restaurant_id: str, door: Door, refusal: DomainError) -> None:
    """Count a refusal by its reason, else by its code. Raises NotFound for a restaurant that does not exist."""
    field = f"{door}:{refusal.reason or refusal.code}"
    key = _key(restaurant_id, clock.now().astimezone(plans.recent(restaurant_id).zone).date())

    def add(client: Redis) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.hincrby(key, field, 1)
            pipe.expire(key, timedelta(days=KEPT_DAYS))
            pipe.execute()

    with suppress(Away):
        ask(add)


def refused(
    *, caller: Caller, restaurant_id: str, last: date, days: int = KEPT_DAYS
) -> dict[str, Counter[Door]] | None:
    """Return reason -> door -> refusals on the ``days`` dates up to ``last``; None while Redis is away.

    Raises NotFound, Forbidden.
    """
    caller.require(Permission.ANALYTICS_READ, restaurant_id)
    keys = [_key(restaurant_id, last - timedelta(days=back)) for back in range(days)]

    def read(client: Redis) -> list[dict[bytes, bytes]]:
        with client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            return pipe.execute()

    try:
        hashes = ask(read)
    except Away:
        return None
    counts: dict[str, Counter[Door]] = {}
    for day in hashes:
        for field, count in day.items():
            door, _, reason = field.decode().partition(":")
            counts.setdefault(reason, Counter())[Door(door)] += int(count)
    return counts


def _key(restaurant_id: str, day: date) -> str:
    return f"refused:{restaurant_id}:{day.isoformat()}"
