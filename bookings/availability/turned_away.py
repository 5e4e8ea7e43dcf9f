"""How often a restaurant refused whom, and why: demand that left no booking and so no event.

Counted in Redis by the restaurant's date of asking: one hash a day, its fields a door and a reason,
gone after KEPT_DAYS. Every process adds to the same counts and reads them. A booking that is made asks
nothing here, and when Redis is away a refusal is not counted and answered all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """What was refused."""

    SEARCH = "search"
    BOOKING = "booking"
    WALK_IN = "walk_in"


@contextmanager
def counted(restaurant_id: str, door: Door) -> Iterator[None]:
    """Count a refusal that the block raises for want of room or hours; whatever it raises passes."""
    try:
        yield
    except (NoCapacity, Conflict, OutsideServiceWindow) as refusal:
        note(restaurant_id, door, refusal)
        raise


def note(restaurant_id: str, door: Door, refusal: DomainError) -> None:
    """Count one refusal of a restaurant that there is, by its reason, else by its code."""
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
    """Reason -> how often at each door, of the ``days`` dates up to ``last``; None when the counts are away.

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
    found: dict[str, Counter[Door]] = {}
    for each in hashes:
        for field, count in each.items():
            door, _, reason = field.decode().partition(":")
            found.setdefault(reason, Counter())[Door(door)] += int(count)
    return found


def _key(restaurant_id: str, day: date) -> str:
    return f"refused:{restaurant_id}:{day.isoformat()}"
