"""Random cases for engine and oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bookings.engine import Busy, Candidate, Refusal, Sector, ServiceDay, Table, Window, explain, find
from tests.bookings.engine.oracle import Case

QUARTERS = [time(hour, minute) for hour in range(24) for minute in (0, 15, 30, 45)]
LATE = [quarter for quarter in QUARTERS if quarter.hour in (0, 1, 2, 3, 20, 21, 22, 23)]

PLAIN = [("America/Argentina/Buenos_Aires", date(2025, 10, 22)), ("Asia/Kathmandu", date(2026, 2, 28))]
CHANGES = [
    ("America/Santiago", date(2026, 4, 4)),
    ("America/Santiago", date(2026, 4, 5)),
    ("America/Santiago", date(2026, 9, 5)),
    ("America/Santiago", date(2026, 9, 6)),
    ("Asia/Beirut", date(2026, 10, 24)),
    ("Asia/Beirut", date(2026, 3, 28)),
    ("Asia/Beirut", date(2026, 3, 29)),
    ("Australia/Lord_Howe", date(2026, 4, 4)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 3)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Havana", date(2026, 3, 7)),
    ("America/Havana", date(2026, 11, 1)),
    ("Pacific/Apia", date(2011, 12, 29)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Chatham", date(2026, 4, 5)),
]
IDS = ["T1", "T2", "T10", "T01", "A", "T3", "B2", "b2", "T2x", "9", "T20", "T3-4", "M7", "M007"]


def cases(count: int, **kinds: Any) -> Iterator[Case]:
    """Yield ``count`` cases, the same in every run, in growing size: the first to fail is among the smallest."""
    for number in range(count):
        yield case(random.Random(number), room=(number / count) ** 0.5, **kinds)


def case(
    dice: random.Random,
    *,
    room: float = 1.0,
    changes: bool = False,
    joins: bool = False,
    combos: bool = False,
    most_tables: int = 6,
    top: int = 6,
) -> Case:
    """Return a random case. ``room`` (0 to 1) bounds its tables, windows, bookings, joins and combos."""

    def some(most: int) -> int:
        return dice.randint(0, round(most * room))

    zone, day = dice.choice(CHANGES if changes else PLAIN)
    quarters = LATE if changes else QUARTERS
    windows: list[Window] = []
    for _ in range(1 + some(2)):
        opens = dice.choice(quarters)
        # Short windows keep the oracle fast; the hours are those of the clock change.
        length = dice.randint(1, 24 if changes else 16)
        closes = (datetime.combine(day, opens) + length * timedelta(minutes=15)).time()
        windows.append(Window(opens, closes, dice.choice(quarters) if dice.random() < 0.2 else None))
    ids = dice.sample(IDS, max(1, some(most_tables), some(most_tables)))
    tables = []
    for table_id in ids:
        smallest = dice.choice([1, 1, 2, 3, 4])
        tables.append(Table(table_id, smallest, dice.randint(smallest, top), dice.random() < 0.85))
    midnight = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    busy = []
    for _ in range(some(2 * len(ids))):
        start = midnight + timedelta(minutes=dice.randint(-30, 130) * 15 + dice.choice([0, 0, 0, 0, 7, -1]))
        minutes = dice.randint(1, dice.choice([8, 8, 50])) * dice.choice([15, 15, 10])
        busy.append(
            Busy(dice.choice(ids), start.astimezone(ZoneInfo(zone)), start + timedelta(minutes=minutes))
        )
    pairs = []
    if joins and len(ids) > 1:
        pairs = [(a, b) for a, b in (dice.sample(ids, 2) for _ in range(some(2 * len(ids))))]
    capacities = {}
    if combos and len(ids) > 1:
        for _ in range(1 + some(4)):
            smallest = dice.randint(1, 8)
            members = dice.sample(ids, min(len(ids), dice.randint(2, 4)))
            capacities[frozenset(members)] = (smallest, dice.randint(smallest, 12))
    times = [*quarters, time(20, 7), time(23, 50), time(0, 20)]
    window_start, window_end = (dice.choice(times) if dice.random() < 0.2 else None for _ in range(2))
    if window_start == window_end:
        window_end = None
    instants = [midnight + n * timedelta(minutes=15) for n in range(-4, 111)]
    off_the_grid = timedelta(minutes=dice.choice([0, 4]))
    return Case(
        date=day,
        zone=zone,
        windows=tuple(windows),
        tables=tuple(tables),
        busy=tuple(busy),
        party=dice.randint(1, dice.choice([top, 2 * top])),
        duration=15 * dice.randint(1, 8),
        joins=tuple(pairs),
        combos=capacities,
        window_start=window_start,
        window_end=window_end,
        not_before=dice.choice(instants) + off_the_grid if dice.random() < 0.2 else None,
        start=dice.choice(instants) if dice.random() < 0.1 else None,
        only=frozenset(dice.sample(ids, min(len(ids), dice.randint(1, 4)))) if dice.random() < 0.1 else None,
        limit=dice.choice([1, 3, 10, 50, 10_000, 10_000]),
    )


def ask(case: Case) -> list[Candidate]:
    """Return the engine's candidates."""
    return find(_plan(case), _day(case), case.busy, limit=case.limit, **_request(case))


def ask_why(case: Case) -> Refusal:
    """Return the engine's explanation when nothing fits."""
    return explain(_day(case), [(_plan(case), case.busy)], **_request(case))


def _day(case: Case) -> ServiceDay:
    return ServiceDay.build(case.date, ZoneInfo(case.zone), case.windows)


def _plan(case: Case) -> Sector:
    return Sector.build(case.tables, case.joins, case.combos)


def _request(case: Case) -> dict[str, Any]:
    return {
        "party": case.party,
        "duration_minutes": case.duration,
        "window_start": case.window_start,
        "window_end": case.window_end,
        "not_before": case.not_before,
        "start": case.start,
        "tables": case.only,
    }
