"""A cached day is never stale, whatever kind of write changes it, in whichever process."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from bookings import metrics
from bookings.availability import cache
from bookings.models import Booking, DayVersion, Guest
from bookings.services.table_blocks import block_table, unblock_table
from restaurants.services.calendar import Hours
from tests.api import Api, make_restaurant
from wokibrain.core import build
from wokibrain.core.callers import SYSTEM
from wokibrain.core.redis import ask

EVENING = {"windowStart": "20:00", "windowEnd": "21:30", "partySize": 4, "limit": 50}


def free(api: Api) -> list[list[str]]:
    """Return the table sets offered in the example's evening: single tables, and T1 with T5."""
    tables = [candidate["tableIds"] for candidate in api.discover(**EVENING).body["candidates"]]
    return [table for table in tables if len(table) == 1 or table == ["T1", "T5"]]


def hits(layer: str) -> float:
    return float(metrics.CACHE_HITS.labels(layer)._value.get())


def misses() -> float:
    return float(metrics.CACHE_MISSES._value.get())


def test_a_response_is_computed_once(guest: Api) -> None:
    first, misses_before, hits_before = free(guest), misses(), hits("memory")
    assert first == [["T3"], ["T1", "T5"], ["T4"]]
    assert free(guest) == first
    assert (misses() - misses_before, hits("memory") - hits_before) == (0, 1)


def test_another_process_reads_it_from_redis(guest: Api) -> None:
    first = free(guest)
    cache._entries.clear()
    misses_before, hits_before = misses(), hits("redis")
    assert free(guest) == first
    assert (misses() - misses_before, hits("redis") - hits_before) == (0, 1)


@pytest.mark.parametrize("identity", ["another-build-2026f", "{code}-2025b"])
def test_another_build_or_another_release_of_zones_does_not_find_it(
    guest: Api, monkeypatch: pytest.MonkeyPatch, identity: str
) -> None:
    first = free(guest)
    code, release = build.identity().split("-")
    assert (len(code), release) == (12, "2026f")
    cache._entries.clear()
    with monkeypatch.context() as other:
        other.setattr(build, "identity", lambda: identity.format(code=code))
        misses_before = misses()
        assert free(guest) == first
        assert misses() - misses_before == 1
        cache._entries.clear()
    # Canary: the build itself does find it.
    hit = hits("redis")
    assert free(guest) == first
    assert hits("redis") - hit == 1


def test_after_redis_is_emptied_it_is_computed_again(guest: Api) -> None:
    first = free(guest)
    cache._entries.clear()
    ask(lambda client: client.flushdb())
    misses_before = misses()
    assert free(guest) == first
    assert misses() - misses_before == 1


@override_settings(DAY_CACHE=False)
def test_a_disabled_cache_keeps_nothing_in_memory(guest: Api) -> None:
    first, hit = free(guest), hits("memory")
    assert free(guest) == first
    assert hits("memory") == hit


@pytest.mark.usefixtures("evening")
def test_every_kind_of_write_is_in_the_next_read(staff: Api) -> None:
    assert free(staff) == [["T3"], ["T1", "T5"], ["T4"]]
    booking = staff.book(windowStart="20:00", windowEnd="21:30").body
    assert booking["tableIds"] == ["T3"]
    assert free(staff) == [["T1", "T5"], ["T4"]]
    assert staff.change(booking["reference"], tableIds=["T4"]).status == 200
    assert free(staff) == [["T3"], ["T1", "T5"]]
    assert staff.change(booking["reference"], date="2025-10-23").status == 200
    assert free(staff) == [["T3"], ["T1", "T5"], ["T4"]]
    assert staff.change(booking["reference"], date="2025-10-22", tableIds=["T3"]).status == 200
    assert free(staff) == [["T1", "T5"], ["T4"]]
    assert staff.step(booking["reference"], "no-show").status == 200
    assert free(staff) == [["T3"], ["T1", "T5"], ["T4"]]
    assert staff.step(booking["reference"], "seat").status == 200
    assert free(staff) == [["T1", "T5"], ["T4"]]
    assert staff.step(booking["reference"], "complete").status == 200
    assert staff.cancel("B1").status == 204
    assert free(staff)[0] == ["T2"]


def test_blocks_are_in_the_next_read(guest: Api) -> None:
    assert ["T3"] in free(guest)
    start, end = datetime(2025, 10, 22, 22, 0, tzinfo=UTC), datetime(2025, 10, 23, 4, 0, tzinfo=UTC)
    block = block_table(caller=SYSTEM, table_id="T3", start=start, end=end)
    assert ["T3"] not in free(guest)
    unblock_table(caller=SYSTEM, table_id="T3", block_id=str(block.id))
    assert ["T3"] in free(guest)


def test_a_direct_database_write_is_in_the_next_read(guest: Api) -> None:
    assert ["T3"] in free(guest)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bookings_allocation SET table_id = 'T3' WHERE table_id = 'T2'")
        cursor.execute("UPDATE bookings_booking SET table_ids = '{T3}' WHERE reference = 'B1'")
    assert ["T3"] not in free(guest)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM bookings_allocation")
    assert ["T3"] in free(guest)


def test_a_booking_past_midnight_is_in_the_next_dates_next_read(db: None) -> None:
    make_restaurant("N", hours=(Hours(time(0), time(0)),), max_duration=480)
    api = Api()
    early = {"restaurantId": "N", "sectorId": "N-S", "date": "2025-10-23", "windowEnd": "02:00"}
    assert api.discover(**early).body["candidates"][0]["start"].startswith("2025-10-23T00:00")
    late = {"restaurantId": "N", "sectorId": "N-S", "start": "2025-10-22T22:00:00-03:00"}
    assert api.book(**late, durationMinutes=120).status == 201
    assert api.discover(**early).status == 200
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bookings_allocation SET period = tstzrange(lower(period), upper(period) + interval '2 hours')"
        )
    assert api.discover(**early).status == 409


def names(api: Api) -> list[str | None]:
    reply = api.get("/woki/bookings", restaurantId="R1", sectorId="S1", date="2025-10-22")
    return [booking["guestName"] for booking in reply.body["bookings"]]


def test_a_list_shows_a_guest_renamed_or_erased_at_once(staff: Api) -> None:
    staff.change("B1", guestName="Ana")
    assert names(staff) == ["Ana"]
    Guest.objects.update(name="Eva")
    assert names(staff) == ["Eva"]
    Guest.objects.update(name="", email="", phone="", notes="")
    assert names(staff) == [None]


def test_a_cached_list_with_guests_is_not_served_to_a_caller_without_permission(staff: Api) -> None:
    staff.change("B1", guestName="Ana")
    assert (names(staff), names(Api()), names(staff)) == (["Ana"], [None], ["Ana"])


def kept_in_redis(client: Any) -> list[bytes]:
    return [value for name in client.scan_iter("day:*") for value in client.hvals(name)]


def test_guests_are_not_stored_in_redis(staff: Api) -> None:
    ask(lambda client: client.flushdb())
    staff.change("B1", guestName="Anastasia")
    assert names(staff) == ["Anastasia"]
    assert names(Api()) == [None]
    values = ask(kept_in_redis)
    assert len(values) == 1
    assert b"Anastasia" not in b"".join(values)


def test_a_day_number_is_never_reused(guest: Api) -> None:
    def number() -> int:
        return DayVersion.objects.get(sector_id="S1", service_date="2025-10-22").version

    numbers = [number()]
    for notes in ("a", "b", "a"):
        Booking.objects.update(notes=notes)
        numbers.append(number())
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("change", [{"windowEnd": "22:00"}, {"partySize": 2}, {"limit": 1}, {"duration": 60}])
def test_different_requests_get_different_responses(guest: Api, change: dict[str, Any]) -> None:
    first = guest.discover(**EVENING).body
    assert guest.discover(**EVENING | change).body != first
    assert guest.discover(**EVENING).body == first
