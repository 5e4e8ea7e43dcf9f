"""Instants follow new time-zone rules, the wall times that were promised stay, and what no longer fits is listed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from bookings.models import Allocation, Booking, TableBlock
from bookings.repository import promises
from bookings.repository.records import Promise, plain_offset
from bookings.services import zones as service
from bookings.services.table_blocks import block_table
from bookings.services.walk_in import WalkIn, seat_walk_in
from restaurants.models import ServiceWindow, ZoneRelease
from restaurants.selectors import derived_with
from restaurants.services.calendar import Hours
from restaurants.services.zones import record_release
from tests.api import Api, api_as, events_of, make_restaurant
from tests.zones import OLDER, rules, zone_folder
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.events import invariants

pytestmark = pytest.mark.django_db

VANCOUVER = "America/Vancouver"
DAY = "2031-01-15"
SPRING = "2031-03-09"
"""In Los Angeles the clocks go from 2:00 to 3:00 on this night."""
PROMISES = "what is to come stands at the wall time that was promised"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    return zone_folder(tmp_path / "older", "2025b", OLDER)


@pytest.fixture
def staff(db: None) -> Api:
    make_restaurant(
        "V",
        zone=VANCOUVER,
        hours=(Hours(time(18), time(23)), Hours(time(0), time(6))),
        tables={"T": (1, 4), "U": (1, 4)},
    )
    record_release("2025b")
    return api_as()


def book(
    staff: Api, clock: str, table: str = "V-T", offset: str = "-08:00", day: str = DAY
) -> dict[str, Any]:
    reply = staff.book(
        restaurantId="V", sectorId="V-S", date=day, partySize=2, durationMinutes=60,
        start=f"{day}T{clock}:00{offset}", tableIds=[table],
    )  # fmt: skip
    assert reply.status == 201, reply.body
    return dict(reply.body)


def starts(staff: Api, *bookings: dict[str, Any]) -> list[str]:
    return [staff.get(f"/woki/bookings/{booking['id']}").body["start"] for booking in bookings]


def problems(moves: list[service.Move]) -> list[tuple[str, str | None]]:
    return [(move.name, move.problem) for move in moves]


def wrong() -> dict[str, int | list[str]]:
    return {name: count for name, check in invariants._checks.items() if (count := check())}


def test_neighbours_move_together_and_each_says_so(staff: Api, older: Path) -> None:
    with rules(older):
        first, second = book(staff, "20:00"), book(staff, "21:00")
    assert wrong() == {PROMISES: 2}
    assert [move.instant for move in service.pending()] == [
        datetime(2031, 1, 16, hour, tzinfo=UTC) for hour in (3, 4)
    ]
    assert starts(staff, first, second) == [f"{DAY}T20:00:00-08:00", f"{DAY}T21:00:00-08:00"]
    assert problems(service.apply()) == [(first["reference"], None), (second["reference"], None)]
    assert starts(staff, first, second) == [f"{DAY}T20:00:00-07:00", f"{DAY}T21:00:00-07:00"]
    for booking in (first, second):
        latest = events_of(booking["id"])[-1]
        assert (latest.event_type, latest.version, latest.payload["reason"]) == (
            "BookingUpdated", 2, "zone-rules",
        )  # fmt: skip
        assert set(latest.payload["changes"]) == {"start", "end"}
    assert (wrong(), derived_with(), service.pending()) == ({}, "2026f", [])
    assert set(Allocation.objects.values_list("utc_offset", flat=True)) == {-7 * 3600}


def test_applying_again_changes_nothing(staff: Api, older: Path) -> None:
    with rules(older):
        booking = book(staff, "20:00")
    service.apply()
    assert service.apply() == []
    assert len(events_of(booking["id"])) == 2


def test_rules_that_come_back_bring_the_instants_back(staff: Api, older: Path) -> None:
    with rules(older):
        booking = book(staff, "20:00")
    service.apply()
    with rules(older):
        service.apply()
        assert starts(staff, booking) == [f"{DAY}T20:00:00-08:00"]
        assert (wrong(), derived_with()) == ({}, "2025b")


def test_an_hour_that_does_not_exist_keeps_its_table_and_is_flagged_once(staff: Api, tmp_path: Path) -> None:
    fixed = zone_folder(tmp_path / "fixed", "2025b", {VANCOUVER: "Etc/GMT+8"})
    changing = zone_folder(tmp_path / "changing", "2026g", OLDER)
    with rules(fixed):
        booking = book(staff, "02:30", day=SPRING)
    with rules(changing):
        for _ in range(2):
            (move,) = service.apply()
            assert (move.name, move.instant) == (booking["reference"], None)
            assert move.problem == "this hour does not exist by the new rules"
            row = Booking.objects.get(pk=booking["id"])
            assert (row.attention, row.start) == (["zone"], datetime(2031, 3, 9, 10, 30, tzinfo=UTC))
        assert len(events_of(booking["id"])) == 2
        assert Allocation.objects.get(booking=row).active
        assert wrong() == {}
        assert starts(staff, booking) == [f"{SPRING}T02:30:00-08:00"]
    with rules(fixed):
        assert service.apply() == []


def test_a_table_taken_at_the_new_instant_stays_and_both_keep_their_seat(staff: Api, older: Path) -> None:
    with rules(older):
        first = book(staff, "20:00")
    # As one that was made across a change of the clock: only its instants hold its table.
    Allocation.objects.update(utc_offset=None)
    second = book(staff, "20:00", offset="-07:00")
    assert problems(service.apply()) == [(first["reference"], "its table is taken at the new instant")]
    assert starts(staff, first, second) == [f"{DAY}T20:00:00-08:00", f"{DAY}T20:00:00-07:00"]
    assert staff.get(f"/woki/bookings/{first['id']}").body["attention"] == ["zone"]
    assert staff.cancel(second["reference"]).status == 204
    assert problems(service.apply()) == [(first["reference"], None)]
    assert staff.get(f"/woki/bookings/{first['id']}").body["attention"] == []
    assert wrong() == {}


def test_what_lies_outside_the_hours_moves_and_is_flagged(staff: Api, older: Path) -> None:
    with rules(older):
        booking = book(staff, "20:00")
    ServiceWindow.objects.filter(opens=time(18)).delete()
    assert problems(service.apply()) == [(booking["reference"], "it lies outside of the opening hours")]
    assert starts(staff, booking) == [f"{DAY}T20:00:00-07:00"]
    assert staff.get(f"/woki/bookings/{booking['id']}").body["attention"] == ["zone"]


def test_a_block_moves_with_its_wall_times_and_one_that_began_only_ends_anew(staff: Api, older: Path) -> None:
    start = datetime(2031, 1, 16, 4, tzinfo=UTC)
    with rules(older):
        for table in ("V-T", "V-U"):
            block_table(caller=SYSTEM, table_id=table, start=start, end=start + timedelta(hours=2))
    TableBlock.objects.filter(table="V-U").update(start=start - timedelta(days=3000))
    Allocation.objects.filter(table="V-U").update(
        period=(start - timedelta(days=3000), start + timedelta(hours=2))
    )
    assert problems(service.apply()) == [("V-U", None), ("V-T", None)]
    coming, current = (TableBlock.objects.get(table=table) for table in ("V-T", "V-U"))
    assert (coming.start, coming.end) == (start - timedelta(hours=1), start + timedelta(hours=1))
    assert (current.start, current.end) == (start - timedelta(days=3000), start + timedelta(hours=1))
    latest = events_of("V-T")[-1]
    assert (latest.event_type, latest.payload["reason"], latest.payload["start"]) == (
        "TableBlocked", "zone-rules", f"{DAY}T20:00:00-07:00",
    )  # fmt: skip
    assert service.pending() == []


def test_a_missing_promise_is_read_from_what_the_guest_was_told(staff: Api, older: Path) -> None:
    with rules(older):
        booking = book(staff, "20:00")
        block_table(
            caller=SYSTEM,
            table_id="V-U",
            start=datetime(2031, 1, 16, 4, tzinfo=UTC),
            end=datetime(2031, 1, 16, 6, tzinfo=UTC),
        )
    Booking.objects.update(promised_start=None, promised_zone=None, promised_fold=None)
    TableBlock.objects.update(
        promised_start=None,
        promised_start_fold=None,
        promised_end=None,
        promised_end_fold=None,
        promised_zone=None,
    )
    Allocation.objects.update(utc_offset=None)
    ZoneRelease.objects.all().delete()
    assert wrong() == {PROMISES: 2}
    assert (promises.complete(), promises.complete()) == (2, 0)
    row = Booking.objects.get(pk=booking["id"])
    assert (row.promised_start, row.promised_zone, row.promised_fold) == (
        datetime.fromisoformat(f"{DAY}T20:00"), VANCOUVER, 0,
    )  # fmt: skip
    block = TableBlock.objects.get()
    assert [block.promised_start, block.promised_end] == [
        datetime.fromisoformat(f"{DAY}T20:00"),
        datetime.fromisoformat(f"{DAY}T22:00"),
    ]
    assert set(Allocation.objects.values_list("utc_offset", flat=True)) == {-8 * 3600}
    assert derived_with() == "unknown"
    assert len(service.apply()) == 2
    assert (derived_with(), wrong()) == ("2026f", {})


def test_canary_by_this_processs_rules_the_guest_would_have_been_told_another_hour(
    staff: Api, older: Path
) -> None:
    with rules(older):
        booking = book(staff, "20:00")
    row = Booking.objects.get(pk=booking["id"])
    assert f"{row.start.astimezone(clock.zone(VANCOUVER)):%H:%M}" == "21:00"


def test_a_move_by_a_program_that_stores_no_promise_voids_it(staff: Api) -> None:
    booking = book(staff, "20:00", offset="-07:00")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE bookings_booking SET start = start - interval '1 hour'")
    assert Booking.objects.get(pk=booking["id"]).promised_start is None
    promises.complete()
    assert Booking.objects.get(pk=booking["id"]).promised_start == datetime.fromisoformat(f"{DAY}T19:00")


def test_a_change_of_the_start_is_a_new_promise_and_any_other_change_keeps_it(
    staff: Api, older: Path
) -> None:
    with rules(older):
        booking = book(staff, "20:00")
    assert staff.change(booking["id"], tableIds=["V-U"]).body["start"] == f"{DAY}T20:00:00-08:00"
    assert Allocation.objects.get(active=True).utc_offset == -8 * 3600
    other_day = staff.change(booking["id"], date="2031-01-16").body
    assert other_day["start"] == "2031-01-16T20:00:00-07:00"
    row = Booking.objects.get(pk=booking["id"])
    assert row.promised_start == datetime.fromisoformat("2031-01-16T20:00")
    assert service.pending() == []


def test_the_second_of_two_equal_hours_is_promised_as_such(db: None) -> None:
    make_restaurant("S", zone="America/Santiago", hours=(Hours(time(18), time(3)),))
    start = datetime(2031, 4, 6, 3, 30, tzinfo=UTC)
    assert f"{start.astimezone(clock.zone('America/Santiago')):%H:%M %z}" == "23:30 -0400"
    with clock.frozen(start):
        booking = seat_walk_in(caller=SYSTEM, party=WalkIn("S", 2, duration_minutes=30))
    row = Booking.objects.get(pk=booking.id)
    assert (row.promised_start, row.promised_fold) == (datetime.fromisoformat("2031-04-05T23:30"), 1)
    assert Allocation.objects.get(booking=row).utc_offset is None


def test_a_promise_over_a_clock_set_back_may_be_made_twice_and_is_listed(
    staff: Api, older: Path, tmp_path: Path
) -> None:
    # By the older rules 2:00 on this night is 1:00 again; by these the clock stands at UTC-8 for ever.
    night, standing = "2031-11-02", zone_folder(tmp_path / "standing", "2026g", {VANCOUVER: "Etc/GMT+8"})
    with rules(older):
        first = book(staff, "01:30", day=night, offset="-07:00")
    with rules(standing):
        second = book(staff, "01:30", day=night)
        assert problems(service.apply()) == [(first["reference"], "its table is taken at the new instant")]
        assert starts(staff, first, second) == [f"{night}T01:30:00-07:00", f"{night}T01:30:00-08:00"]
        assert Booking.objects.get(pk=first["id"]).attention == ["zone"]
        assert wrong() == {}


@pytest.mark.parametrize(
    ("start", "offset"),
    [
        ("2031-04-05T22:00-03:00", -3),  # ends as the clock goes back
        ("2031-04-05T22:15-03:00", None),
        ("2031-09-06T22:15-04:00", -4),  # the clock goes forward meanwhile
        ("2031-06-14T22:15-04:00", -4),
    ],
)
def test_wall_times_keep_bookings_apart_unless_the_clock_goes_back_meanwhile(
    start: str, offset: int | None
) -> None:
    promise = Promise.of(datetime.fromisoformat(start), "America/Santiago")
    seconds = plain_offset(promise, promise.instant + timedelta(hours=2))
    assert seconds == (None if offset is None else offset * 3600)


@pytest.mark.parametrize(("applies", "offset"), [(False, "-08:00"), (True, "-07:00")])
def test_a_start_applies_new_rules_only_where_it_is_told_to(
    staff: Api, older: Path, settings: Settings, applies: bool, offset: str
) -> None:
    with rules(older):
        booking = book(staff, "20:00")
    settings.ZONES_APPLY_AT_START = applies
    service.at_start()
    assert starts(staff, booking) == [f"{DAY}T20:00:00{offset}"]
    assert derived_with() == ("2026f" if applies else "2025b")


def test_what_is_over_stays(staff: Api, older: Path) -> None:
    with rules(older):
        booking = book(staff, "20:00")
    with clock.frozen(datetime(2031, 1, 16, 4, 30, tzinfo=UTC)):
        assert service.apply() == []
    assert date.fromisoformat(booking["start"][:10]) == date(2031, 1, 15)
