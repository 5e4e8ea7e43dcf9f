"""Random questions for engine and oracle."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from bookings.engine import Busy, Candidate, SectorPlan, ServiceDay, Table, Window, find
from tests.engine.oracle import Case

QUARTERS = [time(hour, minute) for hour in range(24) for minute in (0, 15, 30, 45)]
LATE = [each for each in QUARTERS if each.hour in (0, 1, 2, 3, 20, 21, 22, 23)]

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


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    changes: bool = False,
    joins: bool = False,
    combos: bool = False,
    most_tables: int = 6,
    top: int = 6,
) -> Case:
    zone, day = draw(st.sampled_from(CHANGES if changes else PLAIN))
    quarters = st.sampled_from(LATE if changes else QUARTERS)
    windows: list[Window] = []
    for _ in range(draw(st.integers(1, 3))):
        opens = draw(quarters)
        # Short windows keep the oracle quick; the hours are where the clock changes.
        length = draw(st.integers(1, 24 if changes else 16))
        closes = (datetime.combine(day, opens) + length * timedelta(minutes=15)).time()
        windows.append(Window(opens, closes, draw(st.none() | st.none() | quarters)))
    ids = draw(st.permutations(IDS))[: draw(st.integers(1, most_tables))]
    tables = []
    for each in ids:
        smallest = draw(st.integers(1, 4))
        largest = draw(st.integers(smallest, top))
        tables.append(Table(each, smallest, largest, draw(st.integers(0, 5)) > 0))
    midnight = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    busy = []
    for _ in range(draw(st.integers(0, 2 * len(ids)))):
        at = draw(st.integers(-30, 130)) * 15 + draw(st.sampled_from([0, 0, 0, 0, 7, -1]))
        start = midnight + timedelta(minutes=at)
        busy.append(
            Busy(
                draw(st.sampled_from(ids)),
                start.astimezone(ZoneInfo(zone)),
                start + timedelta(minutes=draw(st.integers(1, 50)) * draw(st.sampled_from([15, 15, 10]))),
            )
        )
    pairs = st.tuples(st.sampled_from(ids), st.sampled_from(ids)).filter(lambda pair: pair[0] != pair[1])
    joined = draw(st.lists(pairs, max_size=8)) if joins and len(ids) > 1 else []
    own = {}
    if combos and len(ids) > 1:
        for _ in range(draw(st.integers(1, 5))):
            members = draw(st.permutations(ids))[: draw(st.integers(2, 4))]
            smallest = draw(st.integers(1, 8))
            own[frozenset(members)] = (smallest, draw(st.integers(smallest, 12)))
    odd = st.sampled_from([time(20, 7), time(23, 50), time(0, 20)])
    asked = st.none() | st.none() | quarters | odd
    window_start, window_end = draw(asked), draw(asked)
    if window_start == window_end:
        window_end = None
    instants = st.integers(-4, 110).map(lambda n: midnight + n * timedelta(minutes=15))
    earliest = st.none() | st.none() | instants | instants.map(lambda at: at + timedelta(minutes=4))
    named = st.frozensets(st.sampled_from(ids), min_size=1, max_size=4)
    return Case(
        date=day,
        zone=zone,
        windows=tuple(windows),
        tables=tuple(tables),
        busy=tuple(busy),
        party=draw(st.integers(1, 2 * top)),
        duration=15 * draw(st.integers(1, 8)),
        joins=tuple(joined) if joins else (),
        combos=own,
        window_start=window_start,
        window_end=window_end,
        not_before=draw(earliest),
        start=draw(st.none() | st.none() | st.none() | instants),
        only=draw(st.none() | st.none() | st.none() | named),
        limit=draw(st.sampled_from([1, 3, 10, 50, 10_000])),
    )


def ask(case: Case) -> list[Candidate]:
    """What the engine says."""
    day = ServiceDay.build(case.date, ZoneInfo(case.zone), case.windows)
    plan = SectorPlan.build(case.tables, case.joins, case.combos)
    return find(
        plan,
        day,
        case.busy,
        party=case.party,
        duration_minutes=case.duration,
        limit=case.limit,
        window_start=case.window_start,
        window_end=case.window_end,
        not_before=case.not_before,
        start=case.start,
        tables=case.only,
    )
