"""Why nothing fits, and the nearest starts that would."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bookings.engine import Busy, Reason, Refusal, Sector, ServiceDay, Table, Window, explain, find

ZONE = ZoneInfo("America/Argentina/Buenos_Aires")
WINDOWS = (Window(time(12), time(16)), Window(time(20), time(23, 45), time(22)))
DAY = ServiceDay.build(date(2025, 10, 22), ZONE, WINDOWS)
SECTOR = Sector.build([Table("T1", 2, 2), Table("T2", 2, 4), Table("T4", 4, 6, combinable=False)])


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 10, 22, hour, minute, tzinfo=ZONE)


def busy_tables(begin: datetime, end: datetime, *tables: str) -> list[Busy]:
    return [Busy(table, begin, end) for table in tables or ("T1", "T2", "T4")]


def refusal_of(
    *,
    party: int = 4,
    minutes: int = 90,
    between: tuple[time, time] | None = None,
    start: datetime | None = None,
    not_before: datetime | None = None,
    busy: list[Busy] | None = None,
    tables: frozenset[str] | None = None,
    day: ServiceDay = DAY,
    sector: Sector = SECTOR,
) -> tuple[str, list[str], int | None]:
    """Return reason, nearest starts (wall time) and largest party; assert that `find` returns nothing."""
    first, last = between or (None, None)
    assert (
        find(
            sector,
            day,
            busy or [],
            party=party,
            duration_minutes=minutes,
            limit=1,
            window_start=first,
            window_end=last,
            not_before=not_before,
            start=start,
            tables=tables,
        )
        == []
    )
    refusal = explain(
        day,
        [(sector, busy or [])],
        party=party,
        duration_minutes=minutes,
        window_start=first,
        window_end=last,
        not_before=not_before,
        start=start,
        tables=tables,
    )
    assert all(instant.tzinfo is UTC for instant in refusal.nearest)
    near = [instant.astimezone(ZONE).strftime("%H:%M") for instant in refusal.nearest]
    return refusal.reason.value, near, refusal.largest_party


def test_closed() -> None:
    assert refusal_of(day=ServiceDay.build(date(2025, 10, 22), ZONE, ())) == ("CLOSED", [], 6)


def test_requested_window_between_services() -> None:
    assert refusal_of(between=(time(17), time(19))) == ("OUTSIDE_WINDOW", ["14:30", "20:00", "14:15"], 6)


def test_a_start_that_is_not_offered() -> None:
    assert refusal_of(start=at(18)) == ("OUTSIDE_WINDOW", ["20:00", "20:15", "20:30"], 6)
    assert refusal_of(start=at(20, 10)) == ("OUTSIDE_WINDOW", ["20:15", "20:00", "20:30"], 6)
    assert refusal_of(start=at(22, 15)) == ("OUTSIDE_WINDOW", ["22:00", "21:45", "21:30"], 6)


def test_duration_longer_than_the_meeting() -> None:
    late = refusal_of(between=(time(15), time(20, 30)))
    assert late == ("WINDOW_TOO_SHORT", ["14:30", "14:15", "14:00"], 6)
    assert refusal_of(start=at(15)) == ("WINDOW_TOO_SHORT", ["14:30", "14:15", "14:00"], 6)
    assert refusal_of(minutes=255) == ("WINDOW_TOO_SHORT", [], 6)


def test_party_larger_than_any_combo() -> None:
    assert refusal_of(party=7) == ("PARTY_TOO_LARGE", [], 6)
    assert refusal_of(party=3, sector=Sector.build([])) == ("PARTY_TOO_LARGE", [], None)


def test_party_smaller_than_any_table_takes() -> None:
    assert refusal_of(party=1) == ("PARTY_TOO_SMALL", [], 6)
    gap = Sector.build([Table("A", 1, 2, combinable=False), Table("B", 8, 10)])
    assert refusal_of(party=5, sector=gap) == ("PARTY_TOO_SMALL", [], 10)


def test_the_largest_party_respects_joins_and_combo_capacities() -> None:
    fours = [Table(table_id, 1, 4) for table_id in "ABCDE"]
    assert refusal_of(party=17, sector=Sector.build(fours)) == ("PARTY_TOO_LARGE", [], 16)
    sector = Sector.build(fours, joins=[("A", "B"), ("B", "C"), ("D", "E")])
    assert refusal_of(party=13, sector=sector) == ("PARTY_TOO_LARGE", [], 12)
    smaller = Sector.build(fours[:2], combos={frozenset("AB"): (5, 6)})
    assert refusal_of(party=7, sector=smaller) == ("PARTY_TOO_LARGE", [], 6)


def test_the_refusal_of_named_tables_concerns_these_tables() -> None:
    assert refusal_of(party=5, tables=frozenset(["T2"])) == ("PARTY_TOO_LARGE", [], 4)
    assert refusal_of(party=2, tables=frozenset(["T4"])) == ("PARTY_TOO_SMALL", [], 6)
    assert refusal_of(party=5, tables=frozenset(["T2", "T4"])) == ("PARTY_TOO_LARGE", [], None)
    assert refusal_of(party=5, tables=frozenset(["T9"])) == ("PARTY_TOO_LARGE", [], None)
    busy = busy_tables(at(20), at(21), "T2")
    assert refusal_of(tables=frozenset(["T2"]), start=at(20), busy=busy) == (
        "FULL",
        ["21:00", "21:15", "21:30"],
        4,
    )


def test_too_soon() -> None:
    early = refusal_of(between=(time(12), time(14)), not_before=at(14))
    assert early == ("TOO_SOON", ["14:00", "14:15", "14:30"], 6)
    assert refusal_of(not_before=at(23)) == ("TOO_SOON", [], 6)
    busy = busy_tables(at(20), at(23, 45))
    assert refusal_of(not_before=at(15), busy=busy) == ("TOO_SOON", [], 6)


def test_full_before_and_after_the_lead_time() -> None:
    busy = busy_tables(at(12), at(16)) + busy_tables(at(20), at(21, 45))
    assert refusal_of(not_before=at(13), between=(time(12), time(22)), busy=busy) == (
        "FULL",
        ["21:45", "22:00"],
        6,
    )


def test_full_names_the_nearest_free_times() -> None:
    busy = busy_tables(at(20), at(21, 15))
    assert refusal_of(between=(time(20), time(22)), busy=busy) == ("FULL", ["21:15", "21:30", "21:45"], 6)
    assert refusal_of(start=at(20), busy=busy) == ("FULL", ["21:15", "21:30", "21:45"], 6)


def test_full_all_day() -> None:
    assert refusal_of(busy=busy_tables(at(0), at(0) + timedelta(days=1))) == ("FULL", [], 6)


def test_nearest_over_several_sectors() -> None:
    other = Sector.build([Table("U1", 2, 8)])
    refusal = explain(
        DAY,
        [(SECTOR, busy_tables(at(12), at(23, 45))), (other, [Busy("U1", at(12), at(21))])],
        party=4,
        duration_minutes=90,
        window_start=time(20),
        window_end=time(22),
    )
    assert refusal == Refusal(
        Reason.FULL, (at(21).astimezone(UTC), at(21, 15).astimezone(UTC), at(21, 30).astimezone(UTC)), 8
    )


def test_the_largest_party_counts_at_most_four_tables() -> None:
    sector = Sector.build(Table(f"T{number}", 2, 2) for number in range(1, 7))
    assert refusal_of(party=10, sector=sector) == ("PARTY_TOO_LARGE", [], 8)
