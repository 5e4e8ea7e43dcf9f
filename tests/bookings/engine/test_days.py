"""The service day: which starts are offered, in wall time and in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bookings.engine import Busy, Sector, ServiceDay, Table, Window, find

SECTOR = Sector.build([Table("T1", 1, 2)])
SANTIAGO = "America/Santiago"
BUENOS_AIRES = "America/Argentina/Buenos_Aires"


def w(text: str) -> Window:
    """``"20:00-01:00 last 00:15"`` as a window."""
    span, _, last = text.partition(" last ")
    opens, closes = span.split("-")
    return Window(
        time.fromisoformat(opens), time.fromisoformat(closes), time.fromisoformat(last) if last else None
    )


def offered_starts(
    zone: str,
    day: str,
    *windows: str,
    minutes: int = 15,
    between: str = "-",
    busy: tuple[Busy, ...] = (),
    not_before: datetime | None = None,
    start: datetime | None = None,
) -> list[datetime]:
    first, last = between.split("-")
    service_day = ServiceDay.build(
        date.fromisoformat(day), ZoneInfo(zone), tuple(w(window) for window in windows)
    )
    candidates = find(
        SECTOR,
        service_day,
        busy,
        party=2,
        duration_minutes=minutes,
        limit=1000,
        window_start=time.fromisoformat(first) if first else None,
        window_end=time.fromisoformat(last) if last else None,
        not_before=not_before,
        start=start,
    )
    return [candidate.start.astimezone(ZoneInfo(zone)) for candidate in candidates]


def walls(starts: list[datetime]) -> str:
    return " ".join(start.strftime("%H:%M") for start in starts)


def utc(starts: list[datetime]) -> str:
    return " ".join(start.astimezone(UTC).strftime("%H:%M") for start in starts)


def test_santiago_offers_the_repeated_hour_of_4_april_2026_once() -> None:
    starts = offered_starts(SANTIAGO, "2026-04-04", "22:30-00:30")
    assert walls(starts) == "22:30 22:45 23:00 23:15 23:30 23:45 00:00 00:15"
    assert utc(starts) == "01:30 01:45 02:00 02:15 02:30 02:45 04:00 04:15"


def test_duration_is_elapsed_time_through_the_repeated_hour() -> None:
    # 22:30 until the second 23:30 is two hours by the stopwatch; closing at 00:30 is three away.
    assert walls(offered_starts(SANTIAGO, "2026-04-04", "22:30-00:30", minutes=180)) == "22:30"
    assert offered_starts(SANTIAGO, "2026-04-04", "22:30-00:30", minutes=195) == []


def test_a_repeated_edge_is_its_first_occurrence() -> None:
    closing = offered_starts(SANTIAGO, "2026-04-04", "22:45-23:30")
    assert (walls(closing), utc(closing)) == ("22:45 23:00 23:15", "01:45 02:00 02:15")
    opening = offered_starts(SANTIAGO, "2026-04-04", "23:30-00:15", minutes=105)
    assert (walls(opening), utc(opening)) == ("23:30", "02:30")
    assert (
        walls(offered_starts(SANTIAGO, "2026-04-04", "22:00-01:00", between="22:45-23:15")) == "22:45 23:00"
    )


def test_santiago_skips_the_missing_hour_of_6_september_2026() -> None:
    starts = offered_starts(SANTIAGO, "2026-09-05", "23:15-01:30")
    assert walls(starts) == "23:15 23:30 23:45 01:00 01:15"
    assert utc(starts) == "03:15 03:30 03:45 04:00 04:15"


def test_a_service_day_without_local_midnight() -> None:
    starts = offered_starts(SANTIAGO, "2026-09-06", "00:00-01:45")
    assert (walls(starts), utc(starts)) == ("01:00 01:15 01:30", "04:00 04:15 04:30")


def test_a_missing_edge_is_the_instant_of_the_change() -> None:
    assert walls(offered_starts(SANTIAGO, "2026-09-05", "23:00-00:30")) == "23:00 23:15 23:30 23:45"
    assert offered_starts(SANTIAGO, "2026-09-06", "00:15-00:45") == []
    assert (
        walls(offered_starts(SANTIAGO, "2026-09-05", "22:00-02:00", between="00:15-01:30")) == "01:00 01:15"
    )


def test_last_seating_in_the_missing_hour_allows_no_later_reading() -> None:
    assert walls(offered_starts(SANTIAGO, "2026-09-05", "23:30-02:00 last 00:30")) == "23:30 23:45"


def test_beirut_offers_the_repeated_hour_of_24_october_2026_once() -> None:
    starts = offered_starts("Asia/Beirut", "2026-10-24", "22:30-00:30")
    assert walls(starts) == "22:30 22:45 23:00 23:15 23:30 23:45 00:00 00:15"
    assert utc(starts) == "19:30 19:45 20:00 20:15 20:30 20:45 22:00 22:15"


def test_lord_howe_shifts_by_half_an_hour() -> None:
    back = offered_starts(
        "Australia/Lord_Howe", "2026-04-04", "01:15-02:15", "23:45-02:30", between="01:15-02:30"
    )
    assert walls(back) == "01:15 01:30 01:45 02:00 01:15 01:30 01:45 02:00 02:15"
    assert utc(back) == "14:15 14:30 14:45 15:00 14:15 14:30 14:45 15:30 15:45"
    forward = offered_starts("Australia/Lord_Howe", "2026-10-03", "23:30-03:00", between="01:30-03:00")
    assert walls(forward) == "01:30 01:45 02:30 02:45"
    assert utc(forward) == "15:00 15:15 15:30 15:45"


def test_a_skipped_date_has_no_service() -> None:
    assert offered_starts("Pacific/Apia", "2011-12-30", "12:00-16:00") == []


def test_the_ends_of_the_calendar_are_closed() -> None:
    for day in (date.min, date.max):
        assert ServiceDay.build(day, ZoneInfo(SANTIAGO), (w("12:00-16:00"),)).spans == ()


def test_a_window_may_last_until_midnight_or_around_the_clock() -> None:
    assert walls(offered_starts(BUENOS_AIRES, "2025-10-22", "23:00-00:00", minutes=30)) == "23:00 23:15 23:30"
    assert len(offered_starts(BUENOS_AIRES, "2025-10-22", "06:00-06:00", minutes=30)) == 95


def test_back_to_back_bookings_share_a_table() -> None:
    start = datetime(2025, 10, 22, 23, tzinfo=UTC)
    busy = (Busy("T1", start, start + timedelta(minutes=90)),)
    starts = offered_starts(BUENOS_AIRES, "2025-10-22", "19:00-23:00", minutes=60, busy=busy)
    assert walls(starts) == "19:00 21:30 21:45 22:00"


def test_yesterdays_booking_still_blocks() -> None:
    zone = ZoneInfo(BUENOS_AIRES)
    busy = (Busy("T1", datetime(2025, 10, 21, 22, tzinfo=zone), datetime(2025, 10, 22, 1, tzinfo=zone)),)
    assert walls(offered_starts(BUENOS_AIRES, "2025-10-22", "00:00-01:30", busy=busy)) == "01:00 01:15"


def test_a_booking_off_the_grid_takes_every_slot_it_touches() -> None:
    zone = ZoneInfo(BUENOS_AIRES)
    at = datetime(2025, 10, 22, 20, 29, 59, tzinfo=zone)
    busy = (Busy("T1", at, at + timedelta(minutes=15, seconds=1, microseconds=1)),)
    assert walls(offered_starts(BUENOS_AIRES, "2025-10-22", "20:00-21:15", busy=busy)) == "20:00 21:00"


def test_an_empty_or_reversed_interval_takes_nothing() -> None:
    at = datetime(2025, 10, 22, 23, 5, tzinfo=UTC)
    busy = (Busy("T1", at, at), Busy("T1", at, at - timedelta(hours=1)))
    assert walls(offered_starts(BUENOS_AIRES, "2025-10-22", "20:00-20:30", busy=busy)) == "20:00 20:15"


def test_last_seating_is_not_closing_time() -> None:
    assert (
        walls(offered_starts(BUENOS_AIRES, "2025-10-22", "20:00-23:45 last 20:45", minutes=90))
        == "20:00 20:15 20:30 20:45"
    )
    assert (
        walls(offered_starts(BUENOS_AIRES, "2025-10-22", "23:30-02:00 last 00:15", minutes=60))
        == "23:30 23:45 00:00 00:15"
    )


def test_a_booking_lies_inside_one_of_two_windows_that_touch() -> None:
    windows = "12:00-13:00 last 12:15", "13:00-14:00"
    assert walls(offered_starts(BUENOS_AIRES, "2025-10-22", *windows, minutes=60)) == "12:00 13:00"
    assert (
        walls(offered_starts(BUENOS_AIRES, "2025-10-22", *windows, minutes=30))
        == "12:00 12:15 13:00 13:15 13:30"
    )


def test_windows_that_overlap_offer_a_start_once_and_each_keeps_its_closing_and_last_seating() -> None:
    windows = "12:00-14:00", "13:00-15:00 last 13:30", "12:15-12:45"
    starts = offered_starts(BUENOS_AIRES, "2025-10-22", *windows, minutes=60)
    assert walls(starts) == "12:00 12:15 12:30 12:45 13:00 13:15 13:30"
    assert (
        walls(offered_starts(BUENOS_AIRES, "2025-10-22", *windows, minutes=105)) == "12:00 12:15 13:00 13:15"
    )
    assert walls(offered_starts(BUENOS_AIRES, "2025-10-22", *windows, minutes=135)) == ""


def test_a_day_is_open_once_where_its_windows_overlap() -> None:
    def opened(*windows: str) -> tuple[int, list[tuple[int, int]]]:
        day = ServiceDay.build(
            date(2025, 10, 22), ZoneInfo(BUENOS_AIRES), tuple(w(window) for window in windows)
        )
        return day.slots, day.opened()

    assert opened("12:00-16:00", "12:30-13:00", "15:00-17:00") == (20, [(0, 20)])
    assert opened("13:00-14:00", "12:00-13:00", "20:00-21:00") == (36, [(0, 4), (4, 8), (32, 36)])


def test_no_candidate_spans_two_separate_windows() -> None:
    assert offered_starts(BUENOS_AIRES, "2025-10-22", "12:00-12:30", "12:45-13:15", minutes=45) == []


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ("00:30-01:30", "00:30 00:45 01:00"),
        ("23:30-00:15", "23:30 23:45"),
        ("20:07-20:50", "20:15"),
        ("23:45-", "23:45 00:00 00:15 00:30 00:45 01:00 01:15 01:30"),
        ("01:00-", "01:00 01:15 01:30"),
        ("10:00-", "12:00 12:15 12:30 12:45 13:00 13:15 13:30"),
        ("-20:45", "12:00 12:15 12:30 12:45 13:00 13:15 13:30 20:00 20:15"),
        ("-11:00", ""),
        ("17:00-19:00", ""),
        ("12:45-20:30", "12:45 13:00 13:15 13:30 20:00"),
    ],
)
def test_requested_windows(between: str, expected: str) -> None:
    starts = offered_starts(
        BUENOS_AIRES, "2025-10-22", "12:00-14:00", "20:00-02:00", minutes=30, between=between
    )
    times = walls(starts)
    assert times.startswith(expected) if between == "10:00-" else times == expected


def test_equal_requested_edges_are_refused() -> None:
    with pytest.raises(ValueError, match="same time"):
        offered_starts(BUENOS_AIRES, "2025-10-22", "12:00-14:00", between="13:00-13:00")


def test_windows_off_the_quarter_hour_are_refused() -> None:
    with pytest.raises(ValueError, match="12:05"):
        w("12:05-14:00")


def test_not_before_and_a_given_start() -> None:
    at = datetime(2025, 10, 22, 15, 31, tzinfo=UTC)
    assert walls(offered_starts(BUENOS_AIRES, "2025-10-22", "12:00-13:15", not_before=at)) == "12:45 13:00"
    sharp = at.replace(minute=30)
    assert (
        walls(offered_starts(BUENOS_AIRES, "2025-10-22", "12:00-13:15", not_before=sharp, start=sharp))
        == "12:30"
    )
    assert offered_starts(BUENOS_AIRES, "2025-10-22", "12:00-13:15", start=at) == []
    assert offered_starts(BUENOS_AIRES, "2025-10-22", "12:00-13:15", start=sharp + timedelta(days=1)) == []
