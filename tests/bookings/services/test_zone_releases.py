"""From one release of the world's rules to the next: a year of dinners in the five zones that moved between them.

``tests/zoneinfo-2025b`` holds these zones as the package tzdata 2025.2 has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path

import pytest

from bookings.models import Booking
from bookings.services import zones as service
from restaurants.services.calendar import Hours
from restaurants.services.zones import record_release
from tests.api import Api, Reply, api_as, make_restaurant
from tests.zones import rules
from wokibrain.core import clock, env
from wokibrain.events import invariants

pytestmark = pytest.mark.django_db

OLDER: Path = env.ROOT / "tests" / "zoneinfo-2025b"
ZONES = {
    "VAN": "America/Vancouver",
    "EDM": "America/Edmonton",
    "WIN": "America/Winnipeg",
    "CAS": "Africa/Casablanca",
    "HAV": "America/Havana",
}
DAYS = ("2026-12-15", "2027-03-13", "2027-07-15", "2027-11-06")
"""In winter, in summer, and on the nights before the clocks change in North America; in Cuba they do at midnight."""
CLOCKS = ("20:00", "21:00", "23:30")

MOVED = {
    "America/Vancouver": 6, "America/Edmonton": 6, "America/Winnipeg": 6, "America/Havana": 6, "Africa/Casablanca": 9,
}  # fmt: skip
"""How many of the twelve dinners in each zone have other instants by the newer rules."""


def book(api: Api, restaurant_id: str, day: str, wall: str) -> Reply:
    """Ask for the restaurant's one table at a wall time, by the rules in force."""
    start = datetime.fromisoformat(f"{day}T{wall}").replace(tzinfo=clock.zone(ZONES[restaurant_id]))
    return api.book(
        restaurantId=restaurant_id, sectorId=f"{restaurant_id}-S", date=day, partySize=2, durationMinutes=60,
        start=start.isoformat(), tableIds=[f"{restaurant_id}-T"],
    )  # fmt: skip


def dinners() -> Iterator[tuple[str, str, str]]:
    return ((restaurant_id, day, wall) for restaurant_id in ZONES for day in DAYS for wall in CLOCKS)


@pytest.fixture
def api(db: None) -> Api:
    for restaurant_id, zone in ZONES.items():
        make_restaurant(restaurant_id, zone=zone, hours=(Hours(time(18), time(2)),), tables={"T": (1, 4)})
    record_release("2025b")
    return api_as()


@pytest.fixture
def promised(api: Api) -> dict[str, str]:
    """Return the start that each guest was told by the older rules, by reference."""
    with rules(OLDER):
        replies = [book(api, *dinner) for dinner in dinners()]
    assert {reply.status for reply in replies} == {201}
    return {reply.body["reference"]: reply.body["start"] for reply in replies}


def told(api: Api, promised: dict[str, str]) -> dict[str, str]:
    return {reference: api.get(f"/woki/bookings/{reference}").body["start"] for reference in promised}


def wall_times(starts: dict[str, str]) -> dict[str, str]:
    return {reference: start[:16] for reference, start in starts.items()}


def test_what_was_told_stays_told_and_is_told_to_nobody_else(api: Api, promised: dict[str, str]) -> None:
    assert told(api, promised) == promised
    assert {book(api, *dinner).status for dinner in dinners()} == {409}
    assert Counter(move.zone for move in service.pending()) == MOVED
    moves = service.apply()
    assert (Counter(move.zone for move in moves), {move.problem for move in moves}) == (MOVED, {None})
    applied = told(api, promised)
    assert wall_times(applied) == wall_times(promised)
    assert sum(applied[reference] != promised[reference] for reference in promised) == sum(MOVED.values())
    assert [name for name, check in invariants._checks.items() if check()] == []
    assert {book(api, *dinner).status for dinner in dinners()} == {409}


def test_canary_without_promises_guests_would_come_at_another_time(
    api: Api, promised: dict[str, str]
) -> None:
    Booking.objects.update(promised_start=None, promised_zone=None, promised_fold=None)
    read_anew = wall_times(told(api, promised))
    changed = [reference for reference in promised if read_anew[reference] != promised[reference][:16]]
    assert len(changed) == sum(MOVED.values())
